//! Connections that do nothing, and then say one thing each.

use std::time::Duration;

use anyhow::Context;
use load::{process, sessions};
use tokio::time::{sleep, timeout};

use super::{connection::Connection, frames, program::Program};
use crate::comparison::Run;

/// Until buffers are given back.
const SETTLE: Duration = Duration::from_secs(2);
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(20);
/// Bytes of what each connection says.
const MESSAGE: usize = 4 * 1024;

pub(super) struct Memory {
    pub(super) connections: usize,
    pub(super) deflate: bool,
}

impl Memory {
    /// `None` where the server does not compress.
    pub(super) async fn measure(&self, program: &Program) -> anyhow::Result<Option<Run>> {
        sessions::make_room(self.connections)?;
        let before = process::resident(program.id)?;
        let grown = || -> anyhow::Result<f64> {
            let grown = process::resident(program.id)?.saturating_sub(before);
            Ok(grown as f64 / self.connections as f64)
        };
        let mut connections = sessions::open_all(self.connections, |_| {
            Connection::open(program, "/echo", self.deflate)
        })
        .await?;
        if connections.iter().any(|open| open.deflate != self.deflate) {
            return Ok(None);
        }
        sleep(SETTLE).await;
        let idle = grown()?;

        let text = frames::text(MESSAGE);
        let frame = frames::frame(&text, self.deflate)?;
        for connection in &mut connections {
            let echoed = timeout(REPLY, connection.is_echoed(&frame, &text));
            anyhow::ensure!(
                echoed.await.context("a reply is lost")??,
                "the server sent back another text"
            );
        }
        sleep(SETTLE).await;
        let after = grown()?;
        Ok(Some(
            Run::default()
                .compare("bytes per idle connection", idle)
                .compare("after an echo of 4 KiB each", after)
                .note("connections", self.connections as f64),
        ))
    }
}
