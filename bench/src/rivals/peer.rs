//! The servers, and what is each one's own.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::ValueEnum;
use tempfile::TempDir;

use super::{
    protocol::{Madang, Plain, Protocol, SocketIo},
    tally::Order,
};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// One thread that writes each delivery: the floor.
    Bare,
    /// The same, gathering a round of epoll into one write.
    BareGather,
    /// The program madang, by stored messages.
    MadangSend,
    /// The program madang, by signals.
    MadangSignal,
    Axum,
    Tungstenite,
    TokioWebsockets,
    Fastwebsockets,
    Socketioxide,
    /// Node.js, `ws`.
    Ws,
    /// Node.js, Socket.IO.
    SocketIo,
    Tomcat,
    /// Python, `websockets`.
    Python,
}

/// Madang's settings for all that is measured.
const SETTINGS: &str = "\
# A storm is let in as fast as it comes, as it is with the others.
[limits]
openings_per_second = 0
";

const JARS: [&str; 3] = [
    "/usr/share/java/tomcat10-embed-core.jar",
    "/usr/share/java/tomcat10-embed-websocket.jar",
    "/usr/share/java/jakarta-annotation-api.jar",
];

/// Where the programs are.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) madang: PathBuf,
    /// `bench/peers`.
    pub(super) sources: PathBuf,
    /// The target folder in which `bench/peers/prepare` has built them.
    pub(super) target: PathBuf,
}

impl Peer {
    pub(super) fn protocol(self) -> &'static dyn Protocol {
        match self {
            Self::MadangSend => &Madang { stored: true },
            Self::MadangSignal => &Madang { stored: false },
            Self::Socketioxide | Self::SocketIo => &SocketIo,
            _ => &Plain,
        }
    }

    /// Of the library, in the figures.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Bare => "bare loop, one `write()` a delivery",
            Self::BareGather => "bare loop, gathering",
            Self::MadangSend => "**Madang**, stored (`send`)",
            Self::MadangSignal => "**Madang**, passing (`signal`)",
            Self::Axum => "axum `ws`",
            Self::Tungstenite => "tokio-tungstenite",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Fastwebsockets => "fastwebsockets",
            Self::Socketioxide => "socketioxide",
            Self::Ws => "Node `ws`",
            Self::SocketIo => "Socket.IO",
            Self::Tomcat => "Tomcat",
            Self::Python => "Python `websockets`",
        }
    }

    /// socketioxide gives each message to a task of its own.
    pub(super) fn order(self) -> Order {
        match self {
            Self::Socketioxide => Order::Free,
            _ => Order::Kept,
        }
    }

    /// Whether a connection needs about 100 KiB.
    pub(super) fn is_heavy(self) -> bool {
        matches!(
            self,
            Self::Axum | Self::Tungstenite | Self::Tomcat | Self::Python
        )
    }

    /// Whether it is so far from the others that fewer rounds tell as much.
    pub(super) fn is_slow(self) -> bool {
        matches!(
            self,
            Self::Ws | Self::SocketIo | Self::Tomcat | Self::Python
        )
    }

    /// Whether a member that is behind loses messages, by the way of broadcasting that is recommended: tokio's
    /// channel leaves out the oldest, socketioxide's buffers are bounded, signals promise nothing.
    pub(super) fn leaves_out(self) -> bool {
        matches!(
            self,
            Self::MadangSignal
                | Self::Axum
                | Self::Tungstenite
                | Self::TokioWebsockets
                | Self::Fastwebsockets
                | Self::Socketioxide
        )
    }

    pub(super) fn is_madang(self) -> bool {
        matches!(self, Self::MadangSend | Self::MadangSignal)
    }

    /// Fails with what is missing, and how to get it.
    pub(super) fn is_there(self, programs: &Programs) -> anyhow::Result<()> {
        let (file, how) = match self {
            Self::MadangSend | Self::MadangSignal => (
                programs.madang.clone(),
                "cargo build --release -p madang-server",
            ),
            Self::Ws | Self::SocketIo => (
                programs.sources.join("node/node_modules/ws"),
                "bench/peers/prepare",
            ),
            Self::Tomcat => (programs.built("tomcat/Rooms.class"), "bench/peers/prepare"),
            Self::Python => (programs.built("venv/bin/python"), "bench/peers/prepare"),
            _ => (programs.rust(), "bench/peers/prepare"),
        };
        anyhow::ensure!(
            file.exists(),
            "{self}: there is no {}; run '{how}', or leave this one out with --peers",
            file.display()
        );
        Ok(())
    }

    /// What starts it; `folder` is for what it has to keep.
    pub(super) fn command(self, programs: &Programs, folder: &TempDir) -> anyhow::Result<Command> {
        let of = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        };
        Ok(match self {
            Self::Bare => of(&programs.rust(), &["bare"]),
            Self::BareGather => of(&programs.rust(), &["bare", "--gather"]),
            Self::MadangSend | Self::MadangSignal => {
                let settings = folder.path().join("madang.toml");
                fs::write(&settings, SETTINGS)?;
                let mut command = of(&programs.madang, &["serve", "--listen", "127.0.0.1:0"]);
                command.arg("--data").arg(folder.path().join("data"));
                command.arg("--config").arg(settings);
                command
            }
            Self::Ws => of(
                Path::new("node"),
                &[&*programs.sources.join("node/ws.js").to_string_lossy()],
            ),
            Self::SocketIo => of(
                Path::new("node"),
                &[&*programs.sources.join("node/socketio.js").to_string_lossy()],
            ),
            Self::Tomcat => {
                let mut path = programs.built("tomcat").into_os_string();
                for jar in JARS {
                    path.push(":");
                    path.push(jar);
                }
                let mut command = Command::new("java");
                command.arg("-cp").arg(path).arg("Rooms");
                command
            }
            Self::Python => of(
                &programs.built("venv/bin/python"),
                &[&*programs.sources.join("python/server.py").to_string_lossy()],
            ),
            _ => of(&programs.rust(), &[&self.to_string()]),
        })
    }
}

impl Programs {
    fn rust(&self) -> PathBuf {
        self.target.join("release/madang-peers")
    }

    fn built(&self, path: &str) -> PathBuf {
        self.target.join("peers").join(path)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        value.map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}
