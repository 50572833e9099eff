//! Connections that come all at once: how fast they are let in, from connect to `hello`.

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, time::Duration};

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

use crate::{
    latency::Latencies,
    link::{self, Ear, Pen},
    netstat::Netstat,
    report::Report,
    server::{self, Server},
    sessions,
};

/// How often one session tries to connect, and how long it waits in between.
const TRIES: usize = 5;
const AGAIN: Duration = Duration::from_millis(100);
/// A lost SYN is sent again after a second: an opening that took this long may have lost one.
const LONG_MS: f64 = 1000.0;

/// How many.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Sessions in all; all of them stay open until the end.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Sessions that are being opened at a time.
    #[arg(long, default_value_t = sessions::AT_ONCE)]
    at_once: usize,
}

#[derive(Default)]
struct Seen {
    opening: Latencies,
    /// Tries without a connection, and why the first was.
    failed: usize,
    failure: Option<io::Error>,
}

pub(crate) async fn measure(
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.sessions > 0 && settings.at_once > 0,
        "nobody comes: set --sessions and --at-once to 1 and more"
    );
    sessions::make_room(settings.sessions)?;
    let server = Server::start_unlimited(options).await?;
    let result = come(&server, settings).await;
    server.end(result).await
}

async fn come(server: &Server, settings: &Settings) -> anyhow::Result<Report> {
    let address = server.socket_address()?;
    let seen = RefCell::new(Seen::default());
    let (network, usage, began) = (Netstat::now()?, server.usage()?, Instant::now());
    let open = async |session: usize| {
        let path = format!("/ws?name=guest-{session}");
        let began = Instant::now();
        let (mut ear, pen) = come_in(address, &path, &seen).await?;
        ear.hear_until(|text| Ok(text.starts_with(br#"{"type":"hello""#)))
            .await?;
        seen.borrow_mut().opening.record(began.elapsed());
        anyhow::Ok((ear, pen))
    };
    let held: Vec<(Ear, Rc<Pen>)> = stream::iter(0..settings.sessions)
        .map(open)
        .buffer_unordered(settings.at_once)
        .try_collect()
        .await?;
    let (took, usage) = (began.elapsed(), server.usage()?.since(usage));
    let network = Netstat::now()?.since(network);
    drop(held);

    let Seen {
        mut opening,
        failed,
        failure,
    } = seen.into_inner();
    let count = settings.sessions as f64;
    let name = format!(
        "storm: {} sessions, {} at a time",
        settings.sessions, settings.at_once
    );
    let report = Report::new(name)
        .add("opened", count / took.as_secs_f64(), "/s")
        .add("connect to hello, p50", opening.percentile(50.0), "ms")
        .add("connect to hello, p99", opening.percentile(99.0), "ms")
        .add("connect to hello, longest", opening.percentile(100.0), "ms")
        .add("a second and longer", opening.above(LONG_MS) as f64, "")
        .add("connects that failed", failed as f64, "")
        .add("listen queue overflows", network.overflows as f64, "")
        .add("SYNs dropped", network.drops as f64, "")
        .add("TCP timeouts", network.timeouts as f64, "")
        .add_some(
            "server CPU per opening",
            usage.server_micros_per(count),
            "µs",
        )
        .add_usage(usage, took);
    let report = match failure {
        Some(failure) => report.note(&format!("the first connect that failed: {failure}")),
        None => report,
    };
    Ok(report.note(network.verdict()))
}

/// Connects, several times if it has to.
async fn come_in(
    address: SocketAddr,
    path: &str,
    seen: &RefCell<Seen>,
) -> anyhow::Result<(Ear, Rc<Pen>)> {
    for _ in 1..TRIES {
        match link::open(address, path).await {
            Err(error) if error.is::<io::Error>() => {
                let mut seen = seen.borrow_mut();
                seen.failed += 1;
                if let (None, Ok(error)) = (&seen.failure, error.downcast()) {
                    seen.failure = Some(error);
                }
            }
            opened => return opened,
        }
        sleep(AGAIN).await;
    }
    link::open(address, path).await
}
