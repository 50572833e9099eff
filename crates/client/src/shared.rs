use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;
use websocket::{Close, Closing, Deflate, Opcode, encode_masked};

/// Most memory that is kept for writing while there is nothing to write.
const KEPT_OUTPUT: usize = 4 * 1024;

/// What the two halves of a client have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) socket: TcpStream,
    /// Never held across an `.await`: the receiver must be able to answer a ping, and go on
    /// reading, while the sender waits for room in the socket.
    output: Mutex<Output>,
}

/// What is to be written.
#[derive(Debug)]
pub(crate) struct Output {
    /// Whole frames, of which the first `written` bytes are written.
    frames: Vec<u8>,
    written: usize,
    /// The payload of the last ping, while the socket takes no answer. RFC 6455 §5.5.3: only the most
    /// recent one has to be, so that a server that pings and does not read costs no memory.
    pong: Option<Vec<u8>>,
    pub(crate) closing: Closing,
    /// Compression, where it was agreed on.
    deflate: Option<Deflate>,
    keys: MaskKeys,
}

impl Shared {
    pub(crate) fn new(socket: TcpStream, deflate: Option<Deflate>) -> Arc<Self> {
        let output = Output {
            frames: Vec::new(),
            written: 0,
            pong: None,
            closing: Closing::Open,
            deflate,
            keys: MaskKeys {
                bytes: [0; 256],
                used: 256,
            },
        };
        Arc::new(Self {
            socket,
            output: Mutex::new(output),
        })
    }

    pub(crate) fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what the socket takes now; tells whether that was all.
    pub(crate) fn write(&self) -> io::Result<bool> {
        let mut output = self.output();
        loop {
            while output.written < output.frames.len() {
                match self.socket.try_write(&output.frames[output.written..]) {
                    Ok(written) => output.written += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            output.frames.clear();
            output.frames.shrink_to(KEPT_OUTPUT);
            output.written = 0;
            match output.pong.take() {
                Some(payload) if output.closing.may_send() => {
                    output
                        .push(Opcode::Pong, &payload)
                        .map_err(io::Error::other)?;
                }
                _ => return Ok(true),
            }
        }
    }

    /// Writes all there is to write. When dropped before its end, the rest stays to be written.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        while !self.write()? {
            self.socket.writable().await?;
        }
        Ok(())
    }
}

impl Output {
    pub(crate) fn push(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), getrandom::Error> {
        let key = self.keys.next()?;
        match self.deflate {
            Some(deflate) => deflate.encode_masked(opcode, payload, key, &mut self.frames),
            None => encode_masked(opcode, payload, key, &mut self.frames),
        }
        Ok(())
    }

    /// Lets a close frame follow what is there, unless one went before.
    pub(crate) fn push_close(&mut self, close: Option<&Close>) -> Result<bool, getrandom::Error> {
        let due = self.closing.send();
        if due {
            let payload = close.map(Close::payload).unwrap_or_default();
            self.push(Opcode::Close, &payload)?;
        }
        Ok(due)
    }

    pub(crate) fn answer_ping(&mut self, payload: Vec<u8>) {
        self.pong = Some(payload);
    }
}

/// Random keys, taken from the system 64 at a time.
#[derive(Debug)]
struct MaskKeys {
    bytes: [u8; 256],
    used: usize,
}

impl MaskKeys {
    fn next(&mut self) -> Result<[u8; 4], getrandom::Error> {
        if let Some(key) = self.bytes[self.used..].first_chunk() {
            self.used += key.len();
            return Ok(*key);
        }
        getrandom::fill(&mut self.bytes)?;
        self.used = 4;
        let [a, b, c, d, ..] = self.bytes;
        Ok([a, b, c, d])
    }
}
