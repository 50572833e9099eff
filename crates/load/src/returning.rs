//! A server is killed and starts again, and everyone comes back at once.

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::Context;
use clap::Args;
use client::{Client, ConnectError, Options};
use futures_util::future::try_join_all;
use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Instant, interval, sleep, timeout},
};

use crate::{
    clock::Clock,
    latency::Latencies,
    order::{Faults, Order},
    process,
    report::Report,
    server::{self, Server},
    sessions,
    wire::{self, Message},
};

/// How long all of it may take.
const RETURN: Duration = Duration::from_secs(120);
/// Between two tries of a client to come back, where the server does not answer.
const AGAIN: Duration = Duration::from_millis(250);
/// How long one that is doubled may come after the last.
const DOUBLED: Duration = Duration::from_millis(300);
/// Between two messages of the one who talks meanwhile, and length of their text.
const PACE: Duration = Duration::from_millis(10);
const TEXT: usize = 64;
const TALK: &str = "talk";

/// How many come back.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Sessions in all.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Rooms, over which the sessions are spread.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Messages in each room before the server is killed, and as many while all come back.
    #[arg(long, default_value_t = 10)]
    messages: u64,
}

/// One of those who come back.
struct Member {
    client: Client,
    place: Place,
}

/// What is left of one whose connection is gone.
struct Place {
    token: String,
    room: usize,
    order: Order,
    /// The last event that was heard.
    seq: u64,
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.rooms > 0 && settings.sessions > 0,
        "nobody comes back"
    );
    options.check_own()?;
    sessions::make_room(settings.sessions + 2)?;
    let server = Server::start(options).await?;
    let members = match gather(&server, settings).await {
        Ok(members) => members,
        Err(error) => return server.end(Err(error)).await,
    };
    let killed = Instant::now();
    // Their descriptors are free again before they come back.
    let places = members.into_iter().map(|member| member.place).collect();
    let server = server.kill_and_start_again(options).await?;
    let result = come_back(&server, settings, places, killed).await;
    server.end(result).await
}

/// Opens all sessions and lets each hear its room's first messages.
async fn gather(server: &Server, settings: &Settings) -> anyhow::Result<Vec<Member>> {
    let members = sessions::open_all(settings.sessions, async |session| {
        let room = session % settings.rooms;
        let url = server.url(&format!("/ws/{}?name=guest-{session}", room_name(room)));
        let (client, token) = sessions::open_with_token(&url, patient()).await?;
        let place = Place {
            token: token.context("a guest got no token")?,
            room,
            order: Order::default(),
            seq: 0,
        };
        Ok(Member { client, place })
    });
    let mut members = members.await?;
    let url = server.url("/ws?name=writer");
    write(sessions::open(&url).await?, settings).await?;
    let hear = members
        .iter_mut()
        .map(|member| member.hear_to(settings.messages));
    try_join_all(hear).await?;
    Ok(members)
}

async fn come_back(
    server: &Server,
    settings: &Settings,
    places: Vec<Place>,
    killed: Instant,
) -> anyhow::Result<Report> {
    let (up, head) = (Instant::now(), 2 * settings.messages);
    let usage = server.usage()?;
    // Those who are in already: one who writes to all rooms, and one who talks.
    let writer = sessions::open(&server.url("/ws?name=writer")).await?;
    let mut talker =
        sessions::open_in_room(&server.url(&format!("/ws/{TALK}?name=talker"))).await?;
    let latencies = Rc::new(RefCell::new(Latencies::default()));
    let talking = {
        let latencies = latencies.clone();
        spawn_local(async move { talk(&mut talker, &latencies).await })
    };
    let writing = {
        let settings = settings.clone();
        spawn_local(async move { write(writer, &settings).await })
    };
    let back: Vec<JoinHandle<anyhow::Result<_>>> = places
        .into_iter()
        .map(|place| {
            let Place {
                room, token, seq, ..
            } = &place;
            let room = room_name(*room);
            let url = server.url(&format!("/ws/{room}?token={token}&since={seq}"));
            spawn_local(async move {
                let (client, failed) = come_in(&url).await?;
                let let_in = up.elapsed();
                let mut member = Member { client, place };
                member.hear_to(head).await?;
                Ok((member, failed, let_in, up.elapsed()))
            })
        })
        .collect();
    let (mut held, mut failed) = (Vec::new(), 0);
    let [mut let_in, mut caught_up] = [Latencies::default(), Latencies::default()];
    let all = timeout(RETURN, async {
        for member in back {
            let (member, tries, entered, done) = member.await??;
            failed += tries;
            let_in.record(entered);
            caught_up.record(done);
            held.push(member);
        }
        anyhow::Ok(())
    });
    all.await.context("not everyone came back in time")??;
    let took = up.elapsed();
    let usage = server.usage()?.since(usage);
    talking.abort();
    writing.await??;

    sleep(DOUBLED).await;
    let mut faults = Faults::default();
    for member in &mut held {
        while let Ok(heard) = timeout(Duration::ZERO, member.client.next()).await {
            member.take(&sessions::next_text(heard)?)?;
        }
        faults.add(member.place.order.faults(head));
    }
    faults.check()?;

    let mut talk = latencies.borrow_mut();
    let mib = process::peak(server.id()?)? as f64 / f64::from(1 << 20);
    let Settings {
        sessions,
        rooms,
        messages,
    } = settings;
    let name = format!(
        "return: {sessions} sessions in {rooms} rooms after a kill, {messages} messages in each before and after"
    );
    Ok(Report::new(name)
        .add("killed until open again", (up - killed).as_secs_f64(), "s")
        .add("let in, half of them", let_in.percentile(50.0) / 1e3, "s")
        .add("let in, all", let_in.percentile(100.0) / 1e3, "s")
        .add(
            "caught up, half of them",
            caught_up.percentile(50.0) / 1e3,
            "s",
        )
        .add("caught up, all", caught_up.percentile(100.0) / 1e3, "s")
        .add("tries without an answer", failed as f64, "")
        .add("talk meanwhile, p50", talk.percentile(50.0), "ms")
        .add("talk meanwhile, p99", talk.percentile(99.0), "ms")
        .add("talk meanwhile, longest", talk.percentile(100.0), "ms")
        .add("server's peak memory", mib, "MiB")
        .add_some(
            "server CPU per session",
            usage.server_micros_per(settings.sessions as f64),
            "µs",
        )
        .add_usage(usage, took))
}

impl Member {
    async fn hear_to(&mut self, seq: u64) -> anyhow::Result<()> {
        while self.place.seq < seq {
            let text = sessions::next_text(self.client.next().await)?;
            self.take(&text)?;
        }
        Ok(())
    }

    fn take(&mut self, text: &str) -> anyhow::Result<()> {
        match wire::read(text) {
            Message::Event { seq, .. } => {
                self.place.order.receive(seq);
                self.place.seq = self.place.seq.max(seq);
            }
            Message::Error => anyhow::bail!("the server said {text}"),
            _ => {}
        }
        Ok(())
    }
}

/// Connects until it is let in; tells how many tries had no answer.
async fn come_in(url: &str) -> anyhow::Result<(Client, u64)> {
    let mut failed = 0;
    loop {
        match sessions::open_with_token(url, patient()).await {
            Ok((client, _)) => return Ok((client, failed)),
            // A browser is told no more than that it could not connect, and tries again.
            Err(error) if error.is::<ConnectError>() => failed += 1,
            Err(error) => return Err(error),
        }
        sleep(AGAIN).await;
    }
}

/// Writes to all rooms in turn.
async fn write(mut client: Client, settings: &Settings) -> anyhow::Result<()> {
    for number in 0..settings.messages * settings.rooms as u64 {
        let room = room_name(number as usize % settings.rooms);
        client
            .send_text(&wire::send(&room, None, TEXT, number))
            .await?;
        let text = sessions::next_text(client.next().await)?;
        anyhow::ensure!(
            matches!(wire::read(&text), Message::Ok { .. }),
            "the server said {text} in place of an ok"
        );
    }
    Ok(())
}

/// Says something at a pace, and hears it.
async fn talk(client: &mut Client, latencies: &RefCell<Latencies>) -> anyhow::Result<()> {
    let clock = Clock::start();
    let mut pace = interval(PACE);
    loop {
        pace.tick().await;
        let now = clock.now();
        client.send_text(&wire::send(TALK, None, TEXT, now)).await?;
        loop {
            let text = sessions::next_text(client.next().await)?;
            if let Message::Event { sent, .. } = wire::read(&text)
                && sent == now
            {
                latencies.borrow_mut().record(clock.since(sent));
                break;
            }
        }
    }
}

/// A client that waits for its turn.
fn patient() -> Options {
    Options {
        connect_timeout: RETURN,
        ..Options::default()
    }
}

fn room_name(room: usize) -> String {
    format!("bench-{room}")
}
