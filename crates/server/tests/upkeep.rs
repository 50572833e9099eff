//! `madang backup`, `restore` and `check`, as an operator uses them.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Output,
};

use common::{Server, madang};
use serde_json::json;

/// Runs the program to its end: its exit code and all that it said.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = madang(arguments).output().unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_restored_and_clients_are_told() {
    let mut server = Server::start();
    let data = server.data();
    let copies = tempfile::tempdir().unwrap();
    let file = copies.path().join("backup.db");
    let mut talker = server.guest("kang").await;
    let subscribe = json!({"type": "subscribe", "id": 1, "room": "lobby"});
    let epoch = talker.ok(subscribe).await["epoch"].clone();
    let say = |text: &str| json!({"type": "send", "id": 2, "room": "lobby", "text": text});
    talker.ok(say("kept")).await;

    let (code, said) = run(&["backup", text(&file), "--data", text(&data)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("rooms: 1, events: 1, sessions: 1") && said.contains("sound"),
        "{said}"
    );
    let (code, said) = run(&["backup", text(&file), "--data", text(&data)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("backup.db is there already"), "{said}");
    let (code, said) = run(&["check", text(&file)]);
    assert_eq!(code, Some(0), "{said}");

    talker.ok(say("lost with the restore")).await;
    let (code, said) = run(&["restore", text(&file), "--data", text(&data)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use by another madang"), "{said}");
    let (code, said) = run(&["check", "--data", text(&data)]);
    assert_eq!(code, Some(0), "the server runs: {said}");

    server.kill();
    let (code, said) = run(&["restore", text(&file), "--data", text(&data)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("replaced-"), "{said}");
    server.restart();
    let mut talker = server.guest("kang").await;
    let subscribe =
        json!({"type": "subscribe", "id": 1, "room": "lobby", "since": 1, "epoch": epoch});
    let reply = talker.ok(subscribe).await;
    assert_eq!(
        (&reply["head"], &reply["reset"]),
        (&json!(1), &json!(true)),
        "{reply}"
    );
    assert_ne!(reply["epoch"], epoch);
    let stored = talker.ok(say("after")).await;
    assert_eq!(stored["seq"], 2);
}

#[tokio::test]
async fn a_damaged_database_is_named_at_start_and_by_a_check() {
    let mut server = Server::start();
    let mut talker = server.guest_in("lobby", "kang").await;
    for number in 0..30 {
        let text = "가".repeat(1000);
        talker
            .ok(json!({"type": "send", "id": number, "room": "lobby", "text": text}))
            .await;
    }
    server.ask_to_end();
    assert!(server.wait().success());
    let database = server.data().join("madang.db");
    let pages = fs::metadata(&database).unwrap().len() / 4096;
    let mut file = fs::File::options().write(true).open(&database).unwrap();
    // Past the first pages, and not the last.
    file.seek(SeekFrom::Start((pages - 3) * 4096)).unwrap();
    file.write_all(&[0xa5; 4096]).unwrap();
    drop(file);

    let data = server.data();
    let (code, said) = run(&["--listen", "127.0.0.1:0", "--data", text(&data)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("madang.db is damaged"), "{said}");
    let (code, said) = run(&["check", "--data", text(&data)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("madang.db is not sound"), "{said}");
    let copy = data.join("copy.db");
    let (code, said) = run(&["backup", text(&copy), "--data", text(&data)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not sound") && !copy.exists(), "{said}");
}

#[test]
fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none");
    for arguments in [
        vec!["check", "--data", text(&none)],
        vec!["check", text(&none)],
        vec!["backup", "copy.db", "--data", text(&none)],
        vec!["restore", text(&none), "--data", text(folder.path())],
    ] {
        let (code, said) = run(&arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("there is no database") && said.contains("none"),
            "{said}"
        );
    }
    let (code, said) = run(&["restore"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(&["backup", "--help"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("the server may be running"), "{said}");
}
