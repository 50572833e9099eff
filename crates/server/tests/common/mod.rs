//! The program as its users run it: a process, an address, clients.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "what a test cannot go on without, and not every test needs everything"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use client::{Client, Incoming, Options};
use disk::Disk;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server on a folder of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) scheme: String,
    pub(crate) host: String,
    folder: TempDir,
    /// What its data folder is on, where a test has it fail.
    pub(crate) disk: Option<Disk>,
}

impl Server {
    /// Starts with the defaults.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts with a configuration.
    pub(crate) fn start_with(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    /// Starts with a configuration, in a folder with what it names.
    pub(crate) fn start_in(folder: TempDir, config: &str) -> Self {
        Self::launch_in("127.0.0.1:0", folder, config, None)
    }

    /// Starts with a configuration, at an address of this machine.
    pub(crate) fn start_at(listen: &str, folder: TempDir, config: &str) -> Self {
        Self::launch_in(listen, folder, config, None)
    }

    /// Starts with a configuration, on a disk that fails as it is told.
    pub(crate) fn start_on_disk(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(&folder.path().join("data")).unwrap();
        Self::launch_in("127.0.0.1:0", folder, config, Some(disk))
    }

    fn launch_in(listen: &str, folder: TempDir, config: &str, disk: Option<Disk>) -> Self {
        fs::write(folder.path().join("madang.toml"), config).unwrap();
        let (child, scheme, host) = launch(folder.path(), listen, disk.as_ref());
        Self {
            child,
            scheme,
            host,
            folder,
            disk,
        }
    }

    pub(crate) fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same folder and port.
    pub(crate) fn restart(&mut self) {
        let disk = self.disk.as_ref();
        (self.child, self.scheme, self.host) = launch(self.folder.path(), &self.host, disk);
    }

    /// Asks it to end, with SIGTERM.
    pub(crate) fn ask_to_end(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The paths of the files that it has open.
    pub(crate) fn open_files(&self) -> Vec<String> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        // One may be closed while they are looked at.
        let paths = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        paths
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    /// The most memory that it had at a time, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak
            .unwrap()
            .trim()
            .strip_suffix(" kB")
            .unwrap()
            .parse()
            .unwrap();
        kib * 1024
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Connects a client at `path`.
    pub(crate) async fn connect(&self, path: &str) -> Talker {
        Talker::connect(&self.host, path).await
    }

    /// Connects a guest and takes its `hello`.
    pub(crate) async fn guest(&self, name: &str) -> Talker {
        let mut talker = self.connect(&format!("/ws?name={name}")).await;
        assert_eq!(talker.next().await["type"], "hello");
        talker
    }

    /// Connects a guest who is subscribed to `room`.
    pub(crate) async fn guest_in(&self, room: &str, name: &str) -> Talker {
        let mut talker = self.guest(name).await;
        talker
            .ok(json!({"type": "subscribe", "id": "in", "room": room}))
            .await;
        talker
    }

    /// One HTTP request: its status and its body.
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.http_as(method, path, body, "")
    }

    /// One HTTP request with the admin token.
    pub(crate) fn http_as_admin(&self, method: &str, path: &str) -> (u16, Value) {
        self.http_as_admin_with(method, path, "")
    }

    pub(crate) fn http_as_admin_with(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let token = fs::read_to_string(self.data().join("admin.token")).unwrap();
        self.http_as(
            method,
            path,
            body,
            &format!("Authorization: Bearer {}\r\n", token.trim()),
        )
    }

    fn http_as(&self, method: &str, path: &str, body: &str, headers: &str) -> (u16, Value) {
        let answer = self.raw(
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\
                 Content-Length: {}\r\n\r\n{body}",
                self.host,
                body.len()
            )
            .as_bytes(),
        );
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (
            status,
            serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())),
        )
    }

    /// Sends bytes and reads what comes back, until the server hangs up.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = self.socket();
        socket.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A server that refuses may reset the connection behind its answer.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.host).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with `arguments`, not yet started.
pub(crate) fn madang(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn launch(folder: &Path, listen: &str, disk: Option<&Disk>) -> (Child, String, String) {
    let mut command = madang(&["serve", "--listen", listen, "--config", "madang.toml"]);
    command
        .args(["--data", "data"])
        .current_dir(folder)
        .stdout(Stdio::piped());
    // Authorities beside which the system's do not count.
    let trusted = folder.join("trusted.pem");
    if trusted.exists() {
        command.env("SSL_CERT_FILE", trusted);
    }
    if let Some(disk) = disk {
        disk.attach(&mut command);
    }
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line.trim().rsplit(' ').next().unwrap_or_default();
    let (scheme, host) = url
        .split_once("://")
        .unwrap_or_else(|| panic!("no address in {line:?}"));
    (child, scheme.to_owned(), host.to_owned())
}

/// A text message of a client as one frame, with a key that leaves it as it is (RFC 6455 §5.3).
pub(crate) fn frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    websocket::encode_masked(websocket::Opcode::Text, text.as_bytes(), [0; 4], &mut frame);
    frame
}

/// A client that says JSON and hears JSON.
pub(crate) struct Talker(pub(crate) Client);

impl Talker {
    pub(crate) async fn connect(host: &str, path: &str) -> Self {
        let url = format!("ws://{host}{path}");
        Self(Client::connect(&url, Options::default()).await.unwrap())
    }

    pub(crate) async fn say(&mut self, command: Value) {
        self.0.send_json(&command).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        match self.hear().await {
            Incoming::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no message but {other:?}"),
        }
    }

    pub(crate) async fn hear(&mut self) -> Incoming {
        let incoming = tokio::time::timeout(PATIENCE, self.0.next()).await;
        incoming
            .expect("the server says nothing")
            .expect("the connection has ended")
            .unwrap()
    }

    /// Skips messages until one is as wanted.
    pub(crate) async fn next_where(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next().await;
            if wanted(&message) {
                return message;
            }
        }
    }

    /// The next message of this type.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        self.next_where(|message| message["type"] == kind).await
    }

    /// Says a command and gives its reply.
    pub(crate) async fn ask(&mut self, command: Value) -> Value {
        let id = command["id"].clone();
        self.say(command).await;
        self.next_where(|message| message["id"] == id).await
    }

    /// Says a command that must be done.
    pub(crate) async fn ok(&mut self, command: Value) -> Value {
        let reply = self.ask(command).await;
        assert_eq!(reply["type"], "ok", "{reply}");
        reply
    }

    /// Says a command that must be refused.
    pub(crate) async fn refused(&mut self, command: Value) -> Value {
        let reply = self.ask(command).await;
        assert_eq!(reply["type"], "error", "{reply}");
        reply
    }

    /// Waits for the end, and tells its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Incoming::Closed(close) = self.hear().await {
                return (close.code.get(), close.reason);
            }
        }
    }
}
