use std::fs;
use std::io::{Seek, SeekFrom, Write as _};

use super::*;
use crate::testing::*;
use crate::{Store, Write};

fn refused(folder: &Path) -> OpenError {
    Store::open(folder, at(100)).err().unwrap()
}

/// A folder with a database of many pages, closed well.
fn closed_folder() -> tempfile::TempDir {
    let mut fixture = Fixture::with_room();
    let batch: Vec<Write> = (0..500)
        .map(|_| say("마당", &"가".repeat(300), 1))
        .collect();
    fixture.commit(&batch);
    let Fixture {
        folder,
        store,
        readers,
        ..
    } = fixture;
    drop(readers);
    store.close(at(2)).unwrap();
    folder
}

fn overwrite(folder: &Path, offset: u64, bytes: &[u8]) {
    let mut file = File::options()
        .write(true)
        .open(folder.join("madang.db"))
        .unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_new_folder_is_made_with_all_above_it() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("데이터/madang");
    let (_store, _readers, recovery) = Store::open(&folder, at(0)).unwrap();
    assert_eq!(
        recovery,
        Recovery {
            lost: false,
            sessions: 0
        }
    );
    assert!(folder.join("madang.db").is_file());
}

#[test]
fn a_folder_belongs_to_one_at_a_time() {
    let fixture = Fixture::new();
    let error = refused(fixture.folder.path());
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains(&fixture.folder.path().display().to_string())
    );
    let Fixture {
        folder,
        store,
        readers,
        ..
    } = fixture;
    drop(store);
    // The readers that are left do not hold the folder.
    Store::open(folder.path(), at(1)).unwrap();
    drop(readers);
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = refused(&file.path().join("below"));
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot be written"), "{error}");
    assert!(error.to_string().contains("below"), "{error}");
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told() {
    for name in ["madang.db", "madang.lock"] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(name)).unwrap();
        let error = refused(folder.path());
        assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    let folder = closed_folder();
    let connection = Connection::open(folder.path().join("madang.db")).unwrap();
    let newer = "INSERT INTO refinery_schema_history
                 VALUES (99, 'from_the_future', '2030-01-01T00:00:00Z', '1')";
    connection.execute(newer, []).unwrap();
    drop(connection);
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Newer { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("V99__from_the_future") && text.contains("knows V"),
        "{text}"
    );
}

#[test]
fn a_schema_that_was_altered_is_refused() {
    let folder = closed_folder();
    let connection = Connection::open(folder.path().join("madang.db")).unwrap();
    connection
        .execute("UPDATE refinery_schema_history SET checksum = '1'", [])
        .unwrap();
    drop(connection);
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Migration { .. }), "{error:?}");
}

#[test]
fn a_damaged_header_is_told() {
    let folder = closed_folder();
    overwrite(folder.path(), 0, &[0xa5; 100]);
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("backup"), "{error}");
}

#[test]
fn a_damaged_page_in_the_middle_is_told() {
    let folder = closed_folder();
    let pages = fs::metadata(folder.path().join("madang.db")).unwrap().len() / 4096;
    assert!(pages > 60);
    overwrite(folder.path(), pages / 2 * 4096, &[0xa5; 4096]);
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_file_cut_short_is_told() {
    let folder = closed_folder();
    let file = File::options()
        .write(true)
        .open(folder.path().join("madang.db"))
        .unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_no_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("madang.db"), "Dear diary, ".repeat(1000)).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[test]
fn each_run_is_on_record_with_its_ending() {
    let fixture = Fixture::new().restart(10).lose(20);
    assert_eq!(
        fixture.recovery,
        Recovery {
            lost: true,
            sessions: 0
        }
    );
    let endings =
        "SELECT group_concat(coalesce(ending, 'runs')) FROM (SELECT * FROM runs ORDER BY id)";
    assert_eq!(fixture.text(endings).as_deref(), Some("stopped,lost,runs"));
    let stopped = "SELECT stopped_at FROM runs WHERE ending = 'stopped'";
    assert_eq!(fixture.number(stopped), Some(at(10).as_millis()));
}

#[test]
fn sessions_of_a_lost_run_are_closed_at_its_last_sign_of_life() {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[
        arrive(2, 2, 30),
        subscribe(2, "마당", 40),
        arrive(3, 3, 50),
        depart(3, 60),
    ]);
    fixture.commit_one(say("마당", "a", 70));
    let fixture = fixture.lose(99_000);
    assert_eq!(
        fixture.recovery,
        Recovery {
            lost: true,
            sessions: 2
        }
    );

    let all = crate::SessionFilter {
        limit: 10,
        ..crate::SessionFilter::default()
    };
    let sessions = fixture.readers.sessions(&all).unwrap();
    let closed = |at, code, reason: &str| {
        Some(crate::Closed {
            at,
            code,
            reason: reason.to_owned(),
        })
    };
    let reason = "the server stopped without closing this session";
    assert_eq!(
        sessions[0].closed,
        closed(at(60), 1001, "the page ended it")
    );
    assert_eq!(sessions[1].closed, closed(at(70), 1006, reason));
    assert_eq!(sessions[2].closed, closed(at(70), 1006, reason));
    assert_eq!(sessions[1].rooms, [room("마당")]);
    let open_now = "SELECT count(*) FROM subscriptions WHERE until_at IS NULL";
    assert_eq!(fixture.number(open_now), Some(0));
    let seen = "SELECT last_seen_at FROM users WHERE id = 'u_2'";
    assert_eq!(fixture.number(seen), Some(at(70).as_millis()));
    let stopped = "SELECT stopped_at FROM runs WHERE ending = 'lost'";
    assert_eq!(fixture.number(stopped), Some(at(70).as_millis()));
}

#[test]
fn a_call_is_a_sign_of_life() {
    let mut fixture = Fixture::with_room();
    fixture.commit_one(accept(call(50, "order", "1")));
    let fixture = fixture.lose(99_000);
    let stopped = "SELECT stopped_at FROM runs WHERE ending = 'lost'";
    assert_eq!(fixture.number(stopped), Some(at(50).as_millis()));
}

#[test]
fn sessions_still_open_at_the_end_of_a_run_end_with_it() {
    let fixture = Fixture::with_room().restart(10);
    assert_eq!(
        fixture.recovery,
        Recovery {
            lost: false,
            sessions: 0
        }
    );
    let closed = "SELECT closed_at FROM sessions WHERE close_code = 1006";
    assert_eq!(fixture.number(closed), Some(at(10).as_millis()));
}

/// `docs/operations.md`, for operators: a table of columns for each table, and queries.
const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

#[test]
fn the_documented_schema_is_the_real_one() {
    let fixture = Fixture::new();
    let columns = "
        SELECT m.name || '.' || c.name || ' ' || c.type FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'refinery_schema_history'";
    let real = fixture.readers.read(|connection| {
        let mut statement = connection.prepare(columns)?;
        let columns = statement.query_map([], |row| row.get::<_, String>(0))?;
        columns.collect::<Result<std::collections::BTreeSet<_>, _>>()
    });
    let mut documented = std::collections::BTreeSet::new();
    for section in OPERATIONS.split("\n### ").skip(1) {
        let table = section.lines().next().unwrap();
        for line in section.lines() {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            if let ["", column, kind @ ("TEXT" | "INTEGER" | "BLOB"), ..] = cells[..] {
                documented.insert(format!("{table}.{column} {kind}"));
            }
        }
    }
    assert_eq!(documented, real.unwrap());
}

#[test]
fn the_documented_queries_run() {
    let fixture = Fixture::with_room();
    let sql = OPERATIONS.split("```sql\n").nth(1).unwrap();
    let sql = sql.split("```").next().unwrap();
    let queries: Vec<_> = sql
        .split(";\n")
        .filter(|query| !query.trim().is_empty())
        .collect();
    assert_eq!(queries.len(), 4);
    for query in queries {
        let ran = fixture.readers.read(|connection| {
            let mut statement = connection.prepare(query)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        });
        assert!(ran.is_ok(), "{query}: {ran:?}");
    }
}
