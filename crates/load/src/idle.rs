//! Sessions that do nothing: what one costs in memory, and how fast they can be opened.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use client::Client;
use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep},
};

use crate::{
    process,
    report::Report,
    server::{self, Server},
    sessions,
};

/// After the last session is open: presence is told, and buffers are given back.
const SETTLE: Duration = Duration::from_secs(2);

/// How many sessions.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Sessions in all.
    #[arg(long, default_value_t = Settings::default().sessions)]
    sessions: usize,
    /// Rooms; each session is subscribed to one.
    #[arg(long, default_value_t = Settings::default().rooms)]
    rooms: usize,
    /// Sessions in no room at all.
    #[arg(long, conflicts_with = "rooms")]
    bare: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sessions: 10_000,
            rooms: 100,
            bare: false,
        }
    }
}

impl Settings {
    /// The same with sessions in no room.
    pub(crate) fn bare() -> Self {
        Self {
            bare: true,
            ..Self::default()
        }
    }
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.rooms > 0 && settings.sessions > 0,
        "nobody is nowhere"
    );
    options.check_process()?;
    sessions::make_room(settings.sessions)?;
    let server = Server::start_unlimited(options).await?;
    let result = hold(&server, settings).await;
    server.end(result).await
}

async fn hold(server: &Server, settings: &Settings) -> anyhow::Result<Report> {
    let resident = process::resident(server.id()?)?;
    let usage = server.usage()?;
    let began = Instant::now();
    let held = sessions::open_all(settings.sessions, async |session| {
        let client = if settings.bare {
            sessions::open(&server.url(&format!("/ws?name=guest-{session}"))).await?
        } else {
            let room = session % settings.rooms;
            let url = server.url(&format!("/ws/bench-{room}?name=guest-{session}"));
            sessions::open_in_room(&url).await?
        };
        Ok(spawn_local(stay(client)))
    });
    let held = held.await?;
    let opening = began.elapsed();
    let usage = server.usage()?.since(usage);
    sleep(SETTLE).await;
    let grown = process::resident(server.id()?)?.saturating_sub(resident) as f64;
    for session in held {
        check(session).await?;
    }

    let count = settings.sessions as f64;
    let name = if settings.bare {
        format!("idle: {} sessions in no room", settings.sessions)
    } else {
        format!(
            "idle: {} sessions in {} rooms",
            settings.sessions, settings.rooms
        )
    };
    Ok(Report::new(name)
        .add("resident per session", grown / count, "bytes")
        .add("opened", count / opening.as_secs_f64(), "/s")
        .add_some(
            "server CPU per opening",
            usage.server_micros_per(count),
            "µs",
        )
        .add_usage(usage, opening))
}

/// Hears, and answers pings, until the end; tells what that was.
async fn stay(mut client: Client) -> anyhow::Error {
    loop {
        if let Err(end) = sessions::next_text(client.next().await) {
            return end;
        }
    }
}

/// Whether a session is still there.
async fn check(session: JoinHandle<anyhow::Error>) -> anyhow::Result<()> {
    if session.is_finished() {
        return Err(session.await?).context("a session that did nothing was ended");
    }
    session.abort();
    Ok(())
}
