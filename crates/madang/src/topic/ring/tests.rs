//! The ring against a model that keeps everything.

use proptest::prelude::*;

use super::*;

/// One thing that happens to a topic with one reader.
#[derive(Debug, Clone)]
enum Action {
    /// So many events are appended, of so many bytes each.
    Append { count: u64, size: usize },
    /// The next event comes from elsewhere with so many missing before it.
    Skip(u64),
    /// A frame passes; it is the reader's own, or another's.
    Pass { own: bool },
    /// Other readers have had all but so many entries: what passed before may go.
    LetPass(u64),
    /// The reader reads at most so many frames.
    Read(usize),
    /// The reader subscribes anew, after the event this far before the head.
    Move(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => (1..6u64, 0..40usize).prop_map(|(count, size)| Action::Append { count, size }),
        1 => (1..4u64).prop_map(Action::Skip),
        4 => any::<bool>().prop_map(|own| Action::Pass { own }),
        3 => (0..6u64).prop_map(Action::LetPass),
        6 => (0..8usize).prop_map(Action::Read),
        1 => (0..12u64).prop_map(Action::Move),
    ];
    prop::collection::vec(action, 1..80)
}

/// What passed last is the state that a reader should know: `0 state`, where events are `1`, `2`, …
fn state(number: u64) -> Frame {
    Frame::text(format!("0 {number}"))
}

fn event(seq: u64, size: usize) -> Frame {
    Frame::text(format!("{seq} {}", "x".repeat(size)))
}

fn numbers(frame: &Frame) -> (u64, Option<u64>) {
    let text = std::str::from_utf8(&frame.to_bytes()[2..])
        .unwrap()
        .to_owned();
    let (seq, rest) = text.split_once(' ').unwrap();
    (seq.parse().unwrap(), rest.parse().ok())
}

fn number(frame: &Frame) -> u64 {
    numbers(frame).0
}

proptest! {
    #[test]
    fn a_reader_has_every_event_once_and_in_order_and_knows_what_passed_and_the_ring_stays_within_its_bounds(
        actions in actions(),
        frames in 1..8usize,
        bytes in 20..200usize,
    ) {
        let limits = RingLimits { frames, bytes };
        let reader = SessionId::generate(0);
        let mut ring = Ring::new(0, limits);
        let mut cursor = ring.after(ring.head());
        let mut had = 0;
        // The state, and the one that the reader knows.
        let (mut passed, mut known) = (0, 0);
        for action in actions {
            match action {
                Action::Append { count, size } => for _ in 0..count {
                    let seq = ring.head() + 1;
                    prop_assert!(ring.append(seq, event(seq, size), None));
                    prop_assert!(!ring.append(seq, event(seq, size), None), "twice");
                },
                Action::Skip(count) => {
                    let seq = ring.head() + 1 + count;
                    prop_assert!(ring.append(seq, event(seq, 1), None));
                }
                Action::Pass { own: true } => ring.pass(Frame::text("0 own"), Some(reader)),
                Action::Pass { own: false } => {
                    passed += 1;
                    ring.pass(state(passed), None);
                }
                Action::LetPass(but) => ring.let_pass(ring.end().saturating_sub(but)),
                Action::Move(back) => {
                    had = ring.head().saturating_sub(back);
                    cursor = ring.after(had);
                    known = passed;
                }
                Action::Read(most) => for _ in 0..most {
                    match ring.next(&mut cursor, reader) {
                        Next::Frame(frame) => match numbers(&frame) {
                            (0, state) => {
                                prop_assert_eq!(state, Some(known + 1));
                                known += 1;
                            }
                            (seq, _) => {
                                prop_assert_eq!(seq, had + 1);
                                had = seq;
                            }
                        },
                        Next::Skip => {}
                        // It is told the state as it is.
                        Next::Missed => known = passed,
                        Next::UpToDate => {
                            prop_assert_eq!(had, ring.head());
                            prop_assert_eq!(known, passed);
                            break;
                        }
                        Next::Behind { after, until } => {
                            // The log is asked for exactly what the reader lacks and the ring has not.
                            prop_assert_eq!(after, had);
                            prop_assert!(until > after && until <= ring.head());
                            had = until;
                            cursor = ring.after(until);
                            known = passed;
                        }
                    }
                    prop_assert_eq!(cursor.seq(), had);
                },
            }
            prop_assert!(ring.entries.len() <= frames);
            prop_assert!(ring.bytes <= bytes || ring.entries.len() == 1);
            let sum: usize = ring.entries.iter().map(|entry| entry.frame.len()).sum();
            prop_assert_eq!(ring.bytes, sum);
        }
    }

    #[test]
    fn who_is_waited_for_misses_nothing(actions in actions()) {
        let reader = SessionId::generate(0);
        let mut ring = Ring::new(0, RingLimits::default());
        let mut cursor = ring.after(0);
        let (mut passed, mut known) = (0, 0);
        for action in actions {
            match action {
                Action::Append { count, size } => for _ in 0..count {
                    ring.append(ring.head() + 1, event(ring.head() + 1, size), None);
                },
                Action::Pass { .. } => {
                    passed += 1;
                    ring.pass(state(passed), None);
                }
                Action::LetPass(but) => {
                    ring.let_pass(cursor.position().min(ring.end().saturating_sub(but)));
                }
                Action::Move(back) => {
                    cursor = ring.after(ring.head().saturating_sub(back));
                    known = passed;
                }
                Action::Read(most) => for _ in 0..most {
                    match ring.next(&mut cursor, reader) {
                        Next::Frame(frame) => if let (0, state) = numbers(&frame) {
                            prop_assert_eq!(state, Some(known + 1));
                            known += 1;
                        },
                        Next::Skip => {}
                        Next::UpToDate => prop_assert_eq!(known, passed),
                        next => prop_assert!(false, "{:?}", next),
                    }
                },
                Action::Skip(_) => {}
            }
        }
    }
}

#[test]
fn what_everyone_has_had_and_was_no_event_leaves_and_takes_its_memory_along() {
    let mut ring = Ring::new(0, RingLimits::default());
    for number in 0..100 {
        ring.pass(state(number), None);
    }
    ring.let_pass(ring.end() - 1);
    assert_eq!(ring.entries.len(), 1);
    assert!(ring.entries.capacity() <= 4, "{}", ring.entries.capacity());
    ring.let_pass(ring.end());
    assert!(ring.entries.capacity() <= 4, "{}", ring.entries.capacity());
    assert_eq!((ring.entries.len(), ring.bytes), (0, 0));

    ring.append(1, event(1, 0), None);
    ring.pass(state(100), None);
    ring.let_pass(ring.end());
    assert_eq!(ring.entries.len(), 2, "it comes behind an event that stays");
}

#[test]
fn a_full_ring_takes_no_more_memory() {
    let mut ring = Ring::new(0, RingLimits::default());
    for seq in 1..=1_000 {
        ring.append(seq, event(seq, 0), None);
    }
    assert_eq!(ring.entries.capacity(), RingLimits::default().frames);
}

#[test]
fn who_comes_while_old_frames_leave_gets_those_that_pass_from_then_on() {
    let mut ring = Ring::new(0, RingLimits::default());
    ring.pass(state(1), None);
    ring.append(1, event(1, 0), None);
    ring.pass(state(2), None);
    let mut cursor = ring.after(0);
    ring.pass(state(3), None);
    // The first leaves before the reader has read anything.
    ring.let_pass(ring.end());
    let mut had = Vec::new();
    loop {
        match ring.next(&mut cursor, SessionId::generate(0)) {
            Next::Frame(frame) => had.push(numbers(&frame)),
            Next::Skip => {}
            Next::UpToDate => break,
            next => panic!("{next:?}"),
        }
    }
    assert_eq!(had, [(1, None), (0, Some(3))]);
}

#[test]
fn who_comes_now_gets_nothing_of_before() {
    let mut ring = Ring::new(7, RingLimits::default());
    ring.append(8, event(8, 0), None);
    ring.pass(Frame::text("pass"), None);
    let mut cursor = ring.after(ring.head());
    assert!(matches!(
        ring.next(&mut cursor, SessionId::generate(0)),
        Next::UpToDate
    ));
}

#[test]
fn who_resumes_gets_the_events_of_before_and_the_passing_frames_from_now_on() {
    let mut ring = Ring::new(0, RingLimits::default());
    for seq in 1..=3 {
        ring.append(seq, event(seq, 0), None);
        ring.pass(Frame::text("0 passed before"), None);
    }
    let mut cursor = ring.after(1);
    ring.pass(Frame::text("9 passes now"), None);
    let mut numbers = Vec::new();
    loop {
        match ring.next(&mut cursor, SessionId::generate(0)) {
            Next::Frame(frame) => numbers.push(number(&frame)),
            Next::Skip => {}
            Next::UpToDate => break,
            next => panic!("the ring holds everything: {next:?}"),
        }
    }
    assert_eq!(numbers, [2, 3, 9]);
}

#[test]
fn a_fresh_ring_sends_whoever_lacks_something_to_the_log() {
    let ring = Ring::new(50, RingLimits::default());
    let mut cursor = ring.after(10);
    let next = ring.next(&mut cursor, SessionId::generate(0));
    assert!(
        matches!(
            next,
            Next::Behind {
                after: 10,
                until: 50
            }
        ),
        "{next:?}"
    );
}
