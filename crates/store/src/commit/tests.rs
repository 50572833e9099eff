use super::*;
use crate::testing::*;

const DAY: i64 = 24 * 60 * 60 * 1000;

#[test]
fn an_empty_batch_is_nothing() {
    assert_eq!(Fixture::new().commit(&[]), []);
}

#[test]
fn outcomes_come_in_the_order_of_the_writes_and_each_sees_those_before_it() {
    let mut fixture = Fixture::new();
    let outcomes = fixture.commit(&[
        say("마당", "too early", 1),
        arrive(1, 1, 2),
        subscribe(1, "마당", 3),
        say("마당", "안녕", 4),
        subscribe(1, "마당", 5),
        unsubscribe(1, "마당", 6),
        depart(1, 7),
    ]);
    assert_eq!(outcomes[0], Outcome::NoSuchRoom);
    assert_eq!(outcomes[1], Outcome::Done);
    let empty = head(outcomes[2].clone());
    assert_eq!((empty.head, empty.first), (0, 1));
    let Outcome::Appended(event) = &outcomes[3] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((event.seq, event.at, &event.from), (1, at(4), &user(1)));
    assert_eq!(
        head(outcomes[4].clone()),
        crate::RoomHead { head: 1, ..empty }
    );
    assert_eq!(outcomes[5..], [Outcome::Done, Outcome::Done]);
}

#[test]
fn a_room_is_made_only_where_that_is_asked_for() {
    let mut fixture = Fixture::with_room();
    let write = |room| Write::Subscribe {
        session: session(1),
        room,
        create: false,
        at: at(1),
    };
    assert_eq!(fixture.commit_one(write(room("else"))), Outcome::NoSuchRoom);
    assert_eq!(head(fixture.commit_one(write(room("마당")))).head, 0);
    assert_eq!(fixture.number("SELECT count(*) FROM rooms"), Some(1));
}

#[test]
fn each_room_has_its_own_numbers_without_a_hole() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(subscribe(1, "lobby", 1));
    let outcomes = fixture.commit(&[
        say("마당", "a", 2),
        say("lobby", "b", 2),
        say("마당", "c", 2),
        say("nowhere", "d", 2),
        say("마당", "e", 2),
    ]);
    assert_eq!(
        [0, 1, 2, 4].map(|at: usize| seq(&outcomes[at])),
        [1, 1, 2, 3]
    );
    assert_eq!(fixture.texts("마당"), ["a", "c", "e"]);
    assert_eq!(fixture.texts("lobby"), ["b"]);
}

#[test]
fn what_was_appended_is_what_is_read() {
    let mut fixture = Fixture::with_room();
    let json = "{ \"b\" : 1.0, \"a\":\t[\"\\u0000\", \"안녕\", 1e999], \"b\": 2 }";
    let mut both = data(json);
    both.text = Some("줄\n바꿈 👩‍👩‍👧 \u{1112}\u{1161}\u{11ab} ' \" \\ %".to_owned());
    both.reply_to = Some(1);
    let outcomes = fixture.commit(&[
        append("마당", 2, Some("열쇠-1"), both, 1),
        append("마당", 2, None, data("  7 ".trim()), 2),
    ]);
    let appended = outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Appended(event) => event,
        other => panic!("{other:?}"),
    });
    assert_eq!(fixture.log("마당"), appended.collect::<Vec<_>>());
    assert_eq!(
        fixture
            .text("SELECT data FROM events WHERE seq = 1")
            .as_deref(),
        Some(json)
    );
}

#[test]
fn time_never_goes_backwards_within_a_room() {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[say("마당", "a", 500), say("마당", "b", 100)]);
    let mut fixture = fixture.restart(0);
    fixture.commit_one(say("마당", "c", 200));
    fixture.commit_one(say("마당", "d", 600));
    let times: Vec<_> = fixture.log("마당").iter().map(|event| event.at).collect();
    assert_eq!(times, [at(500), at(500), at(500), at(600)]);
}

#[test]
fn the_same_key_is_stored_once_within_a_batch_and_after_it() {
    let mut fixture = Fixture::with_room();
    let twice = [say_once("마당", "k", "a", 1), say_once("마당", "k", "a", 2)];
    let outcomes = fixture.commit(&twice);
    assert_eq!(seq(&outcomes[0]), 1);
    let duplicate = Outcome::Duplicate { seq: 1, at: at(1) };
    assert_eq!(outcomes[1], duplicate);
    assert_eq!(fixture.commit_one(say_once("마당", "k", "a", 3)), duplicate);
    assert_eq!(seq(&fixture.commit_one(say("마당", "b", 4))), 2);
    assert_eq!(fixture.texts("마당"), ["a", "b"]);
}

#[test]
fn a_key_is_known_after_a_restart_and_after_a_loss() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(say_once("마당", "k", "a", 1));
    let duplicate = Outcome::Duplicate { seq: 1, at: at(1) };
    let mut fixture = fixture.restart(10);
    assert_eq!(
        fixture.commit_one(say_once("마당", "k", "a", 11)),
        duplicate
    );
    let mut fixture = fixture.lose(20);
    assert_eq!(
        fixture.commit_one(say_once("마당", "k", "a", 21)),
        duplicate
    );
}

#[test]
fn a_key_with_another_content_is_a_conflict() {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[subscribe(1, "lobby", 0), say("마당", "first", 1)]);
    fixture.commit_one(append("마당", 1, Some("k"), data("[1]"), 1));
    let mut answer = data("[1]");
    answer.reply_to = Some(1);
    let mut with_text = data("[1]");
    with_text.text = Some(String::new());
    for (room, content) in [
        ("마당", said("[1]")),
        ("마당", data("[1.0]")),
        ("마당", answer),
        ("마당", with_text),
        ("lobby", data("[1]")),
    ] {
        let outcome = fixture.commit_one(append(room, 1, Some("k"), content, 2));
        assert_eq!(outcome, Outcome::Conflict { seq: 2 });
    }
    assert_eq!(fixture.log("마당").len(), 2);
    assert_eq!(fixture.log("lobby").len(), 0);
}

#[test]
fn a_conflict_within_a_batch_leaves_no_hole() {
    let mut fixture = Fixture::with_room();
    let outcomes = fixture.commit(&[
        say_once("마당", "k", "a", 1),
        say_once("마당", "k", "b", 1),
        say("마당", "c", 1),
    ]);
    assert_eq!(outcomes[1], Outcome::Conflict { seq: 1 });
    assert_eq!(seq(&outcomes[2]), 2);
}

#[test]
fn two_users_may_use_one_key() {
    let mut fixture = Fixture::with_room();
    let outcomes = fixture.commit(&[
        append("마당", 1, Some("k"), said("a"), 1),
        append("마당", 2, Some("k"), said("b"), 1),
    ]);
    assert_eq!(outcomes.iter().map(seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_key_is_free_again_after_24_hours() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(say_once("마당", "k", "a", 0));
    let last = fixture.commit_one(say_once("마당", "k", "a", DAY));
    assert_eq!(last, Outcome::Duplicate { seq: 1, at: at(0) });
    assert_eq!(
        seq(&fixture.commit_one(say_once("마당", "k", "b", DAY + 1))),
        2
    );
    let again = fixture.commit_one(say_once("마당", "k", "b", DAY + 2));
    assert_eq!(
        again,
        Outcome::Duplicate {
            seq: 2,
            at: at(DAY + 1)
        }
    );
}

#[test]
fn numbers_go_on_after_a_restart_and_after_a_loss() {
    let mut fixture = Fixture::with_room();
    let before = head(fixture.commit_one(subscribe(1, "마당", 0)));
    fixture.commit(&[say("마당", "a", 1), say("마당", "b", 2)]);
    let mut fixture = fixture.restart(10);
    assert_eq!(seq(&fixture.commit_one(say("마당", "c", 11))), 3);
    let mut fixture = fixture.lose(20);
    assert_eq!(seq(&fixture.commit_one(say("마당", "d", 21))), 4);
    let after = head(fixture.commit_one(subscribe(1, "마당", 22)));
    assert_eq!(after, crate::RoomHead { head: 4, ..before });
    assert_eq!(fixture.texts("마당"), ["a", "b", "c", "d"]);
}

#[test]
fn a_room_emptied_from_below_does_not_use_its_numbers_again() {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[say("마당", "a", 1), say("마당", "b", 2)]);
    let emptied = "UPDATE rooms SET first_seq = 3; DELETE FROM events;";
    fixture.store.connection.execute_batch(emptied).unwrap();
    let mut fixture = fixture.restart(10);
    let empty = head(fixture.commit_one(subscribe(1, "마당", 11)));
    assert_eq!((empty.head, empty.first), (2, 3));
    assert_eq!(seq(&fixture.commit_one(say("마당", "c", 12))), 3);
}

#[test]
fn rooms_have_epochs_of_their_own_under_that_of_the_file() {
    let mut fixture = Fixture::with_room();
    let one = head(fixture.commit_one(subscribe(1, "마당", 1))).epoch;
    let other = head(fixture.commit_one(subscribe(1, "lobby", 1))).epoch;
    assert_ne!(one, other);
    fixture
        .store
        .connection
        .execute("UPDATE meta SET value = 'restored'", [])
        .unwrap();
    let mut fixture = fixture.restart(2);
    let restored = head(fixture.commit_one(subscribe(1, "마당", 3))).epoch;
    assert!(restored.starts_with("restored-"), "{restored}");
    assert_eq!(restored.split('-').nth(1), one.split('-').nth(1));
}

#[test]
fn a_batch_that_fails_leaves_nothing_behind() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(say("마당", "a", 1));
    let trigger = "CREATE TEMP TRIGGER fails BEFORE INSERT ON main.events WHEN NEW.text = 'boom'
                   BEGIN SELECT RAISE(ABORT, 'boom'); END";
    fixture.store.connection.execute_batch(trigger).unwrap();
    let batch = [
        arrive(2, 2, 2),
        subscribe(2, "new", 2),
        say_once("마당", "k", "b", 2),
        say("마당", "boom", 2),
    ];
    let error = fixture.store.commit(&batch).unwrap_err();
    assert!(matches!(error, CommitError::Failed(_)), "{error:?}");
    assert_eq!(fixture.texts("마당"), ["a"]);
    assert_eq!(fixture.number("SELECT count(*) FROM users"), Some(1));
    assert_eq!(fixture.number("SELECT count(*) FROM sessions"), Some(1));
    assert_eq!(fixture.commit_one(say("new", "c", 3)), Outcome::NoSuchRoom);
    assert_eq!(
        seq(&fixture.commit_one(say_once("마당", "k", "other", 3))),
        2
    );
}

#[test]
fn a_full_disk_refuses_whole_batches_until_there_is_room() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(say("마당", "before", 0));
    let pages = fixture.number("PRAGMA page_count").unwrap() + 40;
    let limit = |pages: i64| format!("PRAGMA max_page_count = {pages}");
    fixture
        .store
        .connection
        .query_one(&limit(pages), [], |_| Ok(()))
        .unwrap();

    let large = "가".repeat(4000);
    let batch: Vec<_> = (0..4).map(|_| say("마당", &large, 1)).collect();
    let mut stored = 1;
    let error = loop {
        match fixture.store.commit(&batch) {
            Ok(outcomes) => stored += outcomes.len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, CommitError::Full(_)), "{error:?}");
    assert!(stored > 4, "some batches did fit");
    assert_eq!(fixture.log("마당").len(), stored);
    assert!(fixture.store.commit(&batch).is_err());

    fixture
        .store
        .connection
        .query_one(&limit(pages * 10), [], |_| Ok(()))
        .unwrap();
    let outcomes = fixture.commit(&batch);
    assert_eq!(seq(&outcomes[0]), stored as u64 + 1);
    let numbers: Vec<_> = fixture.log("마당").iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=stored as u64 + 4).collect::<Vec<_>>());
}

#[test]
fn a_batch_is_in_the_file_when_commit_returns() {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[say("마당", "a", 1), say_once("마당", "k", "b", 2)]);
    // What a machine that stops now would leave: the files as they are.
    let copy = tempfile::tempdir().unwrap();
    for name in ["madang.db", "madang.db-wal"] {
        std::fs::copy(fixture.folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let (mut store, readers, recovery) = Store::open(copy.path(), at(10)).unwrap();
    assert_eq!(
        recovery,
        Recovery {
            lost: true,
            sessions: 1
        }
    );
    let outcomes = store
        .commit(&[say_once("마당", "k", "b", 11), say("마당", "c", 11)])
        .unwrap();
    assert_eq!(outcomes[0], Outcome::Duplicate { seq: 2, at: at(2) });
    assert_eq!(seq(&outcomes[1]), 3);
    assert_eq!(readers.room_head(&room("마당")).unwrap().unwrap().head, 3);
}

#[test]
fn closing_puts_everything_into_the_one_file() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(say("마당", "a", 1));
    let copy = tempfile::tempdir().unwrap();
    let Fixture {
        folder,
        store,
        readers,
        ..
    } = fixture;
    drop(readers);
    store.close(at(2)).unwrap();
    std::fs::copy(
        folder.path().join("madang.db"),
        copy.path().join("madang.db"),
    )
    .unwrap();
    let (_store, readers, recovery) = Store::open(copy.path(), at(3)).unwrap();
    assert_eq!(
        recovery,
        Recovery {
            lost: false,
            sessions: 0
        }
    );
    assert_eq!(readers.room_head(&room("마당")).unwrap().unwrap().head, 1);
}

#[test]
fn the_file_is_durable_at_each_commit_and_bounded_beside() {
    use rusqlite::types::Value;

    let fixture = Fixture::new();
    let setting = |name: &str| -> Value {
        let pragma = format!("PRAGMA {name}");
        fixture
            .store
            .connection
            .query_one(&pragma, [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(setting("journal_mode"), Value::from("wal".to_owned()));
    for (name, value) in [
        ("synchronous", 2_i64),
        ("foreign_keys", 1),
        ("auto_vacuum", 2),
        ("page_size", 4096),
        ("wal_autocheckpoint", 0),
        ("journal_size_limit", 67_108_864),
    ] {
        assert_eq!(setting(name), Value::from(value), "{name}");
    }
}
