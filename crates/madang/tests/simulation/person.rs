//! A person: writes, reads slowly or not at all, goes away and comes back, and remembers everything.

use std::{collections::HashMap, mem, time::Duration};

use fastrand::Rng;
use madang::{Message, harness::Visitor};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::server::{Machine, Server};

/// Someone, with what they have had and what they have said.
pub(crate) struct Person {
    name: usize,
    rng: Rng,
    machine: Machine,
    serving: watch::Receiver<Server>,
    /// The last event they have had.
    last: u64,
    /// Since when what passes is for them: they came then, or were not behind any more.
    came: u128,
    /// What they asked for, and is not answered: events still come by the place before.
    asked: Option<u64>,
    /// The answer was that they are to ask again.
    refused: bool,
    /// What they said and is not known to be stored.
    unsure: Option<Unsure>,
    said: u64,
    /// Where what they said is stored, as they were told.
    stored: HashMap<String, u64>,
}

struct Unsure {
    key: String,
    text: String,
    /// An answer is to come over this connection.
    is_asked: bool,
    /// It was said over an earlier connection too: that may be stored whatever this one's answer is.
    was_asked: bool,
}

/// Why a connection is given up.
struct Gone;

impl Person {
    pub(crate) fn new(
        name: usize,
        rng: Rng,
        machine: Machine,
        serving: watch::Receiver<Server>,
    ) -> Self {
        Self {
            name,
            rng,
            machine,
            serving,
            last: 0,
            came: 0,
            asked: None,
            refused: false,
            unsure: None,
            said: 0,
            stored: HashMap::new(),
        }
    }

    pub(crate) async fn live(mut self) {
        while !self.has_arrived() {
            let server = self.serving.borrow_and_update().clone();
            let Ok(Ok(mut visitor)) =
                timeout(Duration::from_secs(1), server.harness.connect("/yard")).await
            else {
                sleep(Duration::from_millis(10)).await;
                continue;
            };
            let _ = self.visit(&mut visitor).await;
            if let Some(unsure) = &mut self.unsure {
                unsure.was_asked |= unsure.is_asked;
                unsure.is_asked = false;
            }
            self.machine.luck().told.cuts += 1;
            let (name, last) = (self.name, self.last);
            self.machine
                .luck()
                .tell(|| format!("{name} gone at {last}"));
        }
        for (key, seq) in &self.stored {
            assert_eq!(self.machine.disk().place(key), Some(*seq), "{key}");
        }
    }

    async fn visit(&mut self, visitor: &mut Visitor) -> Result<(), Gone> {
        self.ask(visitor, self.last).await?;
        while !self.has_arrived() {
            if self.serving.has_changed().unwrap_or(true) {
                return Err(Gone);
            }
            if mem::take(&mut self.refused)
                && let Some(place) = self.asked
            {
                self.ask(visitor, place).await?;
            }
            match self.rng.u8(0..100) {
                0..20 if self.wants_to_say() => self.say(visitor).await?,
                20..24 if !self.is_calm() => self.send(visitor, "pass").await?,
                24..27 if !self.is_calm() => {
                    let place = self.rng.u64(0..=self.last);
                    self.machine.luck().told.moves += 1;
                    self.ask(visitor, place).await?;
                }
                27..32 if !self.is_calm() => {
                    sleep(Duration::from_millis(self.rng.u64(0..500))).await;
                }
                32..34 if !self.is_calm() => return Err(Gone),
                _ => self.hear(visitor).await?,
            }
        }
        Ok(())
    }

    fn is_calm(&self) -> bool {
        self.machine.luck().calm
    }

    /// Everything that they said is stored, and they have had everything that there is.
    fn has_arrived(&self) -> bool {
        self.is_calm()
            && self.unsure.is_none()
            && self.asked.is_none()
            && self.last == self.machine.disk().head()
    }

    fn wants_to_say(&self) -> bool {
        let is_asked = self.unsure.as_ref().map(|unsure| unsure.is_asked);
        is_asked.map_or(!self.is_calm(), |is_asked| !is_asked)
    }

    async fn ask(&mut self, visitor: &mut Visitor, place: u64) -> Result<(), Gone> {
        self.asked = Some(place);
        self.send(visitor, &format!("since {place}")).await
    }

    /// Says something new, or again what may be lost.
    async fn say(&mut self, visitor: &mut Visitor) -> Result<(), Gone> {
        if self.unsure.is_some() {
            self.machine.luck().told.retries += 1;
        }
        let letters = self.machine.luck().letters;
        let unsure = self.unsure.get_or_insert_with(|| {
            self.said += 1;
            Unsure {
                key: format!("{}-{}", self.name, self.said),
                text: "말".repeat(self.rng.usize(1..letters)),
                is_asked: false,
                was_asked: false,
            }
        });
        unsure.is_asked = true;
        let message = format!("write {} {}", unsure.key, unsure.text);
        self.send(visitor, &message).await
    }

    /// Whoever does not read may not be read: then this connection is as good as gone.
    async fn send(&mut self, visitor: &mut Visitor, message: &str) -> Result<(), Gone> {
        match timeout(Duration::from_millis(300), visitor.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    async fn hear(&mut self, visitor: &mut Visitor) -> Result<(), Gone> {
        let patience = Duration::from_millis(self.rng.u64(0..50));
        match timeout(patience, visitor.next_message()).await {
            Ok(Some(Message::Text(text))) => self.take(&text),
            Ok(_) => return Err(Gone),
            Err(_) => {}
        }
        Ok(())
    }

    /// What every message has to be, after all those before.
    fn take(&mut self, message: &str) {
        let (name, last) = (self.name, self.last);
        let mut luck = self.machine.luck();
        luck.tell(|| format!("{name} at {last}: {message:.40}"));
        let words: Vec<_> = message.splitn(3, ' ').collect();
        match words[..] {
            ["event", seq, text] => {
                let seq: u64 = seq.parse().unwrap();
                assert_eq!(seq, last + 1, "{name}: a hole or a double");
                assert_eq!(
                    self.machine.disk().event(seq),
                    Some(text),
                    "{name}: event {seq}"
                );
                self.last = seq;
                luck.told.received += 1;
            }
            ["gap", from, to] => {
                let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
                assert_eq!(from, last + 1, "{name}: a gap elsewhere");
                assert!(from <= to, "{name}: an empty gap");
                let floor = self.machine.disk().floor();
                assert!(to <= floor, "{name}: {to} is kept, above {floor}");
                self.last = to;
                luck.told.gaps += 1;
            }
            ["stored", key, seq] => {
                let seq = seq.parse().unwrap();
                assert_eq!(self.machine.disk().place(key), Some(seq), "{name}: {key}");
                self.stored.insert(key.to_owned(), seq);
                self.unsure.take_if(|unsure| unsure.key == key);
            }
            ["unavailable", "since"] => {
                self.refused = true;
            }
            ["unavailable", key] => {
                let unsure = self.unsure.as_mut().filter(|unsure| unsure.key == key);
                let unsure = unsure.unwrap_or_else(|| panic!("{name}: {key} is answered twice"));
                unsure.is_asked = false;
                let place = self.machine.disk().place(key);
                assert!(
                    place.is_none() || unsure.was_asked,
                    "{name}: {key} is stored"
                );
            }
            ["since", place, now] => {
                self.came = now.parse().unwrap();
                self.last = place.parse().unwrap();
                self.asked.take_if(|asked| *asked == self.last);
            }
            ["pass", head, now] => {
                let now: u128 = now.parse().unwrap();
                assert!(now >= self.came, "{name}: passed when they were behind");
                let head: u64 = head.parse().unwrap();
                assert_eq!(last, head, "{name}: passed before what came before it");
                luck.told.passed += 1;
            }
            ["caught", "up", now] => {
                self.came = now.parse().unwrap();
                luck.told.caught_up += 1;
            }
            _ => panic!("what is {message}?"),
        }
    }
}
