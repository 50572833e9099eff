//! Sends back what it is sent, up to the 16 MiB of the suite's longest message.
//!
//! `conformance-server [ADDRESS]` prints the address at which it listens.

use std::time::Duration;

use madang::{Endpoint, Handshake, Message, Mount, Refusal, Session, Settings};

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

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("conformance at ws://{}/", listener.local_addr()?);
    let mut settings = Settings::default();
    settings.max_message = LONGEST;
    settings.max_outgoing = 4 * LONGEST;
    // A case compares all that comes with what it waits for: a ping of ours is not part of it.
    settings.heartbeat = Duration::from_hours(1);
    let mount = Mount::new(Echo).at("/").settings(settings);
    axum::serve(listener, mount.into_router()).await
}
