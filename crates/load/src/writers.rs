//! Writers with one message in flight each: how fast `ok` comes, which means stored.

use std::{cell::RefCell, time::Duration};

use clap::Args;
use client::Client;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    fan_out::{self, Hall, Kind, Searching, Shape},
    latency::Latencies,
    report::Report,
    server::{self, Server},
    sessions,
    wire::{self, Message},
};

/// The rate that a search begins with.
const FROM: f64 = 1_000.0;

/// How many writers.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Writers; a list such as 1,16,256,1024 measures one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = Settings::default().writers)]
    pub writers: Vec<usize>,
    /// How long each is measured.
    #[arg(long, default_value_t = Settings::default().seconds)]
    seconds: u32,
    /// Length of a message's text.
    #[arg(long, default_value_t = Settings::default().text_bytes)]
    pub text_bytes: usize,
    /// Gives every message a key, as clients do that try again.
    #[arg(long)]
    pub keys: bool,
    #[command(flatten)]
    search: Searching,
}

impl Settings {
    /// How long each is measured.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            writers: vec![1, 16, 256, 1024],
            seconds: 10,
            text_bytes: 64,
            keys: false,
            search: Searching::default(),
        }
    }
}

/// Measures each number of writers that is asked for, with a server of its own.
pub async fn measure_all(
    options: &server::Options,
    settings: &Settings,
    mut take: impl FnMut(Report),
) -> anyhow::Result<()> {
    for &writers in &settings.writers {
        take(measure(options, settings, writers).await?);
    }
    Ok(())
}

/// Measures so many writers.
pub async fn measure(
    options: &server::Options,
    settings: &Settings,
    writers: usize,
) -> anyhow::Result<Report> {
    anyhow::ensure!(writers > 0, "nobody writes nothing");
    sessions::make_room(writers)?;
    let server = Server::start_unlimited(options).await?;
    let result = if settings.search.search {
        search(&server, settings, writers).await
    } else {
        write(&server, settings, writers).await
    };
    server.end(result).await
}

/// The highest rate of messages, whatever is in flight, that is stored in time.
async fn search(server: &Server, settings: &Settings, writers: usize) -> anyhow::Result<Report> {
    let shape = Shape {
        rooms: 1,
        members: writers,
        kind: Kind::Unheard,
        text_bytes: settings.text_bytes,
    };
    shape.check_text()?;
    anyhow::ensure!(
        !settings.keys,
        "a search writes without keys: leave out --keys"
    );
    let mut hall = Hall::open(server, shape).await?;
    fan_out::search("writers", "ok/s", server, &mut hall, &settings.search, FROM).await
}

async fn write(server: &Server, settings: &Settings, writers: usize) -> anyhow::Result<Report> {
    // A room is made by whoever subscribes to it first. That session hears nothing: it is gone
    // before anything is written.
    let room = &server.room("bench");
    drop(sessions::open_in_room(&server.url(&format!("/ws/{room}?name=first"))).await?);
    let clients = sessions::open_all(writers, async |writer| {
        sessions::open(&server.url(&format!("/ws?name=writer-{writer}"))).await
    });
    let clients = clients.await?;

    let stored = Stored::default();
    let clock = Clock::start();
    let usage = server.usage()?;
    let began = Instant::now();
    let until = began + settings.time();
    let writing = clients.into_iter().map(|client| {
        let stored = &stored;
        async move {
            let mut client = client;
            let mut key = 0;
            while Instant::now() < until {
                let key = settings.keys.then(|| {
                    key += 1;
                    key
                });
                one(&mut client, room, settings.text_bytes, key, clock, stored).await?;
            }
            anyhow::Ok(client)
        }
    });
    let clients = try_join_all(writing).await?;
    let took = began.elapsed();
    let usage = server.usage()?.since(usage);
    drop(clients);
    let Stored { seqs, latencies } = stored;
    check(seqs.into_inner())?;

    let mut latencies = latencies.into_inner();
    let count = latencies.count() as f64;
    let keys = if settings.keys { ", with keys" } else { "" };
    let name = format!(
        "writers: {writers}, each one send at a time for {} s{keys}",
        settings.seconds
    );
    Ok(Report::new(name)
        .add("ok", count / took.as_secs_f64(), "/s")
        .add("send to ok, p50", latencies.percentile(50.0), "ms")
        .add("send to ok, p99", latencies.percentile(99.0), "ms")
        .add_some("server CPU per ok", usage.server_micros_per(count), "µs")
        .add_usage(usage, took))
}

/// What the server said it has stored.
#[derive(Default)]
struct Stored {
    seqs: RefCell<Vec<u64>>,
    latencies: RefCell<Latencies>,
}

/// Sends one message and waits for its `ok`.
async fn one(
    client: &mut Client,
    room: &str,
    text_bytes: usize,
    key: Option<u64>,
    clock: Clock,
    stored: &Stored,
) -> anyhow::Result<()> {
    let now = clock.now();
    client
        .send_text(&wire::send(room, key, text_bytes, now))
        .await?;
    let text = sessions::next_text(client.next().await)?;
    match wire::read(&text) {
        Message::Ok { sent, seq } if sent == now => {
            stored.latencies.borrow_mut().record(clock.since(sent));
            stored.seqs.borrow_mut().push(seq);
            Ok(())
        }
        _ => anyhow::bail!("the server said {text} in place of an ok"),
    }
}

/// Whether the messages have the numbers 1, 2, 3 … of one log.
fn check(mut seqs: Vec<u64>) -> anyhow::Result<()> {
    seqs.sort_unstable();
    let misnumbered = (1..).zip(&seqs).find(|(due, seq)| due != *seq);
    if let Some((due, seq)) = misnumbered {
        anyhow::bail!("the server gave a message the number {seq} where {due} was due");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_numbers_of_one_log_have_no_hole_and_no_double() {
        assert!(check(vec![]).is_ok());
        assert!(check(vec![2, 3, 1]).is_ok());
        assert!(check(vec![1, 3]).is_err());
        assert!(check(vec![1, 2, 2]).is_err());
        assert!(check(vec![0, 1]).is_err());
    }
}
