//! The server: a process that is killed and started again on its data.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use disk::Disk;
use serde_json::Value;
use tempfile::TempDir;

use crate::Options;

/// Silence is noticed soon, and nobody waits for a turn.
const CONFIG: &str = "
[limits]
openings_per_second = 0
closings_per_second = 0
[times]
heartbeat_ms = 2000
[log]
filter = \"warn\"
";

pub(crate) struct Program {
    program: PathBuf,
    /// What loses power, if it does.
    disk: Option<Disk>,
    pub(crate) address: SocketAddr,
    folder: TempDir,
    child: Option<Child>,
    pub(crate) kills: u64,
}

impl Program {
    pub(crate) fn start(options: &Options) -> anyhow::Result<Self> {
        let here = std::env::current_exe()?;
        let program = match &options.program {
            Some(program) => program.clone(),
            None => here.with_file_name("madang"),
        };
        anyhow::ensure!(
            program.is_file(),
            "there is no program {}: build it with 'cargo build --release -p madang-server'",
            program.display()
        );
        let folder =
            TempDir::with_prefix_in("madang-checker-", here.parent().unwrap_or(Path::new(".")))?;
        fs::write(folder.path().join("madang.toml"), CONFIG)?;
        // A port that is free now; the server has it each time.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let data = folder.path().join("data");
        let disk = options.power.then(|| Disk::new(&data)).transpose()?;
        let mut this = Self {
            program,
            disk,
            address,
            folder,
            child: None,
            kills: 0,
        };
        this.launch()?;
        Ok(this)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))?;
        let mut command = Command::new(&self.program);
        command
            .args([
                "serve",
                "--config",
                "madang.toml",
                "--data",
                "data",
                "--listen",
            ])
            .arg(self.address.to_string())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(disk) = &self.disk {
            disk.attach(&mut command);
        }
        let mut child = command.spawn().context("cannot start the server")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the server has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        self.child = Some(child);
        anyhow::ensure!(
            line.contains("http"),
            "the server did not start:\n{}",
            self.log()
        );
        Ok(())
    }

    /// Kills it, and starts it again. What a power cut takes is chosen by `seed`.
    pub(crate) fn kill(&mut self, seed: u64) -> anyhow::Result<()> {
        let mut child = self.child.take().context("there is no server to kill")?;
        anyhow::ensure!(
            child.try_wait()?.is_none(),
            "the server had ended by itself:\n{}",
            self.log()
        );
        child.kill()?;
        child.wait()?;
        self.kills += 1;
        if let Some(disk) = &mut self.disk {
            disk.cut(seed)?;
        }
        self.launch()
    }

    /// What it logged last.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// What it answers to a GET, as an admin.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        let token = fs::read_to_string(self.data().join("admin.token"))?;
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.address,
            token.trim()
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        anyhow::ensure!(head.contains(" 200 "), "{path}: {answer}");
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
