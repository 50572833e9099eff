//! What no server could run with.

use anyhow::Context;
use rooms::{Question, Serve, ServiceName};

use super::{Config, HttpService, Tls};

impl Config {
    /// Refuses values that no server could run with.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        const MANY: u64 = 1 << 30;
        let Self {
            limits,
            times,
            calls,
            ..
        } = self;
        let ranges = [
            ("limits.message_bytes", limits.message_bytes as u64, 1, MANY),
            ("limits.connections", limits.connections as u64, 1, MANY),
            (
                "limits.rooms_per_session",
                limits.rooms_per_session as u64,
                1,
                MANY,
            ),
            (
                "limits.commands_in_flight",
                limits.commands_in_flight as u64,
                1,
                MANY,
            ),
            // A reply to a message may be as long as the message, and some more.
            (
                "limits.outgoing_bytes",
                limits.outgoing_bytes as u64,
                2 * limits.message_bytes as u64 + 16 * 1024,
                4 * MANY,
            ),
            ("limits.sessions", limits.sessions as u64, 1, MANY),
            (
                "limits.sessions_per_address",
                limits.sessions_per_address as u64,
                0,
                MANY,
            ),
            (
                "limits.openings_at_once",
                limits.openings_at_once as u64,
                1,
                MANY,
            ),
            (
                "limits.openings_per_second",
                limits.openings_per_second.into(),
                0,
                1_000_000,
            ),
            (
                "limits.closings_per_second",
                limits.closings_per_second.into(),
                0,
                1_000_000,
            ),
            ("limits.ring_events", limits.ring_events as u64, 1, MANY),
            ("limits.ring_bytes", limits.ring_bytes as u64, 0, MANY),
            (
                "limits.journal_queue",
                limits.journal_queue as u64,
                1,
                1 << 20,
            ),
            ("limits.demonstrations", limits.demonstrations.into(), 0, 64),
            (
                "calls.max_timeout_ms",
                calls.max_timeout_ms,
                1,
                Question::MAX_TIMEOUT_MS,
            ),
            (
                "calls.timeout_ms",
                calls.timeout_ms,
                1,
                calls.max_timeout_ms,
            ),
            ("calls.kept_ms", calls.kept_ms, 0, DAY_MS),
            ("calls.grace_ms", calls.grace_ms, 0, DAY_MS),
            ("calls.open", calls.open as u64, 1, MANY),
            ("calls.open_bytes", calls.open_bytes as u64, 1, 16 * MANY),
            ("calls.open_per_user", calls.open_per_user as u64, 1, MANY),
            ("calls.waiting", calls.waiting as u64, 0, MANY),
            ("calls.services", calls.services as u64, 1, MANY),
            (
                "calls.services_per_session",
                calls.services_per_session as u64,
                1,
                MANY,
            ),
            (
                "retention.every_seconds",
                self.retention.every_seconds.into(),
                1,
                DAY_MS / 1_000,
            ),
            (
                "retention.open.events",
                self.retention.open.events,
                0,
                1 << 48,
            ),
            ("times.heartbeat_ms", times.heartbeat_ms, 10, DAY_MS),
            (
                "times.presence_grace_ms",
                times.presence_grace_ms,
                0,
                DAY_MS,
            ),
            (
                "times.presence_window_ms",
                times.presence_window_ms,
                0,
                DAY_MS,
            ),
            (
                "times.delivery_window_ms",
                times.delivery_window_ms,
                0,
                10_000,
            ),
            ("times.commit_window_ms", times.commit_window_ms, 0, 1_000),
            ("times.request_head_ms", times.request_head_ms, 10, DAY_MS),
            ("times.opening_wait_ms", times.opening_wait_ms, 0, DAY_MS),
            ("times.close_ms", times.close_ms, 0, DAY_MS),
            (
                "times.restart_spread_ms",
                times.restart_spread_ms,
                0,
                DAY_MS,
            ),
        ];
        for (name, value, least, most) in ranges {
            anyhow::ensure!(
                (least..=most).contains(&value),
                "{name} is {value} and must be from {least} to {most}"
            );
        }
        let Tls { certificate, key } = &self.tls;
        anyhow::ensure!(
            certificate.as_os_str().is_empty() == key.as_os_str().is_empty(),
            "tls.certificate and tls.key go together: set both, or none"
        );
        for (name, service) in &self.services {
            service
                .check(name)
                .with_context(|| format!("services.{name} is wrong"))?;
        }
        self.trusted_proxies()?;
        Ok(())
    }
}

impl HttpService {
    pub(super) fn check(&self, name: &str) -> anyhow::Result<()> {
        if let Err(reason) = ServiceName::parse(name) {
            anyhow::bail!("the name of a service {reason}");
        }
        let concurrency = self.concurrency;
        anyhow::ensure!(
            (1..=Serve::MAX).contains(&concurrency.into()),
            "concurrency is {concurrency} and must be from 1 to {}",
            Serve::MAX
        );
        let most = Question::MAX_TIMEOUT_MS;
        let timeout = self.timeout_ms;
        anyhow::ensure!(
            timeout <= most,
            "timeout_ms is {timeout} and must be from 0 to {most}"
        );
        self.uri()?;
        Ok(())
    }
}
