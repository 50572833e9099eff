//! How much may be open at a time: the last that is taken, and the first that is not.

use rooms::{ErrorCode, Serve};

use super::cafe::{Cafe, again, code, limits, once, service};
use crate::Limits;
use crate::life::CALL_BYTES;

fn cafe(limits: Limits) -> Cafe {
    let mut cafe = Cafe::with(limits);
    cafe.serve(1, "kim", again(1));
    cafe
}

#[test]
fn so_many_calls_are_open() {
    let mut cafe = cafe(Limits {
        open: 2,
        ..limits()
    });
    cafe.ask();
    cafe.ask();
    let error = cafe.try_ask("cafe", "lee", "null").unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    assert!(error.retry_after_ms.is_some());
    cafe.accepted(1, false);
    cafe.call();
    cafe.accepted(2, true);
    cafe.finish(1, 3);
    cafe.ask();
    cafe.accepted(4, true);
    cafe.effects();
    cafe.close();
}

#[test]
fn so_many_bytes_are_open() {
    let mut cafe = cafe(Limits {
        open_bytes: 2 * CALL_BYTES + 10,
        ..limits()
    });
    cafe.try_ask("cafe", "lee", "12345").unwrap();
    cafe.accepted(1, true);
    let long = cafe.try_ask("cafe", "lee", "123456");
    assert_eq!(code(long), ErrorCode::Busy);
    cafe.try_ask("cafe", "lee", "12345").unwrap();
    cafe.accepted(2, true);
    cafe.finish(1, 1);
    cafe.try_ask("cafe", "lee", "54321").unwrap();
    cafe.accepted(3, true);
    cafe.effects();
    cafe.close();
}

#[test]
fn so_many_calls_of_a_user_are_open() {
    let mut cafe = cafe(Limits {
        open_per_user: 2,
        ..limits()
    });
    cafe.call();
    cafe.call();
    assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    cafe.try_ask("cafe", "choi", "null").unwrap();
    cafe.accepted(3, true);
    cafe.finish(1, 1);
    cafe.call();
    assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    cafe.close();
}

#[test]
fn so_many_calls_of_a_service_wait() {
    let mut cafe = cafe(Limits {
        waiting: 2,
        ..limits()
    });
    // One has the place. Those that are not stored yet count as well: they come in one go.
    for _ in 0..3 {
        cafe.ask();
    }
    assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    for call in 1..=3 {
        cafe.accepted(call, true);
        assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    }
    cafe.finish(1, 1);
    cafe.ask();
    assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    cafe.accepted(4, false);
    cafe.call();
    // Another service's calls are counted apart.
    let bar = Serve {
        service: service("bar"),
        ..again(1)
    };
    cafe.serve(2, "park", bar);
    cafe.try_ask("bar", "lee", "null").unwrap();
    cafe.accepted(6, true);
    cafe.effects();
    cafe.close();
}

#[test]
fn no_more_calls_wait_for_a_place_that_is_free_but_cannot_be_given() {
    let mut cafe = Cafe::with(Limits {
        waiting: 1,
        ..limits()
    });
    cafe.serve(1, "kim", once(1));
    cafe.call();
    cafe.call();
    cafe.finish(1, 1);
    cafe.handed(2, false);
    assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    cafe.close();
}

#[test]
fn nobody_waits_where_none_may() {
    let mut cafe = cafe(Limits {
        waiting: 0,
        ..limits()
    });
    cafe.call();
    assert_eq!(code(cafe.try_ask("cafe", "lee", "null")), ErrorCode::Busy);
    cafe.finish(1, 1);
    cafe.call();
    cafe.close();
}

#[test]
fn so_many_names_are_served_by_all_and_by_each() {
    let mut cafe = Cafe::with(Limits {
        services: 3,
        services_per_worker: 2,
        ..limits()
    });
    let named = |name| Serve {
        service: service(name),
        ..once(1)
    };
    cafe.serve(1, "kim", named("a"));
    cafe.serve(1, "kim", named("b"));
    let error = cafe.try_serve(1, "kim", named("c")).unwrap_err();
    assert_eq!((error.code, error.limit), (ErrorCode::TooLong, Some(2)));
    cafe.serve(2, "park", named("c"));
    let error = cafe.try_serve(2, "park", named("d")).unwrap_err();
    assert_eq!(error.code, ErrorCode::Busy);
    // Names that are there already are no more.
    cafe.serve(1, "kim", named("b"));
    cafe.serve(2, "park", named("a"));
    // One that is given up is kept for its grace.
    assert!(
        cafe.calls
            .unserve(crate::WorkerId(1), &service("b"), cafe.now)
    );
    assert_eq!(code(cafe.try_serve(3, "park", named("d"))), ErrorCode::Busy);
    cafe.after(super::cafe::GRACE);
    cafe.serve(1, "kim", named("d"));
    cafe.effects();
    cafe.close();
}
