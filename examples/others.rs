//! Everyone hears the others, and not themselves: pointers on a shared picture, say.
//!
//! `cargo run --bin others`, then in the consoles of two windows:
//! `ws = new WebSocket("ws://127.0.0.1:9004/others"); ws.onmessage = e => console.log(e.data)`,
//! and in one of them `ws.send("안녕")`.

use madang::{
    Endpoint, Frame, Handshake, Message, Refusal, RingLimits, Server, Session, Start, Topic,
};

struct Others {
    all: Topic,
}

impl Endpoint for Others {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        // A session that has gone hears nothing.
        let _ = session.subscribe(&self.all, Start::Now);
    }

    async fn on_message(&self, session: &Session, message: Message) {
        self.all.publish_except(message, session.id());
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9004".into());
    // Who reads too slowly for what is kept is told how much it missed.
    let missed = |from, to| Frame::text(format!("{} missed", to - from + 1));
    let all = Topic::in_memory(RingLimits::default(), missed);
    let server = Server::bind(address).await?;
    println!("others at ws://{}/others", server.local_addr()?);
    server.endpoint("/others", Others { all }).run().await
}
