use rusqlite::types::ToSql;

use super::sessions::{Statement, statement};
use super::*;
use crate::Write;
use crate::testing::*;

const ALL: SessionFilter = SessionFilter {
    state: None,
    user: None,
    room: None,
    address: None,
    from: None,
    to: None,
    before: None,
    limit: 100,
};

fn list(fixture: &Fixture, filter: &SessionFilter) -> Vec<SessionId> {
    fixture
        .readers
        .sessions(filter)
        .unwrap()
        .into_iter()
        .map(|row| row.session)
        .collect()
}

fn ids(ids: &[u8]) -> Vec<SessionId> {
    ids.iter().map(|id| session(*id)).collect()
}

/// Sessions 1 and 2 of user 1, 3 of user 2 and 4 of user 3; 2 is closed, 4 is in another room.
fn busy() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.commit(&[
        arrive(1, 1, 1),
        arrive(2, 1, 2),
        arrive(3, 2, 3),
        arrive(4, 3, 4),
        subscribe(1, "마당", 5),
        subscribe(2, "마당", 5),
        subscribe(3, "마당", 5),
        subscribe(3, "lobby", 6),
        subscribe(4, "lobby", 6),
        depart(2, 10),
    ]);
    fixture
}

#[test]
fn a_session_is_on_record_from_its_opening_to_its_closing() {
    let mut fixture = Fixture::new();
    fixture.commit(&[
        arrive(1, 1, 1),
        subscribe(1, "마당", 2),
        subscribe(1, "lobby", 3),
    ]);
    let mut expected = SessionRow {
        session: session(1),
        user: user(1),
        address: "203.0.113.7".to_owned(),
        user_agent: Some("시험/1.0".to_owned()),
        connected_at: at(1),
        closed: None,
        rooms: vec![room("lobby"), room("마당")],
    };
    assert_eq!(fixture.readers.sessions(&ALL).unwrap(), [expected.clone()]);

    fixture.commit(&[unsubscribe(1, "lobby", 4), depart(1, 5)]);
    let reason = "the page ended it".to_owned();
    expected.closed = Some(Closed {
        at: at(5),
        code: 1001,
        reason,
    });
    expected.rooms = vec![room("마당")];
    assert_eq!(fixture.readers.sessions(&ALL).unwrap(), [expected]);
}

#[test]
fn sessions_are_listed_newest_first_by_whatever_is_asked() {
    let fixture = busy();
    let open = SessionFilter {
        state: Some(SessionState::Open),
        ..ALL
    };
    let closed = SessionFilter {
        state: Some(SessionState::Closed),
        ..ALL
    };
    assert_eq!(list(&fixture, &ALL), ids(&[4, 3, 2, 1]));
    assert_eq!(list(&fixture, &open), ids(&[4, 3, 1]));
    assert_eq!(list(&fixture, &closed), ids(&[2]));
    let of_user = SessionFilter {
        user: Some(user(1).id),
        ..ALL
    };
    assert_eq!(list(&fixture, &of_user), ids(&[2, 1]));
    let in_room = SessionFilter {
        room: Some(room("마당")),
        ..ALL
    };
    assert_eq!(list(&fixture, &in_room), ids(&[3, 2, 1]));
    let in_room_now = SessionFilter {
        room: Some(room("마당")),
        ..open.clone()
    };
    assert_eq!(list(&fixture, &in_room_now), ids(&[3, 1]));
    let nowhere = SessionFilter {
        room: Some(room("nowhere")),
        ..ALL
    };
    assert_eq!(list(&fixture, &nowhere), ids(&[]));
    let all = SessionFilter {
        user: Some(user(1).id),
        room: Some(room("마당")),
        before: Some(session(2)),
        ..open
    };
    assert_eq!(list(&fixture, &all), ids(&[1]));
}

#[test]
fn a_list_of_sessions_is_read_page_by_page() {
    let fixture = busy();
    let first = SessionFilter { limit: 3, ..ALL };
    assert_eq!(list(&fixture, &first), ids(&[4, 3, 2]));
    let next = SessionFilter {
        before: Some(session(2)),
        ..first
    };
    assert_eq!(list(&fixture, &next), ids(&[1]));
    assert_eq!(list(&fixture, &SessionFilter { limit: 0, ..ALL }), ids(&[]));
}

#[test]
fn sessions_are_listed_by_address_and_by_time() {
    let mut fixture = Fixture::new();
    let connected = |millis| SessionId::new(at(millis), 1);
    let arrive = |millis, address: &str| Write::OpenSession {
        session: connected(millis),
        user: user(1),
        new_guest: None,
        address: address.to_owned(),
        user_agent: None,
        at: at(millis),
    };
    fixture.commit(&[
        arrive(1_000, "203.0.113.7"),
        arrive(2_000, "2001:db8::7"),
        arrive(3_000, "203.0.113.7"),
    ]);
    let by_address = SessionFilter {
        address: Some("203.0.113.7".to_owned()),
        ..ALL
    };
    assert_eq!(
        list(&fixture, &by_address),
        [connected(3_000), connected(1_000)]
    );
    let by_time = |from: Option<i64>, to: Option<i64>| {
        let filter = SessionFilter {
            from: from.map(at),
            to: to.map(at),
            ..ALL
        };
        list(&fixture, &filter)
    };
    assert_eq!(
        by_time(Some(2_000), None),
        [connected(3_000), connected(2_000)]
    );
    assert_eq!(by_time(Some(2_001), Some(3_000)), []);
    assert_eq!(by_time(None, Some(2_000)), [connected(1_000)]);
    assert_eq!(
        by_time(Some(1_000), Some(3_000)),
        [connected(2_000), connected(1_000)]
    );
    let next = SessionFilter {
        to: Some(at(9_000)),
        before: Some(connected(3_000)),
        ..by_address
    };
    assert_eq!(list(&fixture, &next), [connected(1_000)]);
}

#[test]
fn a_page_of_sessions_is_searched_and_not_scanned_whatever_is_asked() {
    let fixture = busy();
    let (user, room) = (Some(user(1).id), Some(room("마당")));
    let (open, closed) = (Some(SessionState::Open), Some(SessionState::Closed));
    let address = Some("203.0.113.7".to_owned());
    let (from, to, before) = (Some(at(0)), Some(at(9)), Some(session(3)));
    let plan = |filter: &SessionFilter| -> Vec<String> {
        let Statement { sql, values } = statement(filter);
        let values: Vec<(&str, &dyn ToSql)> = values
            .iter()
            .map(|(name, value)| (*name, value as &dyn ToSql))
            .collect();
        fixture
            .readers
            .read(|connection| {
                connection
                    .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?
                    .query_map(values.as_slice(), |row| row.get("detail"))?
                    .collect()
            })
            .unwrap()
    };
    for (filter, first) in [
        // The table in its own order, of which a page is read.
        (ALL, "SCAN sessions"),
        (
            SessionFilter {
                state: closed,
                ..ALL
            },
            "SCAN sessions",
        ),
        (
            SessionFilter { state: open, ..ALL },
            "SCAN sessions USING INDEX sessions_open",
        ),
        (
            SessionFilter { before, ..ALL },
            "SEARCH sessions USING PRIMARY KEY (id<?)",
        ),
        (
            SessionFilter {
                from,
                to,
                before,
                ..ALL
            },
            "SEARCH sessions USING PRIMARY KEY (id>? AND id<?)",
        ),
        (
            SessionFilter {
                user: user.clone(),
                before,
                ..ALL
            },
            "SEARCH sessions USING INDEX sessions_by_user (user_id=? AND id<?)",
        ),
        (
            SessionFilter {
                user,
                room: room.clone(),
                address: address.clone(),
                state: open,
                from,
                to,
                before,
                ..ALL
            },
            "SEARCH sessions USING INDEX sessions_by_user (user_id=? AND id>? AND id<?)",
        ),
        (
            SessionFilter {
                address: address.clone(),
                before,
                ..ALL
            },
            "SEARCH sessions USING INDEX sessions_by_address (address=? AND id<?)",
        ),
        (
            SessionFilter {
                address: address.clone(),
                state: closed,
                room: room.clone(),
                ..ALL
            },
            "SEARCH sessions USING INDEX sessions_by_address (address=?)",
        ),
        (
            SessionFilter {
                room: room.clone(),
                before,
                ..ALL
            },
            "SEARCH subscriptions USING INDEX subscriptions_by_room (room_id=? AND session_id<?)",
        ),
        (
            SessionFilter {
                room,
                address,
                state: open,
                before,
                ..ALL
            },
            "SEARCH subscriptions USING INDEX subscriptions_open (room_id=? AND session_id<?)",
        ),
    ] {
        let plan = plan(&filter);
        assert_eq!(plan[0], first, "{filter:?} {plan:#?}");
        let scans = plan.iter().filter(|step| step.starts_with("SCAN")).count();
        assert!(scans <= usize::from(first.starts_with("SCAN")), "{plan:#?}");
        assert!(
            !plan.iter().any(|step| step.contains("TEMP B-TREE")),
            "{filter:?} {plan:#?}"
        );
    }
}

#[test]
fn a_session_is_found_by_its_id() {
    let fixture = busy();
    let found = fixture.readers.session(session(2)).unwrap().unwrap();
    assert_eq!((found.user, found.rooms), (user(1), vec![room("마당")]));
    assert_eq!(found.closed.unwrap().code, 1001);
    assert_eq!(fixture.readers.session(session(9)).unwrap(), None);
}

#[test]
fn a_user_is_there_while_a_session_of_theirs_is_open_and_was_last_seen_when_one_opened_or_closed() {
    let mut fixture = busy();
    let seen = |fixture: &Fixture| {
        let row = fixture.readers.user(&user(1).id).unwrap().unwrap();
        assert_eq!((row.user, row.created_at), (user(1), at(1)));
        (row.sessions, row.last_seen_at)
    };
    assert_eq!(seen(&fixture), (1, at(10)));
    fixture.commit_one(depart(1, 20));
    assert_eq!(seen(&fixture), (0, at(20)));
    assert_eq!(fixture.readers.user(&user(9).id).unwrap(), None);
}

/// The users of each room who were there when the run before ended.
fn left_behind(fixture: &Fixture) -> Vec<(RoomName, Vec<(User, Timestamp)>)> {
    let grace = Duration::from_secs(10);
    let rooms = fixture.readers.left_behind(grace).unwrap();
    rooms
        .into_iter()
        .map(|left| (left.room, left.users))
        .collect()
}

#[test]
fn who_was_there_when_the_server_was_killed_is_known_at_the_next_start() {
    let mut fixture = busy();
    fixture.commit(&[
        // Two sessions are one person, from the first of them on.
        arrive(5, 2, 20),
        subscribe(5, "lobby", 20),
        unsubscribe(4, "lobby", 21),
        say("lobby", "a", 22),
    ]);
    assert_eq!(left_behind(&fixture), []);
    let fixture = fixture.lose(30);
    let expected = [
        (room("lobby"), vec![(user(2), at(6))]),
        (room("마당"), vec![(user(1), at(5)), (user(2), at(5))]),
    ];
    assert_eq!(left_behind(&fixture), expected);
    let left = fixture.readers.left_behind(Duration::ZERO).unwrap();
    assert_eq!(left[0].head.head, 1);
    // If it stops again at once, they are still on their way; but not for ever.
    let fixture = fixture.restart(40);
    assert_eq!(left_behind(&fixture), expected);
    assert_eq!(left_behind(&fixture.restart(10_023)), []);
}

#[test]
fn who_broke_off_within_the_grace_was_still_there_and_who_left_was_not() {
    let mut fixture = Fixture::new();
    let end = |id, millis, code| Write::CloseSession {
        session: session(id),
        at: at(millis),
        code,
        reason: String::new(),
    };
    for id in 1..=8 {
        fixture.commit(&[arrive(id, id, 0), subscribe(id, "마당", 0)]);
    }
    fixture.commit(&[
        end(1, 9_999, 1006),
        end(2, 10_000, 1006),
        end(3, 15_000, 4008),
        end(4, 15_000, 1001),
        end(5, 19_000, 1012),
        end(6, 19_000, 4003),
        // One who came back and then left, and one who left the room alone.
        end(7, 15_000, 1006),
        arrive(17, 7, 16_000),
        subscribe(17, "마당", 16_000),
        end(17, 17_000, 1000),
        unsubscribe(8, "마당", 18_000),
    ]);
    let fixture = fixture.restart(20_000);
    let [(_, users)] = &left_behind(&fixture)[..] else {
        panic!("one room");
    };
    let users: Vec<_> = users.iter().map(|(user, _)| user.clone()).collect();
    assert_eq!(users, [user(2), user(3), user(5)]);
}

#[test]
fn a_session_that_left_a_room_and_came_back_is_in_it_once() {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[
        subscribe(1, "마당", 1),
        unsubscribe(1, "마당", 2),
        unsubscribe(1, "마당", 2),
        subscribe(1, "마당", 2),
        unsubscribe(1, "마당", 2),
        subscribe(1, "마당", 2),
    ]);
    assert_eq!(
        fixture.readers.sessions(&ALL).unwrap()[0].rooms,
        [room("마당")]
    );
    assert_eq!(fixture.readers.rooms(None, 9).unwrap()[0].sessions, 1);
    fixture.commit_one(unsubscribe(1, "마당", 3));
    assert_eq!(fixture.readers.sessions(&ALL).unwrap()[0].rooms, []);
    assert_eq!(fixture.readers.rooms(None, 9).unwrap()[0].sessions, 0);
}

#[test]
fn what_comes_after_a_session_closed_changes_nothing() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(depart(1, 5));
    let before = fixture.readers.sessions(&ALL).unwrap();
    let late = Write::CloseSession {
        session: session(1),
        at: at(9),
        code: 1006,
        reason: "late".to_owned(),
    };
    fixture.commit(&[
        late,
        subscribe(1, "lobby", 9),
        unsubscribe(1, "마당", 9),
        arrive(1, 2, 9),
    ]);
    assert_eq!(fixture.readers.sessions(&ALL).unwrap(), before);
    assert_eq!(fixture.readers.rooms(None, 9).unwrap()[0].sessions, 0);
    // Sessions that never were are no trouble either.
    fixture.commit(&[
        depart(9, 10),
        subscribe(9, "마당", 10),
        unsubscribe(9, "nowhere", 10),
    ]);
}

#[test]
fn a_session_never_closes_before_it_opened() {
    let mut fixture = Fixture::new();
    fixture.commit(&[arrive(1, 1, 100), depart(1, 50)]);
    let closed = fixture
        .readers
        .sessions(&ALL)
        .unwrap()
        .remove(0)
        .closed
        .unwrap();
    assert_eq!(closed.at, at(100));
}

#[test]
fn rooms_are_listed_by_name_with_what_goes_on_in_them() {
    let mut fixture = busy();
    fixture.commit(&[say("마당", "a", 20), say("마당", "b", 21)]);
    let summary = |name, head, last_at, sessions| RoomSummary {
        name: room(name),
        kind: RoomKind::Open,
        created_at: if name == "마당" { at(5) } else { at(6) },
        head,
        last_at,
        sessions,
    };
    let (lobby, yard) = (
        summary("lobby", 0, None, 2),
        summary("마당", 2, Some(at(21)), 2),
    );
    assert_eq!(
        fixture.readers.rooms(None, 9).unwrap(),
        [lobby.clone(), yard.clone()]
    );
    assert_eq!(fixture.readers.rooms(None, 1).unwrap(), [lobby]);
    assert_eq!(
        fixture.readers.rooms(Some(&room("lobby")), 9).unwrap(),
        [yard]
    );
    assert_eq!(fixture.readers.rooms(Some(&room("마당")), 9).unwrap(), []);
}

#[test]
fn a_guest_comes_back_with_a_token() {
    let mut fixture = Fixture::new();
    fixture.commit_one(arrive(1, 1, 1));
    assert_eq!(
        fixture
            .readers
            .user_by_token(&TokenHash::of("token 1"))
            .unwrap(),
        Some(user(1))
    );
    assert_eq!(
        fixture
            .readers
            .user_by_token(&TokenHash::of("token 2"))
            .unwrap(),
        None
    );
}

#[test]
fn a_token_stays_with_its_first_user_and_is_stored_nowhere() {
    let mut fixture = Fixture::new();
    let mut stolen = arrive(2, 2, 2);
    if let Write::OpenSession { new_guest, .. } = &mut stolen {
        *new_guest = Some(TokenHash::of("token 1"));
    }
    fixture.commit(&[arrive(1, 1, 1), stolen]);
    assert_eq!(
        fixture
            .readers
            .user_by_token(&TokenHash::of("token 1"))
            .unwrap(),
        Some(user(1))
    );
    let file = std::fs::read(fixture.folder.path().join("madang.db-wal")).unwrap();
    assert!(!file.windows(7).any(|bytes| bytes == b"token 1"));
    assert_eq!(format!("{:?}", TokenHash::of("token 1")), "TokenHash(…)");
}

#[test]
fn a_user_is_kept_up_to_date() {
    let mut fixture = Fixture::new();
    let mut renamed = arrive(2, 1, 50);
    if let Write::OpenSession {
        user, new_guest, ..
    } = &mut renamed
    {
        user.name = rooms::UserName::parse("새 이름").unwrap();
        *new_guest = None;
    }
    fixture.commit(&[arrive(1, 1, 1), renamed, depart(1, 70), depart(2, 60)]);
    let back = fixture
        .readers
        .user_by_token(&TokenHash::of("token 1"))
        .unwrap()
        .unwrap();
    assert_eq!(back.name.as_str(), "새 이름");
    assert_eq!(
        fixture.number("SELECT last_seen_at FROM users"),
        Some(at(70).as_millis())
    );
    assert_eq!(
        fixture.number("SELECT created_at FROM users"),
        Some(at(1).as_millis())
    );
    let rows = fixture.readers.sessions(&ALL).unwrap().into_iter();
    let names: Vec<_> = rows.map(|row| row.user.name).collect();
    assert_eq!(names, [back.name, user(1).name]);
}
