//! Connections that are opened, many at a time, and then do nothing.

use std::{collections::HashMap, fs, thread::sleep, time::Duration};

use anyhow::Context;
use load::process::{self, Usage};

use super::{links::Links, program::Program, protocol::Place, table::Run};

/// Rooms that the connections are in.
const ROOMS: usize = 100;
/// Until buffers are given back.
const SETTLE: Duration = Duration::from_secs(2);
/// What the kernel counts when a connection waits for a SYN to be sent again.
const COUNTERS: [&str; 3] = ["ListenOverflows", "ListenDrops", "TCPTimeouts"];

fn place(link: usize) -> Place {
    Place::Room {
        room: link % ROOMS,
        member: link,
    }
}

/// So many connections, 256 being opened at a time.
pub(super) fn storm(
    mut links: Links<'_>,
    program: &Program,
    connections: usize,
) -> anyhow::Result<Run> {
    let (counters, usage) = (counters()?, Usage::now(program.id())?);
    let mut opening = links.open(connections, place)?;
    let usage = Usage::now(program.id())?.since(usage);
    let after = self::counters()?;
    let lost = |name| {
        let count = |counters: &HashMap<String, u64>| counters.get(name).copied().unwrap_or(0);
        (count(&after) - count(&counters)) as f64
    };
    let cpu = usage.server.as_secs_f64() * 1e6 / connections as f64;
    let mut run = Run::default()
        .spread(
            "connections a second",
            connections as f64 / opening.took.as_secs_f64(),
        )
        .compared("CPU µs each", cpu)
        .median("p99 ms", opening.each.percentile(99.0))
        .sum("over 0.9 s", opening.slow as f64);
    for name in COUNTERS {
        run = run.sum(name, lost(name));
    }
    Ok(run.usage(usage, opening.took))
}

/// What so many connections that do nothing hold.
pub(super) fn idle(
    mut links: Links<'_>,
    program: &Program,
    connections: usize,
) -> anyhow::Result<Run> {
    let before = process::resident(program.id())?;
    links.open(connections, place)?;
    sleep(SETTLE);
    let grown = process::resident(program.id())?.saturating_sub(before);
    Ok(Run::default()
        .spread(
            "resident bytes per connection",
            grown as f64 / connections as f64,
        )
        .median("connections", connections as f64))
}

/// Of `/proc/net/netstat`: a line of names, and one of values.
fn counters() -> anyhow::Result<HashMap<String, u64>> {
    let text = fs::read_to_string("/proc/net/netstat").context("cannot read /proc/net/netstat")?;
    Ok(parse(&text))
}

fn parse(netstat: &str) -> HashMap<String, u64> {
    let lines: Vec<_> = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt: "))
        .collect();
    let [names, values, ..] = *lines else {
        return HashMap::new();
    };
    let values = values.split(' ').map(|value| value.parse().unwrap_or(0));
    names.split(' ').map(str::to_owned).zip(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_their_names() {
        let counters = parse("TcpExt: A ListenDrops\nTcpExt: 1 22\nIpExt: A\nIpExt: 3\n");
        assert_eq!(counters["ListenDrops"], 22);
        assert_eq!(parse(""), HashMap::new());
    }
}
