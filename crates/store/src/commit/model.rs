//! The store against a model of it: random writes, sweeps, failures, ends and restores.

mod calls;

use std::collections::HashMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use self::calls::{Calls, Deed, KEPT, deed};
use crate::testing::*;
use crate::{Keep, Outcome, Retention, Swept, Write, check};

const ROOMS: [&str; 3] = ["마당", "lobby", "else"];

#[derive(Debug, Clone)]
enum Step {
    /// A batch of messages: the room of each, its key, its text.
    Say(Vec<(usize, Option<u8>, u8)>),
    /// A batch of what happens to calls, so many milliseconds later.
    Call(i64, Vec<Deed>),
    /// A batch that fails at its last message.
    Fail(Vec<(usize, Option<u8>, u8)>, Vec<Deed>),
    /// A sweep that keeps so many events, and is broken off after so many steps.
    Sweep(u64, usize),
    Probe,
    Checkpoint,
    Reopen,
    Restart,
    Lose,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let messages = || {
        vec(
            (0..ROOMS.len(), proptest::option::of(0..4_u8), 0..3_u8),
            1..6,
        )
    };
    let step = prop_oneof![
        8 => messages().prop_map(Step::Say),
        8 => (0..6_i64, vec(deed(), 1..6)).prop_map(|(wait, deeds)| Step::Call(wait, deeds)),
        2 => (messages(), vec(deed(), 0..3)).prop_map(|(said, deeds)| Step::Fail(said, deeds)),
        3 => (0..6_u64, 1..8_usize).prop_map(|(events, steps)| Step::Sweep(events, steps)),
        1 => Just(Step::Probe),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::Restart),
        1 => Just(Step::Lose),
    ];
    vec(step, 1..25)
}

/// What must be there.
#[derive(Default)]
struct Model {
    /// Of each room, all texts that were ever stored.
    logs: [Vec<String>; ROOMS.len()],
    /// What each key stands for: a room, a number, a text.
    keys: HashMap<u8, (usize, u64, String)>,
    calls: Calls,
}

impl Model {
    /// Stores a message, and tells what must come of it.
    fn say(&mut self, room: usize, key: Option<u8>, text: &str) -> Result<u64, Box<Outcome>> {
        let log = &mut self.logs[room];
        if let Some((in_room, seq, said)) = key.and_then(|key| self.keys.get(&key)) {
            return Err(Box::new(if (*in_room, &**said) == (room, text) {
                Outcome::Duplicate {
                    seq: *seq,
                    at: at(0),
                }
            } else {
                Outcome::Conflict { seq: *seq }
            }));
        }
        log.push(text.to_owned());
        let seq = log.len() as u64;
        if let Some(key) = key {
            self.keys.insert(key, (room, seq, text.to_owned()));
        }
        Ok(seq)
    }
}

fn write(&(room, key, text): &(usize, Option<u8>, u8)) -> Write {
    let key = key.map(|key| format!("k{key}"));
    append(ROOMS[room], 1, key.as_deref(), said(&text.to_string()), 0)
}

fn run(steps: Vec<Step>) {
    let mut fixture = Fixture::new();
    let come = |fixture: &mut Fixture| {
        let rooms = ROOMS.map(|room| subscribe(1, room, 0));
        fixture.commit(&rooms);
    };
    come(&mut fixture);
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Say(messages) => {
                let batch: Vec<_> = messages.iter().map(write).collect();
                let outcomes = fixture.commit(&batch);
                for ((room, key, text), outcome) in messages.into_iter().zip(outcomes) {
                    match model.say(room, key, &text.to_string()) {
                        Ok(due) => assert_eq!(seq(&outcome), due),
                        Err(due) => assert_eq!(outcome, *due),
                    }
                }
            }
            Step::Call(wait, deeds) => {
                model.calls.now += wait;
                let (batch, due): (Vec<_>, Vec<_>) =
                    deeds.iter().map(|deed| model.calls.act(deed)).unzip();
                assert_eq!(fixture.commit(&batch), due);
            }
            Step::Fail(messages, deeds) => {
                let mut batch: Vec<_> = messages.iter().map(write).collect();
                let mut calls = model.calls.clone();
                batch.extend(deeds.iter().map(|deed| calls.act(deed).0));
                batch.push(say(ROOMS[0], "boom", 0));
                let fails = "CREATE TEMP TRIGGER fails BEFORE INSERT ON main.events
                    WHEN NEW.text = 'boom' BEGIN SELECT RAISE(ABORT, 'boom'); END";
                fixture.store.connection.execute_batch(fails).unwrap();
                assert!(fixture.store.commit(&batch).is_err());
                fixture.store.probe().unwrap();
                let heals = "DROP TRIGGER fails";
                fixture.store.connection.execute_batch(heals).unwrap();
            }
            Step::Sweep(events, steps) => {
                let open = Keep {
                    events: Some(events),
                    ..Keep::default()
                };
                let retention = Retention {
                    open,
                    results: Duration::from_millis(KEPT as u64),
                    ..Retention::default()
                };
                for _ in 0..steps {
                    if fixture
                        .store
                        .sweep(&retention, at(model.calls.now))
                        .unwrap()
                        == Swept::All
                    {
                        break;
                    }
                }
            }
            Step::Probe => fixture.store.probe().unwrap(),
            Step::Checkpoint => fixture.store.tend(true).unwrap(),
            Step::Reopen => {
                fixture.store.wal.suspect = true;
                fixture.store.tend(false).unwrap();
            }
            Step::Restart => fixture = fixture.restart(0),
            Step::Lose => fixture = fixture.lose(0),
        }
        for (name, all) in ROOMS.iter().zip(&model.logs) {
            let head = fixture.readers.room_head(&room(name)).unwrap().unwrap();
            assert_eq!(head.head, all.len() as u64);
            let kept = &all[head.first as usize - 1..];
            assert_eq!(fixture.texts(name), kept);
        }
        model.calls.check(&fixture);
    }
    let database = fixture.folder.path().join("madang.db");
    let findings = check(&database).unwrap().findings;
    assert_eq!(findings, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_store_does_what_the_model_does(steps in steps()) {
        run(steps);
    }
}
