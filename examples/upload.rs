//! Takes files of any length up to 1 TiB, piece by piece, and answers with their length and SHA-256:
//! however long they are, a session holds no more than one piece.
//!
//! `cargo run --bin upload`, then in a browser's console:
//! `ws = new WebSocket("ws://127.0.0.1:9005/upload"); ws.onmessage = e => console.log(e.data); ws.onopen = () => ws.send(new Uint8Array(50e6))`

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use madang::{Endpoint, Handshake, Mount, Part, Refusal, Server, Session, Settings};
use sha2::{Digest, Sha256};

struct Upload;

/// What has come of a file.
#[derive(Default)]
struct File {
    bytes: u64,
    sha256: Sha256,
}

impl Endpoint for Upload {
    type Data = Mutex<File>;

    async fn on_handshake(&self, _: &mut Handshake) -> Result<Mutex<File>, Refusal> {
        Ok(Mutex::default())
    }

    async fn on_part(&self, session: &Session<Mutex<File>>, part: Part) {
        let mut file = session
            .data()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let piece = part.data.as_bytes();
        file.bytes += piece.len() as u64;
        file.sha256.update(piece);
        if part.last {
            // The next message is the next file.
            let File { bytes, sha256 } = std::mem::take(&mut *file);
            // Whoever has gone needs no answer.
            let sha256 = Bytes::copy_from_slice(&sha256.finalize());
            let _ = session.send(format!("{bytes} bytes, SHA-256 {sha256:x}"));
        }
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9005".into());
    let mut settings = Settings::default();
    settings.in_parts = true;
    settings.max_message = 1 << 40;
    let server = Server::bind(address).await?;
    println!("upload at ws://{}/upload", server.local_addr()?);
    let upload = Mount::<Upload>::new(Upload)
        .at("/upload")
        .settings(settings);
    server.mount(upload).run().await
}
