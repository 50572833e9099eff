//! `madang chat`: a room in the terminal.

use std::io::Write;

use anyhow::{Context, bail};
use client::{Client, Incoming};
use rooms::{RoomName, UserName};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// What `madang chat` is told.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The server's address, such as http://127.0.0.1:8080.
    url: String,
    /// The room to talk in.
    #[arg(value_parser = |text: &str| RoomName::parse(text))]
    room: RoomName,
    /// The name to talk under.
    #[arg(long, value_parser = |text: &str| UserName::parse(text))]
    name: UserName,
    /// How many of the last messages to show first.
    #[arg(long, default_value_t = 20)]
    last: u64,
}

/// What the server says, as far as a terminal shows it.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Hello,
    Subscribed {
        presence: Present,
    },
    Message {
        at: String,
        from: Person,
        text: Option<String>,
        data: Option<serde_json::Value>,
    },
    Presence {
        joined: Vec<Person>,
        left: Vec<Person>,
        count: u64,
        /// Those in `joined` are all who are there.
        #[serde(default)]
        reset: bool,
    },
    Gap {
        from: u64,
        to: u64,
    },
    Error {
        message: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Present {
    users: Vec<Person>,
}

#[derive(Deserialize)]
struct Person {
    name: String,
}

/// Talks until the input or the connection ends.
///
/// # Errors
///
/// When the server cannot be reached, refuses, or closes the session.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options {
        url,
        room,
        name,
        last,
    } = options;
    let base = url.trim_end_matches('/').trim_end_matches("/ws");
    let base = base.replacen("http", "ws", 1);
    let encode =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    let (room, name) = (encode(room.as_str()), encode(name.as_str()));
    let address = format!("{base}/ws/{room}?name={name}&last={last}");
    let client = Client::connect(&address, client::Options::default()).await;
    let (mut sender, mut receiver) = client
        .with_context(|| format!("cannot talk at {url}"))?
        .split();

    let mut lines = BufReader::new(stdin()).lines();
    let mut input_ended = false;
    let mut waiting = 0_usize;
    loop {
        tokio::select! {
            line = lines.next_line(), if !input_ended => match line? {
                Some(line) if line.trim().is_empty() => {}
                Some(line) => {
                    waiting += 1;
                    sender.send_json(&json!({"type": "send", "id": 1, "text": line})).await?;
                }
                None => input_ended = true,
            },
            incoming = receiver.next() => match incoming {
                Some(Ok(Incoming::Text(text))) => {
                    waiting -= usize::from(is_reply(&text)).min(waiting);
                    show(&text)?;
                }
                Some(Ok(Incoming::Binary(_))) => {}
                Some(Ok(Incoming::Closed(close))) => {
                    bail!("the server closed the session: {} {}", close.code, close.reason)
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
        }
        // What was said is stored before the terminal is left.
        if input_ended && waiting == 0 {
            let close = client::Close::new(client::CloseCode::NORMAL, "");
            return Ok(sender.close(close).await?);
        }
    }
}

/// Whether a message settles one of ours.
fn is_reply(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Reply {
        id: Option<u64>,
    }
    serde_json::from_str::<Reply>(text).is_ok_and(|reply| reply.id.is_some())
}

fn show(text: &str) -> anyhow::Result<()> {
    let said =
        serde_json::from_str(text).context("the server says what this client cannot read")?;
    let mut out = std::io::stdout().lock();
    match said {
        Said::Subscribed {
            presence: Present { users },
        }
        | Said::Presence {
            joined: users,
            reset: true,
            ..
        } => {
            writeln!(out, "* {}", names(&users))?;
        }
        Said::Message {
            at,
            from,
            text,
            data,
        } => {
            let time = at.get(11..16).unwrap_or_default();
            let data = data.map(|data| data.to_string());
            let words = text.or(data).unwrap_or_default();
            writeln!(out, "{time} {}: {}", from.name, printable(&words))?;
        }
        Said::Presence {
            joined,
            left,
            count,
            ..
        } => {
            if !joined.is_empty() {
                writeln!(out, "* + {} ({count})", names(&joined))?;
            }
            if !left.is_empty() {
                writeln!(out, "* - {} ({count})", names(&left))?;
            }
        }
        Said::Gap { from, to } => writeln!(out, "* messages {from} to {to} are no longer kept")?,
        Said::Error { message } => writeln!(out, "! {message}")?,
        Said::Hello | Said::Other => {}
    }
    out.flush()?;
    Ok(())
}

fn names(people: &[Person]) -> String {
    let names: Vec<_> = people
        .iter()
        .map(|person| printable(&person.name))
        .collect();
    names.join(", ")
}

/// Without control characters, by which others could take over the terminal; line breaks stay.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect()
}
