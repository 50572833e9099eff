//! From the caller to the worker.

use std::time::Duration;

use rooms::ErrorCode;

use super::cafe::{Cafe, SECOND, again, code, once, service, user};
use crate::Effect;

#[test]
fn a_name_that_nobody_serves_is_no_service() {
    let mut cafe = Cafe::with_worker(once(1));
    let asked = cafe.try_ask("bar", "lee", "null");
    assert_eq!(code(asked), ErrorCode::NoSuchService);
    cafe.close();
}

#[test]
fn a_worker_is_asked_when_the_call_is_stored() {
    let mut cafe = Cafe::with_worker(once(1));
    let (call, to) = cafe.ask();
    // To whom it is handed out is stored with it.
    assert_eq!(to, Some(user("kim").id));
    assert!(cafe.effects().is_empty());
    assert_eq!(cafe.calls.caller(super::cafe::id(call)), None);
    cafe.accepted(call, true);
    assert_eq!(cafe.effects(), ["request 1 to 1"]);
    assert_eq!(
        cafe.calls.caller(super::cafe::id(call)),
        Some(&user("lee").id)
    );
    cafe.close();
}

#[test]
fn a_call_that_may_be_repeated_is_stored_with_nobody() {
    let mut cafe = Cafe::with_worker(again(1));
    assert_eq!(cafe.ask(), (1, None));
    cafe.accepted(1, true);
    assert_eq!(cafe.effects(), ["request 1 to 1"]);
    cafe.call();
    cafe.finish(1, 1);
    assert_eq!(cafe.effects(), ["answer 1: done", "request 2 to 1"]);
    cafe.close();
}

#[test]
fn a_call_that_cannot_be_stored_never_was() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    cafe.call();
    cafe.accepted(1, false);
    assert_eq!(cafe.effects(), ["hand 2 to u_kim"]);
    // It is told once, and not listened to again.
    cafe.accepted(1, true);
    assert!(cafe.effects().is_empty());
    cafe.ask();
    cafe.accepted(3, false);
    assert!(cafe.effects().is_empty());
    cafe.close();
}

#[test]
fn a_request_tells_the_time_that_is_left() {
    let mut cafe = Cafe::with_worker(again(1));
    cafe.call();
    cafe.call();
    cafe.calls.take_effects();
    cafe.after(SECOND * 20);
    cafe.finish(1, 1);
    let effects = cafe.calls.take_effects();
    let Some(Effect::Request { timeout, .. }) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!(*timeout, Duration::from_secs(40));
    cafe.close();
}

#[test]
fn each_call_goes_to_the_worker_with_the_most_places_free() {
    let mut cafe = Cafe::with_worker(once(3));
    cafe.serve(2, "park", once(2));
    for _ in 0..3 {
        cafe.call();
    }
    let asked = cafe.effects();
    assert_eq!(asked[0], "request 1 to 1");
    // Now both have two places: whoever gets the second, the other gets the third.
    assert_ne!(asked[1].ends_with('1'), asked[2].ends_with('1'));
    for _ in 0..3 {
        cafe.call();
    }
    assert_eq!(cafe.effects().len(), 2, "there are five places");
    cafe.close();
}

#[test]
fn calls_wait_in_the_order_in_which_they_were_asked() {
    let mut cafe = Cafe::with_worker(again(1));
    for _ in 0..4 {
        cafe.ask();
    }
    // The disk may tell of them in another.
    for call in [3, 1, 4, 2] {
        cafe.accepted(call, true);
    }
    for call in 1..=4 {
        assert_eq!(cafe.effects().last(), Some(&format!("request {call} to 1")));
        cafe.finish(1, call);
    }
    cafe.close();
}

#[test]
fn a_call_that_waited_is_handed_out_when_that_is_stored() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    assert_eq!(cafe.effects(), ["request 1 to 1"]);
    cafe.respond(1, 1).unwrap();
    assert_eq!(cafe.effects(), ["answer 1: done"]);
    // Until the answer is stored the place is taken: it may come to nothing.
    cafe.answered(1, true);
    assert_eq!(cafe.effects(), ["hand 2 to u_kim"]);
    cafe.handed(2, true);
    assert_eq!(cafe.effects(), ["request 2 to 1"]);
    cafe.handed(2, true);
    assert!(cafe.effects().is_empty(), "it is asked once");
    cafe.close();
}

#[test]
fn a_hand_that_cannot_be_stored_is_tried_again_a_second_later() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.call();
    cafe.call();
    cafe.finish(1, 1);
    cafe.effects();
    cafe.handed(2, false);
    assert!(cafe.effects().is_empty());
    // One that comes meanwhile does not overtake it.
    let (call, to) = cafe.ask();
    assert_eq!(to, None);
    cafe.after(SECOND);
    assert_eq!(cafe.effects(), ["hand 2 to u_kim"]);
    cafe.handed(2, true);
    cafe.accepted(call, true);
    assert_eq!(cafe.effects(), ["request 2 to 1"]);
    cafe.close();
}

#[test]
fn services_have_nothing_to_do_with_each_other() {
    let mut cafe = Cafe::with_worker(once(1));
    let bar = || rooms::Serve {
        service: service("bar"),
        ..once(1)
    };
    cafe.serve(1, "kim", bar());
    cafe.call();
    cafe.try_ask("bar", "lee", "null").unwrap();
    cafe.accepted(2, true);
    assert_eq!(cafe.effects(), ["request 1 to 1", "request 2 to 1"]);
    cafe.call();
    cafe.finish(1, 2);
    assert_eq!(
        cafe.effects(),
        ["answer 2: done"],
        "the bar's place is no café's"
    );
    cafe.close();
}

#[test]
fn a_worker_that_takes_more_gets_what_waits() {
    let mut cafe = Cafe::with_worker(again(1));
    for _ in 0..4 {
        cafe.call();
    }
    cafe.effects();
    cafe.serve(1, "kim", again(3));
    assert_eq!(cafe.effects(), ["request 2 to 1", "request 3 to 1"]);
    cafe.close();
}

#[test]
fn a_worker_that_takes_less_gets_no_more_until_it_has_less() {
    let mut cafe = Cafe::with_worker(again(2));
    cafe.call();
    cafe.call();
    // On its way when the worker says so.
    cafe.serve(1, "kim", again(3));
    cafe.ask();
    cafe.serve(1, "kim", again(1));
    cafe.accepted(3, true);
    assert_eq!(cafe.effects(), ["request 1 to 1", "request 2 to 1"]);
    cafe.finish(1, 1);
    assert_eq!(cafe.effects(), ["answer 1: done"]);
    cafe.finish(1, 2);
    assert_eq!(cafe.effects(), ["answer 2: done", "request 3 to 1"]);
    cafe.close();
}

#[test]
fn a_worker_that_will_not_be_asked_twice_is_asked_when_that_is_stored() {
    let mut cafe = Cafe::with_worker(again(1));
    // It says so while the call is on its way to the disk, as one that may be repeated.
    assert_eq!(cafe.ask(), (1, None));
    cafe.serve(1, "kim", once(1));
    cafe.accepted(1, true);
    assert_eq!(cafe.effects(), ["hand 1 to u_kim"]);
    cafe.handed(1, true);
    assert_eq!(cafe.effects(), ["request 1 to 1"]);
    cafe.close();
}

#[test]
fn a_call_that_is_stored_with_one_user_is_not_asked_of_another_before_that_is_stored() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    cafe.leave(1);
    cafe.serve(2, "park", again(1));
    cafe.accepted(1, true);
    // Else it would be lost to its worker after a restart.
    assert_eq!(cafe.effects(), ["hand 1 to u_park"]);
    cafe.handed(1, false);
    cafe.after(SECOND);
    assert_eq!(cafe.effects(), ["hand 1 to u_park"]);
    cafe.handed(1, true);
    assert_eq!(cafe.effects(), ["request 1 to 2"]);
    cafe.close();
}

#[test]
fn a_worker_of_the_user_with_whom_a_call_is_stored_is_asked_at_once() {
    let mut cafe = Cafe::with_worker(once(1));
    cafe.ask();
    cafe.leave(1);
    cafe.serve(2, "kim", once(1));
    cafe.accepted(1, true);
    assert_eq!(cafe.effects(), ["request 1 to 2"]);
    cafe.close();
}
