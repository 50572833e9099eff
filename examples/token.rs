//! Lets in who has a token, from a page of this host, of <https://example.com>, or from no page at all.
//!
//! `cargo run --bin token`, then in a browser's console at <http://127.0.0.1:9006/>:
//! `ws = new WebSocket("ws://127.0.0.1:9006/door?token=열려라-참깨"); ws.onmessage = e => console.log(e.data)`.
//! Other programs say `Authorization: Bearer` and the token; browsers cannot.

use std::collections::HashMap;

use axum::{
    Router,
    http::{StatusCode, header::WWW_AUTHENTICATE},
    routing::get,
};
use madang::{Endpoint, Handshake, Refusal, Server, Session};
use sha2::{Digest, Sha256};

struct Door {
    /// Names, by the SHA-256 of tokens: finding one takes as long for a bad guess as for a good one, and
    /// who reads the list knows no token.
    names: HashMap<[u8; 32], &'static str>,
}

impl Endpoint for Door {
    /// The name.
    type Data = &'static str;

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<&'static str, Refusal> {
        handshake.check_origin(&["https://example.com"])?;
        let bearer = handshake
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let query = handshake.query_param("token");
        let token = bearer.or(query.as_deref()).unwrap_or_default();
        let name = self.names.get(&digest(token)).copied();
        name.ok_or_else(|| {
            let ask = [(WWW_AUTHENTICATE, "Bearer")];
            let text = "come with Authorization: Bearer and a token, or with ?token=\n";
            Refusal::new(StatusCode::UNAUTHORIZED, (ask, text))
        })
    }

    async fn on_open(&self, session: &Session<&'static str>) {
        let _ = session.send(format!("안녕, {}", session.data()));
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9006".into());
    let names = HashMap::from([
        (digest("열려라-참깨"), "강호동"),
        (digest("open-sesame"), "신동엽"),
    ]);
    let server = Server::bind(address).await?;
    println!("token at ws://{}/door", server.local_addr()?);
    let page = Router::new().route("/", get(|| async { "a page of this host" }));
    let server = server.endpoint("/door", Door { names });
    server.router(page).run().await
}
