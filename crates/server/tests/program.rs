//! The program: how it starts, ends, and says what is wrong.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
};

use common::{PATIENCE, Server, madang};
use futures_util::StreamExt;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

/// Runs the program to its end, which must be a failure, and gives what it said.
fn fails(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = madang(arguments).output().unwrap();
    assert_eq!(
        status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stderr).unwrap()
}

fn serve_in(folder: &Path) -> String {
    fails(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        folder.to_str().unwrap(),
    ])
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let said = fails(&[
        "--listen",
        &address,
        "--data",
        folder.path().to_str().unwrap(),
    ]);
    assert!(
        said.contains(&address) && said.contains("another program"),
        "{said}"
    );
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [config, key] = ["madang.toml", "key.pem"].map(|name| folder.path().join(name));
    let text = format!(
        "[tls]\ncertificate = \"none.pem\"\nkey = '{}'",
        key.display()
    );
    fs::write(&config, text).unwrap();
    let data = folder.path().join("data");
    let [config, data] = [&config, &data].map(|path| path.to_str().unwrap());
    let said = fails(&[
        "--listen",
        "127.0.0.1:0",
        "--config",
        config,
        "--data",
        data,
    ]);
    assert!(said.contains("TLS") && said.contains("none.pem"), "{said}");
}

#[tokio::test]
async fn with_a_certificate_the_server_speaks_https() {
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
    fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
    let config = "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"";
    let server = Server::start_in(folder, config);
    assert_eq!(server.scheme, "https");

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(&server.host).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    let url = "wss://localhost/ws?name=A";
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let hello = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap();
    let hello = hello.unwrap().unwrap().into_text().unwrap();
    assert!(hello.contains("\"hello\""), "{hello}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let said = serve_in(&file.join("data"));
    assert!(said.contains("file/data"), "{said}");
}

#[test]
fn a_data_folder_in_use_is_refused() {
    let server = Server::start();
    let said = serve_in(&server.data());
    assert!(said.contains("in use by another madang"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn what_people_said_is_readable_by_the_servers_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    server.guest_in("lobby", "A").await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data()), 0o700);
    for file in fs::read_dir(server.data()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("madang.db");
    fs::write(&database, "this is a diary\n".repeat(1000)).unwrap();
    let said = serve_in(folder.path());
    assert!(
        said.contains("madang.db") && said.contains("damaged"),
        "{said}"
    );
    assert_eq!(
        fs::read_to_string(&database).unwrap(),
        "this is a diary\n".repeat(1000)
    );
}

#[test]
fn a_configuration_that_is_wrong_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    fs::write(&file, "listen = \"127.0.0.1:0\"\n[limits]\nrooms = 3\n").unwrap();
    let said = fails(&["serve", "--config", file.to_str().unwrap()]);
    assert!(
        said.contains("wrong.toml") && said.contains("line 3"),
        "{said}"
    );
    let said = fails(&["serve", "--config", "nowhere.toml"]);
    assert!(said.contains("nowhere.toml"), "{said}");
}

#[tokio::test]
async fn a_signal_closes_sessions_with_1012_and_ends_with_success() {
    let mut server = Server::start();
    let mut talker = server.guest_in("lobby", "kang").await;
    talker
        .ok(json!({"type": "send", "id": 1, "room": "lobby", "text": "stored"}))
        .await;
    let address = format!("http://{}", server.host);
    server.ask_to_end();
    let (code, reason) = talker.closed().await;
    assert_eq!(code, 1012);
    let reason: Value = serde_json::from_str(&reason).unwrap();
    assert_eq!(reason["retry_after_ms"], 5000);
    drop(talker);
    assert!(server.wait().success());

    server.restart();
    let (_, sessions) = server.http_as_admin("GET", "/api/sessions");
    let session = &sessions["sessions"][0];
    assert_eq!(
        (&session["state"], &session["close_code"]),
        (&json!("closed"), &json!(1012))
    );
    assert_eq!(
        server.http("GET", "/api/rooms/lobby/messages", "").1["head"],
        1,
        "{address}"
    );
}

#[tokio::test]
async fn a_session_that_does_not_answer_does_not_hold_up_the_end() {
    let mut server = Server::start_with("[times]\nclose_ms = 200");
    // Held open, never read.
    let _silent = server.guest("silent").await;
    let before = std::time::Instant::now();
    server.ask_to_end();
    assert!(server.wait().success());
    assert!(before.elapsed() < PATIENCE);
}

#[tokio::test]
async fn the_terminal_chat_says_what_it_is_given_and_shows_what_is_said() {
    let server = Server::start();
    let mut shin = server.guest_in("마당", "shin").await;
    let url = format!("http://{}", server.host);
    let mut chat = madang(&["chat", &url, "마당", "--name", "강호동"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = chat.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, "여기 누구 있어요?\n".as_bytes()).unwrap();
    let event = shin.next_of("message").await;
    assert_eq!(
        (&event["text"], &event["from"]["name"]),
        (&json!("여기 누구 있어요?"), &json!("강호동"))
    );
    shin.ok(json!({"type": "send", "id": 1, "room": "마당", "text": "네! \u{1b}[2J"}))
        .await;
    std::io::Write::write_all(&mut input, "반가워요\n".as_bytes()).unwrap();
    shin.next_where(|message| message["text"] == "반가워요")
        .await;
    drop(input);
    let Output { status, stdout, .. } = chat.wait_with_output().unwrap();
    let shown = String::from_utf8(stdout).unwrap();
    assert!(status.success());
    assert!(
        shown.contains("강호동: 여기 누구 있어요?") && shown.contains("shin: 네!"),
        "{shown}"
    );
    assert!(
        !shown.contains('\u{1b}'),
        "others cannot take over the terminal: {shown:?}"
    );
}

#[test]
fn the_terminal_chat_says_why_it_cannot_talk() {
    let said = fails(&["chat", "http://127.0.0.1:1", "lobby", "--name", "A"]);
    assert!(said.contains("http://127.0.0.1:1"), "{said}");
}
