//! The configuration as the parts of the program take it.

use std::time::Duration;

use anyhow::Context;
use madang::{ForwardedHeader, TrustedProxies, WhenFull};
use rooms::PresenceSettings;

use super::{Config, Keep, ProxyHeader, Retention, Tls};
use crate::{
    journal::{JournalSettings, Sweeps},
    reads::overloaded,
};

impl Config {
    /// The certificate, for the library.
    pub(crate) fn tls(&self) -> anyhow::Result<Option<madang::Tls>> {
        let Tls { certificate, key } = &self.tls;
        if certificate.as_os_str().is_empty() {
            return Ok(None);
        }
        let tls = madang::Tls::from_files(certificate, key);
        tls.map(Some).context("there can be no TLS")
    }

    /// The proxies in front, for the library.
    pub(crate) fn trusted_proxies(&self) -> anyhow::Result<TrustedProxies> {
        let proxies = TrustedProxies::new(&self.proxy.trusted).context("proxy.trusted is wrong")?;
        Ok(proxies.header(match self.proxy.header {
            ProxyHeader::XForwardedFor => ForwardedHeader::XForwardedFor,
            ProxyHeader::Forwarded => ForwardedHeader::Forwarded,
        }))
    }

    /// The bounds of a session, for the library.
    pub(crate) fn session_settings(&self) -> madang::Settings {
        let mut settings = madang::Settings::default();
        settings.max_message = self.limits.message_bytes;
        settings.max_outgoing = self.limits.outgoing_bytes;
        // Replies cannot be kept for ever, and dropping one would be a lie.
        settings.when_full = WhenFull::Close;
        settings.overloaded = overloaded;
        settings.compression = self.compression.enabled.then(|| {
            let mut compression = madang::Compression::default();
            compression.threshold = self.compression.threshold_bytes;
            compression
        });
        // With `hello`, as soon as the session is registered.
        settings.answer_with_first = true;
        settings.heartbeat = Duration::from_millis(self.times.heartbeat_ms);
        settings.close_timeout = Duration::from_millis(self.times.close_ms);
        settings
    }

    /// What is deleted, for the journal.
    fn sweeps(&self) -> Sweeps {
        let Retention {
            sessions_days,
            guests_days,
            every_seconds,
            open,
        } = self.retention;
        Sweeps {
            retention: store::Retention {
                open: open.limits(),
                sessions: days(sessions_days),
                guests: days(guests_days),
                results: Duration::from_millis(self.calls.kept_ms),
            },
            every: Duration::from_secs(every_seconds.into()),
        }
    }

    /// How the journal works.
    pub(crate) fn journal_settings(&self) -> JournalSettings {
        JournalSettings {
            queue: self.limits.journal_queue,
            window: Duration::from_millis(self.times.commit_window_ms),
            sweeps: self.sweeps(),
        }
    }

    /// How presence is told.
    pub(crate) fn presence_settings(&self) -> PresenceSettings {
        PresenceSettings {
            grace: Duration::from_millis(self.times.presence_grace_ms),
            window: Duration::from_millis(self.times.presence_window_ms),
            ..PresenceSettings::default()
        }
    }
}

impl Keep {
    /// The limits, for the store.
    fn limits(self) -> store::Keep {
        store::Keep {
            age: days(self.days),
            events: Some(self.events).filter(|events| *events > 0),
            bytes: Some(u64::from(self.megabytes) << 20).filter(|bytes| *bytes > 0),
        }
    }
}

/// So many days; 0 is no limit.
fn days(days: u32) -> Option<Duration> {
    (days > 0).then(|| Duration::from_secs(u64::from(days) * 24 * 60 * 60))
}
