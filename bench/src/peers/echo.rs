//! Connections that send, wait for the reply, and send again: with all servers by turns.
//!
//! A machine's speed moves within seconds, by more than libraries differ. So each server is loaded for a moment,
//! then the next, and so on again; those that wait have nothing to do.

use std::{rc::Rc, time::Duration};

use anyhow::Context;
use load::{
    process::{Usage, cpu_of_threads},
    sessions,
};
use tokio::{
    task::spawn_local,
    time::{Instant, timeout},
};

use super::{connection::Connection, frames, program::Program};
use crate::comparison::Run;

/// How long one server is loaded before it is another's turn.
const TURN: Duration = Duration::from_millis(100);
/// Turns of each before it is measured.
const WARM_UP: u32 = 5;
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(20);

pub(super) struct Echo {
    pub(super) bytes: usize,
    pub(super) connections: usize,
    pub(super) deflate: bool,
    /// For which each server is loaded, all its turns together.
    pub(super) seconds: u32,
}

/// What is sent, and how long its payload is before it is compressed.
#[derive(Clone)]
struct Question {
    frame: Rc<[u8]>,
    bytes: usize,
}

/// A server with its connections.
struct Loaded<'p> {
    program: &'p Program,
    connections: Vec<Connection>,
    turns: Turns,
}

/// What a server's turns came to.
#[derive(Default)]
struct Turns {
    replies: u64,
    took: Duration,
    usage: Usage,
}

impl Echo {
    /// In the programs' order; `None` where the server does not compress.
    pub(super) async fn measure(&self, programs: &[Program]) -> anyhow::Result<Vec<Option<Run>>> {
        let text = frames::text(self.bytes);
        let question = Question {
            frame: frames::frame(&text, self.deflate)?.into(),
            bytes: self.bytes,
        };
        let mut loaded = Vec::new();
        for program in programs {
            loaded.push(self.open(program, &question, &text).await?);
        }
        let mut servers: Vec<_> = loaded.iter_mut().flatten().collect();
        let turns = self.seconds * (1000 / TURN.as_millis() as u32);
        for turn in 0..WARM_UP + turns {
            if turn == WARM_UP {
                for server in &mut servers {
                    server.turns = Turns::default();
                }
            }
            for server in &mut servers {
                server.load(&question).await?;
            }
            // Another is the first then, if there is one at all.
            let next = servers.len().min(1);
            servers.rotate_left(next);
        }
        let runs = loaded
            .iter()
            .map(|server| Some(server.as_ref()?.turns.run()));
        Ok(runs.collect())
    }

    async fn open<'p>(
        &self,
        program: &'p Program,
        question: &Question,
        text: &[u8],
    ) -> anyhow::Result<Option<Loaded<'p>>> {
        let mut connections = sessions::open_all(self.connections, |_| {
            Connection::open(program, "/echo", self.deflate)
        })
        .await?;
        if connections.iter().any(|open| open.deflate != self.deflate) {
            return Ok(None);
        }
        for connection in &mut connections {
            let echoed = timeout(REPLY, connection.is_echoed(&question.frame, text));
            anyhow::ensure!(echoed.await??, "the server sent back another text");
        }
        Ok(Some(Loaded {
            program,
            connections,
            turns: Turns::default(),
        }))
    }
}

impl Loaded<'_> {
    /// One turn: it ends when all replies are there.
    async fn load(&mut self, question: &Question) -> anyhow::Result<()> {
        let server = self.program.id;
        let (usage, cpu) = (Usage::now(server)?, cpu_of_threads(server)?);
        let began = Instant::now();
        let mut tasks = Vec::with_capacity(self.connections.len());
        for mut connection in self.connections.drain(..) {
            let Question { frame, bytes } = question.clone();
            tasks.push(spawn_local(async move {
                let mut replies = 0;
                while began.elapsed() < TURN {
                    let reply = timeout(REPLY, connection.ask(&frame))
                        .await
                        .context("a reply is lost")??;
                    anyhow::ensure!(reply.may_be(bytes), "the server sent back another text");
                    replies += 1;
                }
                anyhow::Ok((connection, replies))
            }));
        }
        for task in tasks {
            let (connection, replies) = task.await??;
            self.connections.push(connection);
            self.turns.replies += replies;
        }
        self.turns.took += began.elapsed();
        let mut usage = Usage::now(server)?.since(usage);
        // A turn is too short for hundredths of a second.
        usage.server = cpu_of_threads(server)?.saturating_sub(cpu);
        self.turns.usage += usage;
        Ok(())
    }
}

impl Turns {
    fn run(&self) -> Run {
        let replies = self.replies as f64;
        let cpu = self.usage.server.as_secs_f64();
        Run::default()
            .compare("CPU µs per message", cpu * 1e6 / replies)
            .note("messages a second", replies / self.took.as_secs_f64())
            .usage(self.usage, self.took)
    }
}
