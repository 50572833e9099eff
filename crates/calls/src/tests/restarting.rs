//! Calls that an earlier run of the server left open.

use rooms::ErrorCode;

use super::cafe::{Cafe, GRACE, MILLI, SECOND, again, code, limits, once, resume};
use crate::Limits;

#[test]
fn what_waited_waits_on_and_may_have_been_asked() {
    let mut cafe = Cafe::new();
    for _ in 0..3 {
        cafe.restore(None);
    }
    assert!(cafe.effects().is_empty());
    cafe.after(GRACE - MILLI);
    cafe.serve(1, "kim", again(2));
    let again = ["request 1 to 1 again", "request 2 to 1 again"];
    assert_eq!(cafe.effects(), again);
    cafe.after(GRACE);
    assert!(cafe.effects().is_empty());
    cafe.close();
}

#[test]
fn what_waited_is_unavailable_when_nobody_serves_it_for_the_grace() {
    let mut cafe = Cafe::new();
    cafe.restore(None);
    cafe.after(GRACE - MILLI);
    assert!(cafe.effects().is_empty());
    cafe.after(MILLI);
    assert_eq!(cafe.effects(), ["answer 1: unavailable"]);
    cafe.close();
}

#[test]
fn what_was_handed_out_waits_for_its_user() {
    let mut cafe = Cafe::new();
    cafe.restore(Some("kim"));
    cafe.restore(Some("kim"));
    // Others do not get it, whatever they say.
    assert!(cafe.serve(1, "park", resume(again(9), &[1, 2])).is_empty());
    assert!(cafe.serve(2, "kim", again(9)).is_empty());
    assert!(cafe.effects().is_empty());
    assert_eq!(cafe.serve(3, "kim", resume(once(9), &[2])), [2]);
    assert!(cafe.effects().is_empty(), "it has been asked");
    cafe.after(GRACE);
    assert_eq!(cafe.effects(), ["answer 1: unavailable"]);
    cafe.finish(3, 2);
    cafe.close();
}

#[test]
fn calls_are_taken_for_a_service_that_may_come_back() {
    let mut cafe = Cafe::new();
    cafe.restore(None);
    cafe.call();
    cafe.after(GRACE);
    cafe.store_all();
    let asked = cafe.try_ask("cafe", "lee", "null");
    assert_eq!(code(asked), ErrorCode::NoSuchService);
    cafe.close();
}

#[test]
fn a_deadline_is_kept() {
    let mut cafe = Cafe::new();
    cafe.timeout = SECOND;
    cafe.restore(None);
    cafe.restore(Some("kim"));
    cafe.after(SECOND);
    assert_eq!(cafe.effects(), ["answer 1: timeout", "answer 2: timeout"]);
    cafe.close();
}

#[test]
fn bounds_are_not_for_what_was_there_already() {
    let mut cafe = Cafe::with(Limits {
        open: 1,
        waiting: 1,
        services: 0,
        ..limits()
    });
    cafe.restore(None);
    cafe.restore(None);
    assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    cafe.serve(1, "kim", again(2));
    assert_eq!(cafe.effects().len(), 2);
    cafe.close();
}
