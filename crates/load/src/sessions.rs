//! Opening many sessions.

use std::{future::Future, time::Duration};

use anyhow::Context;
use client::{Client, Incoming, Options};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use crate::wire::{self, Message};

/// Sessions that are being opened at a time.
pub const AT_ONCE: usize = 256;
/// How long opening one may take.
const OPEN: Duration = Duration::from_secs(30);
/// Descriptors that this program, and the server, need besides those of sessions.
const OTHER_FILES: u64 = 128;

/// Makes room for so many sessions in this process and in the server, which inherits it.
pub fn make_room(sessions: usize) -> anyhow::Result<()> {
    let needed = sessions as u64 + OTHER_FILES;
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    anyhow::ensure!(
        limit >= needed,
        "{sessions} sessions need {needed} open files, and the system allows {limit} ('ulimit -Hn')"
    );
    Ok(())
}

/// Opens `count` sessions, [`AT_ONCE`] at a time; they come in the order of their numbers.
pub async fn open_all<T, F: Future<Output = anyhow::Result<T>>>(
    count: usize,
    open: impl FnMut(usize) -> F,
) -> anyhow::Result<Vec<T>> {
    stream::iter(0..count)
        .map(open)
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Opens a session, up to its `hello`.
pub async fn open(url: &str) -> anyhow::Result<Client> {
    let open = async {
        let mut client = Client::connect(url, Options::default()).await?;
        wait_for(&mut client, &Message::Hello).await?;
        Ok(client)
    };
    timeout(OPEN, open)
        .await
        .with_context(|| format!("no hello within {OPEN:?}"))?
}

/// Opens a session at a room's address, up to its `subscribed`, and tells its user's token if it is new.
pub async fn open_with_token(
    url: &str,
    options: Options,
) -> anyhow::Result<(Client, Option<String>)> {
    let mut client = Client::connect(url, options).await?;
    let mut token = None;
    loop {
        let text = next_text(client.next().await)?;
        match wire::read(&text) {
            Message::Hello => token = wire::token(&text),
            Message::Subscribed => return Ok((client, token)),
            Message::Error => anyhow::bail!("the server said {text}"),
            _ => {}
        }
    }
}

/// Opens a session at a room's address, up to its `subscribed`.
pub async fn open_in_room(url: &str) -> anyhow::Result<Client> {
    let mut client = open(url).await?;
    timeout(OPEN, wait_for(&mut client, &Message::Subscribed))
        .await
        .with_context(|| format!("not subscribed within {OPEN:?}"))??;
    Ok(client)
}

async fn wait_for(client: &mut Client, expected: &Message) -> anyhow::Result<()> {
    loop {
        let text = next_text(client.next().await)?;
        match wire::read(&text) {
            message if message == *expected => return Ok(()),
            Message::Error => anyhow::bail!("the server said {text}"),
            _ => {}
        }
    }
}

/// The text of what came; anything but a text is an error.
pub fn next_text(incoming: Option<Result<Incoming, client::Error>>) -> anyhow::Result<String> {
    match incoming.context("the connection has ended")?? {
        Incoming::Text(text) => Ok(text),
        Incoming::Binary(_) => anyhow::bail!("the server sent a binary message"),
        Incoming::Closed(close) => {
            anyhow::bail!("the server closed with {}: {}", close.code, close.reason)
        }
    }
}
