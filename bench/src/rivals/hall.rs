//! Rooms full of members, of whom some speak at a given rate: everyone must hear everything, once and in order.

use std::time::{Duration, Instant};

use anyhow::Context;
use load::{
    clock::{Clock, Nanos},
    latency::Latencies,
    process::Usage,
};

use super::{
    frames::{Stamp, Template},
    links::Links,
    program::Program,
    protocol::{Place, Protocol},
    tally::{Again, Order, Tally},
};

/// In each room, at most.
const SPEAKERS: usize = 20;
/// The speaker of what is said only to find out who is there already.
const PROBE: usize = Stamp::SPEAKERS;
/// Between two such.
const PROBING: Duration = Duration::from_millis(200);
/// How long all may take to come in.
const COMING: Duration = Duration::from_secs(30);
/// Messages that are sent before anything is read again.
const BURST: usize = 64;
/// The longest time that nothing is looked at.
const NAP: Duration = Duration::from_millis(20);

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rooms: usize,
    /// Of each room.
    pub(super) members: usize,
}

/// How much is said, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Deliveries a second.
    pub(super) rate: f64,
    /// Before it is measured.
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
    /// How long the last deliveries may take.
    pub(super) patience: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// In the measured time.
    pub(super) delivered: u64,
    pub(super) took: Duration,
    pub(super) usage: Usage,
    /// From when a message was due until it was heard; of those due in the measured time.
    pub(super) latencies: Latencies,
    /// Deliveries that the server has left out.
    pub(super) lost: u64,
    /// Deliveries that had not come when patience was at its end, the lost ones among them.
    pub(super) missing: u64,
    /// Commands that the server refused, and what it said.
    pub(super) refusals: u64,
    pub(super) refusal: String,
    /// Bytes of a message as it is heard.
    pub(super) bytes: usize,
}

impl Outcome {
    /// Whether everything came, and within so many milliseconds for 99 of 100.
    pub(super) fn is_kept_up(&mut self, p99: f64) -> bool {
        self.missing == 0 && self.refusals == 0 && self.latencies.percentile(99.0) < p99
    }
}

pub(super) struct Hall<'p> {
    links: Links<'p>,
    size: Size,
    speakers: usize,
    protocol: &'p dyn Protocol,
    heard: Heard,
    /// By room and speaker.
    templates: Vec<Template>,
    probes: Vec<Vec<u8>>,
    /// Messages said so far; they go through the rooms, and in each room through its speakers.
    said: usize,
}

/// What the members have heard.
struct Heard {
    size: Size,
    speakers: usize,
    behind: usize,
    clock: Clock,
    tally: Tally,
    probed: Vec<bool>,
    probes: usize,
    /// When each message was due, by room and speaker.
    due: Vec<Vec<Nanos>>,
    /// Latencies are recorded of messages that are due from here on.
    from: Nanos,
    latencies: Latencies,
    bytes: usize,
}

impl<'p> Hall<'p> {
    /// Opens the connections and waits until all are in their rooms.
    pub(super) fn open(
        mut links: Links<'p>,
        protocol: &'p dyn Protocol,
        size: Size,
        order: Order,
    ) -> anyhow::Result<Self> {
        let members = size.rooms * size.members;
        let place = move |link: usize| Place::Room {
            room: link / size.members,
            member: link,
        };
        links.open(members, place)?;
        let speakers = size.members.min(SPEAKERS);
        let template = |room: usize, speaker: usize| {
            let place = place(room * size.members + speaker % size.members);
            let message = protocol.say(place, Stamp { speaker, number: 0 });
            Template::new(&message, protocol.behind())
        };
        let templates = (0..size.rooms)
            .flat_map(|room| (0..speakers).map(move |speaker| (room, speaker)))
            .map(|(room, speaker)| template(room, speaker))
            .collect::<Result<_, _>>()?;
        let probes = (0..size.rooms)
            .map(|room| Ok(template(room, PROBE)?.numbered(0).to_vec()))
            .collect::<anyhow::Result<_>>()?;
        let heard = Heard {
            size,
            speakers,
            behind: protocol.behind(),
            clock: Clock::start(),
            tally: Tally::new(members, speakers, order),
            probed: vec![false; members],
            probes: 0,
            due: vec![Vec::new(); size.rooms * speakers],
            from: 0,
            latencies: Latencies::default(),
            bytes: 0,
        };
        let mut hall = Self {
            links,
            size,
            speakers,
            protocol,
            heard,
            templates,
            probes,
            said: 0,
        };
        hall.wait_for_members()?;
        Ok(hall)
    }

    /// A connection is open before its server has made it a member. Two of a room say something, so that each of
    /// them hears the other where speakers do not hear themselves.
    fn wait_for_members(&mut self) -> anyhow::Result<()> {
        let (began, members) = (Instant::now(), self.size.rooms * self.size.members);
        while self.heard.probes < members {
            anyhow::ensure!(
                began.elapsed() < COMING,
                "{} of {members} members have heard something within {COMING:?}",
                self.heard.probes
            );
            for (room, probe) in self.probes.iter().enumerate() {
                for member in 0..self.size.members.min(2) {
                    self.links.send(room * self.size.members + member, probe)?;
                }
            }
            let asked = Instant::now();
            while asked.elapsed() < PROBING {
                self.links
                    .poll(NAP, &mut |member, text| self.heard.hear(member, text))?;
            }
        }
        Ok(())
    }

    /// Those who hear a message.
    fn reach(&self) -> usize {
        self.size.members - usize::from(!self.protocol.hears_itself())
    }

    /// Speaks at a pace, and waits for the last delivery as long as its patience lasts.
    ///
    /// # Errors
    ///
    /// A delivery that came twice or out of order, or a connection that ended.
    pub(super) fn offer(&mut self, pace: Pace, program: &Program) -> anyhow::Result<Outcome> {
        let interval = self.reach() as f64 / pace.rate * 1e9;
        let time = pace.warm_up + pace.measured;
        let count = (time.as_nanos() as f64 / interval).ceil() as usize;
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX);
        let start = self.heard.clock.now();
        let (from, until) = (start + nanos(pace.warm_up), start + nanos(time));
        let given_up = until + nanos(pace.patience);
        let due = |message: usize| start + (message as f64 * interval) as Nanos;
        let (delivered, lost) = (self.heard.tally.delivered(), self.heard.tally.lost());
        let expected = delivered + (count * self.reach()) as u64;
        let refused = self.links.refusals().0;
        self.heard.from = from;
        self.heard.latencies = Latencies::default();

        let (mut said, mut first, mut last) = (0, None, None);
        loop {
            let now = self.heard.clock.now();
            if first.is_none() && now >= from {
                first = Some((now, Usage::now(program.id())?, self.heard.tally.delivered()));
            }
            if last.is_none() && now >= until {
                last = Some((now, Usage::now(program.id())?, self.heard.tally.delivered()));
            }
            for _ in 0..BURST {
                if said == count || due(said) > now {
                    break;
                }
                self.say(due(said))?;
                said += 1;
            }
            let is_over = said == count
                && self.heard.tally.delivered() + self.heard.tally.lost() - lost >= expected;
            if last.is_some() && (is_over || now >= given_up) {
                break;
            }
            let next = [from, until, given_up]
                .into_iter()
                .chain((said < count).then(|| due(said)))
                .filter(|&then| then > now)
                .min();
            let wait = match next {
                Some(_) if said < count && due(said) <= now => Duration::ZERO,
                Some(then) => Duration::from_nanos(then - now).min(NAP),
                None => Duration::ZERO,
            };
            self.links
                .poll(wait, &mut |member, text| self.heard.hear(member, text))?;
        }
        let (first, last) = first.zip(last).context("nothing was measured")?;
        let (refusals, refusal) = self.links.refusals();
        Ok(Outcome {
            delivered: last.2 - first.2,
            took: Duration::from_nanos(last.0 - first.0),
            usage: last.1.since(first.1),
            latencies: std::mem::take(&mut self.heard.latencies),
            lost: self.heard.tally.lost() - lost,
            missing: expected - self.heard.tally.delivered(),
            refusals: refusals - refused,
            refusal: refusal.to_owned(),
            bytes: self.heard.bytes,
        })
    }

    fn say(&mut self, due: Nanos) -> anyhow::Result<()> {
        let room = self.said % self.size.rooms;
        let speaker = self.said / self.size.rooms % self.speakers;
        self.said += 1;
        let index = room * self.speakers + speaker;
        let said = &mut self.heard.due[index];
        let number = u32::try_from(said.len())?;
        said.push(due);
        let link = room * self.size.members + speaker;
        self.links
            .send(link, self.templates[index].numbered(number))
    }
}

impl Heard {
    fn hear(&mut self, member: usize, text: &[u8]) -> anyhow::Result<()> {
        let stamp = Stamp::read(text, self.behind)
            .with_context(|| format!("nobody said this: {}", String::from_utf8_lossy(text)))?;
        if stamp.speaker == PROBE {
            self.probes += usize::from(!self.probed[member]);
            self.probed[member] = true;
            return Ok(());
        }
        let room = member / self.size.members;
        let due = (stamp.speaker < self.speakers)
            .then(|| self.due[room * self.speakers + stamp.speaker].get(stamp.number as usize))
            .flatten();
        let due = *due.with_context(|| format!("nobody has said this yet: {stamp:?}"))?;
        let heard = self.tally.hear(member, stamp.speaker, stamp.number);
        if let Err(Again { expected, .. }) = heard {
            anyhow::bail!(
                "a delivery came twice or out of order: member {member} heard {stamp:?} when number {expected} was next"
            );
        }
        if due >= self.from {
            self.latencies.record(self.clock.since(due));
        }
        self.bytes = text.len();
        Ok(())
    }
}
