//! Runs the cases of a fuzzing server: sends back what it is sent, one connection for each case.
//!
//! `conformance-client URL` runs all that the server at URL has, and tells it when that is done.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use anyhow::Context;
use client::{Client, ConnectError, Incoming, Options};
use tokio::task::JoinSet;

/// Cases at a time: most do nothing but wait.
const AT_ONCE: usize = 4;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url: Arc<str> = std::env::args()
        .nth(1)
        .context("usage: conformance-client URL")?
        .trim_end_matches('/')
        .into();
    let count = count(&url).await?;
    let next = Arc::new(AtomicU32::new(1));
    let mut runners = JoinSet::new();
    for _ in 0..AT_ONCE {
        runners.spawn(run_each(url.clone(), next.clone(), count));
    }
    while let Some(ended) = runners.join_next().await {
        ended??;
    }
    run(&format!("{url}/updateReports?agent=madang")).await
}

/// Runs the case that is next, until there is none.
async fn run_each(url: Arc<str>, next: Arc<AtomicU32>, count: u32) -> anyhow::Result<()> {
    loop {
        let case = next.fetch_add(1, Ordering::Relaxed);
        if case > count {
            return Ok(());
        }
        run(&format!("{url}/runCase?case={case}&agent=madang"))
            .await
            .with_context(|| format!("case {case} of {count}"))?;
    }
}

/// How many cases the server has.
async fn count(url: &str) -> anyhow::Result<u32> {
    let mut client = connect(&format!("{url}/getCaseCount")).await?;
    match client.next().await {
        Some(Ok(Incoming::Text(count))) => count.parse().context("the number of cases"),
        other => anyhow::bail!("the server does not tell its number of cases: {other:?}"),
    }
}

/// With compression, of the suite's short messages too.
async fn connect(url: &str) -> Result<Client, ConnectError> {
    let options = Options {
        compression: Some(0),
        ..Options::default()
    };
    Client::connect(url, options).await
}

/// Sends back what comes until the connection ends; how it ends is the server's to judge.
async fn run(url: &str) -> anyhow::Result<()> {
    let mut client = connect(url).await?;
    while let Some(Ok(incoming)) = client.next().await {
        let sent = match incoming {
            Incoming::Text(text) => client.send_text(&text).await,
            Incoming::Binary(bytes) => client.send_binary(&bytes).await,
            Incoming::Closed(_) => break,
        };
        if sent.is_err() {
            break;
        }
    }
    Ok(())
}
