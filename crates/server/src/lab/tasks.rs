//! The same task each way, at the same time, in a room each.

use std::{
    future::pending,
    io,
    iter::Peekable,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use axum::http::Uri;
use client::{Client, Options};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant},
};
use websocket::{Close, CloseCode, Opcode, encode_masked, handshake::client::Offer};

use super::{
    browser,
    lane::{Lane, Teller, Told, Way, said},
    plan::{Connection, Line, ME, OTHER, Plan},
};

/// Names of one length, so that it is not the name that makes a difference.
const HTTP_ROOM: &str = "lobby-1";
const WEBSOCKET_ROOM: &str = "lobby-2";

/// When each line was said in one room.
type Times = Arc<[OnceLock<Instant>]>;

/// Does a plan both ways with the server at an address, and tells the page what went over the wire.
///
/// # Errors
///
/// When the server does not answer as it should, or the page is gone.
pub(super) async fn run(
    address: SocketAddr,
    plan: Plan,
    page: mpsc::Sender<Told>,
) -> io::Result<()> {
    let lines: Arc<[Line]> = plan.lines().into();
    let others = tokio::try_join!(
        Other::enter(address, Way::Http, &lines),
        Other::enter(address, Way::Websocket, &lines),
    );
    let (mut near, mut far) = others?;
    let teller = Teller::new(page);
    teller.tell(Told::Plan {
        plan,
        lines: lines.to_vec(),
    })?;
    let (asked, told) = (near.said.clone(), far.said.clone());
    tokio::try_join!(
        near.speak(&teller),
        far.speak(&teller),
        over_http(address, &plan, &lines, &asked, &teller),
        over_websocket(address, &lines, &told, &teller),
    )?;
    teller.tell(Told::End)
}

/// `POST` what is said, and ask again and again for what others said.
async fn over_http(
    address: SocketAddr,
    plan: &Plan,
    lines: &[Line],
    said: &Times,
    teller: &Teller,
) -> io::Result<()> {
    let mut mine = mine(lines);
    let mut unseen = lines.iter().filter(|line| !line.mine).count();
    let mut poll = plan.polls().map(|_| teller.began);
    let path = format!("/api/rooms/{HTTP_ROOM}/messages");
    let mut after = 0;
    let mut lane = Lane::open(Way::Http, address, teller.clone()).await?;
    let mut used = false;
    while mine.peek().is_some() || unseen > 0 {
        let line = mine.peek().map(|line| (*line, when(teller, lines, *line)));
        let due = [line.map(|(_, at)| at), poll].into_iter().flatten().min();
        wait(due).await;
        if plan.connection == Connection::New && used {
            lane.reopen().await?;
        }
        used = true;
        match line {
            Some((number, at)) if due == Some(at) => {
                mine.next();
                let body = json!({"name": ME, "text": lines[number].text}).to_string();
                let request = browser::post(&path, plan.after(), &body);
                let since = lane.said(number)?;
                let (status, _) = lane.ask("post", request, |_| "stored").await?;
                expect(status, 201)?;
                lane.known(number, since)?;
            }
            _ => {
                poll = poll.zip(plan.polls()).map(|(last, gap)| last + gap);
                let request = browser::get(&format!("{path}?after={after}"), plan.after());
                let (status, body) = lane.ask("poll", request, name_page).await?;
                expect(status, 200)?;
                for event in events(&body) {
                    after = event["seq"].as_u64().unwrap_or(after);
                    if let Some(number) = others_line(lines, &event) {
                        unseen -= 1;
                        lane.known(number, since(said, number))?;
                    }
                }
            }
        }
    }
    lane.closed()?;
    lane.done()
}

/// One handshake, and then each message in a frame, either way.
async fn over_websocket(
    address: SocketAddr,
    lines: &[Line],
    said: &Times,
    teller: &Teller,
) -> io::Result<()> {
    let mut mine = mine(lines);
    let mut unknown = lines.len();
    let mut sent = Vec::new();
    let mut lane = Lane::open(Way::Websocket, address, teller.clone()).await?;
    let request = browser::websocket(&format!("/ws/{WEBSOCKET_ROOM}?name={ME}"), &key()?);
    let (status, _) = lane.ask("handshake", request, |_| "switching").await?;
    expect(status, 101)?;
    while unknown > 0 {
        while let Some((_, payload)) = lane.next_frame(name_frame)? {
            let message: Value = serde_json::from_slice(&payload).unwrap_or_default();
            let known = match message["type"].as_str() {
                // Its id is the line's number, from 1 on.
                Some("ok") => sent
                    .iter()
                    .copied()
                    .find(|(number, _)| message["id"].as_u64() == Some(*number as u64 + 1)),
                Some("message") => {
                    others_line(lines, &message).map(|number| (number, since(said, number)))
                }
                _ => None,
            };
            if let Some((number, since)) = known {
                unknown -= 1;
                lane.known(number, since)?;
            }
        }
        if unknown == 0 {
            break;
        }
        let due = mine.peek().map(|line| when(teller, lines, *line));
        tokio::select! {
            read = lane.read() => read?,
            () = wait(due) => if let Some(number) = mine.next() {
                let text = &lines[number].text;
                let send = json!({"type": "send", "id": number + 1, "text": text}).to_string();
                sent.push((number, lane.said(number)?));
                lane.send("send", masked(Opcode::Text, send.as_bytes())?).await?;
            },
        }
    }
    let goodbye = Close::new(CloseCode::NORMAL, "").payload();
    lane.send("goodbye", masked(Opcode::Close, &goodbye)?)
        .await?;
    loop {
        match lane.next_frame(name_frame)? {
            Some((8, _)) => break,
            Some(_) => {}
            None => lane.read().await?,
        }
    }
    lane.closed()?;
    lane.done()
}

/// Who is in a room too, and whose bytes are not counted.
struct Other {
    way: Way,
    client: Client,
    lines: Arc<[Line]>,
    said: Times,
}

impl Other {
    /// Enters the room of a way, and so opens it.
    async fn enter(address: SocketAddr, way: Way, lines: &Arc<[Line]>) -> io::Result<Self> {
        let room = match way {
            Way::Http => HTTP_ROOM,
            Way::Websocket => WEBSOCKET_ROOM,
        };
        let url = format!("ws://{address}/ws/{room}?name={OTHER}");
        let client = Client::connect(&url, Options::default()).await;
        let mut client = client.map_err(io::Error::other)?;
        // `hello` and `subscribed`.
        for _ in 0..2 {
            let answer = client.next().await;
            answer
                .ok_or(io::ErrorKind::UnexpectedEof)?
                .map_err(io::Error::other)?;
        }
        Ok(Self {
            way,
            client,
            lines: lines.clone(),
            said: lines.iter().map(|_| OnceLock::new()).collect(),
        })
    }

    /// Says each line that is theirs when its time has come.
    async fn speak(&mut self, teller: &Teller) -> io::Result<()> {
        for (number, line) in self.lines.iter().enumerate().filter(|(_, line)| !line.mine) {
            teller.until(line.at_ms).await;
            let at = said(teller, self.way, number)?;
            // Each line is said once.
            let _ = self.said[number].set(at);
            let send = json!({"type": "send", "text": line.text});
            let sent = self.client.send_json(&send).await;
            sent.map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// The numbers of the lines that the client says itself, in order.
fn mine(lines: &[Line]) -> Peekable<impl Iterator<Item = usize>> {
    let numbered = lines.iter().enumerate();
    let mine = numbered.filter(|(_, line)| line.mine);
    mine.map(|(number, _)| number).peekable()
}

fn when(teller: &Teller, lines: &[Line], number: usize) -> Instant {
    teller.began + Duration::from_millis(lines[number].at_ms)
}

fn since(said: &Times, number: usize) -> Instant {
    // It was said before it came.
    said[number].get().copied().unwrap_or_else(Instant::now)
}

/// Which of the other's lines an event is.
fn others_line(lines: &[Line], event: &Value) -> Option<usize> {
    let theirs = event["from"]["name"] == OTHER;
    let number = lines.iter().position(|line| event["text"] == line.text);
    number.filter(|_| theirs)
}

fn events(page: &[u8]) -> Vec<Value> {
    let page: Value = serde_json::from_slice(page).unwrap_or_default();
    page["events"].as_array().cloned().unwrap_or_default()
}

fn name_page(page: &[u8]) -> &'static str {
    if events(page).is_empty() {
        "nothing"
    } else {
        "news"
    }
}

fn name_frame(opcode: u8, payload: &[u8]) -> &'static str {
    let message: Value = serde_json::from_slice(payload).unwrap_or_default();
    match (opcode, message["type"].as_str()) {
        (1, Some("hello")) => "hello",
        (1, Some("subscribed")) => "subscribed",
        (1, Some("ok")) => "ok",
        (1, Some("message")) => "event",
        (1, Some("presence")) => "presence",
        (8, _) => "goodbye",
        _ => "frame",
    }
}

fn expect(status: u16, wanted: u16) -> io::Result<()> {
    if status == wanted {
        return Ok(());
    }
    let error = format!("the server answered {status} and not {wanted}");
    Err(io::Error::other(error))
}

/// Waits until then, or for ever.
async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => pending().await,
    }
}

/// What a client sends is masked with a key that is new for each frame (RFC 6455 §5.3).
fn masked(opcode: Opcode, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut key = [0; 4];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let mut frame = Vec::new();
    encode_masked(opcode, payload, key, &mut frame);
    Ok(frame)
}

/// The handshake's `Sec-WebSocket-Key`.
fn key() -> io::Result<String> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let offer = Offer {
        nonce,
        protocols: &[],
        deflate: true,
    };
    let request = offer.request(&Uri::from_static("ws://madang.example/ws"));
    let request = request.map_err(io::Error::other)?;
    let key = request.headers().get("sec-websocket-key");
    let key = key.and_then(|key| key.to_str().ok());
    Ok(key.unwrap_or_default().to_owned())
}
