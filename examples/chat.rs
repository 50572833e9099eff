//! Chat rooms in one file: everyone in a room gets what anyone in it says, and who comes late gets
//! what was said before.
//!
//! `cargo run --bin chat`, then open the address it prints in two windows.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::{Router, response::Html, routing::get};
use madang::{
    Closed, Endpoint, Frame, Handshake, Message, Refusal, RingLimits, Server, Session, Start, Topic,
};
use serde_json::json;

#[derive(Default)]
struct Chat {
    rooms: Mutex<HashMap<String, Topic>>,
}

struct Visitor {
    name: String,
    room: Topic,
}

impl Chat {
    fn room(&self, name: &str) -> Topic {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Topic::in_memory(RingLimits::default(), |from, to| {
                Frame::text(json!({"gap": {"from": from, "to": to}}).to_string())
            })
        };
        rooms.entry(name.to_owned()).or_insert_with(new).clone()
    }
}

impl Endpoint for Chat {
    type Data = Visitor;

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<Visitor, Refusal> {
        let name = handshake
            .query_param("name")
            .unwrap_or("누군가".into())
            .into_owned();
        let room = self.room(handshake.param("room").unwrap_or("lobby"));
        Ok(Visitor { name, room })
    }

    async fn on_open(&self, session: &Session<Visitor>) {
        let Visitor { name, room } = session.data();
        // From the beginning of what the room remembers; a session that has gone needs nothing.
        let _ = session.subscribe(room, Start::After(0));
        room.publish(json!({"from": name, "joined": true}).to_string());
    }

    async fn on_message(&self, session: &Session<Visitor>, message: Message) {
        let Visitor { name, room } = session.data();
        if let Message::Text(text) = message {
            room.publish(json!({"from": name, "text": text}).to_string());
        }
    }

    async fn on_close(&self, session: &Session<Visitor>, _: &Closed) {
        let Visitor { name, room } = session.data();
        room.publish(json!({"from": name, "left": true}).to_string());
    }
}

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>chat</title>
<ul id="log"></ul><form><input id="text" autofocus autocomplete="off"></form>
<script>
  const name = prompt("Your name?") ?? "";
  const ws = new WebSocket(`ws://${location.host}/chat/lobby?name=${encodeURIComponent(name)}`);
  ws.onmessage = ({ data }) => {
    const { from, text, joined, left } = JSON.parse(data);
    const line = document.createElement("li");
    line.textContent = joined ? `${from} +` : left ? `${from} -` : `${from}: ${text}`;
    log.append(line);
  };
  document.forms[0].onsubmit = event => {
    event.preventDefault();
    ws.send(text.value);
    text.value = "";
  };
</script>"#;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9002".into());
    let server = Server::bind(address).await?;
    println!("chat at http://{}/", server.local_addr()?);
    let page = Router::new().route("/", get(|| async { Html(PAGE) }));
    server
        .endpoint("/chat/{room}", Chat::default())
        .router(page)
        .run()
        .await
}
