//! What a compressed message can cost that becomes a thousand times as long: alone in its
//! process, whose memory it measures.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::{fs, io::Write};

use flate2::{Compression as Level, write::DeflateEncoder};
use madang::{
    CloseCode, Compression, Endpoint, Handshake, Message, Mount, Refusal, Server, Session, Settings,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

struct Quiet;

impl Endpoint for Quiet {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let _ = session.send(format!("{} bytes", message.as_bytes().len()));
    }
}

#[tokio::test]
async fn a_bomb_costs_no_more_than_the_limit() {
    let mut settings = Settings::default();
    settings.compression = Some(Compression::default());
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let mount = Mount::<Quiet>::new(Quiet).at("/quiet").settings(settings);
    tokio::spawn(server.mount(mount).run());

    let bomb = bomb();
    assert!(bomb.len() < 64 * 1024, "{}", bomb.len());
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(open(TcpStream::connect(address).await.unwrap()).await);
    }
    let before = begin_to_measure();
    for socket in &mut sockets {
        socket.write_all(&bomb).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        // A close frame, and its code.
        assert_eq!(answer[0], 0x88);
        let code = u16::from_be_bytes([answer[2], answer[3]]);
        assert_eq!(CloseCode::new(code), CloseCode::TOO_BIG);
    }
    let grown = peak() - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
}

/// A frame of less than 64 KiB, compressed (RSV1, RFC 7692 §6): a message of 60 MiB.
fn bomb() -> Vec<u8> {
    let mut deflater = DeflateEncoder::new(Vec::new(), Level::best());
    deflater.write_all(&[0; 1 << 20]).unwrap();
    deflater.flush().unwrap();
    // A flush ends the block; the next one can be the same. What ends the last is not sent (§7.2.1).
    let blocks = deflater.get_ref().repeat(60);
    let payload = blocks.strip_suffix(&[0, 0, 0xFF, 0xFF]).unwrap();
    let length = u16::try_from(payload.len()).unwrap();
    let mask = [0; 4];
    [
        &[0xC2, 0x80 | 126],
        &length.to_be_bytes()[..],
        &mask,
        payload,
    ]
    .concat()
}

/// Opens a session that agrees on compression.
async fn open(mut socket: TcpStream) -> TcpStream {
    let request = "GET /quiet HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.contains("permessage-deflate"), "{head}");
    socket
}

/// Forgets the process's peak of memory, and tells what it holds now, in KiB (proc(5), `clear_refs`).
fn begin_to_measure() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    peak()
}

/// The most that the process has held, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse().unwrap()
}
