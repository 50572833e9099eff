//! Peers that die without a word: no FIN, no RST, nothing.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

mod common;

use std::{
    io::{self, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use client::{Client, Options};
use common::{Server, Talker};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};

const HEARTBEAT: Duration = Duration::from_secs(2);
const CONFIG: &str =
    "[times]\nheartbeat_ms = 2000\npresence_grace_ms = 500\npresence_window_ms = 50";

fn names(users: &Value, name: &str) -> bool {
    let mut users = users.as_array().into_iter().flatten();
    users.any(|user| user["name"] == name)
}

/// Waits until the one other than `watcher` has left, and looks at what the register says of it.
async fn gone(server: &Server, watcher: &mut Talker, name: &str, since: Instant) {
    watcher
        .next_where(|message| names(&message["left"], name))
        .await;
    // Not before: a peer may be silent for two heartbeats. The last sign of it may be one old.
    assert!(since.elapsed() >= HEARTBEAT, "{:?}", since.elapsed());
    let (_, closed) = server.http_as_admin("GET", "/api/sessions?state=closed");
    let row = &closed["sessions"][0];
    assert_eq!(
        (
            &row["user"]["name"],
            &row["close_code"],
            &row["close_reason"]
        ),
        (
            &json!(name),
            &json!(4008),
            &json!("silent for two heartbeats")
        )
    );
}

/// A forwarder of one connection that can stop: it neither reads nor closes from then on.
async fn stalling(to: String) -> (String, watch::Sender<bool>) {
    async fn copy(
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut bytes = [0; 4096];
        loop {
            tokio::select! {
                count = from.read(&mut bytes) => to.write_all(&bytes[..count.unwrap()]).await.unwrap(),
                _ = stop.changed() => return std::future::pending().await,
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = TcpStream::connect(to).await.unwrap().into_split();
        tokio::join!(
            copy(from_client, to_server, stopped.clone()),
            copy(from_server, to_client, stopped)
        );
    });
    (address, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_behind_a_proxy_that_stalls_is_gone_after_two_heartbeats() {
    let server = Server::start_with(CONFIG);
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let (proxy, stop) = stalling(server.host.clone()).await;
    let url = format!("ws://{proxy}/ws/lobby?name=far");
    let mut far = Talker(Client::connect(&url, Options::default()).await.unwrap());
    far.next_of("subscribed").await;
    watcher
        .next_where(|message| names(&message["joined"], "far"))
        .await;
    // It goes on reading and answering pings: for longer than two heartbeats nothing happens to it.
    let far = tokio::spawn(async move { while far.0.next().await.is_some() {} });
    let until = Instant::now() + 4 * HEARTBEAT;
    while let Ok(message) = tokio::time::timeout_at(until.into(), watcher.next()).await {
        assert!(!names(&message["left"], "far"), "{message}");
    }
    assert!(!far.is_finished());
    let since = Instant::now();
    stop.send(true).unwrap();
    gone(&server, &mut watcher, "far", since).await;
    far.abort();
}

/// A network of its own on a cable: `HERE` is this machine's end of it.
struct Cable {
    name: String,
    near: String,
}

const HERE: &str = "10.231.77.1";
const THERE: &str = "10.231.77.2";

impl Cable {
    fn lay() -> io::Result<Self> {
        let id = std::process::id();
        let cable = Self {
            name: format!("madang-test-{id}"),
            near: format!("mdg{id}"),
        };
        let Self { name, near } = &cable;
        ip(&["netns", "add", name])?;
        ip(&[
            "link", "add", near, "type", "veth", "peer", "name", "far", "netns", name,
        ])?;
        ip(&["addr", "add", &format!("{HERE}/30"), "dev", near])?;
        ip(&["link", "set", near, "up"])?;
        ip(&[
            "-n",
            name,
            "addr",
            "add",
            &format!("{THERE}/30"),
            "dev",
            "far",
        ])?;
        ip(&["-n", name, "link", "set", "far", "up"])?;
        Ok(cable)
    }

    /// Both ends stay where they are, and nothing comes through any more.
    fn cut(&self) {
        ip(&["-n", &self.name, "link", "set", "far", "down"]).unwrap();
    }

    /// A chat in the network at the other end.
    fn chat(&self, url: &str, name: &str) -> Chat {
        let program = env!("CARGO_BIN_EXE_madang");
        let child = Command::new("ip")
            .args([
                "netns", "exec", &self.name, program, "chat", url, "lobby", "--name", name,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Chat(child.unwrap())
    }
}

/// It lives until it is dropped.
struct Chat(Child);

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // The network takes its end of the cable with it, and that one the other.
        let _ = ip(&["netns", "del", &self.name]);
        let _ = ip(&["link", "del", &self.near]);
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!(
        "ip {}: {said}",
        arguments.join(" ")
    )))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_cable_is_pulled_is_gone_after_two_heartbeats() {
    let cable = match Cable::lay() {
        Ok(cable) => cable,
        Err(error) => {
            // Past the test's own capture: whoever reads the run has to see it.
            let notice = format!(
                "NOT TESTED: a pulled cable needs a network of its own (root, CAP_NET_ADMIN, iproute2): {error}\n"
            );
            return io::stderr().write_all(notice.as_bytes()).unwrap();
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_at(&format!("{HERE}:0"), folder, CONFIG);
    let mut watcher = server.guest_in("lobby", "watcher").await;
    let _chat = cable.chat(&format!("http://{}", server.host), "far");
    watcher
        .next_where(|message| names(&message["joined"], "far"))
        .await;
    let (_, open) = server.http_as_admin("GET", "/api/sessions?state=open");
    assert_eq!(open["sessions"][0]["address"], THERE);
    let since = Instant::now();
    cable.cut();
    // What is sent to it now is never acknowledged, and harms nobody.
    let send = json!({"type": "send", "id": 1, "room": "lobby", "text": "거기 있어요?"});
    watcher.ok(send).await;
    gone(&server, &mut watcher, "far", since).await;
}
