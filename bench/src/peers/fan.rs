//! A room that one member speaks in at a steady rate: everyone hears everything, once.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::Context;
use load::{process::Usage, sessions};
use tokio::{
    io::{AsyncRead, AsyncWriteExt},
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    connection::{Connection, hear},
    frames::{self, Replies},
    program::Program,
};
use crate::comparison::Run;

/// Bytes of a message.
const MESSAGE: usize = 128;
/// Bytes of a message that only asks who is there already.
const PROBE: usize = 16;
/// Between two such, and after the last.
const PROBING: Duration = Duration::from_millis(300);
/// How long everyone may take to come in, or to hear the last message.
const LATE: Duration = Duration::from_secs(20);

pub(super) struct Fan {
    pub(super) members: usize,
    /// Messages a second.
    pub(super) rate: u32,
    pub(super) seconds: u32,
}

/// What one member has heard.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    probes: u32,
    messages: u32,
}

impl Fan {
    pub(super) async fn measure(&self, program: &Program) -> anyhow::Result<Run> {
        sessions::make_room(self.members)?;
        let mut connections =
            sessions::open_all(self.members, |_| Connection::open(program, "/fan", false)).await?;
        let speaker = connections.pop().context("nobody is in the room")?;
        let (hearing, mut speaking) = speaker.split();
        let ended = Rc::new(RefCell::new(None));
        let mut members = vec![member(hearing, ended.clone())];
        for connection in connections {
            members.push(member(connection.split().0, ended.clone()));
        }
        let all = |test: &dyn Fn(Heard) -> bool| members.iter().all(|heard| test(heard.get()));

        // A connection is open before its server has made it a member.
        let probe = frames::frame(&frames::text(PROBE), false)?;
        let deadline = Instant::now() + LATE;
        while !all(&|heard| heard.probes > 0) {
            anyhow::ensure!(
                Instant::now() < deadline,
                "not everyone came in within {LATE:?}"
            );
            speaking.write_all(&probe).await?;
            sleep(PROBING).await;
        }

        let message = frames::frame(&frames::text(MESSAGE), false)?;
        let count = self.rate * self.seconds;
        let (began, usage) = (Instant::now(), Usage::now(program.id)?);
        let mut ticks = interval(Duration::from_secs(1) / self.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for _ in 0..count {
            ticks.tick().await;
            speaking.write_all(&message).await?;
        }
        let heard = async {
            while !all(&|heard| heard.messages >= count) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let heard = timeout(LATE, heard).await;
        let (usage, took) = (Usage::now(program.id)?.since(usage), began.elapsed());
        sleep(PROBING).await;
        if let Some(error) = ended.borrow_mut().take() {
            return Err(error);
        }
        let deliveries: u32 = members.iter().map(|heard| heard.get().messages).sum();
        anyhow::ensure!(
            heard.is_ok() && all(&|heard| heard.messages == count),
            "{deliveries} deliveries of {} messages to {} members",
            count,
            self.members
        );
        let deliveries = f64::from(deliveries);
        Ok(Run::default()
            .compare(
                "CPU µs per delivery",
                usage.server.as_secs_f64() * 1e6 / deliveries,
            )
            .note("deliveries a second", deliveries / took.as_secs_f64())
            .usage(usage, took))
    }
}

/// Counts what a member hears; `ended` is why one does not any more.
fn member(
    mut io: impl AsyncRead + Unpin + 'static,
    ended: Rc<RefCell<Option<anyhow::Error>>>,
) -> Rc<Cell<Heard>> {
    let heard = Rc::new(Cell::new(Heard::default()));
    let counted = heard.clone();
    spawn_local(async move {
        let mut replies = Replies::default();
        let mut count = |reply: frames::Reply| {
            let mut heard = counted.get();
            if reply.may_be(MESSAGE) {
                heard.messages += 1;
            } else {
                heard.probes += 1;
            }
            counted.set(heard);
        };
        loop {
            if let Err(error) = hear(&mut io, &mut replies, &mut count).await {
                ended.borrow_mut().get_or_insert(error);
                return;
            }
        }
    });
    heard
}
