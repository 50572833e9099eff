//! Workers that go away, and come back.

use std::time::Instant;

use rooms::{ErrorCode, Serve};

use super::cafe::{Cafe, GRACE, MILLI, SECOND, again, code, once, resume, service};
use crate::{Effect, NotHeld};

/// What the caller is told at last.
fn message(cafe: &mut Cafe) -> String {
    cafe.calls.check(cafe.now);
    match cafe.calls.take_effects().pop() {
        Some(Effect::Answer {
            answer: Err(failure),
            call,
        }) => {
            cafe.calls.answered(call, true, cafe.now);
            format!("{}: {}", failure.code, failure.message)
        }
        other => panic!("{other:?}"),
    }
}

const BEFORE: &str = "unavailable: 'cafe' went away before it was asked; nothing was done.";
const WITH: &str = "unavailable: 'cafe' went away with the call; it may have been done or not.";

#[test]
fn a_call_is_lost_with_its_worker_when_the_grace_is_over() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.serve(2, "park", once(1));
    cafe.call();
    cafe.call();
    cafe.effects();
    cafe.leave(1);
    cafe.leave(2);
    // Another worker does not get them: they may be done.
    cafe.serve(3, "choi", again(9));
    cafe.after(GRACE - MILLI);
    assert!(cafe.effects().is_empty());
    cafe.after(MILLI);
    let lost = ["answer 1: unavailable", "answer 2: unavailable"];
    assert_eq!(cafe.effects(), lost);
    cafe.close();
}

#[test]
fn a_call_that_may_be_repeated_goes_to_another_worker_at_once() {
    let mut cafe = Cafe::with_worker(again(1));
    cafe.call();
    cafe.serve(2, "park", again(1));
    cafe.effects();
    cafe.leave(1);
    assert_eq!(cafe.effects(), ["request 1 to 2 again"]);
    assert_eq!(cafe.respond(1, 1), Err(NotHeld::NoSuchCall));
    // Also to one to whom it must be stored first.
    cafe.serve(3, "choi", once(1));
    cafe.leave(2);
    assert_eq!(cafe.effects(), ["hand 1 to u_choi"]);
    cafe.handed(1, true);
    assert_eq!(cafe.effects(), ["request 1 to 3 again"]);
    cafe.close();
}

#[test]
fn a_call_that_may_be_repeated_waits_for_anyone_for_the_grace() {
    let mut cafe = Cafe::with_worker(again(1));
    cafe.call();
    cafe.leave(1);
    cafe.after(GRACE - MILLI);
    cafe.effects();
    cafe.serve(2, "park", again(1));
    assert_eq!(cafe.effects(), ["request 1 to 2 again"]);
    cafe.leave(2);
    cafe.after(GRACE);
    assert_eq!(message(&mut cafe), WITH, "it was asked twice");
    cafe.close();
}

#[test]
fn a_call_that_waits_when_the_last_worker_leaves_waits_for_the_grace() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.finish(1, 1);
    cafe.handed(2, false);
    cafe.effects();
    cafe.leave(1);
    // Who asks now may hope as well.
    cafe.call();
    cafe.after(GRACE - MILLI);
    assert!(cafe.effects().is_empty());
    cafe.after(MILLI);
    assert_eq!(message(&mut cafe), BEFORE);
    let asked = cafe.try_ask("cafe", "lee", "null");
    assert_eq!(code(asked), ErrorCode::NoSuchService);
    cafe.close();
}

#[test]
fn a_call_that_is_stored_when_its_worker_has_left_waits() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    cafe.leave(1);
    cafe.accepted(1, true);
    assert!(cafe.effects().is_empty());
    cafe.serve(2, "park", once(1));
    assert_eq!(cafe.effects(), ["hand 1 to u_park"]);
    cafe.leave(2);
    cafe.handed(1, true);
    cafe.serve(3, "choi", once(1));
    assert_eq!(cafe.effects(), ["hand 1 to u_choi"]);
    cafe.handed(1, true);
    assert_eq!(
        cafe.effects(),
        ["request 1 to 3"],
        "nobody was asked before"
    );
    cafe.close();
}

#[test]
fn a_call_that_is_stored_when_its_worker_serves_no_more_waits() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    cafe.unserve(1);
    cafe.accepted(1, true);
    assert!(cafe.effects().is_empty());
    cafe.serve(1, "kim", once(1));
    assert_eq!(cafe.effects(), ["request 1 to 1"]);
    cafe.close();
}

#[test]
fn a_call_that_is_stored_when_its_service_is_long_gone_ends_at_once() {
    for stored_late in ["call", "hand"] {
        let mut cafe = Cafe::with_worker(once(1));
        cafe.ask();
        if stored_late == "hand" {
            cafe.leave(1);
            cafe.accepted(1, true);
            cafe.serve(1, "park", once(1));
        }
        cafe.leave(1);
        cafe.after(GRACE * 2);
        cafe.effects();
        cafe.accepted(1, true);
        cafe.handed(1, true);
        cafe.after(MILLI);
        assert_eq!(message(&mut cafe), BEFORE, "{stored_late}");
        cafe.close();
    }
}

#[test]
fn a_call_that_outlives_its_service_is_handed_to_the_next() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    cafe.leave(1);
    cafe.accepted(1, true);
    cafe.after(GRACE);
    assert_eq!(cafe.effects(), ["answer 1: unavailable"]);
    cafe.answered(1, false);
    cafe.serve(2, "kim", once(1));
    assert_eq!(cafe.effects(), ["request 1 to 2"]);
    cafe.close();
}

#[test]
fn an_end_that_cannot_be_stored_is_tried_again_every_second_while_its_service_is_gone() {
    let mut cafe = Cafe::with_worker(again(2));
    cafe.call();
    cafe.call();
    // One that serves no more, and has not answered all.
    cafe.serve(2, "park", again(2));
    cafe.call();
    cafe.unserve(2);
    cafe.leave(1);
    cafe.effects();
    cafe.after(GRACE);
    let ends = ["answer 1: unavailable", "answer 2: unavailable"];
    for _ in 0..3 {
        assert_eq!(cafe.effects(), ends);
        cafe.answered(1, false);
        cafe.answered(2, false);
        cafe.after(SECOND - MILLI);
        assert!(cafe.effects().is_empty());
        cafe.after(MILLI);
    }
    assert_eq!(cafe.respond(2, 3), Ok(()));
    cafe.close();
}

#[test]
fn a_user_comes_back_to_what_it_was_asked() {
    let mut cafe = Cafe::with_worker(once(2));
    cafe.call();
    cafe.call();
    cafe.leave(1);
    cafe.effects();
    cafe.after(GRACE - MILLI);
    // Of another name, another user, and what never was.
    let bar = Serve {
        service: service("bar"),
        ..resume(once(2), &[1, 2])
    };
    assert!(cafe.serve(2, "kim", bar).is_empty());
    assert!(cafe.serve(2, "park", resume(once(2), &[1, 2])).is_empty());
    assert_eq!(
        cafe.serve(3, "kim", resume(once(2), &[7, 2, 2, 1])),
        [2, 2, 1]
    );
    cafe.after(GRACE);
    assert!(cafe.effects().is_empty());
    cafe.finish(3, 1);
    cafe.finish(3, 2);
    cafe.close();
}

#[test]
fn a_user_comes_back_before_its_old_session_is_found_to_be_gone() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.effects();
    assert!(cafe.serve(2, "park", resume(once(1), &[1])).is_empty());
    cafe.leave(2);
    cafe.store_all();
    // The second goes to whoever has the place.
    assert_eq!(cafe.serve(3, "kim", resume(once(1), &[1])), [1]);
    assert_eq!(cafe.respond(1, 1), Err(NotHeld::NoSuchCall));
    assert_eq!(cafe.respond(3, 1), Ok(()));
    cafe.leave(1);
    cafe.answered(1, true);
    cafe.close();
}

#[test]
fn a_user_comes_back_to_what_may_be_repeated_and_nobody_has_begun() {
    let mut cafe = Cafe::with_worker(again(1));
    cafe.call();
    cafe.leave(1);
    cafe.effects();
    assert_eq!(cafe.serve(2, "kim", resume(again(1), &[1])), [1]);
    assert!(cafe.effects().is_empty(), "it is not asked again");
    cafe.leave(2);
    cafe.serve(3, "park", again(1));
    cafe.effects();
    assert!(cafe.serve(4, "kim", resume(again(1), &[1])).is_empty());
    cafe.finish(3, 1);
    cafe.close();
}

#[test]
fn who_has_more_than_it_takes_gets_no_more() {
    let mut cafe = Cafe::with_worker(once(2));
    for _ in 0..3 {
        cafe.call();
    }
    cafe.leave(1);
    cafe.effects();
    assert_eq!(cafe.serve(2, "kim", resume(once(1), &[1, 2])), [1, 2]);
    cafe.finish(2, 1);
    assert_eq!(cafe.effects(), ["answer 1: done"]);
    cafe.finish(2, 2);
    assert_eq!(cafe.effects(), ["answer 2: done", "hand 3 to u_kim"]);
    cafe.close();
}

#[test]
fn what_a_worker_has_is_wanted_still_when_it_says_so_again() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.effects();
    assert_eq!(cafe.serve(1, "kim", resume(once(2), &[1])), [1]);
    cafe.call();
    assert_eq!(cafe.effects(), ["request 2 to 1"], "it takes one place");
    cafe.close();
}

#[test]
fn nobody_goes_on_with_what_is_stored_with_another_user() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.serve(1, "kim", again(1));
    cafe.leave(1);
    cafe.effects();
    // It is asked, so that this is stored: after a restart it could not come back to it otherwise.
    assert!(cafe.serve(2, "park", resume(again(1), &[1])).is_empty());
    assert_eq!(cafe.effects(), ["hand 1 to u_park"]);
    cafe.close();
}

#[test]
fn nobody_goes_on_with_what_nobody_was_asked() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.serve(1, "kim", resume(once(1), &[2]));
    cafe.leave(1);
    assert!(cafe.serve(2, "kim", resume(once(1), &[2])).is_empty());
    assert_eq!(cafe.effects(), ["request 1 to 1", "hand 2 to u_kim"]);
    cafe.close();
}

#[test]
fn what_is_ending_or_on_its_way_is_not_gone_on_with() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    assert!(cafe.serve(2, "kim", resume(once(1), &[1])).is_empty());
    cafe.accepted(1, true);
    cafe.cancel(1);
    assert!(cafe.serve(2, "kim", resume(once(1), &[1])).is_empty());
    cafe.answered(1, true);
    cafe.close();
}

#[test]
fn who_serves_no_more_answers_what_it_has() {
    let mut cafe = Cafe::with_worker(once(2));
    cafe.call();
    assert!(!cafe.unserve(2));
    assert!(cafe.unserve(1));
    assert!(!cafe.unserve(1));
    let (_, to) = cafe.ask();
    assert_eq!(to, None, "it is handed out no more");
    cafe.accepted(2, true);
    assert_eq!(cafe.effects(), ["request 1 to 1"]);
    cafe.after(GRACE);
    assert_eq!(message(&mut cafe), BEFORE);
    assert_eq!(cafe.respond(1, 1), Ok(()));
    cafe.answered(1, true);
    assert!(!cafe.unserve(1), "now it is gone");
    cafe.leave(1);
    cafe.close();
}

#[test]
fn who_serves_no_more_may_change_its_mind() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.unserve(1);
    cafe.serve(1, "kim", once(2));
    cafe.call();
    assert_eq!(cafe.effects(), ["request 1 to 1", "request 2 to 1"]);
    cafe.after(GRACE);
    assert!(cafe.effects().is_empty());
    cafe.close();
}

#[test]
fn what_may_be_repeated_ends_at_once_when_its_service_is_long_gone() {
    let mut cafe = Cafe::with_worker(again(1));
    cafe.call();
    cafe.unserve(1);
    cafe.after(GRACE + SECOND);
    cafe.effects();
    cafe.leave(1);
    cafe.after(MILLI);
    assert_eq!(message(&mut cafe), WITH);
    cafe.close();
}

#[test]
fn what_is_lost_late_has_its_own_grace() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.unserve(1);
    cafe.after(GRACE - SECOND);
    cafe.leave(1);
    cafe.effects();
    cafe.after(SECOND * 2);
    assert_eq!(cafe.serve(2, "kim", resume(once(1), &[1])), [1]);
    cafe.finish(2, 1);
    cafe.close();
}

#[test]
fn who_comes_and_goes_leaves_nothing_behind() {
    let mut cafe = Cafe::with_worker(once(1));
    let mut dues = Vec::<Option<Instant>>::new();
    for _ in 0..100 {
        cafe.leave(1);
        cafe.after(MILLI);
        cafe.serve(1, "kim", once(1));
        dues.push(cafe.calls.next_due());
        cafe.unserve(1);
        cafe.after(MILLI);
        cafe.serve(1, "kim", once(1));
        dues.push(cafe.calls.next_due());
    }
    assert!(dues.iter().all(Option::is_none), "nothing is to come");
    cafe.close();
}
