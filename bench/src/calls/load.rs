//! Callers and services of one run with one server.

use std::{cell::RefCell, convert::Infallible, net::SocketAddr, rc::Rc, time::Duration};

use anyhow::Context;
use load::{
    clock::Clock,
    process::{self, Usage},
    sessions,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    link::Link,
    protocol::{Heard, Protocol},
    tally::{Caller, Tally},
};
use crate::comparison::Run;

/// Before it is measured, at least; and as many calls as are in flight are answered.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the first, and the last, answers may take to come.
const LATE: Duration = Duration::from_secs(30);
/// Between two looks at whether they have come.
const LOOK: Duration = Duration::from_millis(10);
/// After the last answer: what is doubled may come yet.
const QUIET: Duration = Duration::from_millis(300);

pub(super) struct Load {
    pub(super) callers: usize,
    /// Calls of each caller.
    pub(super) in_flight: u64,
    pub(super) services: u64,
    pub(super) seconds: u32,
}

type Shared = Rc<RefCell<Tally>>;

impl Load {
    pub(super) fn title(&self) -> String {
        let Self {
            callers,
            in_flight,
            services,
            ..
        } = self;
        format!("{callers} × {in_flight} calls in flight, services: {services}")
    }

    /// Loads the server at `address`, the process `server`.
    pub(super) async fn measure<P: Protocol>(
        &self,
        address: SocketAddr,
        server: u32,
    ) -> anyhow::Result<Run> {
        let (shared, clock) = (Shared::default(), Clock::start());
        // Each is read as soon as it is open, so that none seems dead while others are opened.
        let tasks = RefCell::new(JoinSet::new());
        let services = sessions::open_all(usize::try_from(self.services)?, async |number| {
            let link = P::open_service(address, number).await?;
            let answering = answer::<P>(link, shared.clone());
            tasks.borrow_mut().spawn_local(async move {
                let ended = answering.await;
                ended.with_context(|| format!("service {number}"))
            });
            Ok(())
        });
        services.await.context("a service")?;
        let (start, started) = watch::channel(());
        let callers = sessions::open_all(self.callers, async |number| {
            let link = P::open_caller(address, number).await?;
            let (started, shared) = (started.clone(), shared.clone());
            let asking = ask::<P>(link, number, self.in_flight, started, clock, shared);
            tasks.borrow_mut().spawn_local(async move {
                let ended = asking.await;
                ended.with_context(|| format!("caller {number}"))
            });
            Ok(())
        });
        callers.await.context("a caller")?;
        start.send(())?;
        let mut tasks = tasks.into_inner();
        // No connection ends but by an error.
        tokio::select! {
            run = self.watch(server, &shared) => run,
            Some(ended) = tasks.join_next() => match ended?? {},
        }
    }

    async fn watch(&self, server: u32, shared: &Shared) -> anyhow::Result<Run> {
        let at_first = self.callers as u64 * self.in_flight;
        let warm_up = timeout(LATE, async {
            sleep(WARM_UP).await;
            while shared.borrow().answered() < at_first {
                sleep(LOOK).await;
            }
        });
        warm_up
            .await
            .with_context(|| format!("the first {at_first} calls are not answered in {LATE:?}"))?;
        let began = Instant::now();
        let usage = Usage::now(server)?;
        shared.borrow_mut().measuring = true;
        sleep(Duration::from_secs(self.seconds.into())).await;
        shared.borrow_mut().measuring = false;
        let usage = Usage::now(server)?.since(usage);
        let took = began.elapsed();
        let resident = process::resident(server)?;

        shared.borrow_mut().ended = true;
        let answered = timeout(LATE, async {
            while shared.borrow().outstanding() > 0 {
                sleep(LOOK).await;
            }
        });
        let answered = answered.await.is_ok();
        let (asked, lost) = {
            let tally = shared.borrow();
            (tally.asked(), tally.outstanding())
        };
        anyhow::ensure!(
            answered,
            "{lost} of {asked} calls are not answered {LATE:?} after the last was made"
        );
        sleep(QUIET).await;
        let mut tally = shared.borrow_mut();
        tally.check()?;

        let count = tally.latencies.count() as f64;
        anyhow::ensure!(
            count > 0.0,
            "no call was answered in {} s: measure for longer (--seconds)",
            self.seconds
        );
        let latencies = &mut tally.latencies;
        Ok(Run::default()
            .compare("calls a second", count / took.as_secs_f64())
            .note("p50, ms", latencies.percentile(50.0))
            .compare("p99, ms", latencies.percentile(99.0))
            .compare("CPU µs per call", usage.server.as_secs_f64() * 1e6 / count)
            .compare("resident MiB", resident as f64 / f64::from(1 << 20))
            .usage(usage, took))
    }
}

/// A caller: makes the next call when one is answered.
async fn ask<P: Protocol>(
    mut link: Link,
    caller: usize,
    in_flight: u64,
    mut started: watch::Receiver<()>,
    clock: Clock,
    shared: Shared,
) -> anyhow::Result<Infallible> {
    loop {
        tokio::select! {
            start = started.changed() => break start?,
            // What it says is no answer yet.
            heard = link.hear::<P>(|_, _| Ok(())) => heard?,
        }
        link.flush().await?;
    }
    let mut calls = Caller::new(caller);
    for _ in 0..in_flight {
        let (number, params) = calls.ask(clock, &mut shared.borrow_mut());
        P::call(caller, number, params, &mut link.out);
    }
    loop {
        link.flush().await?;
        link.hear::<P>(|heard, out| {
            let tally = &mut shared.borrow_mut();
            match heard {
                Heard::Answer { number, result } => {
                    calls.answer(number, result, clock, tally)?;
                    if !tally.ended {
                        let (number, params) = calls.ask(clock, tally);
                        P::call(caller, number, params, out);
                    }
                }
                Heard::Ticket { number } => calls.ticket(number)?,
                Heard::Other => {}
                other => anyhow::bail!("a caller was told {other:?}"),
            }
            Ok(())
        })
        .await?;
    }
}

/// A service: the answer is the question.
async fn answer<P: Protocol>(mut link: Link, shared: Shared) -> anyhow::Result<Infallible> {
    loop {
        link.hear::<P>(|heard, out| {
            match heard {
                Heard::Request { to, params } => {
                    shared.borrow_mut().request();
                    P::respond(to, params, out);
                }
                Heard::Other => {}
                other => anyhow::bail!("a service was told {other:?}"),
            }
            Ok(())
        })
        .await?;
        link.flush().await?;
    }
}
