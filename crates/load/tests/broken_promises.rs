//! A server that loses a delivery, or makes it twice, is found out. It is a server for one session, in bytes.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: load::Bench,
}

/// How often the server tells of its message `number`, and in what text.
type Tells = fn(number: u64, text: &str) -> Vec<(u64, String)>;

fn honest(number: u64, text: &str) -> Vec<(u64, String)> {
    vec![(number, text.to_owned())]
}

fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 126], &length[..], text.as_bytes()].concat()
}

/// The payload of a client's frame; `None` at the end.
fn read(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 2];
    socket.read_exact(&mut head).ok()?;
    let mut length = usize::from(head[1] & 0x7F);
    if length == 126 {
        let mut long = [0; 2];
        socket.read_exact(&mut long).ok()?;
        length = u16::from_be_bytes(long).into();
    }
    let mut mask = [0; 4];
    socket.read_exact(&mut mask).ok()?;
    let mut payload = vec![0; length];
    socket.read_exact(&mut payload).ok()?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Some(payload)
}

fn serve(mut socket: TcpStream, tells: Tells) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    socket.write_all(answer.as_bytes()).unwrap();
    socket.write_all(&frame(r#"{"type":"hello"}"#)).unwrap();
    socket
        .write_all(&frame(r#"{"type":"subscribed","head":0}"#))
        .unwrap();
    for number in 1.. {
        let Some(payload) = read(&mut socket) else {
            return;
        };
        let send: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let (id, room) = (&send["id"], &send["room"]);
        let mut out = Vec::new();
        for (seq, text) in tells(number, send["text"].as_str().unwrap()) {
            out.extend(frame(&format!(
                r#"{{"type":"message","room":{room},"seq":{seq},"text":"{text}"}}"#
            )));
        }
        out.extend(frame(&format!(
            r#"{{"type":"ok","id":{id},"room":{room},"seq":{number}}}"#
        )));
        if socket.write_all(&out).is_err() {
            return;
        }
    }
}

/// What the load says of a server that tells its messages so.
fn load(tells: Tells) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    thread::spawn(move || serve(listener.accept().unwrap().0, tells));
    let arguments = "--rooms 1 --members 1 --deliveries 20 --seconds 1 --warm-up-seconds 0";
    let arguments = ["bench", "fan-out", "--url", &url]
        .into_iter()
        .chain(arguments.split(' '));
    let Cli { bench } = Cli::parse_from(arguments);
    load::run(&bench).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_server_that_tells_each_message_once_is_found_good() {
    assert_eq!(load(honest), Ok(()));
}

#[test]
fn a_lost_delivery_is_found_with_its_place() {
    let said = load(|number, text| match number {
        7 => vec![],
        _ => honest(number, text),
    });
    let said = said.unwrap_err();
    assert!(said.contains("1 deliveries lost, 0 doubled"), "{said}");
    assert!(said.contains("session 0 in room bench-0-"), "{said}");
    assert!(said.ends_with("number 7"), "{said}");
}

#[test]
fn a_last_delivery_that_never_comes_is_lost() {
    let said = load(|number, text| match number {
        20 => vec![],
        _ => honest(number, text),
    });
    let said = said.unwrap_err();
    assert!(said.contains("1 deliveries lost"), "{said}");
    assert!(said.ends_with("number 20"), "{said}");
}

#[test]
fn a_doubled_delivery_is_found_with_its_place() {
    let said = load(|number, text| {
        let mut told = honest(number, text);
        if number == 20 {
            told.push((7, text.to_owned()));
        }
        told
    });
    let said = said.unwrap_err();
    assert!(said.contains("0 deliveries lost, 1 doubled"), "{said}");
    assert!(said.ends_with("number 7"), "{said}");
}

#[test]
fn a_changed_delivery_is_found() {
    let said = load(|number, text| match number {
        7 => vec![(number, text[1..].to_owned())],
        _ => honest(number, text),
    });
    let said = said.unwrap_err();
    assert!(said.contains("session 0 of room bench-0-"), "{said}");
    assert!(
        said.contains(r#"the server said {"type":"message""#),
        "{said}"
    );
}
