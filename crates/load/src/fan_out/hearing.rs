//! What the sessions hear: every delivery is counted.

use std::cell::{Cell, RefCell};

use tokio::sync::Notify;

use super::hall::{Kind, Shape};
use crate::{
    clock::{Clock, Nanos},
    latency::Latencies,
    order::{Faults, Order},
    scan::{Heard, Script},
};

/// Shared by all sessions.
pub(super) struct Hearing {
    pub(super) shape: Shape,
    pub(super) clock: Clock,
    /// By session, and for signals by session and speaker.
    orders: RefCell<Vec<Order>>,
    latencies: RefCell<[Latencies; 2]>,
    /// Deliveries, and `ok`s, that came when they were due in this run.
    came: Cell<[i64; 2]>,
    /// How many of both are to come, as far as they have been sent.
    due: Cell<[i64; 2]>,
    /// Whether no more are sent.
    all_sent: Cell<bool>,
    /// All has come, or something failed.
    pub(super) settled: Notify,
    pub(super) failure: Cell<Option<anyhow::Error>>,
    failed: Cell<bool>,
    /// By room: messages that the server did not take.
    refused: RefCell<Vec<u64>>,
    refusal: RefCell<Option<String>>,
    event_bytes: Cell<usize>,
    /// Whatever else was heard, so that a wait sees that something goes on.
    heard: Cell<u64>,
}

/// What was heard in one run.
pub(super) struct Tally {
    pub(super) deliveries: u64,
    pub(super) oks_missing: i64,
    pub(super) latencies: [Latencies; 2],
    pub(super) refused: Vec<u64>,
    pub(super) refusal: Option<String>,
    pub(super) event_bytes: usize,
}

impl Hearing {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            clock: Clock::start(),
            orders: RefCell::new(vec![Order::default(); shape.sessions() * shape.orders()]),
            latencies: RefCell::default(),
            came: Cell::default(),
            due: Cell::default(),
            all_sent: Cell::default(),
            settled: Notify::new(),
            failure: Cell::default(),
            failed: Cell::default(),
            refused: RefCell::new(vec![0; shape.rooms]),
            refusal: RefCell::default(),
            event_bytes: Cell::default(),
            heard: Cell::default(),
        }
    }

    /// One more message is sent.
    pub(super) fn expect(&self, deliveries: usize, oks: usize) {
        let [due_deliveries, due_oks] = self.due.get();
        self.due
            .set([due_deliveries + deliveries as i64, due_oks + oks as i64]);
    }

    /// No more are sent in this run.
    pub(super) fn all_sent(&self) {
        self.all_sent.set(true);
        self.settle();
    }

    /// Whether all that was sent has come, or something failed.
    pub(super) fn is_settled(&self) -> bool {
        self.came.get() == self.due.get() || self.failed.get()
    }

    /// Changes as long as something comes.
    pub(super) fn progress(&self) -> u64 {
        self.heard.get()
    }

    fn settle(&self) {
        if self.all_sent.get() && self.is_settled() {
            self.settled.notify_one();
        }
    }

    pub(super) fn fail(&self, error: anyhow::Error) {
        self.failed.set(true);
        self.failure.set(Some(error));
        self.settled.notify_one();
    }

    /// Takes a message that came to a session at `now`.
    pub(super) fn take(
        &self,
        session: usize,
        script: &Script,
        text: &[u8],
        now: Nanos,
    ) -> anyhow::Result<()> {
        self.heard.set(self.heard.get() + 1);
        let orders = self.shape.orders();
        let (order, number, sent) = match script.read(text) {
            Heard::Message { seq, sent } => (0, seq, sent),
            Heard::Signal(said) if said.speaker < orders => (said.speaker, said.number, said.sent),
            Heard::Ok { sent } => {
                self.latencies.borrow_mut()[1].record_nanos(now.saturating_sub(sent));
                let [deliveries, oks] = self.came.get();
                self.came.set([deliveries, oks + 1]);
                self.settle();
                return Ok(());
            }
            Heard::Error | Heard::Signal(_) => {
                return self.refuse(session, &String::from_utf8_lossy(text));
            }
            Heard::Other => return Ok(()),
        };
        self.latencies.borrow_mut()[0].record_nanos(now.saturating_sub(sent));
        if self.orders.borrow_mut()[session * orders + order].receive(number) {
            let [deliveries, oks] = self.came.get();
            self.came.set([deliveries + 1, oks]);
            self.settle();
        }
        self.event_bytes.set(text.len());
        Ok(())
    }

    /// A message that was not taken is not to be waited for. Any other error is one.
    fn refuse(&self, session: usize, text: &str) -> anyhow::Result<()> {
        let is_refusal = [r#""code":"busy""#, r#""code":"unavailable""#]
            .iter()
            .any(|code| text.contains(code));
        anyhow::ensure!(
            is_refusal && text.starts_with(r#"{"type":"error","#),
            "the server said {text}"
        );
        self.refusal
            .borrow_mut()
            .get_or_insert_with(|| text.to_owned());
        self.refused.borrow_mut()[session % self.shape.rooms] += 1;
        let deliveries = self.shape.deliveries_of_a_message();
        let [due_deliveries, due_oks] = self.due.get();
        let oks = i64::from(self.shape.kind != Kind::Signal);
        self.due
            .set([due_deliveries - deliveries as i64, due_oks - oks]);
        self.settle();
        Ok(())
    }

    /// What was heard, and what the next run is counted from.
    pub(super) fn take_tally(&self) -> Tally {
        let [deliveries, oks] = self.came.take();
        let [_, oks_due] = self.due.take();
        self.all_sent.set(false);
        let rooms = self.shape.rooms;
        Tally {
            deliveries: u64::try_from(deliveries).unwrap_or(0),
            oks_missing: oks_due - oks,
            latencies: self.latencies.take(),
            refused: self.refused.replace(vec![0; rooms]),
            refusal: self.refusal.take(),
            event_bytes: self.event_bytes.get(),
        }
    }

    /// What went wrong until now, and which first. `head` tells with which number each order ends.
    /// After that each begins behind its end.
    pub(super) fn faults(
        &self,
        head: impl Fn(usize, usize) -> u64,
        name: impl Fn(usize, usize) -> String,
    ) -> (Faults, Option<String>) {
        let (mut faults, mut first) = (Faults::default(), None);
        for (index, order) in self.orders.borrow_mut().iter_mut().enumerate() {
            let (session, speaker) = (index / self.shape.orders(), index % self.shape.orders());
            let head = head(session, speaker);
            faults.add(order.faults(head));
            if let Some(number) = order.first_fault(head)
                && first.is_none()
            {
                first = Some(format!("{}, number {number}", name(session, speaker)));
            }
            *order = Order::after(head);
        }
        (faults, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Said;

    const TEXT: usize = 64;

    fn shape(kind: Kind) -> Shape {
        Shape {
            rooms: 1,
            members: 3,
            kind,
            text_bytes: TEXT,
        }
    }

    /// What session 0 hears of signals with these speakers and numbers.
    fn hear(signals: &[(usize, u64)]) -> Hearing {
        let hearing = Hearing::new(shape(Kind::Signal));
        let script = Script::new("a", TEXT, true);
        for (speaker, number) in signals {
            let said = Said {
                sent: 0,
                speaker: *speaker,
                number: *number,
            };
            let text = format!(
                r#"{{"type":"signal","room":"a","user":{{}},"data":"{}"}}"#,
                said.text(TEXT)
            );
            hearing
                .take(0, &script, text.as_bytes(), 5_000_000)
                .unwrap();
        }
        hearing
    }

    /// Two signals each of sessions 1 and 2, as session 0 was to hear them.
    fn faults(signals: &[(usize, u64)]) -> (Faults, Option<String>) {
        let head = |session, speaker| if session == 0 && speaker > 0 { 2 } else { 0 };
        hear(signals).faults(head, |session, speaker| format!("{session} of {speaker}"))
    }

    #[test]
    fn signals_are_in_order_by_who_says_them() {
        for signals in [
            [(1, 1), (1, 2), (2, 1), (2, 2)],
            [(2, 1), (1, 1), (2, 2), (1, 2)],
        ] {
            assert_eq!(faults(&signals), (Faults::default(), None));
        }
    }

    #[test]
    fn a_signal_that_is_lost_doubled_or_late_is_found() {
        let (found, first) = faults(&[(1, 1), (1, 2), (2, 2)]);
        assert_eq!((found.lost, found.doubled, found.out_of_order), (1, 0, 0));
        assert_eq!(first.as_deref(), Some("0 of 2, number 1"));
        let (found, first) = faults(&[(1, 1), (1, 2), (1, 2), (2, 1), (2, 2)]);
        assert_eq!((found.lost, found.doubled, found.out_of_order), (0, 1, 0));
        assert_eq!(first.as_deref(), Some("0 of 1, number 2"));
        let (found, _) = faults(&[(1, 2), (1, 1), (2, 1), (2, 2)]);
        assert_eq!((found.lost, found.doubled, found.out_of_order), (0, 0, 1));
        // Nobody hears themselves.
        let (found, _) = faults(&[(0, 1), (1, 1), (1, 2), (2, 1), (2, 2)]);
        assert_eq!((found.lost, found.doubled, found.out_of_order), (0, 0, 1));
    }

    #[test]
    fn what_was_refused_is_not_waited_for() {
        let hearing = Hearing::new(shape(Kind::Stored));
        let script = Script::new("a", TEXT, false);
        hearing.expect(3, 1);
        hearing.all_sent();
        assert!(!hearing.is_settled());
        let busy = br#"{"type":"error","id":1,"code":"busy","message":"wait"}"#;
        hearing.take(0, &script, busy, 0).unwrap();
        assert!(hearing.is_settled());
        let heard = hearing.take_tally();
        assert_eq!((heard.refused, heard.oks_missing), (vec![1], 0));
        assert!(heard.refusal.unwrap().contains("busy"));

        let gone = br#"{"type":"error","code":"not_subscribed","message":"no"}"#;
        assert!(hearing.take(0, &script, gone, 0).is_err());
    }
}
