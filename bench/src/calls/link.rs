//! A connection, with what was read of it and what is to be written.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::protocol::{Heard, Protocol};

/// How long a step of opening may take.
const STEP: Duration = Duration::from_secs(30);
/// Bytes that there is room for at each read.
const ROOM: usize = 16 * 1024;

pub(super) struct Link {
    socket: TcpStream,
    input: Vec<u8>,
    pub(super) out: Vec<u8>,
}

impl Link {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        // A thousand are closed after each run: they would keep their ports for a minute.
        socket.set_zero_linger()?;
        Ok(Self {
            socket,
            input: Vec::new(),
            out: Vec::new(),
        })
    }

    /// Writes what is to be written, at once.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        if !self.out.is_empty() {
            self.socket.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Reads once, and takes every message that is whole; `take` may append to what is to be written.
    pub(super) async fn hear<P: Protocol>(
        &mut self,
        take: impl FnMut(Heard<'_>, &mut Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.read().await?;
        self.take::<P>(take)
    }

    /// Takes every message that has come whole.
    fn take<P: Protocol>(
        &mut self,
        mut take: impl FnMut(Heard<'_>, &mut Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut at = 0;
        while let Some((heard, length)) = P::split(&self.input[at..])? {
            at += length;
            match heard {
                Heard::Ping(ping) => P::pong(ping, &mut self.out),
                heard => take(heard, &mut self.out)?,
            }
        }
        self.input.drain(..at);
        Ok(())
    }

    /// Writes what is to be written, and waits for [`Heard::Ready`].
    pub(super) async fn step<P: Protocol>(&mut self) -> anyhow::Result<()> {
        let step = async {
            let mut ready = false;
            self.flush().await?;
            loop {
                // The first may have come with the answer to the handshake.
                self.take::<P>(|heard, _| {
                    ready |= heard == Heard::Ready;
                    Ok(())
                })?;
                if ready {
                    break;
                }
                self.read().await?;
            }
            anyhow::Ok(())
        };
        timeout(STEP, step)
            .await
            .with_context(|| format!("not open within {STEP:?}"))?
    }

    /// Writes what is to be written, and reads until `end`, and no further than what has come.
    pub(super) async fn read_until(&mut self, end: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.flush().await?;
        loop {
            let windows = &mut self.input.windows(end.len());
            if let Some(at) = windows.position(|window| window == end) {
                return Ok(self.input.drain(..at + end.len()).collect());
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.input.reserve(ROOM);
        let count = self.socket.read_buf(&mut self.input).await?;
        anyhow::ensure!(count > 0, "the server hung up");
        Ok(())
    }
}
