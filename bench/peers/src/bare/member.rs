//! A connection: its socket, and what is half read or half written.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
};

/// Where a member is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its handshake has not come whole.
    Outside,
    /// It gets back what it says.
    Alone,
    /// `seat` is its place in the room's list.
    Room { room: u32, seat: u32 },
}

pub(super) struct Member {
    socket: TcpStream,
    pub(super) place: Place,
    pub(super) unread: Vec<u8>,
    unsent: Vec<u8>,
}

impl Member {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            place: Place::Outside,
            unread: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Reads once, behind what was kept. How much there is, and whether there may be more; `None` when
    /// nothing came.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let kept = self.unread.len();
        if kept >= buffer.len() {
            return Err(super::invalid("a message is too long"));
        }
        let count = match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        buffer[..kept].copy_from_slice(&self.unread);
        self.unread = Vec::new();
        let filled = kept + count;
        Ok(Some((filled, filled == buffer.len())))
    }

    /// Writes all, now or when the socket takes more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let written = match self.socket.write(bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Writes what was left.
    pub(super) fn write_rest(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }
}
