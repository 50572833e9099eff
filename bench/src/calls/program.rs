//! The server of another: a process of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// A server that runs until it is dropped.
pub(super) struct Program {
    child: Child,
    pub(super) id: u32,
    pub(super) address: SocketAddr,
    /// Kept open, for a server whose log nobody takes would fail.
    _log: Lines<BufReader<ChildStderr>>,
}

impl Program {
    /// Starts one that tells its address at the end of a line on standard error.
    pub(super) async fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.as_std().get_program()))?;
        let log = child.stderr.take().context("the server has no log")?;
        let id = child.id().context("the server has ended")?;
        let mut log = BufReader::new(log).lines();
        let address = timeout(START, address(&mut log))
            .await
            .with_context(|| format!("the server told no address within {START:?}"))??;
        Ok(Self {
            child,
            id,
            address,
            _log: log,
        })
    }

    /// Ends it, and passes `result` on.
    pub(super) async fn end<T>(mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let ended = self.child.try_wait()?;
        self.child.kill().await?;
        match ended {
            None => result,
            Some(status) => anyhow::bail!("the server has ended by itself, {status}"),
        }
    }
}

async fn address(log: &mut Lines<BufReader<ChildStderr>>) -> anyhow::Result<SocketAddr> {
    let mut said = String::new();
    while let Some(line) = log.next_line().await? {
        let last = line.rsplit(' ').next().map(str::parse);
        match last {
            Some(Ok(address @ SocketAddr::V4(v4))) if *v4.ip() == Ipv4Addr::LOCALHOST => {
                return Ok(address);
            }
            _ => said = said + &line + "\n",
        }
    }
    anyhow::bail!("the server ended without telling an address: {said}")
}
