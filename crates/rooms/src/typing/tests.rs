use std::sync::LazyLock;

use super::*;
use crate::UserName;

/// So many milliseconds after the tests' beginning.
fn at(millis: u64) -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + Duration::from_millis(millis)
}

fn user(id: u8) -> User {
    User {
        id: UserId::parse(&format!("u_{id}")).unwrap(),
        name: UserName::parse(&format!("사람 {id}")).unwrap(),
        guest: false,
    }
}

fn session(id: u8) -> SessionId {
    SessionId::from(u128::from(id))
}

/// User `id`, of whom session `except` need not be told.
fn change(id: u8, on: bool, except: u8) -> TypingChange {
    TypingChange {
        user: user(id),
        on,
        except: session(except),
    }
}

#[test]
fn who_types_is_told_at_once_and_again_only_for_those_who_came_meanwhile() {
    let mut room = Typing::default();
    assert_eq!(
        room.on(session(1), &user(1), at(0)),
        Some(change(1, true, 1))
    );
    for millis in (100..3_000).step_by(100) {
        assert_eq!(room.on(session(1), &user(1), at(millis)), None, "{millis}");
    }
    assert_eq!(
        room.on(session(1), &user(1), at(3_000)),
        Some(change(1, true, 1))
    );
    assert_eq!(room.on(session(1), &user(1), at(5_999)), None);
    assert_eq!(room.off(session(1)), Some(change(1, false, 1)));
    assert_eq!(room.off(session(1)), None);
}

#[test]
fn it_expires_six_seconds_after_it_was_said_last() {
    let mut room = Typing::default();
    room.on(session(1), &user(1), at(0));
    room.on(session(1), &user(1), at(2_500));
    room.on(session(2), &user(2), at(2_600));
    assert_eq!(room.next_due(), Some(at(8_500)));
    assert_eq!(room.tick(at(8_499)), []);
    assert_eq!(room.tick(at(8_500)), [change(1, false, 1)]);
    assert_eq!(room.next_due(), Some(at(8_600)));
    assert_eq!(room.tick(at(9_000)), [change(2, false, 2)]);
    assert!(room.is_empty());
    assert_eq!(room.next_due(), None);
}

#[test]
fn who_turns_it_on_and_off_is_told_of_once_a_second() {
    let mut room = Typing::default();
    let mut told = Vec::new();
    for millis in 0..10_000 {
        told.extend(room.on(session(1), &user(1), at(millis)));
        told.extend(room.off(session(1)));
        told.extend(room.on(session(1), &user(1), at(millis)));
        told.extend(room.tick(at(millis)));
    }
    // Never the same twice, and an `on` each second.
    assert!(told.windows(2).all(|two| two[0].on != two[1].on));
    assert_eq!(told.iter().filter(|change| change.on).count(), 10);
    assert_eq!(room.typists.len(), 1);
}

#[test]
fn what_is_held_back_is_told_if_it_still_holds() {
    let mut room = Typing::default();
    room.on(session(1), &user(1), at(0));
    room.off(session(1));
    assert_eq!(room.on(session(1), &user(1), at(500)), None);
    assert_eq!(room.next_due(), Some(at(1_000)));
    assert_eq!(room.tick(at(1_000)), [change(1, true, 1)]);
    // From when it was said, not from when it was told.
    assert_eq!(room.next_due(), Some(at(6_500)));
    room.off(session(1));

    assert_eq!(room.on(session(1), &user(1), at(1_500)), None);
    assert_eq!(room.off(session(1)), None);
    assert_eq!(room.tick(at(2_000)), []);
    assert!(room.is_empty());

    // A clock that comes much too late tells nothing that is over.
    room.on(session(1), &user(1), at(3_000));
    room.off(session(1));
    room.on(session(1), &user(1), at(3_100));
    assert_eq!(room.tick(at(20_000)), []);
    assert!(room.is_empty());
}

#[test]
fn of_two_sessions_of_a_user_the_one_that_typed_last_counts() {
    let mut room = Typing::default();
    room.on(session(1), &user(1), at(0));
    assert_eq!(room.on(session(2), &user(1), at(1_000)), None);
    assert_eq!(room.off(session(1)), None);
    assert_eq!(room.off(session(2)), Some(change(1, false, 2)));
}

#[test]
fn nobody_is_remembered_for_long() {
    let mut room = Typing::default();
    for id in 0..100 {
        room.on(session(id), &user(id), at(0));
        assert_eq!(room.off(session(id)), Some(change(id, false, id)));
    }
    assert_eq!(room.next_due(), Some(at(1_000)));
    assert_eq!(room.tick(at(1_000)), []);
    assert!(room.is_empty());
    assert_eq!(room.off(session(7)), None);
}
