//! A plain TCP connection, which more than its session's task can write to.

#[cfg(target_os = "linux")]
mod uring;

use std::{
    cell::Cell,
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    ptr,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    task::coop::poll_proceed,
};

use crate::server::Place;

thread_local! {
    /// The connection whose read took all there was, if that was the thread's last: to read once more, as its task
    /// does when it has handled what came, would be in vain. Another that has its place in memory asks tokio once more.
    static DRAINED: Cell<*const Inner> = const { Cell::new(ptr::null()) };
}

/// The session's task reads and writes here; the rounds of topics write too, while the task has nothing
/// to write. Clones are the same connection: it ends with the last of them.
#[derive(Clone)]
pub(crate) struct Line(Arc<Inner>);

struct Inner {
    stream: TcpStream,
    /// Among those that the server holds at most; none behind a server that is not ours.
    _place: Option<Place>,
}

impl Line {
    pub(crate) fn new(stream: TcpStream, place: Option<Place>) -> Self {
        let _place = place;
        Self(Arc::new(Inner { stream, _place }))
    }

    /// Writes each of the buffers to its connection, as far as that takes it now, and tells how far.
    ///
    /// An error is nothing written: whoever writes the rest sees it.
    pub(crate) fn write_each(buffers: &[(&Self, &Bytes)]) -> Vec<usize> {
        #[cfg(target_os = "linux")]
        if let Some(written) = uring::write_each(buffers) {
            return written;
        }
        Self::write_one_by_one(buffers)
    }

    fn write_one_by_one(buffers: &[(&Self, &Bytes)]) -> Vec<usize> {
        let write = |(line, bytes): &(&Self, &Bytes)| line.0.stream.try_write(bytes).unwrap_or(0);
        buffers.iter().map(write).collect()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = Arc::as_ptr(&self.0);
        if DRAINED.replace(ptr::null()) == this {
            ready!(self.0.stream.poll_read_ready(cx))?;
        }
        self.poll_try(cx, TcpStream::poll_read_ready, |stream| {
            let (room, mut read) = (buffer.remaining(), false);
            let tried = stream.try_io(Interest::READABLE, || {
                let bytes = stream.try_read_buf(buffer)?;
                read = true;
                if cfg!(unix) && 0 < bytes && bytes < room {
                    // tokio has to be told, and then waits for more.
                    DRAINED.set(this);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            if read { Ok(()) } else { tried }
        })
    }
}

impl Line {
    /// Tries first, and waits only if that fails: as a rule there is something to read when the task is
    /// woken, and a socket takes what it is given. tokio knows of a try that has to fail, and spares it.
    #[inline]
    fn poll_try<T>(
        &self,
        cx: &mut Context<'_>,
        poll_ready: impl Fn(&TcpStream, &mut Context<'_>) -> Poll<io::Result<()>>,
        mut attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let stream = &self.0.stream;
        // A peer that always has something, or takes it, must not keep the thread from other sessions.
        let budget = ready!(poll_proceed(cx));
        loop {
            match attempt(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(poll_ready(stream, cx))?;
                }
                done => {
                    budget.made_progress();
                    return Poll::Ready(done);
                }
            }
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, TcpStream::poll_write_ready, |stream| {
            stream.try_write(bytes)
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, TcpStream::poll_write_ready, |stream| {
            stream.try_write_vectored(slices)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.0.stream).shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Both ends of a connection.
    async fn connect(listener: &TcpListener) -> (Line, TcpStream) {
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        (Line::new(near.unwrap(), None), far.unwrap().0)
    }

    async fn each_gets_its_own(write_each: impl Fn(&[(&Line, &Bytes)]) -> Vec<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ends = Vec::new();
        // More than go into one call of the system.
        for _ in 0..300 {
            ends.push(connect(&listener).await);
        }
        let (mut full, mut reader) = connect(&listener).await;
        let mut waiting = 0;
        let some = [7; 65_536];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(written) = Pin::new(&mut full).poll_write(&mut cx, &some) {
            waiting += written.unwrap();
        }
        let (mut ended, _peer) = connect(&listener).await;
        ended.shutdown().await.unwrap();

        let texts = (0..ends.len()).map(|number| Bytes::from(format!("number {number}")));
        let mut texts: Vec<_> = texts.collect();
        texts.extend([Bytes::from("no room"), Bytes::from("no way")]);
        let lines = ends.iter().map(|(line, _)| line).chain([&full, &ended]);
        let buffers: Vec<_> = lines.zip(&texts).collect();
        let written = write_each(&buffers);

        let lengths = texts[..300].iter().map(Bytes::len).chain([0, 0]);
        assert_eq!(written, lengths.collect::<Vec<_>>());
        for ((_, far), text) in ends.iter_mut().zip(&texts) {
            let mut had = vec![0; text.len()];
            far.read_exact(&mut had).await.unwrap();
            assert_eq!(had, **text);
        }
        let mut had = vec![0; waiting];
        reader.read_exact(&mut had).await.unwrap();
        drop(full);
        assert_eq!(
            reader.read(&mut had).await.unwrap(),
            0,
            "a write that was told as none"
        );
    }

    #[tokio::test]
    async fn each_connection_gets_its_own_in_one_call() {
        each_gets_its_own(Line::write_each).await;
    }

    #[tokio::test]
    async fn each_connection_gets_its_own_in_a_call_of_its_own() {
        each_gets_its_own(Line::write_one_by_one).await;
    }
}
