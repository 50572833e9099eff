//! The configuration: one documented struct, whose defaults `docs/madang.toml` shows.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use madang::{ForwardedHeader, TrustedProxies, WhenFull};
use rooms::{PresenceSettings, Question, Serve, ServiceName};
use serde::Deserialize;

use crate::{journal::Sweeps, reads::overloaded};

/// Everything that can be set. The command line comes before the environment, both before the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// The folder of the database and the admin token; made when it is not there.
    pub data: PathBuf,
    /// The certificate, for HTTPS.
    pub tls: Tls,
    /// What may come in.
    pub access: Access,
    /// Which proxies stand in front.
    pub proxy: Proxy,
    /// How much may come in.
    pub limits: Limits,
    /// Calls to services.
    pub calls: Calls,
    /// Services that are HTTP addresses, by their names.
    pub services: BTreeMap<String, HttpService>,
    /// How long what is stored is kept.
    pub retention: Retention,
    /// How messages are compressed.
    pub compression: Compression,
    /// How long things take.
    pub times: Times,
    /// What is logged.
    pub log: Log,
}

/// The certificate with which the server speaks HTTPS, and nothing else, on its port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate with those that vouch for it, a PEM file; empty for plain HTTP.
    pub certificate: PathBuf,
    /// Its private key, a PEM file.
    pub key: PathBuf,
}

/// What may come in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Whether a name alone lets one in, as a guest.
    pub guests: bool,
    /// Whether subscribing to a room that does not exist creates it.
    pub create_rooms: bool,
    /// Origins of other sites' pages that may open sessions with a cookie, such as
    /// `https://example.com`. The server's own is always among them.
    pub origins: Vec<String>,
    /// Who may answer calls.
    pub serve: Serving,
}

/// Who may answer calls. Whoever has the admin token always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serving {
    /// Nobody else.
    Admin,
    /// Sessions from the server's own machine.
    Local,
    /// Every session.
    Everyone,
}

/// Calls to services: how long they take, and how many there may be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// Within which a call must be answered that says nothing else, in milliseconds.
    pub timeout_ms: u64,
    /// The longest time that a call may say.
    pub max_timeout_ms: u64,
    /// How long an answer can be had.
    pub kept_ms: u64,
    /// How long a service that went away may take to come back.
    pub grace_ms: u64,
    /// Calls that are not answered; one more is answered `busy`.
    pub open: usize,
    /// Bytes of them in memory.
    pub open_bytes: usize,
    /// Those of one user.
    pub open_per_user: usize,
    /// Those of one service that nobody has begun.
    pub waiting: usize,
    /// Names that are served.
    pub services: usize,
    /// Names that one session serves.
    pub services_per_session: usize,
}

/// A service that is an HTTP address: each call is posted to it, as docs/services.md says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpService {
    /// The address, `http://…` or `https://…`.
    pub url: String,
    /// With which requests are signed; empty for no signature.
    pub secret: Secret,
    /// Requests at a time, 1 to 1,024.
    pub concurrency: u32,
    /// Whether a request that failed, or was not answered, may be sent again.
    pub repeatable: bool,
    /// Within which one request must be answered, in milliseconds; 0: within the call's own time.
    pub timeout_ms: u64,
}

/// What is not to be read in a log.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() {
            "none"
        } else {
            "(hidden)"
        })
    }
}

/// Which proxies stand in front of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Addresses and networks (`10.0.0.0/8`) of reverse proxies; whom they name as the client is believed.
    pub trusted: Vec<String>,
    /// The header in which they do.
    pub header: ProxyHeader,
}

/// The header in which proxies name the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Host` for the host.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// How much may come in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one message, and of the body of a request.
    pub message_bytes: usize,
    /// Connections in all, those of HTTP and of sessions together; one more is closed at once.
    pub connections: usize,
    /// Rooms that one session is subscribed to at a time.
    pub rooms_per_session: usize,
    /// Commands of one session at work at a time.
    pub commands_in_flight: usize,
    /// Bytes that may wait for one session to read them, room events not counted.
    pub outgoing_bytes: usize,
    /// Sessions in all.
    pub sessions: usize,
    /// Sessions from one address; 0 is no limit.
    pub sessions_per_address: usize,
    /// Sessions that are let in within a second; those above wait for their turn. 0 is no limit.
    pub openings_per_second: u32,
    /// Sessions that are closed within a second when the server ends; 0 is all at once.
    pub closings_per_second: u32,
    /// Events of each live room kept in memory.
    pub ring_events: usize,
    /// Bytes of each live room's events kept in memory.
    pub ring_bytes: usize,
    /// Writes that may wait for the disk; one more is answered `unavailable`.
    pub journal_queue: usize,
    /// Runs of the page `/side-by-side` at a time, each with a small server of its own; 0: no such page.
    pub demonstrations: u32,
}

/// How long what is stored is kept. What is not is deleted a little at a time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days for which closed sessions stay in the register; 0: for ever.
    pub sessions_days: u32,
    /// Days after which a guest who was not here cannot come back as the same user; 0: always.
    pub guests_days: u32,
    /// Seconds between two looks at what is to be deleted.
    pub every_seconds: u32,
    /// The logs of open rooms.
    pub open: Keep,
}

/// How much of a room's log is kept: the newest messages, as far as no limit is passed. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Messages of so many days.
    pub days: u32,
    /// So many messages.
    pub events: u64,
    /// Megabytes (2²⁰ bytes) of them: text and data, and 256 bytes for the rest of each.
    pub megabytes: u32,
}

/// Compression of WebSocket messages (RFC 7692), for clients that offer it, as browsers do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compression {
    /// Whether there is any.
    pub enabled: bool,
    /// Messages of fewer bytes are sent as they are.
    pub threshold_bytes: usize,
}

/// How long things take, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// Between two pings to a session; one silent for two of them is gone.
    pub heartbeat_ms: u64,
    /// How long someone whose connection broke still counts as present.
    pub presence_grace_ms: u64,
    /// How long changes of presence are gathered before they are told.
    pub presence_window_ms: u64,
    /// How long a client may take to send a request's head.
    pub request_head_ms: u64,
    /// How long a session may wait for its turn to be let in; one that would wait longer is answered 503.
    pub opening_wait_ms: u64,
    /// How long a closing session may take to answer.
    pub close_ms: u64,
    /// Within which clients are asked to come back after a restart, each at a random time.
    pub restart_spread_ms: u64,
}

/// What is logged, to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, for the whole program or by module.
    pub filter: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: "madang-data".into(),
            tls: Tls::default(),
            access: Access::default(),
            proxy: Proxy::default(),
            limits: Limits::default(),
            calls: Calls::default(),
            services: BTreeMap::new(),
            retention: Retention::default(),
            compression: Compression::default(),
            times: Times::default(),
            log: Log::default(),
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self {
            guests: true,
            create_rooms: true,
            origins: Vec::new(),
            serve: Serving::Local,
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            timeout_ms: 60_000,
            max_timeout_ms: 60 * 60 * 1_000,
            kept_ms: 10 * 60 * 1_000,
            grace_ms: 15_000,
            open: 100_000,
            open_bytes: 64 * 1024 * 1024,
            open_per_user: 256,
            waiting: 10_000,
            services: 10_000,
            services_per_session: 64,
        }
    }
}

impl Default for HttpService {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: Secret::default(),
            concurrency: 16,
            repeatable: false,
            timeout_ms: 0,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            connections: 120_000,
            rooms_per_session: 256,
            commands_in_flight: 32,
            outgoing_bytes: 16 * 1024 * 1024,
            sessions: 100_000,
            sessions_per_address: 0,
            openings_per_second: 2_000,
            closings_per_second: 2_500,
            ring_events: 256,
            ring_bytes: 1024 * 1024,
            journal_queue: 16_384,
            demonstrations: 2,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            sessions_days: 90,
            guests_days: 365,
            every_seconds: 60,
            open: Keep::default(),
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            enabled: true,
            threshold_bytes: 1024,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            heartbeat_ms: 25_000,
            presence_grace_ms: 10_000,
            presence_window_ms: 250,
            request_head_ms: 10_000,
            opening_wait_ms: 10_000,
            close_ms: 3_000,
            restart_spread_ms: 5_000,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info,refinery_core=warn".into(),
            format: LogFormat::Text,
        }
    }
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// Names the file and, for what is wrong in it, the line and what was expected.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        let config: Self = toml::from_str(&text)
            .with_context(|| format!("the configuration file {} is wrong", path.display()))?;
        config
            .check()
            .with_context(|| format!("the configuration file {} is wrong", path.display()))?;
        Ok(config)
    }

    /// Refuses values that no server could run with.
    fn check(&self) -> anyhow::Result<()> {
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
        settings.heartbeat = Duration::from_millis(self.times.heartbeat_ms);
        settings.close_timeout = Duration::from_millis(self.times.close_ms);
        settings
    }

    /// What is deleted, for the journal.
    pub(crate) fn sweeps(&self) -> Sweeps {
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

    /// How presence is told.
    pub(crate) fn presence_settings(&self) -> PresenceSettings {
        PresenceSettings {
            grace: Duration::from_millis(self.times.presence_grace_ms),
            window: Duration::from_millis(self.times.presence_window_ms),
            ..PresenceSettings::default()
        }
    }
}

impl HttpService {
    fn check(&self, name: &str) -> anyhow::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../docs/madang.toml");

    #[test]
    fn the_shipped_file_shows_the_defaults() {
        assert_eq!(
            toml::from_str::<Config>(SHIPPED).unwrap(),
            Config::default()
        );
    }

    #[test]
    fn the_shipped_file_shows_every_setting() {
        let shipped: toml::Table = SHIPPED.parse().unwrap();
        let debug = format!("{:?}", Config::default());
        fn count(table: &toml::Table) -> (usize, usize) {
            let parts = table.values().map(|value| match value.as_table() {
                Some(table) => {
                    let (settings, tables) = count(table);
                    (settings, tables + 1)
                }
                None => (1, 0),
            });
            parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
        }
        // Every field of the structs shows as `name:` in the debug text, tables too.
        let (settings, tables) = count(&shipped);
        assert_eq!(settings + tables, debug.matches(": ").count(), "{debug}");
    }

    #[test]
    fn the_services_that_the_shipped_file_shows_can_be() {
        // Those in comments, by their defaults.
        let (_, commented) = SHIPPED.split_once("# [services.cafe]").unwrap();
        let (commented, _) = commented.split_once("\n\n").unwrap();
        let lines = commented.lines().filter_map(|line| line.strip_prefix("# "));
        let settings: Vec<_> = lines.filter(|line| line.contains(" = ")).collect();
        let service: HttpService = toml::from_str(&settings.join("\n")).unwrap();
        service.check("cafe").unwrap();
        let shown = HttpService {
            url: service.url.clone(),
            ..HttpService::default()
        };
        assert_eq!(service, shown);
        let debug = format!("{service:?}");
        assert_eq!(settings.len(), debug.matches(": ").count(), "{debug}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let debug = format!("{:?}", Secret::from("커피".to_owned()));
        assert!(!debug.contains("커피"), "{debug}");
    }

    #[test]
    fn an_error_names_the_file_the_line_and_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("madang.toml");
        for (text, expected) in [
            ("[limits]\nmessage_bytez = 1\n", "message_bytez"),
            ("listen = 8080\n", "listen"),
            ("[times]\nheartbeat_ms = -1\n", "heartbeat_ms"),
            (
                "[limits]\nsessions = 0\n",
                "limits.sessions is 0 and must be from 1",
            ),
            (
                "[limits]\njournal_queue = 9000000000\n",
                "limits.journal_queue",
            ),
            ("[limits]\noutgoing_bytes = 100\n", "limits.outgoing_bytes"),
            (
                "[retention]\nevery_seconds = 0\n",
                "retention.every_seconds is 0 and must be from 1",
            ),
            ("[retention.closed]\ndays = 1\n", "closed"),
            (
                "[proxy]\ntrusted = [\"10.0.0.0/40\"]\n",
                "proxy.trusted is wrong: '10.0.0.0/40' is neither",
            ),
            ("[proxy]\nheader = \"via\"\n", "x-forwarded-for"),
            ("[tls]\nkey = \"key.pem\"\n", "tls.certificate and tls.key"),
            ("[services.cafe]\nport = 1\n", "port"),
            ("[services.cafe]\n", "services.cafe is wrong: url is ''"),
            (
                "[services.cafe]\nurl = \"cafe:80\"\n",
                "services.cafe is wrong: url is 'cafe:80' and must be",
            ),
            (
                "[services.cafe]\nurl = \"http://a\"\nconcurrency = 0\n",
                "services.cafe is wrong: concurrency is 0 and must be from 1",
            ),
            (
                "[services.cafe]\nurl = \"http://a\"\ntimeout_ms = 99999999\n",
                "services.cafe is wrong: timeout_ms is 99999999",
            ),
            (
                "[services.\"the café\"]\nurl = \"http://a\"\n",
                "services.the café is wrong: the name of a service must not contain",
            ),
            ("[limits\n", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", Config::read(&path).unwrap_err());
            assert!(
                error.contains(expected) && error.contains("madang.toml"),
                "{error}"
            );
        }
        let error = format!(
            "{:#}",
            Config::read(&folder.path().join("none.toml")).unwrap_err()
        );
        assert!(error.contains("none.toml"), "{error}");
    }
}
