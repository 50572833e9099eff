//! The server of a library: a process of its own.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::Context;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use super::{connection::Tls, peer::Peer};

/// How long it may take to start.
const START: Duration = Duration::from_secs(20);

/// A server that runs until it is dropped.
pub(super) struct Program {
    child: Child,
    pub(super) peer: Peer,
    pub(super) id: u32,
    pub(super) address: SocketAddr,
    /// How to speak TLS to it, where it does.
    pub(super) tls: Option<Tls>,
    /// Kept open, for a server whose output nobody takes would fail.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(super) async fn start(
        program: &Path,
        peer: Peer,
        deflate: bool,
        tls: Option<&Tls>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command
            .arg(peer.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if deflate {
            command.arg("--compression");
        }
        if let Some(tls) = tls {
            command.arg("--tls").args(tls.files());
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("the server has no output")?;
        let id = child.id().context("the server has ended")?;
        let mut output = BufReader::new(output).lines();
        let address = timeout(START, output.next_line())
            .await
            .with_context(|| format!("the server told no address within {START:?}"))??
            .context("the server ended without telling an address")?;
        let address = address.parse().context("the server told no address")?;
        Ok(Self {
            child,
            peer,
            id,
            address,
            tls: tls.cloned(),
            _output: output,
        })
    }

    /// Ends it, unless it has ended by itself.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        self.child.kill().await?;
        match ended {
            None => Ok(()),
            Some(status) => anyhow::bail!("{} has ended by itself, {status}", self.peer),
        }
    }
}
