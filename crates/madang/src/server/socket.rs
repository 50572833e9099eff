//! A connection that the server has accepted.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_rustls::server::TlsStream;

use crate::line::Line;

/// A client's connection, and its place among those that the server holds at most. The place is
/// free again when the connection is gone, whoever had it last: HTTP, or a session.
///
/// The head of the answer that opens a session is not written when it comes: nothing follows it but the session's own
/// frames, and it goes out in one write with the first of them.
pub(crate) struct Socket {
    stream: Stream,
    _place: Place,
    opening: Opening,
    /// That head.
    head: Vec<u8>,
}

/// Whether the next answer 101 on a connection opens a session, which writes it then. Somebody else's protocol is not
/// known to write anything.
#[derive(Clone, Default)]
pub(crate) struct Opening(Arc<AtomicBool>);

impl Opening {
    pub(crate) fn announce(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How an answer begins that changes the protocol (RFC 9110 §15.2.2).
const SWITCHING: &[u8] = b"HTTP/1.1 101 ";

/// One of the connections that the server holds at most; free again when it is dropped. It is half
/// of a permit, for every idle session has one.
pub(crate) struct Place(Arc<Semaphore>);

impl Place {
    /// A place, if one is free.
    pub(super) fn take(places: &Arc<Semaphore>) -> Option<Self> {
        let permit = places.try_acquire().ok()?;
        permit.forget();
        Some(Self(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// The bytes of a connection: bare, for the leanest path, or in TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Tls),
}

/// A connection in TLS.
pub(super) struct Tls(pub(super) Box<TlsStream<TcpStream>>);

/// One stream or the other, and the same done with it.
macro_rules! either {
    ($socket:ident, $stream:ident => $done:expr) => {
        match &mut $socket.stream {
            Stream::Plain(stream) => {
                let $stream = Pin::new(stream);
                $done
            }
            Stream::Tls(Tls(stream)) => {
                let $stream = Pin::new(stream);
                $done
            }
        }
    };
}

impl Socket {
    pub(super) fn new(stream: Stream, place: Place) -> Self {
        Self {
            stream,
            _place: place,
            opening: Opening::default(),
            head: Vec::new(),
        }
    }

    /// By which it learns that a session is opened.
    pub(super) fn opening(&self) -> Opening {
        self.opening.clone()
    }

    /// A plain connection apart, for the leanest path, and what is to be written to it first.
    pub(crate) fn plain(self) -> Result<(Line, Vec<u8>), Self> {
        match self.stream {
            Stream::Plain(stream) => Ok((Line::new(stream, Some(self._place)), self.head)),
            stream => Err(Self { stream, ..self }),
        }
    }

    /// Whether it took the head of an answer that opens a session, to be written later.
    fn keep(&mut self, slices: &[IoSlice<'_>]) -> bool {
        let is_head = matches!(self.stream, Stream::Plain(_))
            && self.head.is_empty()
            && self.opening.0.load(Ordering::Relaxed)
            && slices
                .first()
                .is_some_and(|first| first.starts_with(SWITCHING));
        if is_head {
            for slice in slices {
                self.head.extend_from_slice(slice);
            }
        }
        is_head
    }

    /// Writes the head that was kept.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            let written = either!(self, stream => stream.poll_write(cx, &head));
            self.head = head;
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(self.head.drain(..written)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_head(cx))?;
        either!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.keep(&[IoSlice::new(bytes)]) {
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_head(cx))?;
        either!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.keep(slices) {
            return Poll::Ready(Ok(self.head.len()));
        }
        ready!(self.poll_head(cx))?;
        either!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_head(cx))?;
        either!(self, stream => stream.poll_shutdown(cx))
    }
}

impl Drop for Tls {
    /// TLS says when it ends (RFC 8446 §6.1); a peer that does not hear it must fear that something was
    /// cut off. A socket that takes nothing now is not waited for.
    fn drop(&mut self) {
        let _ = Pin::new(&mut self.0).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}
