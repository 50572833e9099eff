use super::*;
use crate::testing::*;
use crate::{Outcome, Write, check};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Sweeps to the end, and tells in how many steps.
fn sweep(fixture: &mut Fixture, retention: &Retention, millis: i64) -> usize {
    let mut steps = 1;
    while fixture.store.sweep(retention, at(millis)).unwrap() == Swept::More {
        steps += 1;
    }
    let database = fixture.folder.path().join("madang.db");
    assert_eq!(check(&database).unwrap().findings, Vec::<String>::new());
    steps
}

fn keep(keep: Keep) -> Retention {
    Retention {
        open: keep,
        ..Retention::default()
    }
}

/// Fills 마당 with as many messages, one a second.
fn fill(fixture: &mut Fixture, count: i64) {
    let batch: Vec<Write> = (1..=count)
        .map(|number| say("마당", &number.to_string(), number * 1000))
        .collect();
    for part in batch.chunks(256) {
        fixture.commit(part);
    }
}

fn numbers(fixture: &Fixture) -> (Seq, Seq, usize) {
    let head = fixture.readers.room_head(&room("마당")).unwrap().unwrap();
    (head.first, head.head, fixture.log("마당").len())
}

#[test]
fn by_default_everything_is_kept() {
    let mut fixture = Fixture::with_room();
    fill(&mut fixture, 10);
    sweep(&mut fixture, &Retention::default(), 10_000 * DAY);
    assert_eq!(numbers(&fixture), (1, 10, 10));
}

#[test]
fn the_newest_events_are_kept_by_number() {
    let mut fixture = Fixture::with_room();
    fill(&mut fixture, 1000);
    let retention = keep(Keep {
        events: Some(30),
        ..Keep::default()
    });
    assert!(
        sweep(&mut fixture, &retention, 0) > 4,
        "it takes small steps"
    );
    assert_eq!(numbers(&fixture), (971, 1000, 30));
    sweep(&mut fixture, &retention, 0);
    assert_eq!(numbers(&fixture), (971, 1000, 30));
}

#[test]
fn events_are_kept_by_age() {
    let mut fixture = Fixture::with_room();
    fill(&mut fixture, 500);
    let retention = keep(Keep {
        age: Some(Duration::from_secs(100)),
        ..Keep::default()
    });
    sweep(&mut fixture, &retention, 500_000);
    // The one that is exactly as old is kept.
    assert_eq!(numbers(&fixture), (400, 500, 101));
    sweep(&mut fixture, &retention, 10_000_000);
    assert_eq!(numbers(&fixture), (501, 500, 0));
}

#[test]
fn events_are_kept_by_their_bytes_as_they_come_and_go() {
    let mut fixture = Fixture::with_room();
    let text = "가".repeat(248);
    let thousand =
        |text: &str| -> Vec<Write> { (0..1000).map(|_| say("마당", text, 1)).collect() };
    let retention = keep(Keep {
        bytes: Some(100_000),
        ..Keep::default()
    });
    for round in 1..=3 {
        // 744 bytes of text and 256: a hundred of them fit.
        fixture.commit(&thousand(&text));
        sweep(&mut fixture, &retention, 0);
        let last = round * 1000;
        assert_eq!(numbers(&fixture), (last - 99, last, 100));
    }
    let mut fixture = fixture.restart(1);
    fixture.commit(&[say("마당", &"x".repeat(1744), 2)]);
    sweep(&mut fixture, &retention, 0);
    assert_eq!(numbers(&fixture), (2903, 3001, 99));
}

#[test]
fn the_strictest_limit_holds() {
    let mut fixture = Fixture::with_room();
    fill(&mut fixture, 100);
    let retention = keep(Keep {
        age: Some(Duration::from_secs(50)),
        events: Some(70),
        bytes: Some(20 * 1024 * 1024),
    });
    sweep(&mut fixture, &retention, 100_000);
    assert_eq!(numbers(&fixture), (50, 100, 51));
}

#[test]
fn numbers_are_never_given_again_whatever_happens_after() {
    let mut fixture = Fixture::with_room();
    fill(&mut fixture, 20);
    let retention = keep(Keep {
        events: Some(0),
        ..Keep::default()
    });
    sweep(&mut fixture, &retention, 0);
    assert_eq!(numbers(&fixture), (21, 20, 0));
    let head = head(fixture.commit_one(subscribe(1, "마당", 1)));
    assert_eq!((head.first, head.head), (21, 20));
    let mut fixture = fixture.lose(2);
    assert_eq!(seq(&fixture.commit_one(say("마당", "next", 3))), 21);
    let mut fixture = fixture.restart(4);
    sweep(&mut fixture, &retention, 5);
    assert_eq!(seq(&fixture.commit_one(say("마당", "next", 6))), 22);
}

#[test]
fn a_key_stands_for_a_message_that_is_not_kept_any_more() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(say_once("마당", "k", "a", 1));
    let retention = keep(Keep {
        events: Some(0),
        ..Keep::default()
    });
    sweep(&mut fixture, &retention, 2);
    let again = fixture.commit_one(say_once("마당", "k", "a", 3));
    assert_eq!(again, Outcome::Duplicate { seq: 1, at: at(1) });
}

#[test]
fn keys_go_when_they_are_free_again_and_no_sooner() {
    let mut fixture = Fixture::with_room();
    let batch: Vec<Write> = (0..3000)
        .map(|number| say_once("마당", &format!("k{number}"), "a", number / 1500))
        .collect();
    fixture.commit(&batch);
    let keys = "SELECT count(*) FROM message_keys";
    sweep(&mut fixture, &Retention::default(), DAY);
    assert_eq!(fixture.number(keys), Some(3000));
    sweep(&mut fixture, &Retention::default(), DAY + 1);
    assert_eq!(fixture.number(keys), Some(1500));
    sweep(&mut fixture, &Retention::default(), DAY + 2);
    assert_eq!(fixture.number(keys), Some(0));
}

#[test]
fn closed_sessions_go_after_their_time_with_what_they_were_subscribed_to() {
    let mut fixture = Fixture::new();
    // Sessions of old have old ids.
    let id = |number: i64| SessionId::new(at(number), 0);
    let mut batch = Vec::new();
    for number in 0..600 {
        let Write::OpenSession { user, address, .. } = arrive(1, 1, 0) else {
            unreachable!()
        };
        let (session, at) = (id(number), at(number));
        let subscribe = |name: &str| Write::Subscribe {
            session,
            room: room(name),
            create: true,
            at,
        };
        batch.extend([
            Write::OpenSession {
                session,
                user,
                new_guest: None,
                address,
                user_agent: None,
                at,
            },
            subscribe("마당"),
            subscribe("lobby"),
        ]);
        // One of them stays.
        if number != 7 {
            let reason = "it ended".to_owned();
            batch.extend([Write::CloseSession {
                session,
                at,
                code: 1000,
                reason,
            }]);
        }
    }
    fixture.commit(&batch);
    let retention = Retention {
        sessions: Some(Duration::from_millis(DAY as u64)),
        ..Retention::default()
    };
    let counts = |fixture: &Fixture| {
        let count = |table| fixture.number(&format!("SELECT count(*) FROM {table}"));
        (count("sessions"), count("subscriptions"))
    };
    sweep(&mut fixture, &retention, DAY);
    assert_eq!(counts(&fixture), (Some(600), Some(1200)));
    sweep(&mut fixture, &retention, DAY + 500);
    assert_eq!(counts(&fixture), (Some(101), Some(202)));
    let oldest = fixture.text("SELECT min(id) FROM sessions");
    assert_eq!(oldest, Some(id(7).to_string()), "it is open");
}

#[test]
fn a_guest_who_was_long_away_comes_back_as_another() {
    let mut fixture = Fixture::new();
    fixture.commit(&[arrive(1, 1, 0), arrive(2, 2, 0), arrive(3, 3, 0)]);
    fixture.commit(&[depart(1, 1), depart(2, DAY)]);
    let retention = Retention {
        guests: Some(Duration::from_millis(DAY as u64)),
        ..Retention::default()
    };
    sweep(&mut fixture, &retention, DAY + 2);
    let known = [1, 2, 3].map(|id| {
        let token = crate::TokenHash::of(&format!("token {id}"));
        fixture.readers.user_by_token(&token).unwrap().is_some()
    });
    // The first was away too long; the second was not; the third is here.
    assert_eq!(known, [false, true, true]);
}

#[test]
fn answered_calls_go_after_their_time_and_no_sooner() {
    let mut fixture = Fixture::new();
    let asked: Vec<Write> = (0..1000)
        .map(|number| accept(keyed(call(number, "order", "1"), &number.to_string())))
        .collect();
    fixture.commit(&asked);
    let answers: Vec<Write> = (0..1000)
        .filter(|number| number % 10 > 0)
        .map(|number| answer(number, Ok("1"), 1000 + number as i64))
        .collect();
    fixture.commit(&answers);
    let open = |fixture: &Fixture| {
        let open = fixture.readers.open_calls().unwrap();
        open.into_iter()
            .map(|open| open.call.id)
            .collect::<Vec<_>>()
    };
    let waiting: Vec<_> = (0..1000).step_by(10).map(call_id).collect();
    let calls = "SELECT count(*) FROM calls";
    let kept = 10 * 60 * 1000;
    for (millis, left) in [(kept + 1001, 1000), (kept + 1501, 550), (kept + 1502, 549)] {
        sweep(&mut fixture, &Retention::default(), millis);
        assert_eq!(fixture.number(calls), Some(left), "{millis}");
    }
    assert!(
        sweep(&mut fixture, &Retention::default(), 10_000 * DAY) > 6,
        "it takes small steps"
    );
    assert_eq!(open(&fixture), waiting, "what is open stays");
    assert_eq!(fixture.number(calls), Some(100));
    // Its key goes with a call.
    let again = accept(keyed(call(5000, "order", "2"), "1"));
    assert_eq!(fixture.commit_one(again), Outcome::Done);
}

#[test]
fn calls_that_wait_for_long_hold_up_no_sweep() {
    let mut fixture = Fixture::new();
    let asked: Vec<Write> = (0..3 * LOOKS as u64 / 2)
        .map(|number| accept(call(number, "order", "1")))
        .collect();
    fixture.commit(&asked);
    let answers: Vec<Write> = (LOOKS as u64 + 1..)
        .take(2 * ROWS)
        .map(|number| answer(number, Ok("1"), 5000))
        .collect();
    fixture.commit(&answers);
    let left = asked.len() - answers.len();
    // One for each kind of what is kept, then the open ones at the front, then those behind.
    let steps = sweep(&mut fixture, &Retention::default(), DAY);
    assert_eq!(
        fixture.number("SELECT count(*) FROM calls"),
        Some(left as i64)
    );
    assert!(steps <= 9, "{steps}");
}

#[test]
fn a_step_that_fails_leaves_all_as_it_was() {
    let mut fixture = Fixture::with_room();
    fill(&mut fixture, 300);
    let trigger = "CREATE TEMP TRIGGER fails BEFORE DELETE ON main.events WHEN OLD.seq = 250
                   BEGIN SELECT RAISE(ABORT, 'boom'); END";
    fixture.store.connection.execute_batch(trigger).unwrap();
    let retention = keep(Keep {
        events: Some(10),
        bytes: Some(10_000),
        ..Keep::default()
    });
    let failed = (0..10).find_map(|_| fixture.store.sweep(&retention, at(1)).err());
    assert!(failed.is_some());
    assert_eq!(numbers(&fixture), (201, 300, 100));
    assert_eq!(head(fixture.commit_one(subscribe(1, "마당", 1))).first, 201);
    fixture
        .store
        .connection
        .execute_batch("DROP TRIGGER fails")
        .unwrap();
    sweep(&mut fixture, &retention, 2);
    assert_eq!(numbers(&fixture), (291, 300, 10));
}

#[test]
fn what_is_deleted_makes_the_file_smaller() {
    let mut fixture = Fixture::with_room();
    let large: Vec<Write> = (0..1000)
        .map(|_| say("마당", &"가".repeat(4000), 1))
        .collect();
    fixture.commit(&large);
    let retention = keep(Keep {
        events: Some(0),
        ..Keep::default()
    });
    sweep(&mut fixture, &retention, 2);
    let pages = |fixture: &Fixture| fixture.number("PRAGMA page_count").unwrap();
    let before = pages(&fixture);
    assert!(before > 3000);
    let mut steps = 1;
    while fixture.store.give_back().unwrap() {
        steps += 1;
    }
    assert!(
        pages(&fixture) < 400 && steps > 40,
        "{} pages left",
        pages(&fixture)
    );
    assert!(!fixture.store.give_back().unwrap());
    let database = fixture.folder.path().join("madang.db");
    assert!(check(&database).unwrap().is_sound());
}
