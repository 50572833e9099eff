//! Commands and answers are enums: JSON comes in and goes out, and what is wrong with it is answered.
//!
//! `cargo run --bin typed`, then in a browser's console:
//! `ws = new WebSocket("ws://127.0.0.1:9003/sums"); ws.onmessage = e => console.log(e.data); ws.onopen = () => ws.send('{"do":"add","a":2,"b":3}')`,
//! and what `ws.send('{"do":"add","a":2}')` is answered.

use madang::{Endpoint, Handshake, Message, Refusal, Server, Session, json};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    Add { a: i64, b: i64 },
    Divide { a: i64, by: i64 },
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Value(i64),
    Error(String),
}

impl Command {
    fn run(self) -> Answer {
        let (value, fault) = match self {
            Self::Add { a, b } => (a.checked_add(b), "the sum is too large"),
            Self::Divide { a, by } => (a.checked_div(by), "that cannot be divided"),
        };
        value.map_or_else(|| Answer::Error(fault.into()), Answer::Value)
    }
}

struct Sums;

impl Endpoint for Sums {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        let answer = match message.json::<Command>() {
            Ok(command) => command.run(),
            Err(error) => Answer::Error(error.to_string()),
        };
        // Every answer has a form in JSON; a session that has gone does without.
        let _ = json(&answer).map(|answer| session.send(answer));
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9003".into());
    let server = Server::bind(address).await?;
    println!("typed at ws://{}/sums", server.local_addr()?);
    server.endpoint("/sums", Sums).run().await
}
