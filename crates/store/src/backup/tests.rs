use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::testing::*;
use crate::{Outcome, Store};

/// A folder with a database, and a backup of it in another.
fn backed_up() -> (Fixture, TempDir, PathBuf) {
    let mut fixture = Fixture::with_room();
    fixture.commit(&[say("마당", "a", 1), say("마당", "b", 2)]);
    let copies = tempfile::tempdir().unwrap();
    let file = copies.path().join("복사.db");
    backup(fixture.folder.path(), &file).unwrap();
    (fixture, copies, file)
}

#[test]
fn a_backup_is_one_moment_of_a_database_that_is_written_to() {
    let Fixture {
        folder, mut store, ..
    } = Fixture::with_room();
    let copies = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let batch = [0; 4].map(|_| say("마당", "가나다", 1));
                store.commit(&batch).unwrap();
            }
        });
        for number in 0..5 {
            let file = copies.path().join(format!("{number}.db"));
            let report = backup(folder.path(), &file).unwrap();
            assert_eq!(report.events % 4, 0, "a batch is there whole or not at all");
            assert_eq!(check(&file).unwrap(), report);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let files = fs::read_dir(copies.path()).unwrap().count();
    assert_eq!(files, 5, "nothing else is left");
}

#[test]
fn a_backup_is_its_owners_alone_and_writes_over_nothing() {
    let (fixture, copies, file) = backed_up();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let before = fs::read(&file).unwrap();
    let error = backup(fixture.folder.path(), &file).unwrap_err();
    assert!(matches!(error, FileError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    let nowhere = copies.path().join("none/file.db");
    let error = backup(fixture.folder.path(), &nowhere).unwrap_err();
    assert!(matches!(error, FileError::NotWritten { .. }), "{error}");
    let error = backup(copies.path(), &copies.path().join("x.db")).unwrap_err();
    assert!(matches!(error, FileError::Missing { .. }), "{error}");
}

#[test]
fn a_database_that_is_not_sound_makes_no_backup() {
    let fixture = Fixture::with_room();
    let other = Connection::open(fixture.folder.path().join(DATABASE)).unwrap();
    other.execute_batch("DELETE FROM meta").unwrap();
    let copies = tempfile::tempdir().unwrap();
    let error = backup(fixture.folder.path(), &copies.path().join("x.db")).unwrap_err();
    assert!(matches!(error, FileError::Unsound { .. }), "{error}");
    assert_eq!(fs::read_dir(copies.path()).unwrap().count(), 0);
}

#[test]
fn restored_is_what_was_backed_up_under_other_epochs_and_nothing_is_lost() {
    let (mut fixture, _copies, file) = backed_up();
    fixture.commit_one(say("마당", "later", 3));
    let before = fixture.readers.room_head(&room("마당")).unwrap().unwrap();
    let error = restore(&file, fixture.folder.path(), at(4)).unwrap_err();
    let in_use = matches!(error, FileError::Open(OpenError::InUse { .. }));
    assert!(in_use, "{error}");

    // As after a kill: the WAL holds what the file does not.
    let folder = tempfile::tempdir().unwrap();
    for name in [DATABASE, "madang.db-wal"] {
        let from = fixture.folder.path().join(name);
        fs::copy(from, folder.path().join(name)).unwrap();
    }
    let restored = restore(&file, folder.path(), at(5)).unwrap();
    assert_eq!(restored.report.events, 2);
    let (store, readers, _) = Store::open(folder.path(), at(6)).unwrap();
    let after = readers.room_head(&room("마당")).unwrap().unwrap();
    assert_eq!((before.head, after.head), (3, 2));
    assert_ne!(before.epoch, after.epoch);
    drop((store, readers));

    let (_store, readers, _) = Store::open(&restored.kept.unwrap(), at(7)).unwrap();
    let kept = readers.room_head(&room("마당")).unwrap().unwrap();
    assert_eq!(kept, before);
}

#[test]
fn calls_that_are_open_in_a_backup_are_not_done_again() {
    let mut fixture = Fixture::new();
    fixture.commit(&[
        accept(call(1, "order", "1")),
        accept(keyed(call(2, "order", "1"), "k")),
        hand(2, Some(7)),
        accept(call(3, "order", "1")),
        answer(3, Ok("\"☕\""), 5),
    ]);
    let copies = tempfile::tempdir().unwrap();
    let file = copies.path().join("copy.db");
    assert_eq!(backup(fixture.folder.path(), &file).unwrap().calls, 3);
    assert_eq!(fixture.readers.open_calls().unwrap().len(), 2);
    let folder = copies.path().join("new");
    restore(&file, &folder, at(9)).unwrap();
    assert!(check(&folder.join(DATABASE)).unwrap().is_sound());
    let (mut store, readers, _) = Store::open(&folder, at(10)).unwrap();
    assert_eq!(readers.open_calls().unwrap(), []);
    for number in [1, 2] {
        let row = readers.call(call_id(number), at(9)).unwrap().unwrap();
        let (answer, answered_at) = row.answer.unwrap();
        assert_eq!(answer.unwrap_err().code, "unavailable");
        assert_eq!(answered_at, at(9));
    }
    let done = readers.call(call_id(3), at(5)).unwrap().unwrap();
    assert_eq!(done.answer, Some((answered(Ok("\"☕\"")), at(5))));
    // A retry is told the same.
    let again = accept(keyed(call(4, "order", "1"), "k"));
    let outcome = store.commit(&[again]).unwrap().remove(0);
    assert_eq!(outcome, Outcome::SameCall(call_id(2)));
}

#[test]
fn the_backup_of_a_version_without_calls_is_sound_and_can_be_restored() {
    let (_fixture, copies, file) = backed_up();
    let before = "DROP TABLE calls; DELETE FROM refinery_schema_history WHERE version > 2";
    Connection::open(&file)
        .unwrap()
        .execute_batch(before)
        .unwrap();
    let report = check(&file).unwrap();
    assert!(
        report.is_sound() && report.schema.starts_with("V2"),
        "{report}"
    );
    let folder = copies.path().join("new");
    restore(&file, &folder, at(1)).unwrap();
    let (mut store, readers, _) = Store::open(&folder, at(2)).unwrap();
    store.commit(&[accept(call(1, "order", "1"))]).unwrap();
    assert_eq!(readers.open_calls().unwrap().len(), 1);
    assert_eq!(readers.room_head(&room("마당")).unwrap().unwrap().head, 2);
}

#[test]
fn a_restored_database_gives_space_back_as_the_first_one_does() {
    let (_fixture, copies, file) = backed_up();
    let folder = copies.path().join("new");
    assert_eq!(restore(&file, &folder, at(1)).unwrap().kept, None);
    Store::open(&folder, at(2)).unwrap();
    let connection = Connection::open(folder.join(DATABASE)).unwrap();
    let vacuum = connection.query_one("PRAGMA auto_vacuum", [], |row| row.get(0));
    assert_eq!(vacuum, Ok(2));
}

#[test]
fn what_is_no_sound_backup_replaces_nothing() {
    let Fixture {
        folder,
        store,
        readers,
        ..
    } = Fixture::with_room();
    drop((store, readers));
    let file = folder.path().join("backup.db");
    let error = restore(&file, folder.path(), at(1)).unwrap_err();
    assert!(matches!(error, FileError::Missing { .. }), "{error}");
    fs::write(&file, "no database ".repeat(500)).unwrap();
    let error = restore(&file, folder.path(), at(1)).unwrap_err();
    assert!(matches!(error, FileError::Unsound { .. }), "{error}");
    let (_store, readers, _) = Store::open(folder.path(), at(2)).unwrap();
    assert_eq!(readers.rooms(None, 9).unwrap().len(), 1);
}

#[test]
fn a_restore_that_was_broken_off_is_not_taken_for_an_empty_folder() {
    let (_fixture, _copies, file) = backed_up();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(&file, folder.path().join(RESTORING)).unwrap();
    let error = Store::open(folder.path(), at(1)).err().unwrap();
    assert!(matches!(error, OpenError::Unfinished { .. }), "{error}");
    restore(&file, folder.path(), at(2)).unwrap();
    Store::open(folder.path(), at(3)).unwrap();
}
