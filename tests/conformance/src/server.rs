//! Sends back what it is sent, up to the 16 MiB of the suite's longest message; at `/` with
//! compression, and at `/parts` taking messages in parts.
//!
//! `conformance-server [ADDRESS]` prints the address at which it listens.

use std::{
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use madang::{
    Compression, Endpoint, Handshake, Message, Mount, Part, Refusal, Server, Session, Settings,
};

const LONGEST: usize = 16 * 1024 * 1024;

struct Echo;

impl Endpoint for Echo {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        // A case that no longer reads has its verdict.
        let _ = session.send(message);
    }
}

/// Puts the parts together itself.
struct EchoParts;

impl Endpoint for EchoParts {
    type Data = Mutex<Vec<u8>>;

    async fn on_handshake(&self, _: &mut Handshake) -> Result<Self::Data, Refusal> {
        Ok(Mutex::default())
    }

    async fn on_part(&self, session: &Session<Self::Data>, part: Part) {
        let mut parts = session
            .data()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &part.data {
            Message::Text(text) => parts.extend_from_slice(text.as_bytes()),
            Message::Binary(bytes) => parts.extend_from_slice(bytes),
        }
        if !part.last {
            return;
        }
        let whole = mem::take(&mut *parts);
        let _ = session.send(match part.data {
            // Parts of a text are texts, so nothing is lost.
            Message::Text(_) => Message::Text(String::from_utf8_lossy(&whole).into_owned().into()),
            Message::Binary(_) => Message::Binary(whole.into()),
        });
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let server = Server::bind(address).await?;
    println!("conformance at ws://{}/", server.local_addr()?);
    let mut settings = Settings::default();
    settings.max_message = LONGEST;
    settings.max_outgoing = 4 * LONGEST;
    let mut compression = Compression::default();
    // The suite's short messages too.
    compression.threshold = 0;
    settings.compression = Some(compression);
    // A case compares all that comes with what it waits for: a ping of ours is not part of it.
    settings.heartbeat = Duration::from_hours(1);
    let mut in_parts = settings.clone();
    in_parts.in_parts = true;
    server
        .mount(Mount::new(Echo).at("/").settings(settings))
        .mount(Mount::new(EchoParts).at("/parts").settings(in_parts))
        .run()
        .await
}
