//! What is measured, and how often.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::{
    Setup, echo,
    hall::{Hall, Outcome, Pace, Size},
    opening,
    peer::Peer,
    program::{Cores, Pinned, Program},
    search,
    table::Run,
};

const ROOMS: Size = Size {
    rooms: 10,
    members: 100,
};
const ONE_ROOM: Size = Size {
    rooms: 1,
    members: 2_000,
};
/// Deliveries a second.
const STEADY: f64 = 50_000.0;
const OVERLOAD: f64 = 500_000.0;

const WARM_UP: Duration = Duration::from_millis(500);
/// How long the last deliveries may take where all must come, and where it is seen who keeps up.
const ALL: Duration = Duration::from_secs(30);
const KEPT_UP: Duration = Duration::from_secs(1);
/// Milliseconds within which 99 of 100 deliveries come where a rate is kept up.
const P99: f64 = 100.0;
/// For a step of the search.
const STEP_WARM_UP: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(800);

const IDLE: usize = 10_000;
const IDLE_HEAVY: usize = 2_000;
const IDLE_MOST: usize = 18_000;
const STORM: usize = 5_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// 10 rooms of 100, 50,000 deliveries a second.
    Fan,
    /// The same with the server on one core.
    Core,
    /// The same with 500,000 a second.
    Overload,
    /// One room of 2,000, 50,000 deliveries a second.
    Room,
    /// 64 bytes, 100 connections.
    Echo,
    /// Memory of connections that do nothing.
    Idle,
    /// The same with 18,000, of those that hold little.
    IdleMost,
    /// 5,000 connections, 256 being opened at a time.
    Storm,
    /// The highest rate that is kept up on one core.
    Search,
}

impl Scenario {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Fan => "10 rooms of 100, 50,000 deliveries a second",
            Self::Core => "The same, the server on one core",
            Self::Overload => "500,000 deliveries a second offered, the server on one core",
            Self::Room => "One room of 2,000, 50,000 deliveries a second",
            Self::Echo => "Echo of 64 bytes, 100 connections",
            Self::Idle => "Memory of idle connections",
            Self::IdleMost => "Memory of 18,000 idle connections",
            Self::Storm => "A storm: 5,000 connections, 256 at a time",
            Self::Search => "The highest rate kept up on one core, p99 under 100 ms",
        }
    }

    /// How often of so many rounds; 0 where it tells nothing.
    pub(super) fn rounds(self, peer: Peer, rounds: usize) -> usize {
        let is_ours = peer.is_madang() || matches!(peer, Peer::Bare | Peer::BareGather);
        let at_most = match (self, peer.is_slow()) {
            (Self::Idle, _) if peer == Peer::BareGather => 0,
            (Self::Storm | Self::Echo, _) if peer == Peer::BareGather => 0,
            (Self::Idle, _) => 1,
            (Self::IdleMost, _) => usize::from(matches!(peer, Peer::Bare | Peer::MadangSend)),
            (Self::Overload | Self::Search, true) => 1,
            (Self::Search, false) => 2,
            (Self::Overload, false) if !is_ours => 3,
            (Self::Echo | Self::Storm, false) if !is_ours => 3,
            (_, true) => 2,
            _ => rounds,
        };
        at_most.min(rounds)
    }

    fn cores(self) -> Cores {
        match self {
            Self::Core | Self::Overload | Self::Search => Cores::OneEach,
            _ => Cores::All,
        }
    }

    /// With a server of its own.
    pub(super) fn run(self, peer: Peer, setup: &Setup, time: Duration) -> anyhow::Result<Run> {
        let _pinned = Pinned::new(self.cores())?;
        if self == Self::Search {
            return search(peer, setup);
        }
        let mut program = setup.start(peer, self.cores())?;
        let result = self.load(peer, setup, &program, time);
        program.explain(result)
    }

    fn load(
        self,
        peer: Peer,
        setup: &Setup,
        program: &Program,
        time: Duration,
    ) -> anyhow::Result<Run> {
        let links = setup.links(peer, program)?;
        let steady = |rate, patience| Pace {
            rate,
            warm_up: WARM_UP,
            measured: time,
            patience,
        };
        let offer = |links, size, pace| {
            Hall::open(links, peer.protocol(), size, peer.order())?.offer(pace, program)
        };
        match self {
            Self::Fan | Self::Core => all_came(offer(links, ROOMS, steady(STEADY, ALL))?),
            Self::Room => all_came(offer(links, ONE_ROOM, steady(STEADY, ALL))?),
            Self::Overload => overloaded(offer(links, ROOMS, steady(OVERLOAD, KEPT_UP))?, peer),
            Self::Echo => echo::measure(links, peer.protocol(), program, time),
            Self::Idle if peer.is_heavy() => opening::idle(links, program, IDLE_HEAVY),
            Self::Idle => opening::idle(links, program, IDLE),
            Self::IdleMost => opening::idle(links, program, IDLE_MOST),
            Self::Storm => opening::storm(links, program, STORM),
            Self::Search => search(peer, setup),
        }
    }
}

/// For a rate at which everything must come.
fn all_came(mut outcome: Outcome) -> anyhow::Result<Run> {
    anyhow::ensure!(
        outcome.refusals == 0,
        "the server refused {} times, at first: {}",
        outcome.refusals,
        outcome.refusal
    );
    anyhow::ensure!(
        outcome.missing == 0,
        "{} deliveries have not come ({} of them were left out)",
        outcome.missing,
        outcome.lost
    );
    Ok(figures(&mut outcome))
}

/// For a rate that is too high for some. What is not left out may come later, and is not waited for.
fn overloaded(mut outcome: Outcome, peer: Peer) -> anyhow::Result<Run> {
    no_loss(&outcome, peer)?;
    let kept_up = outcome.is_kept_up(P99);
    Ok(figures(&mut outcome)
        .sum("runs that kept up", f64::from(u8::from(kept_up)))
        .sum("runs", 1.0)
        .sum("left out", outcome.lost as f64)
        .sum("refused", outcome.refusals as f64))
}

/// Who does not leave out messages by design must not do so in an overload either; what was refused is
/// no loss.
fn no_loss(outcome: &Outcome, peer: Peer) -> anyhow::Result<()> {
    anyhow::ensure!(
        outcome.lost == 0 || outcome.refusals > 0 || peer.leaves_out(),
        "{} deliveries are lost",
        outcome.lost
    );
    Ok(())
}

fn figures(outcome: &mut Outcome) -> Run {
    let cpu = outcome.usage.server.as_secs_f64() * 1e6;
    Run::default()
        .compared("CPU µs per delivery", cpu / outcome.delivered as f64)
        .median("p50 ms", outcome.latencies.percentile(50.0))
        .spread("p99 ms", outcome.latencies.percentile(99.0))
        .median(
            "deliveries a second",
            outcome.delivered as f64 / outcome.took.as_secs_f64(),
        )
        .median("bytes of a message", outcome.bytes as f64)
        .usage(outcome.usage, outcome.took)
}

/// A rate that is kept up leaves nothing behind, so that the next one can be tried on the same connections.
fn search(peer: Peer, setup: &Setup) -> anyhow::Result<Run> {
    // Those that are dropped first come first.
    let mut open: Option<(Hall<'_>, Program)> = None;
    let mut cost = 0.0;
    let rate = search::highest(|rate| {
        let (mut hall, mut program) = match open.take() {
            Some(open) => open,
            None => {
                let program = setup.start(peer, Cores::OneEach)?;
                let links = setup.links(peer, &program)?;
                (
                    Hall::open(links, peer.protocol(), ROOMS, peer.order())?,
                    program,
                )
            }
        };
        let pace = Pace {
            rate,
            warm_up: STEP_WARM_UP,
            measured: STEP,
            patience: KEPT_UP,
        };
        let outcome = hall.offer(pace, &program);
        let mut outcome = program.explain(outcome)?;
        no_loss(&outcome, peer)?;
        let kept_up = outcome.is_kept_up(P99);
        if kept_up {
            cost = outcome.usage.server.as_secs_f64() * 1e6 / outcome.delivered as f64;
            open = Some((hall, program));
        }
        Ok(kept_up)
    })?;
    Ok(Run::default()
        .compared("deliveries a second", rate)
        .median("CPU µs per delivery there", cost))
}
