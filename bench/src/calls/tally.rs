//! What was asked and answered: nothing may be lost, doubled or changed.

use load::{
    clock::{Clock, Nanos},
    latency::Latencies,
};

/// Bytes of params, and of results.
const BYTES: usize = 64;

/// What all connections of a run have come to.
#[derive(Default)]
pub(super) struct Tally {
    /// Whether answers are measured.
    pub(super) measuring: bool,
    /// Whether no more calls are made.
    pub(super) ended: bool,
    pub(super) latencies: Latencies,
    asked: u64,
    /// Requests that came to services.
    requested: u64,
    answered: u64,
}

impl Tally {
    pub(super) fn outstanding(&self) -> u64 {
        self.asked - self.answered
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    pub(super) fn request(&mut self) {
        self.requested += 1;
    }

    /// At the end: whether each call was answered, and asked of one service, once.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let Self {
            asked,
            requested,
            answered,
            ..
        } = self;
        anyhow::ensure!(
            asked == answered,
            "of {asked} calls {answered} are answered"
        );
        anyhow::ensure!(
            asked == requested,
            "{asked} calls were handed out {requested} times"
        );
        Ok(())
    }
}

/// One connection's calls.
pub(super) struct Caller {
    caller: usize,
    last: u64,
    open: Vec<Open>,
    params: Vec<u8>,
}

struct Open {
    number: u64,
    sent: Nanos,
    tickets: u32,
}

impl Caller {
    pub(super) fn new(caller: usize) -> Self {
        Self {
            caller,
            last: 0,
            open: Vec::new(),
            params: Vec::new(),
        }
    }

    /// Makes the next call: its number and its params.
    pub(super) fn ask(&mut self, clock: Clock, tally: &mut Tally) -> (u64, &[u8]) {
        self.last += 1;
        tally.asked += 1;
        self.open.push(Open {
            number: self.last,
            sent: clock.now(),
            tickets: 0,
        });
        params(self.caller, self.last, &mut self.params);
        (self.last, &self.params)
    }

    /// Takes the word that a call is stored, which comes once, and before its answer.
    pub(super) fn ticket(&mut self, number: u64) -> anyhow::Result<()> {
        let caller = self.caller;
        let open = self.open.iter_mut().find(|open| open.number == number);
        let tickets = open.map(|open| {
            open.tickets += 1;
            open.tickets
        });
        anyhow::ensure!(
            tickets == Some(1),
            "a ticket for call {number} of caller {caller}, which is answered, or has one"
        );
        Ok(())
    }

    /// Takes an answer.
    pub(super) fn answer(
        &mut self,
        number: u64,
        result: &[u8],
        clock: Clock,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let caller = self.caller;
        let at = self.open.iter().position(|open| open.number == number);
        let Some(at) = at else {
            anyhow::bail!("call {number} of caller {caller} was answered twice, or never made");
        };
        let open = self.open.swap_remove(at);
        params(caller, number, &mut self.params);
        anyhow::ensure!(
            self.params == result,
            "call {number} of caller {caller} got {} bytes that are no answer to it",
            result.len()
        );
        tally.answered += 1;
        if tally.measuring {
            tally.latencies.record(clock.since(open.sent));
        }
        Ok(())
    }
}

/// JSON that no other call has; the service sends it back.
fn params(caller: usize, number: u64, params: &mut Vec<u8>) {
    params.clear();
    params.extend(br#"{"caller":"#);
    params.extend(caller.to_string().bytes());
    params.extend(br#","number":"#);
    params.extend(number.to_string().bytes());
    params.extend(br#","text":""#);
    params.resize(params.len().max(BYTES - 2), b'.');
    params.extend(b"\"}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> (Clock, Tally, Caller, Vec<u8>) {
        let (clock, mut tally, mut caller) = (Clock::start(), Tally::default(), Caller::new(7));
        let (number, params) = caller.ask(clock, &mut tally);
        assert_eq!(number, 1);
        let params = params.to_vec();
        (clock, tally, caller, params)
    }

    #[test]
    fn params_are_json_of_64_bytes() {
        let (.., params) = asked();
        assert_eq!(params.len(), BYTES);
        let json: serde_json::Value = serde_json::from_slice(&params).unwrap();
        assert_eq!((&json["caller"], &json["number"]), (&7.into(), &1.into()));
    }

    #[test]
    fn a_call_is_answered_once_and_with_its_own_params() {
        let (clock, mut tally, mut caller, params) = asked();
        tally.request();
        assert!(tally.check().is_err(), "lost");
        caller.answer(1, &params, clock, &mut tally).unwrap();
        tally.check().unwrap();
        let twice = caller.answer(1, &params, clock, &mut tally);
        assert!(twice.is_err());

        let (clock, mut tally, mut caller, _) = asked();
        assert!(caller.answer(1, b"{}", clock, &mut tally).is_err());
    }

    #[test]
    fn a_call_that_two_services_got_is_an_error() {
        let (clock, mut tally, mut caller, params) = asked();
        caller.answer(1, &params, clock, &mut tally).unwrap();
        tally.request();
        tally.request();
        assert!(tally.check().is_err());
    }

    #[test]
    fn a_ticket_comes_once_and_before_the_answer() {
        let (clock, mut tally, mut caller, params) = asked();
        caller.ticket(1).unwrap();
        assert!(caller.ticket(1).is_err());
        caller.answer(1, &params, clock, &mut tally).unwrap();
        assert!(caller.ticket(1).is_err());
    }
}
