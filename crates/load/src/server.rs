//! The server that is measured: a process of its own on an empty data folder.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(20);
/// Bytes of the server's log that an error shows.
const LOG_SHOWN: usize = 4096;

/// Which server is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// The server's program; without it, the one in the same folder as this program: `madang`, or
    /// `madang-peers` for `peers`.
    #[arg(long, global = true, value_name = "PATH")]
    program: Option<PathBuf>,
    /// A configuration file for the server.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the server's temporary data folder is made; without it, this program's folder. Its
    /// disk is part of what is measured.
    #[arg(long, global = true, value_name = "FOLDER")]
    data_in: Option<PathBuf>,
}

impl Options {
    /// A folder for data, on the disk that is measured.
    pub fn folder(&self) -> anyhow::Result<TempDir> {
        let data_in = self.data_in.clone().map_or_else(here, Ok)?;
        TempDir::with_prefix_in("madang-bench-", data_in).context("cannot make a data folder")
    }

    /// The program to measure: `name` unless another is given; `build` makes it.
    pub fn program(&self, name: &str, build: &str) -> anyhow::Result<PathBuf> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => here()?.join(name),
        };
        anyhow::ensure!(
            program.is_file(),
            "there is no program {}: build it with '{build}', or name another with --program",
            program.display()
        );
        Ok(program)
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    id: u32,
    /// As `127.0.0.1:40123`.
    address: String,
    /// Kept open, for a server whose output nobody takes would fail.
    _output: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Server {
    /// Starts one on an empty data folder.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        Self::start_in(options, options.folder()?, "127.0.0.1:0").await
    }

    /// Ends it at once, as a power cut would, and starts another on the same data and address.
    pub async fn kill_and_start_again(mut self, options: &Options) -> anyhow::Result<Self> {
        self.child.kill().await?;
        Self::start_in(options, self.folder, &self.address).await
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
        Ok(Self {
            child,
            id,
            address,
            _output: output,
            folder,
        })
    }

    /// As `127.0.0.1:40123`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The WebSocket address of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Ends it, and passes `result` on; a failure comes with the end of the server's log.
    pub async fn end<T>(mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let ended = self.child.try_wait()?;
        self.child.kill().await?;
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
        result.inspect_err(|_| eprint!("{}", tail(&self.folder)))
    }
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
