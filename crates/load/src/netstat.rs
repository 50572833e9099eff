//! What became of the connections that came in, as the kernel of this machine counts it, for all of its
//! programs together.

use std::fs;

use anyhow::Context;

/// `/proc/net/netstat`, as far as it tells of lost connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Netstat {
    /// Connections that found a full queue of a listener.
    pub(crate) overflows: u64,
    /// SYNs that a listener did not take, for that or another reason.
    pub(crate) drops: u64,
    /// Segments, SYNs among them, that were sent again since no answer came.
    pub(crate) timeouts: u64,
}

impl Netstat {
    /// Since the machine's start.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let path = "/proc/net/netstat";
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        Self::parse(&text).with_context(|| format!("{path} is not as expected"))
    }

    /// Since then.
    pub(crate) fn since(self, then: Self) -> Self {
        Self {
            overflows: self.overflows.saturating_sub(then.overflows),
            drops: self.drops.saturating_sub(then.drops),
            timeouts: self.timeouts.saturating_sub(then.timeouts),
        }
    }

    /// Whether a SYN was lost.
    pub(crate) fn verdict(self) -> &'static str {
        if self.overflows + self.drops > 0 {
            "SYNs were lost: a listener's queue was full, and those clients waited a second and more \
             ('sysctl net.core.somaxconn' bounds it)"
        } else if self.timeouts > 0 {
            "no SYN was lost in a listener's queue; something on this machine was sent again"
        } else {
            "no SYN was lost"
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("TcpExt: "));
        let (names, values) = (lines.next()?, lines.next()?);
        let value = |name| {
            let place = names.split(' ').position(|found| found == name)?;
            values.split(' ').nth(place)?.parse().ok()
        };
        Some(Self {
            overflows: value("ListenOverflows")?,
            drops: value("ListenDrops")?,
            timeouts: value("TCPTimeouts")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_below_its_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPTimeouts\n\
                    TcpExt: 1 20 300 4000\nIpExt: ListenDrops\nIpExt: 7\n";
        let netstat = Netstat::parse(text).unwrap();
        assert_eq!(
            (netstat.overflows, netstat.drops, netstat.timeouts),
            (20, 300, 4000)
        );
        assert_eq!(Netstat::parse("TcpExt: a\nTcpExt: 1\n"), None);
    }

    #[test]
    fn what_is_lost_is_told() {
        let mut netstat = Netstat::now().unwrap();
        netstat = netstat.since(netstat);
        assert_eq!(netstat.verdict(), "no SYN was lost");
        netstat.overflows = 1;
        assert!(netstat.verdict().starts_with("SYNs were lost"));
    }
}
