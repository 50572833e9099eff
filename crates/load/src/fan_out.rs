//! Sessions in rooms that are written to at a steady rate: what one delivery costs, and the highest
//! rate that is kept up.

mod hall;
mod hearing;
mod run;

use std::{fmt, time::Duration};

use clap::Args;

pub(crate) use self::hall::{Hall, Kind, Shape};
use self::run::Run;
use crate::{
    report::{Report, number},
    scan,
    search::Search,
    server::{self, Server},
    sessions,
};

/// How much load.
#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    /// Rooms.
    #[arg(long, default_value_t = Settings::default().rooms)]
    rooms: usize,
    /// Sessions in each room.
    #[arg(long, default_value_t = Settings::default().members)]
    members: usize,
    #[command(flatten)]
    rate: Rate,
}

/// The same with one room.
#[derive(Debug, Clone, Args)]
pub(crate) struct OneRoom {
    /// Sessions in the room.
    #[arg(long, default_value_t = 2_000)]
    members: usize,
    #[command(flatten)]
    rate: Rate,
}

#[derive(Debug, Clone, Args)]
struct Rate {
    /// Deliveries a second in all: a message in a room of 100 is 100 deliveries. With --search the first
    /// rate that is tried.
    #[arg(long, default_value_t = Rate::default().deliveries, value_parser = clap::value_parser!(u32).range(1..))]
    deliveries: u32,
    /// Passes signals on, which are not stored, in place of messages.
    #[arg(long)]
    signal: bool,
    /// How long is measured.
    #[arg(long, default_value_t = Rate::default().seconds)]
    seconds: u32,
    /// How long the same load runs before that.
    #[arg(long, default_value_t = Rate::default().warm_up_seconds)]
    warm_up_seconds: u32,
    /// Length of a message's text.
    #[arg(long, default_value_t = Rate::default().text_bytes)]
    text_bytes: usize,
    #[command(flatten)]
    search: Searching,
}

/// A search in place of one rate.
#[derive(Debug, Clone, Args)]
pub(crate) struct Searching {
    /// Looks for the highest rate that is kept up: all of it done, nothing lost, and in time.
    #[arg(long)]
    pub(crate) search: bool,
    /// The latency, in milliseconds, that 99 of 100 may not pass.
    #[arg(long, default_value_t = Searching::default().p99_ms, requires = "search")]
    p99_ms: f64,
    /// How long each rate is tried.
    #[arg(long, default_value_t = Searching::default().step_seconds, requires = "search", value_parser = clap::value_parser!(u32).range(1..))]
    step_seconds: u32,
    /// Nothing is tried above this rate; without it, as much as the generator can.
    #[arg(long, requires = "search", value_parser = clap::value_parser!(u32).range(1..))]
    most: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rooms: 10,
            members: 100,
            rate: Rate::default(),
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            deliveries: 50_000,
            signal: false,
            seconds: 30,
            warm_up_seconds: 2,
            text_bytes: 64,
            search: Searching::default(),
        }
    }
}

impl Default for Searching {
    fn default() -> Self {
        Self {
            search: false,
            p99_ms: 100.0,
            step_seconds: 3,
            most: None,
        }
    }
}

impl OneRoom {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            rooms: 1,
            members: self.members,
            rate: self.rate.clone(),
        }
    }
}

pub(crate) async fn measure(
    scenario: &str,
    options: &server::Options,
    settings: &Settings,
) -> anyhow::Result<Report> {
    let Settings {
        rooms,
        members,
        rate,
    } = settings;
    let kind = if rate.signal {
        Kind::Signal
    } else {
        Kind::Stored
    };
    let shape = Shape {
        rooms: *rooms,
        members: *members,
        kind,
        text_bytes: rate.text_bytes,
    };
    shape.check()?;
    sessions::make_room(shape.sessions())?;
    let server = Server::start_unlimited(options).await?;
    let result = async {
        let mut hall = Hall::open(&server, shape).await?;
        let a_message = shape.deliveries_of_a_message() as f64;
        let from = f64::from(rate.deliveries);
        if rate.search.search {
            return search(
                scenario,
                "deliveries/s",
                &server,
                &mut hall,
                &rate.search,
                from,
            )
            .await;
        }
        let messages = from / a_message;
        let warm_up = Duration::from_secs(rate.warm_up_seconds.into());
        if !warm_up.is_zero() {
            hall.run(&server, messages, warm_up).await?.check()?;
        }
        let time = Duration::from_secs(rate.seconds.into());
        let mut run = hall.run(&server, messages, time).await?;
        run.check()?;
        let name = format!(
            "{scenario}: {shape}, {} deliveries/s for {} s",
            number(from),
            rate.seconds
        );
        Ok(report(Report::new(name), &mut run))
    };
    let result = result.await;
    server.end(result).await
}

/// All figures of a run.
fn report(report: Report, run: &mut Run) -> Report {
    let deliveries = run.deliveries as f64;
    let took = run.took;
    let report = report
        .add("deliveries", deliveries / took.as_secs_f64(), "/s")
        .add_some(
            "server CPU per delivery",
            run.usage.server_micros_per(deliveries),
            "µs",
        )
        .add("send to delivery, p50", run.delivery.percentile(50.0), "ms")
        .add("send to delivery, p99", run.delivery.percentile(99.0), "ms");
    let report = if run.ok.count() == 0 {
        report
    } else {
        report
            .add("send to ok, p50", run.ok.percentile(50.0), "ms")
            .add("send to ok, p99", run.ok.percentile(99.0), "ms")
    };
    report
        .add("event", run.event_bytes as f64, "bytes")
        .add(
            "generator CPU per delivery",
            run.usage.generator.as_secs_f64() * 1e6 / deliveries,
            "µs",
        )
        .add("generator late, p99", run.late.percentile(99.0), "ms")
        .add_usage(run.usage, took)
}

/// Looks for the highest rate, in what `unit` says, that is kept up.
pub(crate) async fn search(
    scenario: &str,
    unit: &str,
    server: &Server,
    hall: &mut Hall,
    settings: &Searching,
    from: f64,
) -> anyhow::Result<Report> {
    anyhow::ensure!(
        settings.p99_ms > 0.0 && settings.p99_ms.is_finite(),
        "--p99-ms is a latency, so it is above 0"
    );
    let shape = hall.shape();
    let counted_of_a_message = shape.deliveries_of_a_message().max(1) as f64;
    let mut search = Search::new(from, settings.most.map_or(f64::MAX, f64::from));
    let mut report = Report::new(format!(
        "{scenario}: {shape}, the highest rate at p99 <= {} ms, {} s each",
        settings.p99_ms, settings.step_seconds
    ));
    let time = Duration::from_secs(settings.step_seconds.into());
    let (mut best, mut limited) = (None, false);
    while let Some(rate) = search.next() {
        let mut run = hall.run(server, rate / counted_of_a_message, time).await?;
        let outcome = run.outcome(settings.p99_ms)?;
        let p99 = run.latencies().percentile(99.0);
        eprintln!(
            "{:>12} {unit}: {outcome}, p99 {} ms",
            number(rate),
            number(p99)
        );
        report = report.step(rate, outcome.kept_up(), &outcome.to_string(), p99);
        search.tell(outcome.kept_up());
        limited = match outcome {
            Outcome::KeptUp => {
                best = Some(run);
                limited
            }
            outcome => outcome == Outcome::GeneratorLate,
        };
    }
    let (Some(rate), Some(mut run)) = (search.highest(), best) else {
        anyhow::bail!("no rate was kept up at a p99 of {} ms", settings.p99_ms);
    };
    let report = report.add("highest rate kept up", rate, "/s");
    let report = if run.deliveries == 0 {
        report
            .add("send to ok, p50", run.ok.percentile(50.0), "ms")
            .add("send to ok, p99", run.ok.percentile(99.0), "ms")
            .add_usage(run.usage, run.took)
    } else {
        self::report(report, &mut run)
    };
    Ok(if limited {
        report.note(
            "the generator was the limit: it could not send more in time, the server may do more",
        )
    } else {
        report
    })
}

/// How a rate was kept up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    KeptUp,
    /// The generator itself could not send in time.
    GeneratorLate,
    /// So many were not taken, as the server was busy.
    Refused,
    /// Signals were dropped, which nobody promised not to do.
    Dropped,
    /// All came, and some too late.
    Late,
    /// It took longer than the step until all had come.
    Behind,
}

impl Outcome {
    fn kept_up(self) -> bool {
        self == Self::KeptUp
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeptUp => "kept up",
            Self::GeneratorLate => "not kept up by the generator",
            Self::Refused => "refused",
            Self::Dropped => "signals dropped",
            Self::Late => "late",
            Self::Behind => "behind",
        })
    }
}

impl Shape {
    fn check(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.rooms > 0 && self.members > 0,
            "every room needs a session: set --rooms and --members to 1 and more"
        );
        anyhow::ensure!(
            self.deliveries_of_a_message() > 0,
            "a signal goes to all others: set --members to 2 and more"
        );
        self.check_text()
    }

    /// Whether what is measured has room in a text.
    pub(crate) fn check_text(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.text_bytes >= scan::LEAST,
            "a text holds when it was sent and by whom: set --text-bytes to {} and more",
            scan::LEAST
        );
        Ok(())
    }
}
