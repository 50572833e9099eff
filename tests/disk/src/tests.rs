use std::{env, fs::File, io::Write};

use super::*;

/// Does `steps` in the folder, in another process, through the disk; whether all went well.
fn run(disk: &Disk, steps: &str) -> bool {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "tests::another_process"])
        .env("STEPS", steps)
        .current_dir(disk.folder());
    disk.attach(&mut command).output().unwrap().status.success()
}

/// What [`run`] runs; without steps it does nothing.
#[test]
fn another_process() {
    let Ok(steps) = env::var("STEPS") else { return };
    for step in steps.split(", ") {
        let words: Vec<_> = step.split(' ').collect();
        let append = || File::options().create(true).append(true).open(words[1]);
        match words[0] {
            "write" => append().unwrap().write_all(words[2].as_bytes()).unwrap(),
            "blocks" => append().unwrap().write_all(&[b'x'; 2048]).unwrap(),
            "sync" => File::open(words[1]).unwrap().sync_all().unwrap(),
            "try" => assert!(File::open(words[1]).unwrap().sync_all().is_err()),
            "heal" => fs::remove_file(env::var_os("MADANG_DISK_FAULT").unwrap()).unwrap(),
            "rename" => fs::rename(words[1], words[2]).unwrap(),
            other => panic!("no step {other}"),
        }
    }
}

fn disk() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(&folder.path().join("data")).unwrap();
    (folder, disk)
}

fn content(disk: &Disk, name: &str) -> Option<String> {
    fs::read_to_string(disk.folder().join(name)).ok()
}

#[test]
fn what_was_synced_is_there_and_of_the_rest_a_part() {
    let mut found = [false; 3];
    for seed in 0..50 {
        let (_folder, mut disk) = disk();
        let steps = "write a synced, sync a, blocks b, sync ., write a more";
        assert!(run(&disk, steps));
        disk.cut(seed).unwrap();
        let a = content(&disk, "a").unwrap();
        assert!(a == "synced" || a == "syncedmore", "{a}");
        found[usize::from(a == "synced")] = true;
        let b = content(&disk, "b").unwrap();
        found[2] |= b.contains('\0') && b.contains('x');
    }
    assert_eq!(found, [true; 3]);
}

#[test]
fn a_name_that_was_not_synced_may_not_be_there() {
    let mut found = [false; 2];
    for seed in 0..20 {
        let (_folder, mut disk) = disk();
        assert!(run(&disk, "write new x, sync new, rename new name"));
        disk.cut(seed).unwrap();
        let text = content(&disk, "name");
        found[usize::from(text.is_some())] = true;
        assert_eq!(text.unwrap_or("x".to_owned()), "x");
    }
    assert_eq!(found, [true; 2]);
}

#[test]
fn what_a_failed_sync_has_dropped_is_written_by_no_later_one() {
    let mut found = [false; 2];
    for seed in 0..20 {
        let (_folder, mut disk) = disk();
        disk.fail(&[(Call::Sync, "a", Errno::Failed)]).unwrap();
        let steps = "write a dropped, sync ., try a, heal, write a later, sync a";
        assert!(run(&disk, steps));
        disk.cut(seed).unwrap();
        let text = content(&disk, "a").unwrap();
        let dropped = text == "\0\0\0\0\0\0\0later";
        assert!(dropped || text == "droppedlater", "{text:?}");
        found[usize::from(dropped)] = true;
    }
    assert_eq!(found, [true; 2]);
}

#[test]
fn a_disk_goes_on_from_its_last_cut() {
    let (_folder, mut disk) = disk();
    assert!(run(&disk, "write a one, sync a, sync ."));
    disk.cut(1).unwrap();
    assert!(run(&disk, "write a two, sync a"));
    disk.cut(2).unwrap();
    assert_eq!(content(&disk, "a").as_deref(), Some("onetwo"));
}

#[test]
fn calls_fail_as_they_are_told_to_and_then_no_more() {
    let (_folder, disk) = disk();
    let steps = "write a x, sync a";
    for call in [Call::Write, Call::Sync, Call::Open] {
        disk.fail(&[(call, "a", Errno::Failed)]).unwrap();
        assert!(!run(&disk, steps), "{call:?}");
        disk.fail(&[(call, "b", Errno::Failed)]).unwrap();
        assert!(run(&disk, steps), "{call:?}");
    }
    disk.fail(&[(Call::Write, "*", Errno::Full)]).unwrap();
    assert!(!run(&disk, steps));
    disk.heal().unwrap();
    assert!(run(&disk, steps));
}
