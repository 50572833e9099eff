//! Connections that send, wait for the reply, and send again.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Context;
use load::{process::Usage, sessions};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

use super::{connection::Connection, frames, program::Program};
use crate::comparison::Run;

/// Before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(20);

pub(super) struct Echo {
    bytes: usize,
    connections: usize,
    deflate: bool,
    seconds: u32,
}

/// What the connections share.
#[derive(Default)]
struct Shared {
    replies: Cell<u64>,
    end: Cell<bool>,
}

impl Echo {
    pub(super) fn new(bytes: usize, connections: usize, deflate: bool, seconds: u32) -> Self {
        Self {
            bytes,
            connections,
            deflate,
            seconds,
        }
    }

    /// `None` where the server does not compress.
    pub(super) async fn measure(&self, program: &Program) -> anyhow::Result<Option<Run>> {
        let connections = sessions::open_all(self.connections, |_| {
            Connection::open(program, "/echo", self.deflate)
        })
        .await?;
        if connections.iter().any(|open| open.deflate != self.deflate) {
            return Ok(None);
        }
        let text = frames::text(self.bytes);
        let frame: Rc<[u8]> = frames::frame(&text, self.deflate)?.into();
        let shared = Rc::new(Shared::default());
        let mut tasks = Vec::new();
        for mut connection in connections {
            let echoed = timeout(REPLY, connection.is_echoed(&frame, &text));
            anyhow::ensure!(echoed.await??, "the server sent back another text");
            let (frame, shared, bytes) = (frame.clone(), shared.clone(), self.bytes);
            tasks.push(spawn_local(async move {
                while !shared.end.get() {
                    let reply = timeout(REPLY, connection.ask(&frame))
                        .await
                        .context("a reply is lost")??;
                    anyhow::ensure!(reply.may_be(bytes), "the server sent back another text");
                    shared.replies.set(shared.replies.get() + 1);
                }
                anyhow::Ok(())
            }));
        }

        sleep(WARM_UP).await;
        let (began, before) = (Instant::now(), shared.replies.get());
        let usage = Usage::now(program.id)?;
        sleep(Duration::from_secs(self.seconds.into())).await;
        let usage = Usage::now(program.id)?.since(usage);
        let (took, count) = (began.elapsed(), shared.replies.get() - before);
        shared.end.set(true);
        for task in tasks {
            task.await??;
        }

        let count = count as f64;
        let run = Run::default()
            .compare(
                "CPU µs per message",
                usage.server.as_secs_f64() * 1e6 / count,
            )
            .note("messages a second", count / took.as_secs_f64())
            .usage(usage, took);
        Ok(Some(run))
    }
}
