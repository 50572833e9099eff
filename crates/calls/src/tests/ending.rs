//! How a call ends, and what when its end cannot be stored.

use super::cafe::{Cafe, GRACE, MILLI, SECOND, again, id, once, resume};
use crate::{NotHeld, WorkerId};

#[test]
fn a_call_is_answered_once() {
    let mut cafe = Cafe::with_worker(once(2));
    cafe.call();
    cafe.call();
    cafe.effects();
    assert_eq!(cafe.respond(2, 1), Err(NotHeld::NoSuchCall));
    assert_eq!(cafe.respond(1, 9), Err(NotHeld::NoSuchCall));
    assert_eq!(cafe.respond(1, 1), Ok(()));
    assert_eq!(cafe.respond(1, 1), Err(NotHeld::Ending));
    assert_eq!(cafe.respond(2, 1), Err(NotHeld::NoSuchCall));
    assert_eq!(cafe.effects(), ["answer 1: done"]);
    cafe.answered(1, true);
    assert!(cafe.effects().is_empty(), "who answers is not told to stop");
    assert_eq!(cafe.respond(1, 1), Err(NotHeld::NoSuchCall));
    cafe.answered(1, true);
    cafe.answered(2, true);
    assert_eq!(cafe.respond(1, 2), Ok(()), "it has not ended");
    cafe.answered(2, true);
    cafe.close();
}

#[test]
fn an_answer_that_cannot_be_stored_is_wanted_still() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.respond(1, 1).unwrap();
    cafe.effects();
    cafe.answered(1, false);
    assert!(cafe.effects().is_empty(), "the place is taken still");
    assert_eq!(cafe.calls.held(WorkerId(1), id(1)), Ok(()));
    cafe.finish(1, 1);
    assert_eq!(cafe.effects(), ["answer 1: done", "hand 2 to u_kim"]);
    cafe.close();
}

#[test]
fn a_cancelled_call_is_taken_from_its_worker_when_that_is_stored() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.effects();
    assert!(cafe.cancel(1));
    assert!(!cafe.cancel(1));
    assert_eq!(cafe.effects(), ["answer 1: cancelled"]);
    assert_eq!(cafe.respond(1, 1), Err(NotHeld::Ending));
    assert_eq!(cafe.calls.held(WorkerId(1), id(1)), Err(NotHeld::Ending));
    cafe.answered(1, true);
    assert_eq!(cafe.effects(), ["cancelled 1 at 1"]);
    assert_eq!(cafe.respond(1, 1), Err(NotHeld::NoSuchCall));
    assert!(!cafe.cancel(1));
    cafe.call();
    assert_eq!(cafe.effects(), ["request 2 to 1"], "its place is free");
    cafe.close();
}

#[test]
fn a_cancel_that_cannot_be_stored_changes_nothing() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.cancel(1);
    cafe.cancel(2);
    cafe.effects();
    cafe.answered(1, false);
    cafe.answered(2, false);
    assert!(cafe.effects().is_empty());
    cafe.finish(1, 1);
    assert_eq!(cafe.effects(), ["answer 1: done", "hand 2 to u_kim"]);
    assert!(cafe.cancel(2), "it can be tried again");
    cafe.close();
}

#[test]
fn a_call_ends_in_its_time_also_when_its_cancel_could_not_be_stored() {
    let mut cafe = Cafe::with_worker(again(1));
    cafe.call();
    cafe.call();
    cafe.after(cafe.timeout - MILLI);
    cafe.cancel(2);
    cafe.effects();
    cafe.answered(2, false);
    cafe.after(MILLI);
    assert_eq!(cafe.effects(), ["answer 1: timeout", "answer 2: timeout"]);
    cafe.close();
}

#[test]
fn what_is_answered_is_not_cancelled() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.respond(1, 1).unwrap();
    assert!(!cafe.cancel(1));
    cafe.answered(1, true);
    assert!(!cafe.cancel(1));
    cafe.close();
}

#[test]
fn a_call_can_be_cancelled_wherever_it_is_but_on_its_way_in() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    assert!(!cafe.cancel(1));
    cafe.accepted(1, true);
    let waiting = cafe.call();
    assert!(cafe.cancel(waiting));
    cafe.answered(waiting, true);
    cafe.effects();
    cafe.leave(1);
    assert!(cafe.cancel(1), "lost");
    cafe.answered(1, true);
    assert_eq!(cafe.effects(), ["answer 1: cancelled"]);
    cafe.after(GRACE * 2);
    assert!(cafe.effects().is_empty());
    cafe.close();
}

#[test]
fn a_call_that_ends_on_its_way_to_a_worker_never_gets_there() {
    // The disk tells of the end before or after.
    for end_first in [true, false] {
        let mut cafe = Cafe::with_worker(once(1));
        cafe.call();
        cafe.call();
        cafe.call();
        cafe.finish(1, 1);
        cafe.effects();
        assert!(cafe.cancel(2));
        if end_first {
            cafe.answered(2, true);
            let effects = ["answer 2: cancelled", "hand 3 to u_kim"];
            assert_eq!(cafe.effects(), effects, "the place is free");
            cafe.handed(2, true);
            cafe.handed(3, true);
            assert_eq!(cafe.effects(), ["request 3 to 1"]);
        } else {
            cafe.handed(2, true);
            let effects = ["answer 2: cancelled", "hand 3 to u_kim"];
            assert_eq!(cafe.effects(), effects, "the place is free");
            cafe.answered(2, true);
            assert!(cafe.effects().is_empty());
        }
        cafe.close();
    }
}

#[test]
fn a_call_whose_end_on_its_way_to_a_worker_is_not_stored_gets_there() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.finish(1, 1);
    cafe.cancel(2);
    cafe.handed(2, true);
    cafe.effects();
    cafe.answered(2, false);
    // To whom is stored already.
    assert_eq!(cafe.effects(), ["request 2 to 1"]);
    cafe.close();

    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.finish(1, 1);
    cafe.cancel(2);
    cafe.effects();
    cafe.answered(2, false);
    cafe.handed(2, true);
    assert_eq!(cafe.effects(), ["request 2 to 1"]);
    cafe.close();
}

#[test]
fn a_call_has_its_time_and_no_more() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.effects();
    cafe.after(cafe.timeout - MILLI);
    assert!(cafe.effects().is_empty());
    cafe.after(MILLI);
    assert_eq!(cafe.effects(), ["answer 1: timeout", "answer 2: timeout"]);
    cafe.answered(1, true);
    assert_eq!(cafe.effects(), ["cancelled 1 at 1"]);
    cafe.answered(2, true);
    assert!(cafe.effects().is_empty());
    cafe.close();
}

#[test]
fn a_timeout_that_cannot_be_stored_is_tried_again_every_second() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.after(cafe.timeout);
    cafe.effects();
    for _ in 0..3 {
        cafe.answered(1, false);
        cafe.answered(2, false);
        cafe.after(SECOND - MILLI);
        assert!(cafe.effects().is_empty());
        cafe.after(MILLI);
        assert_eq!(cafe.effects(), ["answer 1: timeout", "answer 2: timeout"]);
    }
    // In between the worker may still answer.
    cafe.answered(1, false);
    cafe.finish(1, 1);
    assert_eq!(cafe.effects(), ["answer 1: done"]);
    cafe.answered(2, false);
    assert!(
        cafe.effects().is_empty(),
        "nobody is asked what is over its time"
    );
    cafe.close();
}

#[test]
fn a_call_that_is_stored_when_its_time_is_over_is_asked_of_nobody() {
    let mut cafe = Cafe::with_worker(again(1));
    cafe.timeout = MILLI;
    cafe.ask();
    cafe.ask();
    cafe.after(SECOND / 2);
    assert!(cafe.effects().is_empty(), "it may not exist");
    cafe.accepted(1, true);
    cafe.accepted(2, true);
    assert_eq!(cafe.effects(), ["answer 1: timeout", "answer 2: timeout"]);
    cafe.timeout = SECOND;
    cafe.call();
    assert_eq!(cafe.effects(), ["request 3 to 1"], "its place is free");
    cafe.close();
}

#[test]
fn a_call_on_its_way_to_a_worker_has_its_time() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.after(SECOND);
    cafe.finish(1, 1);
    cafe.effects();
    cafe.after(cafe.timeout);
    assert_eq!(cafe.effects(), ["answer 2: timeout"]);
    cafe.answered(2, false);
    cafe.handed(2, true);
    assert!(cafe.effects().is_empty(), "it is too late");
    cafe.after(SECOND);
    assert_eq!(cafe.effects(), ["answer 2: timeout"]);
    cafe.close();
}

#[test]
fn a_worker_that_leaves_behind_its_answer_has_answered() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.respond(1, 1).unwrap();
    cafe.leave(1);
    assert!(cafe.serve(2, "kim", resume(once(1), &[1])).is_empty());
    cafe.effects();
    cafe.answered(1, true);
    assert!(cafe.effects().is_empty());
    cafe.after(GRACE);
    assert!(cafe.effects().is_empty());
    cafe.close();
}

#[test]
fn a_worker_that_leaves_behind_an_answer_that_is_not_stored_is_lost_with_it() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.respond(1, 1).unwrap();
    cafe.leave(1);
    cafe.answered(1, false);
    cafe.effects();
    cafe.after(GRACE);
    assert_eq!(cafe.effects(), ["answer 1: unavailable"]);
    cafe.close();

    let mut cafe = Cafe::with_worker(again(1));
    cafe.serve(2, "park", again(1));
    cafe.call();
    let first = if cafe.respond(1, 1).is_ok() { 1 } else { 2 };
    if first == 2 {
        cafe.respond(2, 1).unwrap();
    }
    cafe.leave(first);
    cafe.effects();
    cafe.answered(1, false);
    assert_eq!(
        cafe.effects(),
        [format!("request 1 to {} again", 3 - first)]
    );
    cafe.close();
}

#[test]
fn who_has_gone_is_not_told_to_stop() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.cancel(1);
    cafe.leave(1);
    cafe.effects();
    cafe.answered(1, true);
    assert!(cafe.effects().is_empty());
    cafe.close();
}
