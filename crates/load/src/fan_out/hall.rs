//! The rooms, who is in them, and writing to them at a rate.

use std::{fmt, rc::Rc, time::Duration};

use anyhow::Context;
use tokio::{
    task::{AbortHandle, coop::consume_budget, spawn_local},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{hearing::Hearing, run::Run};
use crate::{
    latency::Latencies,
    link::{self, Ear, Pen},
    order::Faults,
    report::number,
    scan::{Said, Script},
    server::Server,
    sessions,
};

/// How long nothing may come before what is missing is lost.
const QUIET: Duration = Duration::from_secs(3);
/// How long all that is missing may take.
const LAST: Duration = Duration::from_secs(60);
/// How long one that is doubled may come after the last.
const DOUBLED: Duration = Duration::from_millis(300);
/// Who signal, in each room: whatever comes is counted by who said it.
const SPEAKERS: usize = 8;

/// What is said to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages, to all in the room.
    Stored,
    /// Signals, to all others in the room.
    Signal,
    /// Messages by sessions in no room: nobody hears them.
    Unheard,
}

/// How many rooms and sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rooms: usize,
    /// Of each room.
    pub(crate) members: usize,
    pub(crate) kind: Kind,
    pub(crate) text_bytes: usize,
}

impl Shape {
    pub(crate) fn sessions(self) -> usize {
        self.rooms * self.members
    }

    pub(crate) fn deliveries_of_a_message(self) -> usize {
        match self.kind {
            Kind::Stored => self.members,
            Kind::Signal => self.members - 1,
            Kind::Unheard => 0,
        }
    }

    /// Who speak in a room, by turns.
    fn speakers(self) -> usize {
        match self.kind {
            Kind::Stored | Kind::Unheard => self.members,
            Kind::Signal => self.members.min(SPEAKERS),
        }
    }

    /// How many count what they say for themselves; messages are counted by the room.
    pub(super) fn orders(self) -> usize {
        match self.kind {
            Kind::Stored | Kind::Unheard => 1,
            Kind::Signal => self.speakers(),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rooms, members) = (self.rooms, number_of(self.members));
        match (self.kind, rooms) {
            (Kind::Unheard, _) => write!(f, "{members} sessions"),
            (_, 1) => write!(f, "a room of {members}"),
            _ => write!(f, "{rooms} rooms of {members}"),
        }?;
        match self.kind {
            Kind::Stored => f.write_str(", messages"),
            Kind::Signal => f.write_str(", signals"),
            Kind::Unheard => f.write_str(", stored messages that nobody hears"),
        }
    }
}

fn number_of(count: usize) -> String {
    if count < 1_000 {
        count.to_string()
    } else {
        number(count as f64)
    }
}

/// Open sessions.
pub(crate) struct Hall {
    shape: Shape,
    hearing: Rc<Hearing>,
    /// By session: session `s` is in room `s % rooms`.
    pens: Vec<Rc<Pen>>,
    /// By room.
    rooms: Vec<Room>,
    ears: Vec<AbortHandle>,
}

struct Room {
    name: String,
    script: Script,
    /// What was said in it.
    said: u64,
    /// The number of its last message.
    head: u64,
}

impl Room {
    fn new(name: String, shape: Shape) -> Self {
        let script = Script::new(&name, shape.text_bytes, shape.kind == Kind::Signal);
        Self {
            name,
            script,
            said: 0,
            head: 0,
        }
    }

    /// How much a speaker has said.
    fn said_by(&self, speaker: usize, speakers: usize) -> u64 {
        let speakers = speakers as u64;
        (self.said + speakers - 1 - speaker as u64) / speakers
    }
}

impl Hall {
    pub(crate) async fn open(server: &Server, shape: Shape) -> anyhow::Result<Self> {
        let address = server.socket_address()?;
        let names = (0..shape.rooms).map(|room| server.room(&format!("bench-{room}")));
        let rooms: Vec<Room> = names.map(|name| Room::new(name, shape)).collect();
        let hearing = Rc::new(Hearing::new(shape));
        if shape.kind == Kind::Unheard {
            // A room is made by whoever subscribes to it first. That session hears nothing.
            for room in &rooms {
                drop(
                    sessions::open_in_room(&server.url(&format!("/ws/{}?name=first", room.name)))
                        .await?,
                );
            }
        }
        let opened = sessions::open_all(shape.sessions(), async |session| {
            let room = &rooms[session % shape.rooms].name;
            let (path, last) = match shape.kind {
                Kind::Unheard => (format!("/ws?name=guest-{session}"), "hello"),
                _ => (format!("/ws/{room}?name=guest-{session}"), "subscribed"),
            };
            let (mut ear, pen) = link::open(address, &path).await?;
            let last = format!(r#"{{"type":"{last}""#);
            ear.hear_until(|text| {
                anyhow::ensure!(
                    !text.starts_with(br#"{"type":"error""#),
                    "the server said {}",
                    String::from_utf8_lossy(text)
                );
                Ok(text.starts_with(last.as_bytes()))
            })
            .await?;
            Ok((ear, pen))
        });
        let mut hall = Self {
            shape,
            hearing,
            pens: Vec::new(),
            rooms: Vec::new(),
            ears: Vec::new(),
        };
        for (session, (ear, pen)) in opened.await?.into_iter().enumerate() {
            let room = rooms[session % shape.rooms].name.clone();
            let script = Script::new(&room, shape.text_bytes, shape.kind == Kind::Signal);
            let hearing = hall.hearing.clone();
            let task = spawn_local(async move {
                if let Err(error) = hear(ear, session, &script, &hearing).await {
                    let place = format!("session {session} of room {room}");
                    hearing.fail(error.context(place));
                }
            });
            hall.ears.push(task.abort_handle());
            hall.pens.push(pen);
        }
        hall.rooms = rooms;
        Ok(hall)
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Says so many messages a second for so long, and waits until all has come.
    pub(crate) async fn run(
        &mut self,
        server: &Server,
        messages_a_second: f64,
        time: Duration,
    ) -> anyhow::Result<Run> {
        let began = Instant::now();
        let usage = server.usage()?;
        let late = self.write(messages_a_second, time).await?;
        self.hearing.all_sent();
        self.wait().await;
        let (took, usage) = (began.elapsed(), server.usage()?.since(usage));
        sleep(DOUBLED).await;
        if let Some(failure) = self.hearing.failure.take() {
            return Err(failure);
        }
        let heard = self.hearing.take_tally();
        for (room, refused) in self.rooms.iter_mut().zip(&heard.refused) {
            room.head -= refused;
        }
        let (faults, first_fault) = self.faults();
        let [delivery, ok] = heard.latencies;
        Ok(Run {
            signal: self.shape.kind == Kind::Signal,
            time,
            took,
            deliveries: heard.deliveries,
            delivery,
            ok,
            late,
            usage,
            event_bytes: heard.event_bytes,
            faults,
            first_fault,
            refused: heard.refused.iter().sum(),
            refusal: heard.refusal,
            oks_missing: heard.oks_missing,
        })
    }

    /// To each room in turn, by each who speaks there in turn, at times that do not depend on what
    /// comes back. A message that is late is sent at once; how late is told.
    async fn write(&mut self, messages_a_second: f64, time: Duration) -> anyhow::Result<Latencies> {
        let (shape, hearing) = (self.shape, self.hearing.clone());
        let (speakers, oks) = (shape.speakers(), usize::from(shape.kind != Kind::Signal));
        let deliveries = shape.deliveries_of_a_message();
        let count = ((messages_a_second * time.as_secs_f64()) as u64).max(1);
        let mut late = Latencies::default();
        // Whose socket did not take all.
        let mut behind: Vec<usize> = Vec::new();
        let start = Instant::now();
        for message in 0..count {
            let due = start + Duration::from_secs_f64(message as f64 / messages_a_second);
            if due > Instant::now() {
                sleep_until(due).await;
            } else {
                consume_budget().await;
            }
            if let Some(failure) = hearing.failure.take() {
                return Err(failure);
            }
            if !behind.is_empty() {
                let mut still = Vec::new();
                for session in behind {
                    if !self.pens[session].flush()? {
                        still.push(session);
                    }
                }
                behind = still;
            }
            late.record(due.elapsed());
            let index = message as usize % shape.rooms;
            let room = &mut self.rooms[index];
            let speaker = (room.said % speakers as u64) as usize;
            let said = Said {
                sent: hearing.clock.now(),
                speaker,
                number: room.said / speakers as u64 + 1,
            };
            let session = speaker * shape.rooms + index;
            hearing.expect(deliveries, oks);
            let pen = &self.pens[session];
            pen.write(room.script.say(said))
                .with_context(|| format!("session {session} of room {}", room.name))?;
            if !pen.is_empty() {
                behind.push(session);
            }
            room.said += 1;
            room.head += 1;
        }
        let until = Instant::now() + LAST;
        for session in behind {
            while !self.pens[session].flush()? {
                anyhow::ensure!(
                    Instant::now() < until,
                    "the server did not read what session {session} had sent within {LAST:?}"
                );
                sleep(Duration::from_millis(1)).await;
            }
        }
        sleep_until(start + time).await;
        Ok(late)
    }

    /// Waits until all that was said has come, or nothing comes any more.
    async fn wait(&self) {
        let began = Instant::now();
        let (mut last, mut progress) = (began, self.hearing.progress());
        while !self.hearing.is_settled() && last.elapsed() < QUIET && began.elapsed() < LAST {
            let look = Duration::from_millis(250);
            // A notice may be left from an earlier run.
            let _ = timeout(look, self.hearing.settled.notified()).await;
            if self.hearing.progress() != progress {
                (last, progress) = (Instant::now(), self.hearing.progress());
            }
        }
    }

    fn faults(&self) -> (Faults, Option<String>) {
        let (shape, rooms) = (self.shape, &self.rooms);
        let head = |session: usize, speaker: usize| {
            let room = &rooms[session % shape.rooms];
            match shape.kind {
                Kind::Stored => room.head,
                Kind::Unheard => 0,
                // Nobody hears themselves.
                Kind::Signal if session / shape.rooms == speaker => 0,
                Kind::Signal => room.said_by(speaker, shape.speakers()),
            }
        };
        let name = |session: usize, speaker: usize| {
            let room = &rooms[session % shape.rooms].name;
            match shape.kind {
                Kind::Signal => {
                    let speaker = speaker * shape.rooms + session % shape.rooms;
                    format!("session {session} in room {room}, of session {speaker}'s signals")
                }
                _ => format!("session {session} in room {room}"),
            }
        };
        self.hearing.faults(head, name)
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        for ear in &self.ears {
            ear.abort();
        }
    }
}

async fn hear(
    mut ear: Ear,
    session: usize,
    script: &Script,
    hearing: &Hearing,
) -> anyhow::Result<()> {
    loop {
        // One look at the clock for all that is read at once.
        let mut now = None;
        ear.hear(|text| {
            let now = *now.get_or_insert_with(|| hearing.clock.now());
            hearing.take(session, script, text, now)
        })
        .await?;
    }
}
