//! Readers that are far behind: what it costs to bring them up to date.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use client::Client;
use futures_util::future::try_join_all;
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout},
};

use crate::{
    order::{Faults, Order},
    process,
    report::Report,
    server::{self, Server},
    sessions,
    wire::{self, Message},
};

/// Who write, each one message at a time.
const WRITERS: usize = 32;
/// How long catching up may take.
const CATCH_UP: Duration = Duration::from_secs(600);
/// How long one that is doubled may come after the last.
const DOUBLED: Duration = Duration::from_millis(300);

/// How many, and how far behind.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Readers in the one room.
    #[arg(long, default_value_t = 1_000)]
    sessions: usize,
    /// Messages that each has to be told.
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Length of a message's text.
    #[arg(long, default_value_t = 64)]
    text_bytes: usize,
    /// The readers are in the room while it is written to, and do not read; without it they come
    /// afterwards and ask for everything.
    #[arg(long)]
    stopped: bool,
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.sessions > 0 && settings.messages > 0,
        "nobody is behind"
    );
    options.check_process()?;
    sessions::make_room(settings.sessions + WRITERS)?;
    let server = Server::start_unlimited(options).await?;
    let result = catch_up(&server, settings).await;
    server.end(result).await
}

async fn catch_up(server: &Server, settings: &Settings) -> anyhow::Result<Report> {
    let room = &server.room("bench");
    drop(sessions::open_in_room(&server.url(&format!("/ws/{room}?name=first"))).await?);
    let open = || {
        sessions::open_all(settings.sessions, async |session| {
            let url = server.url(&format!("/ws/{room}?name=slow-{session}&since=0"));
            sessions::open_in_room(&url).await
        })
    };
    let readers = if settings.stopped {
        open().await?
    } else {
        Vec::new()
    };
    let resident = process::resident(server.id()?)?;
    let began = Instant::now();
    write(server, room, settings).await?;
    let writing = began.elapsed();
    let grown = process::resident(server.id()?)?.saturating_sub(resident);

    let began = Instant::now();
    let usage = server.usage()?;
    let readers = if settings.stopped {
        readers
    } else {
        open().await?
    };
    let reading = readers.into_iter().map(|client| {
        let last = settings.messages;
        let task = spawn_local(read(client, last));
        async move { task.await? }
    });
    let readers = timeout(CATCH_UP, try_join_all(reading)).await;
    let readers = readers.context("not everyone has caught up in time")??;
    let took = began.elapsed();
    let usage = server.usage()?.since(usage);

    sleep(DOUBLED).await;
    let mut faults = Faults::default();
    for (mut client, mut order) in readers {
        while let Ok(heard) = timeout(Duration::ZERO, client.next()).await {
            take(&mut order, &sessions::next_text(heard)?)?;
        }
        faults.add(order.faults(settings.messages));
    }
    faults.check()?;

    let deliveries = settings.sessions as f64 * settings.messages as f64;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let behind = if settings.stopped {
        "stopped reading"
    } else {
        "come"
    };
    let name = format!(
        "slow: {} readers {behind}, {} messages behind",
        settings.sessions, settings.messages
    );
    Ok(Report::new(name)
        .add(
            "written",
            settings.messages as f64 / writing.as_secs_f64(),
            "/s",
        )
        .add("memory grown by writing", mib(grown), "MiB")
        .add("caught up, all", took.as_secs_f64(), "s")
        .add("deliveries", deliveries / took.as_secs_f64(), "/s")
        .add_some(
            "server CPU per delivery",
            usage.server_micros_per(deliveries),
            "µs",
        )
        .add(
            "server's peak memory",
            mib(process::peak(server.id()?)?),
            "MiB",
        )
        .add_usage(usage, took))
}

async fn write(server: &Server, room: &str, settings: &Settings) -> anyhow::Result<()> {
    let writers = sessions::open_all(WRITERS, async |writer| {
        sessions::open(&server.url(&format!("/ws?name=writer-{writer}"))).await
    });
    let writing = writers
        .await?
        .into_iter()
        .zip(0..)
        .map(|(mut client, writer)| async move {
            for number in (writer..settings.messages).step_by(WRITERS) {
                let send = wire::send(room, None, settings.text_bytes, number);
                client.send_text(&send).await?;
                let text = sessions::next_text(client.next().await)?;
                anyhow::ensure!(
                    matches!(wire::read(&text), Message::Ok { .. }),
                    "the server said {text} in place of an ok"
                );
            }
            anyhow::Ok(())
        });
    try_join_all(writing).await?;
    Ok(())
}

/// Reads until event `last` has come.
async fn read(mut client: Client, last: u64) -> anyhow::Result<(Client, Order)> {
    let mut order = Order::default();
    loop {
        let text = sessions::next_text(client.next().await)?;
        if take(&mut order, &text)? == Some(last) {
            return Ok((client, order));
        }
    }
}

fn take(order: &mut Order, text: &str) -> anyhow::Result<Option<u64>> {
    match wire::read(text) {
        Message::Event { seq, .. } => {
            order.receive(seq);
            Ok(Some(seq))
        }
        Message::Error => anyhow::bail!("the server said {text}"),
        _ => Ok(None),
    }
}
