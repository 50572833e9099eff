//! People come into and leave a room that many are in: what it costs the server and each of them.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Context;
use clap::Args;
use client::{Client, Close, CloseCode};
use futures_util::future::try_join_all;
use tokio::{
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    process::Usage,
    report::Report,
    server::{self, Server},
    sessions, wire,
};

/// How long one who comes stays.
const STAY: Duration = Duration::from_secs(1);
/// How long it may take until everyone is told the last count.
const SETTLE: Duration = Duration::from_secs(30);

/// How many, and how fast.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Those who stay in the room.
    #[arg(long, default_value_t = 14_000)]
    members: usize,
    /// How many come in a second, and how many leave.
    #[arg(long, default_value_t = 500)]
    changes: u32,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// What the members hear.
#[derive(Default)]
struct Heard {
    frames: Cell<u64>,
    bytes: Cell<u64>,
    /// How many have been told that all others are there and nobody else.
    settled: Cell<usize>,
    failure: Cell<Option<anyhow::Error>>,
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.members > 0 && settings.changes > 0,
        "nothing changes"
    );
    let visitors = settings.changes as usize * (STAY.as_secs() as usize + 1);
    sessions::make_room(settings.members + visitors)?;
    let server = Server::start_unlimited(options).await?;
    let result = churn(&server, settings).await;
    server.end(result).await
}

async fn churn(server: &Server, settings: &Settings) -> anyhow::Result<Report> {
    let heard = Rc::new(Heard::default());
    let (crowd, apart) = (&server.room("crowd"), &server.room("apart"));
    let members = sessions::open_all(settings.members, async |member| {
        let url = server.url(&format!("/ws/{crowd}?name=m{member}"));
        let client = sessions::open_in_room(&url).await?;
        let (heard, members) = (heard.clone(), settings.members as u64);
        spawn_local(async move {
            let failure = hear(client, members, &heard).await;
            heard.failure.set(failure.err());
        });
        Ok(())
    });
    members.await?;
    settle(settings, &heard).await?;

    // Where as many come and leave, and nobody sees them.
    let apart = come_and_leave(server, settings, apart).await?;
    settle(settings, &heard).await?;
    let (frames, bytes) = (heard.frames.get(), heard.bytes.get());
    let among = come_and_leave(server, settings, crowd).await?;
    let told = (heard.frames.get() - frames) as f64 / settings.members as f64;
    let bytes = (heard.bytes.get() - bytes) as f64 / settings.members as f64;
    settle(settings, &heard).await?;

    let seconds = f64::from(settings.seconds);
    let took = Duration::from_secs(settings.seconds.into());
    let share = |usage: Usage| {
        let used = usage.of_server()?;
        Some(used.as_secs_f64() / seconds * 100.0)
    };
    let name = format!(
        "crowd: {} in a room, {} come and {} leave a second for {} s",
        settings.members, settings.changes, settings.changes, settings.seconds
    );
    Ok(Report::new(name)
        .add_some("server CPU, coming elsewhere", share(apart), "% of a core")
        .add_some("server CPU, coming to it", share(among), "% of a core")
        .add("told to each member", told / seconds, "/s")
        .add("bytes to each member", bytes / seconds, "/s")
        .add_usage(among, took))
}

/// Lets people come into a room, each for a while, at a steady rate.
async fn come_and_leave(server: &Server, settings: &Settings, room: &str) -> anyhow::Result<Usage> {
    let usage = server.usage()?;
    let mut pace = interval(Duration::from_secs(1) / settings.changes);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut visits = Vec::new();
    for visitor in 0..settings.changes * settings.seconds {
        pace.tick().await;
        let url = server.url(&format!("/ws/{room}?name=v{visitor}"));
        visits.push(spawn_local(async move {
            let client = sessions::open_in_room(&url).await?;
            sleep(STAY).await;
            client.close(Close::new(CloseCode::NORMAL, "")).await?;
            anyhow::Ok(())
        }));
    }
    let usage = server.usage()?.since(usage);
    for visit in try_join_all(visits).await? {
        visit?;
    }
    Ok(usage)
}

/// Waits until everyone has been told the truth: that the members are there, and nobody else.
async fn settle(settings: &Settings, heard: &Heard) -> anyhow::Result<()> {
    let began = Instant::now();
    while heard.settled.get() < settings.members {
        if let Some(failure) = heard.failure.take() {
            return Err(failure);
        }
        anyhow::ensure!(
            began.elapsed() < SETTLE,
            "{} of {} members know how many they are",
            heard.settled.get(),
            settings.members
        );
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn hear(mut client: Client, members: u64, heard: &Heard) -> anyhow::Result<()> {
    let mut settled = false;
    loop {
        let text = sessions::next_text(client.next().await).context("a member")?;
        let Some(count) = wire::present(&text) else {
            continue;
        };
        heard.frames.set(heard.frames.get() + 1);
        heard.bytes.set(heard.bytes.get() + text.len() as u64);
        let before = std::mem::replace(&mut settled, count == members);
        let change = usize::from(settled).wrapping_sub(usize::from(before));
        heard.settled.set(heard.settled.get().wrapping_add(change));
    }
}
