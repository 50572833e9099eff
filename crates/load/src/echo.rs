//! Sessions that ask `ping` and, as soon as `pong` has come, ask again: what a round trip costs.

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::Context;
use clap::Args;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    frames::Template,
    latency::Latencies,
    link::{self, Ear, Pen},
    report::Report,
    server::{self, Server},
    sessions,
};

/// How long before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);
/// Digits of an id, which has no zeros in front: ids count from [`FIRST`].
const DIGITS: usize = 16;
const FIRST: u64 = 1_000_000_000_000_000;
const PING: &str = r#"{"type":"ping","id":"#;
const PONG: &str = r#"{"type":"pong","id":"#;

/// How many, for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Sessions, each with one ping in flight.
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// How long is measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.connections > 0,
        "nobody asks nothing: set --connections to 1 and more"
    );
    sessions::make_room(settings.connections)?;
    let server = Server::start_unlimited(options).await?;
    let result = ask(&server, settings).await;
    server.end(result).await
}

async fn ask(server: &Server, settings: &Settings) -> anyhow::Result<Report> {
    let address = server.socket_address()?;
    let opened = sessions::open_all(settings.connections, async |session| {
        let (mut ear, pen) = link::open(address, &format!("/ws?name=guest-{session}")).await?;
        ear.hear_until(|text| Ok(text.starts_with(br#"{"type":"hello""#)))
            .await?;
        Ok(Asker::new(ear, pen))
    });
    let mut askers = opened.await?;
    round(&mut askers, WARM_UP).await?;

    let usage = server.usage()?;
    let (began, time) = (Instant::now(), Duration::from_secs(settings.seconds.into()));
    let mut latencies = round(&mut askers, time).await?;
    let (took, usage) = (began.elapsed(), server.usage()?.since(usage));
    let count = latencies.count() as f64;
    let name = format!(
        "echo: {} sessions, one ping in flight each, for {} s",
        settings.connections, settings.seconds
    );
    Ok(Report::new(name)
        .add("round trips", count / took.as_secs_f64(), "/s")
        .add("ping to pong, p50", latencies.percentile(50.0), "ms")
        .add("ping to pong, p99", latencies.percentile(99.0), "ms")
        .add_some(
            "server CPU per round trip",
            usage.server_micros_per(count),
            "µs",
        )
        .add(
            "generator CPU per round trip",
            usage.generator.as_secs_f64() * 1e6 / count,
            "µs",
        )
        .add_usage(usage, took))
}

/// All ask for so long; every answer is counted.
async fn round(askers: &mut [Asker], time: Duration) -> anyhow::Result<Latencies> {
    let latencies = Rc::new(RefCell::new(Latencies::default()));
    let (clock, until) = (Clock::start(), Instant::now() + time);
    let asking = askers.iter_mut().enumerate().map(|(session, asker)| {
        let latencies = latencies.clone();
        async move {
            while Instant::now() < until {
                let sent = clock.now();
                asker
                    .ask()
                    .await
                    .with_context(|| format!("session {session}"))?;
                latencies.borrow_mut().record(clock.since(sent));
            }
            anyhow::Ok(())
        }
    });
    try_join_all(asking).await?;
    Ok(latencies.take())
}

struct Asker {
    ear: Ear,
    pen: Rc<Pen>,
    ping: Template,
    asked: u64,
}

impl Asker {
    fn new(ear: Ear, pen: Rc<Pen>) -> Self {
        Self {
            ear,
            pen,
            ping: Template::new(&format!("{PING}{FIRST}}}")),
            asked: 0,
        }
    }

    /// Asks once and waits for the answer, which must be the one to this question.
    async fn ask(&mut self) -> anyhow::Result<()> {
        self.asked += 1;
        let id = FIRST + self.asked;
        self.ping.fill(PING.len(), DIGITS, id);
        self.pen.write(self.ping.bytes())?;
        let mut answered = false;
        self.ear
            .hear_until(|text| {
                anyhow::ensure!(
                    !answered && is_pong(text, id),
                    "the server said {} to ping {id}",
                    String::from_utf8_lossy(text)
                );
                answered = true;
                Ok(true)
            })
            .await
    }
}

/// Whether it is the `pong` with this id.
fn is_pong(text: &[u8], id: u64) -> bool {
    let digits = text
        .strip_prefix(PONG.as_bytes())
        .and_then(|rest| rest.strip_suffix(b"}"));
    digits
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .is_some_and(|answered: u64| answered == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pong_answers_its_own_ping() {
        let pong = format!(r#"{{"type":"pong","id":{}}}"#, FIRST + 1);
        assert!(is_pong(pong.as_bytes(), FIRST + 1));
        assert!(!is_pong(pong.as_bytes(), FIRST + 2));
        assert!(!is_pong(br#"{"type":"pong"}"#, FIRST + 1));
    }
}
