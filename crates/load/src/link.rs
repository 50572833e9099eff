//! A session's connection without anything that costs: one buffer for all that is read, and nothing
//! made for what comes.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::ErrorKind,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context as Wake, Poll},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use crate::frames::{self, Frame};

/// Bytes read at a time at most, and the longest message that can be heard.
const BUFFER: usize = 256 * 1024;
/// Bytes that may wait for a server that does not read.
const WAITING: usize = 1024 * 1024;
/// How long opening one may take.
const OPEN: Duration = Duration::from_secs(30);

thread_local! {
    /// One for all connections.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// The reading half.
#[derive(Debug)]
pub(crate) struct Ear {
    half: OwnedReadHalf,
    /// What came with the answer to the handshake.
    first: Vec<u8>,
    /// A message that has not come whole.
    rest: Vec<u8>,
    pen: Rc<Pen>,
}

/// The writing half.
#[derive(Debug)]
pub(crate) struct Pen {
    half: OwnedWriteHalf,
    /// What the socket did not take yet.
    waiting: RefCell<Vec<u8>>,
}

/// Opens a WebSocket; what the server says first is to be heard yet.
///
/// # Errors
///
/// An [`std::io::Error`] where there was no connection; a refusal with its status and body.
pub(crate) async fn open(address: SocketAddr, path: &str) -> anyhow::Result<(Ear, Rc<Pen>)> {
    timeout(OPEN, connect(address, path))
        .await
        .with_context(|| format!("a session was not open within {OPEN:?}"))?
}

async fn connect(address: SocketAddr, path: &str) -> anyhow::Result<(Ear, Rc<Pen>)> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    // Thousands are closed after each run: they would keep their ports for a minute.
    socket.set_zero_linger()?;
    // The key and its answer are those of RFC 6455 §1.3.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut rest = Vec::with_capacity(1024);
    let head = loop {
        let count = socket.read_buf(&mut rest).await?;
        anyhow::ensure!(
            count > 0,
            "the server hung up in place of an answer: its limits.connections, or its open files \
             ('ulimit -n'), may be too few"
        );
        if let Some(end) = rest.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let answer = String::from_utf8_lossy(&rest).into_owned();
    anyhow::ensure!(
        answer.starts_with("HTTP/1.1 101 "),
        "the server refused a session; where it is a limit, lift limits.sessions, \
         limits.sessions_per_address or limits.openings_per_second in its configuration: {answer}"
    );
    anyhow::ensure!(
        answer[..head].contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "the server answered another handshake: {answer}"
    );
    rest.drain(..head);
    rest.shrink_to_fit();
    let (reader, writer) = socket.into_split();
    let pen = Rc::new(Pen {
        half: writer,
        waiting: RefCell::default(),
    });
    let ear = Ear {
        half: reader,
        first: rest,
        rest: Vec::new(),
        pen: pen.clone(),
    };
    Ok((ear, pen))
}

impl Ear {
    /// Reads once, and hands over each text that has come whole. Pings are answered.
    ///
    /// # Errors
    ///
    /// Those of `take`; the end of the connection.
    pub(crate) async fn hear(
        &mut self,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        poll_fn(|wake| self.poll_hear(wake, &mut take)).await
    }

    fn poll_hear(
        &mut self,
        wake: &mut Wake<'_>,
        take: &mut impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> Poll<anyhow::Result<()>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(self.cut(&first, take));
        }
        READ.with_borrow_mut(|buffer| {
            let before = self.rest.len();
            anyhow::ensure!(before < BUFFER, "a message of {BUFFER} bytes and more");
            buffer[..before].copy_from_slice(&self.rest);
            let mut buffer = ReadBuf::new(buffer);
            buffer.set_filled(before);
            match Pin::new(&mut self.half).poll_read(wake, &mut buffer) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(read) => read?,
            }
            anyhow::ensure!(
                buffer.filled().len() > before,
                "the server hung up on a session"
            );
            self.cut(buffer.filled(), take).map(Poll::Ready)
        })
        .map_or_else(|error| Poll::Ready(Err(error)), |poll| poll.map(Ok))
    }

    fn cut(
        &mut self,
        mut input: &[u8],
        take: &mut impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while let Some((frame, length)) = frames::split(input)? {
            match frame {
                Frame::Text(text) => take(text)?,
                Frame::Ping(ping) => self.pen.write(&frames::pong(ping))?,
                Frame::Pong => {}
                Frame::Close(payload) => {
                    let (code, reason) = payload.split_at(payload.len().min(2));
                    let code = code
                        .first_chunk()
                        .map_or(1005, |code| u16::from_be_bytes(*code));
                    anyhow::bail!(
                        "the server closed with {code}: {}",
                        String::from_utf8_lossy(reason)
                    );
                }
            }
            input = &input[length..];
        }
        self.rest.clear();
        self.rest.extend_from_slice(input);
        Ok(())
    }

    /// Hears until `wanted` says so of a text.
    ///
    /// # Errors
    ///
    /// Those of [`hear`](Self::hear), and that it took too long.
    pub(crate) async fn hear_until(
        &mut self,
        mut wanted: impl FnMut(&[u8]) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let mut heard = false;
        let hearing = async {
            while !heard {
                self.hear(|text| {
                    heard |= wanted(text)?;
                    Ok(())
                })
                .await?;
            }
            anyhow::Ok(())
        };
        timeout(OPEN, hearing)
            .await
            .with_context(|| format!("the server said nothing to a new session for {OPEN:?}"))?
    }
}

impl Pen {
    /// Writes without waiting: what the socket does not take is kept, and tried again at the next
    /// [`write`](Self::write) or [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// The connection's end, and that the server does not read.
    pub(crate) fn write(&self, frame: &[u8]) -> anyhow::Result<()> {
        if !self.flush()? {
            let mut waiting = self.waiting.borrow_mut();
            anyhow::ensure!(
                waiting.len() + frame.len() <= WAITING,
                "the server did not read {WAITING} bytes of a session"
            );
            waiting.extend_from_slice(frame);
            return Ok(());
        }
        let written = self.try_write(frame)?;
        self.waiting
            .borrow_mut()
            .extend_from_slice(&frame[written..]);
        Ok(())
    }

    /// Writes what was kept; tells whether all of it is written.
    ///
    /// # Errors
    ///
    /// The connection's end.
    pub(crate) fn flush(&self) -> anyhow::Result<bool> {
        let mut waiting = self.waiting.borrow_mut();
        while !waiting.is_empty() {
            match self.try_write(&waiting)? {
                0 => return Ok(false),
                written => drop(waiting.drain(..written)),
            }
        }
        Ok(true)
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    fn try_write(&self, bytes: &[u8]) -> anyhow::Result<usize> {
        match self.half.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            written => written.context("the connection of a session has ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that writes these bytes after its answer, so many at a time, and tells what it reads then.
    async fn serve(listener: TcpListener, bytes: Vec<u8>, piece: usize) -> Vec<u8> {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            socket.read_buf(&mut request).await.unwrap();
        }
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: \
                       s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        for piece in [&answer[..], &bytes].concat().chunks(piece) {
            socket.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut read = vec![0; 7];
        socket.read_exact(&mut read).await.unwrap();
        read
    }

    #[test]
    fn texts_are_heard_wherever_the_reads_end_and_pings_are_answered() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let long = [b"\x81\x7E\x01\x00".as_slice(), &[b'x'; 256]].concat();
        let bytes = [b"\x81\x02ok", &*long, b"\x89\x01!", b"\x81\x03end"].concat();
        for piece in [1, 2, 7, 100, 1000] {
            let (heard, answered) = runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                let served = tokio::spawn(serve(listener, bytes.clone(), piece));
                let (mut ear, _pen) = open(address, "/ws").await.unwrap();
                let mut heard = Vec::new();
                ear.hear_until(|text| {
                    heard.push(text.to_vec());
                    Ok(text == b"end")
                })
                .await
                .unwrap();
                (heard, served.await.unwrap())
            });
            assert_eq!(heard, [&b"ok"[..], &[b'x'; 256], b"end"], "{piece}");
            assert_eq!(answered, frames::pong(b"!"), "{piece}");
        }
    }
}
