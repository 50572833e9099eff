use super::*;
use crate::testing::*;

/// The findings after `sql` was done to a file that was sound.
fn findings(sql: &str) -> Vec<String> {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[arrive(2, 2, 1), subscribe(2, "lobby", 1)]);
    fixture.commit(&[
        say("마당", "a", 1),
        say_once("마당", "k", "b", 2),
        say("마당", "c", 3),
        depart(2, 4),
    ]);
    fixture.commit(&[
        accept(call(1, "order", "[1e999, \"\\ud800\"]")),
        accept(keyed(call(2, "order", "null"), "k")),
        answer(2, Ok("[1e999, \"\\ud800\"]"), 5),
        accept(call(3, "order", "null")),
        answer(3, Err("sold_out"), 6),
    ]);
    let fixture = fixture.restart(10);
    let database = fixture.folder.path().join("madang.db");
    let other = Connection::open(&database).unwrap();
    other
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sql}"
        ))
        .unwrap();
    let report = check(&database).unwrap();
    assert_eq!((report.rooms, report.sessions, report.calls), (2, 2, 3));
    assert!(report.schema.starts_with('V'), "{}", report.schema);
    report.findings
}

#[test]
fn what_the_store_wrote_is_sound() {
    assert_eq!(findings(""), Vec::<String>::new());
}

#[test]
fn what_cannot_be_is_named() {
    for (sql, expected) in [
        (
            "DELETE FROM meta WHERE key = 'epoch'",
            "the table meta has no 'epoch'",
        ),
        (
            "DELETE FROM events WHERE seq = 2; DELETE FROM message_keys",
            "the log of room '마당' has a hole: 2 of the events 1 to 3",
        ),
        (
            "DELETE FROM events WHERE seq = 1",
            "the log of room '마당' begins with 2, and 1 is due",
        ),
        (
            "UPDATE rooms SET first_seq = 2 WHERE name = '마당'",
            "the log of room '마당' begins with 1, and 2 is due",
        ),
        (
            "UPDATE message_keys SET seq = 1",
            "the key 'k' of user u_1 stands for event 1 of room '마당'",
        ),
        (
            "UPDATE events SET key = 'k' WHERE seq = 3",
            "user u_1 has two events of the key 'k' within 24 hours",
        ),
        (
            "UPDATE sessions SET state = 'open', closed_at = NULL, run_id = 1 WHERE user_id = 'u_2'",
            "is open, and its run of the server has ended",
        ),
        (
            "UPDATE subscriptions SET until_at = NULL",
            "is closed, and still subscribed",
        ),
        (
            "UPDATE runs SET stopped_at = NULL, ending = NULL WHERE id = 1",
            "run 1 of the server has no end",
        ),
        (
            "UPDATE calls SET result = NULL WHERE result IS NOT NULL",
            "is neither open, nor answered with a result",
        ),
        (
            "UPDATE calls SET code = 'late' WHERE answered_at IS NULL",
            "is neither open, nor answered with a result",
        ),
        (
            "UPDATE calls SET answered_at = at - 1 WHERE code IS NOT NULL",
            "was answered before it was asked",
        ),
        (
            "UPDATE calls SET params = '{' WHERE key = 'k'",
            "the params of call c_",
        ),
        (
            "UPDATE calls SET result = 'null, null' WHERE key = 'k'",
            "the result of call c_",
        ),
        (
            "DELETE FROM users WHERE id = 'u_2'",
            "a row of sessions belongs to one of users",
        ),
    ] {
        let found = findings(sql);
        assert!(
            found.iter().any(|finding| finding.contains(expected)),
            "{sql}: {found:?}"
        );
    }
}

#[test]
fn a_log_whose_beginning_is_not_kept_any_more_is_sound() {
    let kept =
        "DELETE FROM events WHERE seq < 3; UPDATE rooms SET first_seq = 3 WHERE name = '마당'";
    assert_eq!(findings(kept), Vec::<String>::new());
    let emptied = "DELETE FROM events; UPDATE rooms SET first_seq = 4 WHERE name = '마당'";
    assert_eq!(findings(emptied), Vec::<String>::new());
}

#[test]
fn a_running_server_is_no_obstacle() {
    let mut fixture = Fixture::with_room();
    let database = fixture.folder.path().join("madang.db");
    assert!(check(&database).unwrap().is_sound());
    fixture.commit_one(say("마당", "a", 1));
    assert_eq!(check(&database).unwrap().events, 1);
}

#[test]
fn what_is_no_database_of_ours_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    assert!(matches!(check(&file), Err(FileError::Missing { .. })));
    std::fs::write(&file, "a diary ".repeat(1000)).unwrap();
    let found = check(&file).unwrap().findings;
    assert!(found[0].contains("not a database"), "{found:?}");
    std::fs::remove_file(&file).unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    let found = check(&file).unwrap().findings;
    assert!(found[0].contains("not one of madang"), "{found:?}");
}
