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
    /// The reader reads at most so many frames.
    Read(usize),
    /// The reader subscribes anew, after the event this far before the head.
    Move(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => (1..6u64, 0..40usize).prop_map(|(count, size)| Action::Append { count, size }),
        1 => (1..4u64).prop_map(Action::Skip),
        2 => any::<bool>().prop_map(|own| Action::Pass { own }),
        6 => (0..8usize).prop_map(Action::Read),
        1 => (0..12u64).prop_map(Action::Move),
    ];
    prop::collection::vec(action, 1..80)
}

fn event(seq: u64, size: usize) -> Frame {
    Frame::text(format!("{seq} {}", "x".repeat(size)))
}

fn number(frame: &Frame) -> Option<u64> {
    let text = std::str::from_utf8(&frame.to_bytes()[2..])
        .unwrap()
        .to_owned();
    text.split(' ').next().unwrap().parse().ok()
}

proptest! {
    #[test]
    fn a_reader_has_every_event_once_and_in_order_and_the_ring_stays_within_its_bounds(
        actions in actions(),
        frames in 1..8usize,
        bytes in 20..200usize,
    ) {
        let limits = RingLimits { frames, bytes };
        let reader = SessionId::generate(0);
        let mut ring = Ring::new(0, limits);
        let mut cursor = ring.after(ring.head());
        let mut had = 0;
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
                Action::Pass { own } => ring.pass(Frame::text("pass"), own.then_some(reader)),
                Action::Move(back) => {
                    had = ring.head().saturating_sub(back);
                    cursor = ring.after(had);
                }
                Action::Read(most) => for _ in 0..most {
                    match ring.next(&mut cursor, reader) {
                        Next::Frame(frame) => if let Some(seq) = number(&frame) {
                            prop_assert_eq!(seq, had + 1);
                            had = seq;
                        },
                        Next::Skip => {}
                        Next::UpToDate => {
                            prop_assert_eq!(had, ring.head());
                            break;
                        }
                        Next::Behind { after, until } => {
                            // The log is asked for exactly what the reader lacks and the ring has not.
                            prop_assert_eq!(after, had);
                            prop_assert!(until > after && until <= ring.head());
                            had = until;
                            cursor = ring.after(until);
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
            Next::Frame(frame) => numbers.extend(number(&frame)),
            Next::Skip => {}
            Next::UpToDate => break,
            Next::Behind { .. } => panic!("the ring holds everything"),
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
