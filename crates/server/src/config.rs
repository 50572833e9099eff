//! The configuration: one documented struct, whose defaults `docs/madang.toml` shows.

mod check;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;

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
    /// Sessions that are being opened at a time; those above wait for their turn.
    pub openings_at_once: usize,
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
    /// How long what is said in a room is gathered before those in it are written to once more; 0 is not at all.
    pub delivery_window_ms: u64,
    /// How long messages of different people are gathered after a commit, to be stored with one another, and for a
    /// third of it sessions that come or go in crowds; 0 is not at all.
    pub commit_window_ms: u64,
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
            openings_at_once: 256,
            openings_per_second: 0,
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
            delivery_window_ms: 0,
            commit_window_ms: 10,
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
}
