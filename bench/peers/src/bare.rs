//! The bare loop: what a delivery costs when there is nothing but the kernel's own work.
//!
//! One thread, epoll, edge-triggered; a room is a list of sockets. A message is unmasked and encoded
//! once, and each member gets it with one `write()`: at once, or with `--gather` together with whatever else
//! came to its room in the same round of epoll.
//!
//! Deliberately not a server: pings are not answered, fragments are not known, nothing is bounded.

mod frame;
mod handshake;
mod member;

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    mem,
    net::{SocketAddr, TcpListener, TcpStream},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, Event, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    net::{SocketFlags, accept_with},
};
use socket2::{Domain, Socket, Type};

use self::{
    handshake::Request,
    member::{Member, Place},
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Events taken in one round.
const EVENTS: usize = 1024;
/// Bytes read at a time, for all members the same.
const BUFFER: usize = 64 * 1024;
/// The listener's token; a member's is its index.
const LISTENER: u64 = u64::MAX;

/// Serves until the process ends; tells its address on standard output.
pub(crate) fn serve(address: SocketAddr, gather: bool) -> anyhow::Result<()> {
    let listener = listen(address)?;
    println!("{}", listener.local_addr()?);
    Server::new(listener, gather)?.run()
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Whoever is accepted inherits it.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    gather: bool,
    members: Vec<Option<Member>>,
    free: Vec<usize>,
    rooms: Vec<Room>,
    paths: HashMap<String, usize>,
    /// Rooms in which something was gathered in this round.
    gathered: Vec<usize>,
    buffer: Box<[u8]>,
    /// The frame that goes out.
    frame: Vec<u8>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    gathered: Vec<u8>,
}

impl Server {
    fn new(listener: TcpListener, gather: bool) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let token = EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, token, EventFlags::IN)?;
        Ok(Self {
            listener,
            epoll,
            gather,
            members: Vec::new(),
            free: Vec::new(),
            rooms: Vec::new(),
            paths: HashMap::new(),
            gathered: Vec::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            frame: Vec::new(),
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    token => self.is_ready(token as usize, event.flags),
                }
            }
            self.write_gathered();
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = match accept_with(&self.listener, flags) {
                Ok(socket) => TcpStream::from(socket),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            let index = self.free.pop().unwrap_or_else(|| {
                self.members.push(None);
                self.members.len() - 1
            });
            let interest = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            let token = EventData::new_u64(index as u64);
            epoll::add(&self.epoll, &socket, token, interest)?;
            self.members[index] = Some(Member::new(socket));
        }
    }

    fn is_ready(&mut self, index: usize, flags: EventFlags) {
        let Some(member) = &mut self.members[index] else {
            return;
        };
        let written = if flags.contains(EventFlags::OUT) {
            member.write_rest()
        } else {
            Ok(())
        };
        if written.and_then(|()| self.read(index)).is_err() {
            self.leave(index);
        }
    }

    /// Reads until there is no more, and does what is said. An error is the member's end.
    fn read(&mut self, index: usize) -> io::Result<()> {
        let mut buffer = mem::take(&mut self.buffer);
        let read = self.read_into(&mut buffer, index);
        self.buffer = buffer;
        read
    }

    fn read_into(&mut self, buffer: &mut [u8], index: usize) -> io::Result<()> {
        while let Some(member) = &mut self.members[index] {
            let Some((filled, more)) = member.read(buffer)? else {
                return Ok(());
            };
            let mut rest = &buffer[..filled];
            if member.place == Place::Outside {
                match handshake::parse(rest)? {
                    None => rest = self.keep(index, rest),
                    Some((request, behind)) => {
                        rest = behind;
                        self.enter(index, &request)?;
                    }
                }
            }
            while let Some((message, behind)) = frame::next(rest)? {
                self.frame.clear();
                frame::encode(&message, &mut self.frame);
                self.say(index)?;
                rest = behind;
            }
            self.keep(index, rest);
            if !more {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Keeps what is incomplete until more comes.
    fn keep<'a>(&mut self, index: usize, rest: &'a [u8]) -> &'a [u8] {
        if let Some(member) = &mut self.members[index] {
            member.unread.extend_from_slice(rest);
        }
        &rest[rest.len()..]
    }

    /// Answers the handshake.
    fn enter(&mut self, index: usize, request: &Request<'_>) -> io::Result<()> {
        let place = if request.path == "/echo" {
            Place::Alone
        } else {
            let rooms = &mut self.rooms;
            let room = *self
                .paths
                .entry(request.path.to_owned())
                .or_insert_with(|| {
                    rooms.push(Room::default());
                    rooms.len() - 1
                });
            let members = &mut rooms[room].members;
            members.push(index);
            Place::Room {
                room: room as u32,
                seat: members.len() as u32 - 1,
            }
        };
        match &mut self.members[index] {
            Some(member) => {
                member.place = place;
                member.write(request.answer().as_bytes())
            }
            None => Ok(()),
        }
    }

    /// Sends [`Self::frame`] to whom it is for.
    fn say(&mut self, index: usize) -> io::Result<()> {
        let Some(member) = &mut self.members[index] else {
            return Ok(());
        };
        let Place::Room { room, .. } = member.place else {
            return member.write(&self.frame);
        };
        let room_index = room as usize;
        let room = &mut self.rooms[room_index];
        if self.gather {
            if room.gathered.is_empty() {
                self.gathered.push(room_index);
            }
            room.gathered.extend_from_slice(&self.frame);
        } else {
            for &member in &room.members {
                if let Some(member) = &mut self.members[member] {
                    // A broken connection is found by reading.
                    let _ = member.write(&self.frame);
                }
            }
        }
        Ok(())
    }

    fn write_gathered(&mut self) {
        for room in self.gathered.drain(..) {
            let room = &mut self.rooms[room];
            for &member in &room.members {
                if let Some(member) = &mut self.members[member] {
                    let _ = member.write(&room.gathered);
                }
            }
            room.gathered.clear();
        }
    }

    fn leave(&mut self, index: usize) {
        let Some(member) = self.members[index].take() else {
            return;
        };
        self.free.push(index);
        let Place::Room { room, seat } = member.place else {
            return;
        };
        let seats = &mut self.rooms[room as usize].members;
        seats.swap_remove(seat as usize);
        let Some(&moved) = seats.get(seat as usize) else {
            return;
        };
        if let Some(member) = &mut self.members[moved] {
            member.place = Place::Room { room, seat };
        }
    }
}

/// For what the peer said and should not have.
fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
