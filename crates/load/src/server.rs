//! The server that is measured: a process of its own on an empty data folder, or one that runs.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use clap::Args;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    net::lookup_host,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::process::Usage;

/// How long the server may take to start.
const START: Duration = Duration::from_secs(20);
/// Bytes of the server's log that an error shows.
const LOG_SHOWN: usize = 4096;
const NO_PROCESS: &str = "this scenario measures the server's process: say which one it is with --pid, on \
                          the server's own machine";
/// What would stand in the way of a load: how many are let in a second, and how many commands of one
/// session may be at work.
const UNLIMITED: &str = "[limits]\nopenings_per_second = 0\ncommands_in_flight = 1024\n";

/// Which server is measured.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Loads a server that runs, such as ws://127.0.0.1:8080, in place of one of its own. The load
    /// goes to rooms with new names, and stays stored there.
    #[arg(long, global = true, value_name = "URL", conflicts_with_all = ["program", "config", "data_in"])]
    url: Option<String>,
    /// The process of that server, if it is on this machine: its processor time and memory are told.
    #[arg(long, global = true, requires = "url")]
    pid: Option<u32>,
    /// The server's program; without it, this program, or what it needs from the same folder.
    #[arg(long, global = true, value_name = "PATH")]
    program: Option<PathBuf>,
    /// A configuration file for the server; without it, everything is at its default, save that the limits
    /// that would stand in the way of the load are lifted.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the server's temporary data folder is made; without it, this program's folder. Its
    /// disk is part of what is measured.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_in: Option<PathBuf>,
}

impl Options {
    /// That the server is to be one of our own.
    pub(crate) fn check_own(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.url.is_none(),
            "this scenario kills the server, so it has to be one of its own: leave out --url"
        );
        Ok(())
    }

    /// That the server's process is known.
    pub(crate) fn check_process(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.url.is_none() || self.pid.is_some(), "{NO_PROCESS}");
        Ok(())
    }

    /// A folder for data, on the disk that is measured.
    pub fn folder(&self) -> anyhow::Result<TempDir> {
        let data_in = self.data_in.clone().map_or_else(here, Ok)?;
        TempDir::with_prefix_in("madang-bench-", data_in).context("cannot make a data folder")
    }

    /// The program to measure: `name` unless another is given; `build` makes it.
    pub fn program(&self, name: &str, build: &str) -> anyhow::Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => {
                let this = env::current_exe()?;
                let is_it = this.file_stem().is_some_and(|stem| stem == name);
                if is_it { this } else { here()?.join(name) }
            }
        };
        anyhow::ensure!(
            program.is_file(),
            "there is no program {}: build it with '{build}', or name another with --program",
            program.display()
        );
        Ok(program)
    }
}

/// A server that is loaded; one of our own runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    process: Option<u32>,
    /// As `127.0.0.1:40123`.
    address: String,
    own: Option<Own>,
    /// What no other run's rooms have in their names.
    run: String,
}

/// A server that was started here.
#[derive(Debug)]
struct Own {
    child: Child,
    /// Kept open, for a server whose output nobody takes would fail.
    _output: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Server {
    /// Starts one on an empty data folder, unless one that runs is asked for.
    ///
    /// # Errors
    ///
    /// That it does not start, with the end of its log; that the address is none.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        match &options.url {
            Some(url) => Self::running(url, options.pid).await,
            None => Self::start_in(options, options.folder()?, "127.0.0.1:0").await,
        }
    }

    /// The same, one of our own without the limits that would stand in the way of a load.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_unlimited(options: &Options) -> anyhow::Result<Self> {
        if options.url.is_some() || options.config.is_some() {
            return Self::start(options).await;
        }
        let folder = options.folder()?;
        let config = folder.path().join("madang.toml");
        fs::write(&config, UNLIMITED)?;
        let options = Options {
            config: Some(config),
            ..options.clone()
        };
        Self::start_in(&options, folder, "127.0.0.1:0").await
    }

    async fn running(url: &str, process: Option<u32>) -> anyhow::Result<Self> {
        let address = host_and_port(url)?;
        let mut addresses = lookup_host(&address)
            .await
            .with_context(|| format!("nobody is known as {address}"))?;
        let address = addresses
            .next()
            .context("the server's name has no address")?;
        Ok(Self {
            process,
            address: address.to_string(),
            own: None,
            run: run(),
        })
    }

    /// Ends it at once, as a power cut would, and starts another on the same data and address.
    ///
    /// # Errors
    ///
    /// That it is not ours to end; those of a start.
    pub async fn kill_and_start_again(self, options: &Options) -> anyhow::Result<Self> {
        let mut own = self.own.context("the server is not ours to kill")?;
        own.child.kill().await?;
        let again = Self::start_in(options, own.folder, &self.address).await?;
        Ok(Self {
            run: self.run,
            ..again
        })
    }

    async fn start_in(options: &Options, folder: TempDir, listen: &str) -> anyhow::Result<Self> {
        let program = options.program("madang", "cargo build --release -p madang-server")?;
        let log = File::create(log(&folder))?;
        let mut command = Command::new(&program);
        command
            .args(["serve", "--listen", listen, "--data"])
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(config) = &options.config {
            command.arg("--config").arg(config);
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let output = child.stdout.take().context("the server has no output")?;
        let id = child.id().context("the server has ended")?;
        let mut output = BufReader::new(output).lines();
        let address = match timeout(START, address(&mut output)).await {
            Ok(Ok(address)) => address,
            Ok(Err(error)) => return Err(error.context(tail(&folder))),
            Err(_) => anyhow::bail!("the server told no address within {START:?}"),
        };
        let own = Own {
            child,
            _output: output,
            folder,
        };
        Ok(Self {
            process: Some(id),
            address,
            own: Some(own),
            run: run(),
        })
    }

    /// As `127.0.0.1:40123`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The name of a room of this run alone.
    pub fn room(&self, name: &str) -> String {
        format!("{name}-{}", self.run)
    }

    /// The WebSocket address of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// The address that its name had.
    ///
    /// # Errors
    ///
    /// None with a server that has started.
    pub fn socket_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.address.parse()?)
    }

    /// Its process, where it is known.
    pub fn process(&self) -> Option<u32> {
        self.process
    }

    /// Its process.
    ///
    /// # Errors
    ///
    /// That it is not known.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.process.context(NO_PROCESS)
    }

    /// What it and others have used of the processors so far.
    ///
    /// # Errors
    ///
    /// That there is no such process.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::now(self.process)
    }

    /// Ends it if it is our own, and passes `result` on; a failure comes with the end of the server's log.
    ///
    /// # Errors
    ///
    /// That of `result`; that the server has ended by itself.
    pub async fn end<T>(self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let Some(mut own) = self.own else {
            return result;
        };
        let ended = own.child.try_wait()?;
        own.child.kill().await?;
        let result = match (ended, result) {
            (None, result) => result,
            (Some(status), result) => {
                let ended = format!("the server has ended by itself, {status}");
                Err(match result {
                    Ok(_) => anyhow::Error::msg(ended),
                    Err(error) => error.context(ended),
                })
            }
        };
        result.inspect_err(|_| eprint!("{}", tail(&own.folder)))
    }
}

/// What to connect to of `ws://host:port`; a path is passed over.
fn host_and_port(url: &str) -> anyhow::Result<String> {
    let rest = url
        .strip_prefix("ws://")
        .or_else(|| url.strip_prefix("http://"));
    let rest = rest.with_context(|| {
        format!(
            "'{url}' is no address of the form ws://host:port; the load speaks no TLS, so take the \
             address that the server has behind its proxy"
        )
    })?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    })
}

/// Another for each start of a server: milliseconds.
fn run() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("{:x}", since.unwrap_or_default().as_millis())
}

/// The folder that this program is in.
fn here() -> anyhow::Result<PathBuf> {
    let here = env::current_exe()?;
    let folder = here.parent().context("this program is in no folder")?;
    Ok(folder.to_owned())
}

/// The address in the server's start-up line.
async fn address(output: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    while let Some(line) = output.next_line().await? {
        if let Some((_, address)) = line.split_once("http://") {
            let end = address.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
            return Ok(address[..end.unwrap_or(address.len())].to_owned());
        }
    }
    anyhow::bail!("the server ended without telling an address")
}

fn log(folder: &TempDir) -> PathBuf {
    folder.path().join("server.log")
}

fn tail(folder: &TempDir) -> String {
    let log: &Path = &log(folder);
    let text = fs::read(log).unwrap_or_default();
    let end = &text[text.len().saturating_sub(LOG_SHOWN)..];
    String::from_utf8_lossy(end).into_owned()
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (url, address) in [
            ("ws://127.0.0.1:8080", "127.0.0.1:8080"),
            ("ws://example.com", "example.com:80"),
            ("http://[::1]:8080/", "[::1]:8080"),
            ("ws://[::1]/ws?x=1", "[::1]:80"),
        ] {
            assert_eq!(host_and_port(url).unwrap(), address);
        }
        for url in ["wss://example.com", "127.0.0.1:8080"] {
            let error = host_and_port(url).unwrap_err().to_string();
            assert!(error.contains("ws://host:port"), "{error}");
        }
    }
}
