//! A server that is measured: a process of its own.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

/// A server that runs until it is dropped.
pub(super) struct Program {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    /// Kept open, for a server whose output nobody takes would fail.
    _output: BufReader<ChildStdout>,
}

/// Where the two run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cores {
    /// Wherever the kernel wants.
    All,
    /// The server on one core, the generator on another.
    OneEach,
}

/// The cores of [`Cores::OneEach`].
const GENERATOR: usize = 0;
const SERVER: usize = 1;

impl Program {
    /// Starts it, and waits until it tells its address.
    pub(super) fn start(
        mut command: Command,
        folder: TempDir,
        cores: Cores,
    ) -> anyhow::Result<Self> {
        let log = log(folder.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        // A process begins where the thread that starts it may run.
        let mine = sched_getaffinity(None)?;
        if cores == Cores::OneEach {
            run_on(SERVER)?;
        }
        let child = command.spawn();
        sched_setaffinity(None, &mine)?;
        let mut child =
            child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut output = BufReader::new(output);
        let address = address(&mut output);
        let address = address.inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
            eprint!("{}", fs::read_to_string(&log).unwrap_or_default());
        })?;
        Ok(Self {
            child,
            address,
            folder,
            _output: output,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds to an error how the server ended, if it did, and what it said.
    pub(super) fn explain<T>(&mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let ended = self.child.try_wait()?;
        result.map_err(|error| {
            let mut said = String::new();
            if let Ok(mut log) = File::open(log(self.folder.path())) {
                let _ = log.by_ref().take(4096).read_to_string(&mut said);
            }
            eprint!("{said}");
            match ended {
                Some(status) => error.context(format!("the server has ended by itself, {status}")),
                None => error,
            }
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the generator may run while it lives.
pub(super) struct Pinned(CpuSet);

impl Pinned {
    pub(super) fn new(cores: Cores) -> anyhow::Result<Self> {
        let before = sched_getaffinity(None)?;
        if cores == Cores::OneEach {
            anyhow::ensure!(
                before.is_set(GENERATOR) && before.is_set(SERVER),
                "two cores are needed, one for the server and one for the load: {GENERATOR} and {SERVER}"
            );
            run_on(GENERATOR)?;
        }
        Ok(Self(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(None, &self.0);
    }
}

fn run_on(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// The first address on this machine that the server tells.
fn address(output: &mut impl BufRead) -> anyhow::Result<SocketAddr> {
    let mut line = String::new();
    while output.read_line(&mut line)? > 0 {
        if let Some(start) = line.find("127.0.0.1:") {
            let found = &line[start..];
            let end = found.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
            let address = &found[..end.unwrap_or(found.len())];
            return address.parse().context("the server told no address");
        }
        line.clear();
    }
    anyhow::bail!("the server ended without telling an address")
}

fn log(folder: &Path) -> std::path::PathBuf {
    folder.join("log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_whatever_the_server_says() {
        for said in [
            "127.0.0.1:4000\n",
            "starting\nlistening on http://127.0.0.1:4000/ as ever\n",
        ] {
            let address = address(&mut said.as_bytes()).unwrap();
            assert_eq!(address.port(), 4000);
        }
        assert!(address(&mut b"no\n".as_slice()).is_err());
    }
}
