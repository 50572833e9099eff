//! Sends back what it is sent.
//!
//! `cargo run --bin echo`, then in a browser's console:
//! `ws = new WebSocket("ws://127.0.0.1:9001/echo"); ws.onmessage = e => console.log(e.data); ws.onopen = () => ws.send("안녕")`

use madang::{Endpoint, Handshake, Message, Refusal, Server, Session};

struct Echo;

impl Endpoint for Echo {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        // A session whose peer reads too slowly, or has gone, does without.
        let _ = session.send(message);
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let server = Server::bind(address).await?;
    println!("echo at ws://{}/echo", server.local_addr()?);
    server.endpoint("/echo", Echo).run().await
}
