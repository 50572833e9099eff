//! The generator's connections: one thread, epoll, one buffer to read into.

use std::{
    io::{ErrorKind, Read, Write},
    mem,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use load::latency::Latencies;
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, Event, EventData, EventFlags},
    },
    fd::OwnedFd,
    io::Errno,
};
use socket2::{Domain, Socket, Type};

use super::{
    frames::{self, Frame},
    protocol::{Heard, Place, Protocol},
};

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;
/// Events taken at a time.
const EVENTS: usize = 1024;
/// Connections that are being opened at a time.
const AT_ONCE: usize = 256;
/// How long nothing may happen while connections are opened.
const OPENING: Duration = Duration::from_secs(30);
/// An opening of this time has lost a SYN, which the kernel sends again after a second.
const SECOND_SYN: Duration = Duration::from_millis(900);

/// Open connections to one server.
pub(super) struct Links<'p> {
    server: SocketAddr,
    protocol: &'p dyn Protocol,
    interrupted: Arc<AtomicBool>,
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Box<[u8]>,
    links: Vec<Link>,
    open: usize,
    /// What the server refused, and how often.
    refusals: u64,
    refusal: Option<String>,
}

struct Link {
    socket: TcpStream,
    place: Place,
    phase: Phase,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Phase {
    Connecting,
    /// The handshake is sent.
    Upgrading,
    /// It is answered; the server has not said yet what makes it open.
    Greeting,
    Open,
}

/// How opening went.
pub(super) struct Opening {
    pub(super) took: Duration,
    pub(super) each: Latencies,
    /// Those that took as long as a lost SYN makes them.
    pub(super) slow: u64,
}

/// What is done with a delivery: whose, and the text.
pub(super) type Take<'a> = dyn FnMut(usize, &[u8]) -> anyhow::Result<()> + 'a;

impl<'p> Links<'p> {
    pub(super) fn new(
        server: SocketAddr,
        protocol: &'p dyn Protocol,
        interrupted: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            server,
            protocol,
            interrupted,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            links: Vec::new(),
            open: 0,
            refusals: 0,
            refusal: None,
        })
    }

    /// Opens so many more, [`AT_ONCE`] at a time.
    pub(super) fn open(
        &mut self,
        count: usize,
        place: impl Fn(usize) -> Place,
    ) -> anyhow::Result<Opening> {
        let (before, began) = (self.open, Instant::now());
        let mut begun = Vec::with_capacity(count);
        let mut each = Latencies::default();
        let (mut opened, mut last, mut slow) = (0, Instant::now(), 0);
        let mut pending: Vec<usize> = Vec::new();
        while opened < count {
            while begun.len() < count && pending.len() < AT_ONCE {
                pending.push(self.links.len());
                begun.push(Instant::now());
                self.connect(place(begun.len() - 1))?;
            }
            self.poll(Duration::from_millis(100), &mut |_, _| Ok(()))?;
            if let Some(refusal) = &self.refusal {
                anyhow::bail!("the server refused: {refusal}");
            }
            let now = Instant::now();
            if self.open - before > opened {
                (opened, last) = (self.open - before, now);
                let links = &self.links;
                pending.retain(|&index| {
                    let is_open = links[index].phase == Phase::Open;
                    if is_open {
                        let took = now - begun[index - before];
                        slow += u64::from(took >= SECOND_SYN);
                        each.record(took);
                    }
                    !is_open
                });
            }
            anyhow::ensure!(
                last.elapsed() < OPENING,
                "{opened} of {count} connections are open, and no more within {OPENING:?}"
            );
        }
        Ok(Opening {
            took: began.elapsed(),
            each,
            slow,
        })
    }

    fn connect(&mut self, place: Place) -> anyhow::Result<()> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Thousands are closed after each run: they would keep their ports for a minute.
        socket.set_linger(Some(Duration::ZERO))?;
        match socket.connect(&self.server.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error).context("cannot connect"),
        }
        let socket = TcpStream::from(socket);
        let token = EventData::new_u64(self.links.len() as u64);
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&self.epoll, &socket, token, interest)?;
        self.links.push(Link {
            socket,
            place,
            phase: Phase::Connecting,
            unread: Vec::new(),
            unsent: Vec::new(),
        });
        Ok(())
    }

    /// Sends now, or when the socket takes more.
    pub(super) fn send(&mut self, index: usize, frame: &[u8]) -> anyhow::Result<()> {
        self.links[index].send(frame)
    }

    /// Takes what comes, waiting for it for so long at most.
    pub(super) fn poll(&mut self, wait: Duration, take: &mut Take<'_>) -> anyhow::Result<()> {
        anyhow::ensure!(!self.interrupted.load(Ordering::Relaxed), "interrupted");
        let wait = Timespec {
            tv_sec: wait.as_secs().try_into()?,
            tv_nsec: wait.subsec_nanos().into(),
        };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut events = mem::take(&mut self.events);
        let result = events
            .drain(..)
            .try_for_each(|event| self.is_ready(event, take));
        self.events = events;
        result
    }

    fn is_ready(&mut self, event: Event, take: &mut Take<'_>) -> anyhow::Result<()> {
        let index = usize::try_from(event.data.u64())?;
        let flags = event.flags;
        let link = &mut self.links[index];
        if flags.contains(EventFlags::OUT) {
            if link.phase == Phase::Connecting {
                if let Some(error) = link.socket.take_error()? {
                    return Err(error).context("cannot connect");
                }
                link.phase = Phase::Upgrading;
                let request = request(&self.protocol.target(link.place));
                link.send(request.as_bytes())?;
            }
            link.send_rest()?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.read(index, take)
                .with_context(|| format!("connection {index}"))?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize, take: &mut Take<'_>) -> anyhow::Result<()> {
        let mut buffer = mem::take(&mut self.buffer);
        let result = self.read_into(&mut buffer, index, take);
        self.buffer = buffer;
        result
    }

    fn read_into(
        &mut self,
        buffer: &mut [u8],
        index: usize,
        take: &mut Take<'_>,
    ) -> anyhow::Result<()> {
        loop {
            let link = &mut self.links[index];
            let kept = link.unread.len();
            let count = match link.socket.read(&mut buffer[kept..]) {
                Ok(0) => anyhow::bail!("the server hung up"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            buffer[..kept].copy_from_slice(&link.unread);
            link.unread = Vec::new();
            let filled = kept + count;
            let mut rest = &buffer[..filled];
            if link.phase == Phase::Upgrading {
                rest = self.upgrade(index, rest)?;
            }
            if self.links[index].phase > Phase::Upgrading {
                while let Some((frame, behind)) = frames::next(rest)? {
                    self.receive(index, &frame, take)?;
                    rest = behind;
                }
            }
            self.links[index].unread.extend_from_slice(rest);
            if filled < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Looks for the handshake's answer, and returns what is behind it.
    fn upgrade<'a>(&mut self, index: usize, input: &'a [u8]) -> anyhow::Result<&'a [u8]> {
        let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(input);
        };
        anyhow::ensure!(
            input.starts_with(b"HTTP/1.1 101 "),
            "the server refused: {}",
            String::from_utf8_lossy(&input[..end])
        );
        self.links[index].phase = Phase::Greeting;
        if self.protocol.opens_at_once() {
            self.is_open(index);
        }
        Ok(&input[end + 4..])
    }

    fn is_open(&mut self, index: usize) {
        let phase = &mut self.links[index].phase;
        if *phase != Phase::Open {
            *phase = Phase::Open;
            self.open += 1;
        }
    }

    fn receive(
        &mut self,
        index: usize,
        frame: &Frame<'_>,
        take: &mut Take<'_>,
    ) -> anyhow::Result<()> {
        match frame.first {
            frames::TEXT => {}
            frames::PING => {
                let pong = frames::masked(frames::PONG, frame.payload)?;
                return self.links[index].send(&pong);
            }
            frames::PONG => return Ok(()),
            frames::CLOSE => anyhow::bail!(
                "the server closed the connection: {}",
                String::from_utf8_lossy(frame.payload.get(2..).unwrap_or_default())
            ),
            other => anyhow::bail!("the server sent a frame that begins with {other:#04x}"),
        }
        match self.protocol.hear(frame.payload, self.links[index].place) {
            Heard::Delivery => take(index, frame.payload)?,
            Heard::Open => self.is_open(index),
            Heard::Question(answer) => {
                let answer = frames::masked(frames::TEXT, answer.as_bytes())?;
                self.links[index].send(&answer)?;
            }
            Heard::Nothing => {}
            Heard::Refusal => {
                self.refusals += 1;
                self.refusal
                    .get_or_insert_with(|| String::from_utf8_lossy(frame.payload).into_owned());
            }
        }
        Ok(())
    }

    /// How often the server refused, and what it said the first time.
    pub(super) fn refusals(&self) -> (u64, &str) {
        (self.refusals, self.refusal.as_deref().unwrap_or_default())
    }
}

impl Link {
    fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let written = match self.socket.write(bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error.into()),
        };
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn send_rest(&mut self) -> anyhow::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// RFC 6455 §1.2 has this key. Nothing between here and the server would mix up answers.
fn request(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
