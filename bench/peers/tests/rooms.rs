//! Every server of this crate: ten members of a room say ten things each, and all of them hear all of it, once and
//! in each speaker's order (but for socketioxide, which gives each message to a task of its own); nothing of it is heard in the room next door.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio_tungstenite::tungstenite::{Message, WebSocket, client::client};

const MEMBERS: usize = 10;
const MESSAGES: usize = 10;
/// How long anything may take, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

type Socket = WebSocket<TcpStream>;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_madang-peers"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        Self { child, address }
    }

    fn open(&self, path: &str) -> Socket {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        client(format!("ws://{}{path}", self.address), stream)
            .unwrap()
            .0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a server is spoken to.
#[derive(Clone, Copy)]
enum Speech {
    Plain,
    SocketIo,
}

impl Speech {
    fn enter(self, server: &Server, room: usize) -> Socket {
        match self {
            Self::Plain => server.open(&format!("/rooms/{room}")),
            Self::SocketIo => {
                let mut socket = server.open("/socket.io/?EIO=4&transport=websocket");
                assert!(heard(&mut socket).starts_with("0{"));
                let connect = format!(r#"40{{"room":"{room}"}}"#);
                socket.send(Message::text(connect)).unwrap();
                assert!(heard(&mut socket).starts_with("40"));
                socket
            }
        }
    }

    fn wrap(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::SocketIo => format!(r#"42["message","{text}"]"#),
        }
    }
}

fn heard(socket: &mut Socket) -> String {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) if text.as_str() == "2" => {
                socket.send(Message::text("3")).unwrap();
            }
            Message::Text(text) => return text.as_str().to_owned(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A connection is open before its server has made it a member: says something until all have heard it.
fn assemble(server: &Server, speech: Speech, room: usize) -> Vec<Socket> {
    let mut members: Vec<_> = (0..MEMBERS).map(|_| speech.enter(server, room)).collect();
    let mut said = 0;
    for member in 0..MEMBERS {
        let short = Some(Duration::from_millis(100));
        members[member].get_ref().set_read_timeout(short).unwrap();
        loop {
            members[0]
                .send(Message::text(speech.wrap("probe")))
                .unwrap();
            said += 1;
            if members[member].read().is_ok() {
                break;
            }
        }
        members[member]
            .get_ref()
            .set_read_timeout(Some(PATIENCE))
            .unwrap();
    }
    assert!(said >= MEMBERS);
    members
}

fn everyone_hears_everything(arguments: &[&str], speech: Speech) {
    let server = Server::start(arguments);
    let mut next_door = assemble(&server, speech, 2);
    let mut members = assemble(&server, speech, 1);
    for message in 0..MESSAGES {
        for (speaker, member) in members.iter_mut().enumerate() {
            let text = speech.wrap(&format!("{speaker}:{message}"));
            member.send(Message::text(text)).unwrap();
        }
    }
    for (index, member) in members.iter_mut().enumerate() {
        let (mut next, mut once) = ([0; MEMBERS], HashSet::new());
        while next != [MESSAGES; MEMBERS] {
            let text = heard(member);
            if text == speech.wrap("probe") {
                continue;
            }
            if let Speech::SocketIo = speech {
                assert!(
                    once.insert(text.clone()),
                    "{arguments:?}: {text} came twice"
                );
                let speaker = (0..MEMBERS)
                    .find(|speaker| text.contains(&format!("\"{speaker}:")))
                    .unwrap();
                next[speaker] += 1;
                continue;
            }
            let found = (0..MEMBERS)
                .find(|&speaker| text == speech.wrap(&format!("{speaker}:{}", next[speaker])));
            let Some(speaker) = found else {
                panic!("{arguments:?}: member {index} heard {text} after {next:?}");
            };
            next[speaker] += 1;
        }
    }
    next_door[0]
        .send(Message::text(speech.wrap("the end")))
        .unwrap();
    loop {
        match heard(&mut next_door[1]) {
            text if text == speech.wrap("probe") => {}
            text => break assert_eq!(text, speech.wrap("the end"), "{arguments:?}"),
        }
    }
}

fn echoes(arguments: &[&str]) {
    let server = Server::start(arguments);
    let mut socket = server.open("/echo");
    for text in ["안녕", &"x".repeat(300)] {
        socket.send(Message::text(text)).unwrap();
        assert_eq!(heard(&mut socket), text, "{arguments:?}");
    }
}

#[test]
fn plain_servers() {
    for arguments in [
        &["bare"] as &[_],
        &["bare", "--gather"],
        &["axum"],
        &["axum-small"],
        &["tungstenite"],
        &["tokio-websockets"],
        &["fastwebsockets"],
        &["sockudo"],
    ] {
        everyone_hears_everything(arguments, Speech::Plain);
        echoes(arguments);
    }
}

#[test]
fn socketioxide() {
    everyone_hears_everything(&["socketioxide"], Speech::SocketIo);
}
