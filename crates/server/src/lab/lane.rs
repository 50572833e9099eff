//! One way of doing a task: its connection, through which every byte is counted and told.

use std::{io, net::SocketAddr, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    plan::{Line, Plan},
    wire::{self, Part},
};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    Http,
    Websocket,
}

/// From the client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    Up,
    Down,
}

/// What one way has cost so far, counted where bytes are written and read, and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Totals {
    pub(super) connections: u64,
    /// Bytes to the server.
    pub(super) up: u64,
    /// Bytes from it.
    pub(super) down: u64,
    /// How often bytes were handed to the system, and taken from it.
    pub(super) writes: u64,
    pub(super) reads: u64,
    /// Connections opened, and questions with an answer.
    pub(super) round_trips: u64,
}

/// What the page is told. Times are milliseconds since the beginning.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    /// What is going to be done.
    Plan {
        #[serde(flatten)]
        plan: Plan,
        lines: Vec<Line>,
    },
    /// Something went over the wire.
    Exchange {
        way: Way,
        at_ms: f64,
        connection: u64,
        direction: Direction,
        what: &'static str,
        part: Part,
        totals: Totals,
        #[serde(skip)]
        bytes: Vec<u8>,
    },
    /// A message was said; `line` counts from 0.
    Said { way: Way, line: usize, at_ms: f64 },
    /// Who said it knows that it is stored, or who waited for it has it.
    Known {
        way: Way,
        line: usize,
        at_ms: f64,
        after_ms: f64,
    },
    /// One way is done.
    Done {
        way: Way,
        at_ms: f64,
        totals: Totals,
    },
    /// Both are.
    End,
    /// There was an error, which is in the server's log.
    Failed,
}

/// Tells the page, in order.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    page: mpsc::Sender<Told>,
    pub(super) began: Instant,
}

impl Teller {
    pub(super) fn new(page: mpsc::Sender<Told>) -> Self {
        let began = Instant::now();
        Self { page, began }
    }

    /// # Errors
    ///
    /// When the page is gone, or reads so slowly that what it is told would be kept without bound.
    pub(super) fn tell(&self, told: Told) -> io::Result<()> {
        self.page.try_send(told).map_err(io::Error::other)
    }

    pub(super) fn at_ms(&self) -> f64 {
        millis(self.began.elapsed())
    }

    /// Waits for a time of the plan.
    pub(super) async fn until(&self, at_ms: u64) {
        sleep_until(self.began + Duration::from_millis(at_ms)).await;
    }
}

/// One way's connection to the server, the one that is open now.
pub(super) struct Lane {
    way: Way,
    address: SocketAddr,
    teller: Teller,
    stream: TcpStream,
    /// What was read and not taken apart.
    unread: Vec<u8>,
    totals: Totals,
}

impl Lane {
    /// Connects.
    pub(super) async fn open(way: Way, address: SocketAddr, teller: Teller) -> io::Result<Self> {
        let mut lane = Self {
            way,
            address,
            teller,
            stream: connect(address).await?,
            unread: Vec::new(),
            totals: Totals::default(),
        };
        lane.connected()?;
        Ok(lane)
    }

    /// Leaves the connection and opens a new one.
    pub(super) async fn reopen(&mut self) -> io::Result<()> {
        self.closed()?;
        self.stream = connect(self.address).await?;
        self.unread.clear();
        self.connected()
    }

    /// Tells that the connection has ended.
    pub(super) fn closed(&mut self) -> io::Result<()> {
        self.exchange(Direction::Up, "close", Part::Closed, Vec::new())
    }

    /// Asks over HTTP, and has the answer: its status and its body.
    pub(super) async fn ask(
        &mut self,
        what: &'static str,
        request: String,
        answered: impl FnOnce(&[u8]) -> &'static str,
    ) -> io::Result<(u16, Vec<u8>)> {
        let head = request
            .find("\r\n\r\n")
            .map_or(request.len(), |end| end + 4);
        let part = Part::http(request.as_bytes(), head);
        self.write(what, part, request.into_bytes()).await?;
        let (head, body) = loop {
            if let Some(lengths) = wire::answer(&self.unread)? {
                break lengths;
            }
            self.read().await?;
        };
        let bytes: Vec<u8> = self.unread.drain(..head + body).collect();
        self.totals.round_trips += 1;
        let (status, body) = (wire::status(&bytes), bytes[head..].to_vec());
        let part = Part::http(&bytes, head);
        self.exchange(Direction::Down, answered(&body), part, bytes)?;
        Ok((status, body))
    }

    /// Sends a frame.
    pub(super) async fn send(&mut self, what: &'static str, frame: Vec<u8>) -> io::Result<()> {
        let shape = wire::frame(&frame).ok_or_else(|| io::Error::other("no whole frame"))?;
        let part = Part::frame(&frame, &shape);
        self.write(what, part, frame).await
    }

    /// The next frame of those that were read: its opcode and payload, and what it is called by them.
    pub(super) fn next_frame(
        &mut self,
        name: impl FnOnce(u8, &[u8]) -> &'static str,
    ) -> io::Result<Option<(u8, Vec<u8>)>> {
        let Some(shape) = wire::frame(&self.unread) else {
            return Ok(None);
        };
        let bytes: Vec<u8> = self.unread.drain(..shape.header + shape.payload).collect();
        let payload = bytes[shape.header..].to_vec();
        let what = name(shape.opcode, &payload);
        if what == "ok" {
            self.totals.round_trips += 1;
        }
        let part = Part::frame(&bytes, &shape);
        self.exchange(Direction::Down, what, part, bytes)?;
        Ok(Some((shape.opcode, payload)))
    }

    /// Reads what there is, and waits until there is something.
    ///
    /// Given up, nothing is lost.
    pub(super) async fn read(&mut self) -> io::Result<()> {
        let read = self.stream.read_buf(&mut self.unread).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.totals.down += read as u64;
        self.totals.reads += 1;
        Ok(())
    }

    /// Tells that a message was said, and when.
    pub(super) fn said(&self, line: usize) -> io::Result<Instant> {
        said(&self.teller, self.way, line)
    }

    /// Tells that a message that was said at `since` is known.
    pub(super) fn known(&self, line: usize, since: Instant) -> io::Result<()> {
        self.teller.tell(Told::Known {
            way: self.way,
            line,
            at_ms: self.teller.at_ms(),
            after_ms: millis(since.elapsed()),
        })
    }

    /// Tells that this way is done.
    pub(super) fn done(self) -> io::Result<()> {
        self.teller.tell(Told::Done {
            way: self.way,
            at_ms: self.teller.at_ms(),
            totals: self.totals,
        })
    }

    fn connected(&mut self) -> io::Result<()> {
        self.totals.connections += 1;
        // TCP's: a packet each way before the first byte can be sent (RFC 9293 §3.5).
        self.totals.round_trips += 1;
        self.exchange(Direction::Up, "connect", Part::Connected, Vec::new())
    }

    async fn write(&mut self, what: &'static str, part: Part, bytes: Vec<u8>) -> io::Result<()> {
        self.stream.write_all(&bytes).await?;
        self.totals.up += bytes.len() as u64;
        self.totals.writes += 1;
        self.exchange(Direction::Up, what, part, bytes)
    }

    fn exchange(
        &self,
        direction: Direction,
        what: &'static str,
        part: Part,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        self.teller.tell(Told::Exchange {
            way: self.way,
            at_ms: self.teller.at_ms(),
            connection: self.totals.connections,
            direction,
            what,
            part,
            totals: self.totals,
            bytes,
        })
    }
}

/// Tells that a message was said one way, and when.
pub(super) fn said(teller: &Teller, way: Way, line: usize) -> io::Result<Instant> {
    let at_ms = teller.at_ms();
    teller.tell(Told::Said { way, line, at_ms })?;
    Ok(Instant::now())
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// To a hundredth, which is more than a clock of a busy machine means.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
