//! `madang backup`, `madang restore` and `madang check`: the database as a file.

use std::{io::Write, path::PathBuf};

use clap::Args;

use crate::{clock::now, config::Config};

/// Which data folder is meant.
#[derive(Debug, Args)]
pub struct Data {
    /// Data folder of the server [default: madang-data].
    #[arg(long, env = "MADANG_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Configuration file of the server, which may name the data folder.
    #[arg(long, env = "MADANG_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Copies the database into a new file; the server may be running.
///
/// The copy is of one moment, compact, readable to you alone, and checked. Nothing is written over. The
/// admin token is no part of it.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file to make.
    file: PathBuf,
    #[command(flatten)]
    data: Data,
}

/// Puts a backup into the place of the database; the server must be stopped.
///
/// The database of before is kept, in a folder beside it. Clients that come back are told "reset", since
/// what they know may be later than the backup.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup; it is left as it is.
    file: PathBuf,
    #[command(flatten)]
    data: Data,
}

/// Checks the whole database, or a backup: every page, and what must hold of rooms, keys and sessions.
///
/// The server may be running. Ends with 0 if all is well, and with 1 after naming what is not.
#[derive(Debug, Args)]
pub struct Check {
    /// The file to check; without it, the database in the data folder.
    file: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

impl Data {
    /// The command line comes before the environment, both before the file.
    fn folder(self) -> anyhow::Result<PathBuf> {
        match (self.data, self.config) {
            (Some(folder), _) => Ok(folder),
            (None, Some(config)) => Ok(Config::read(&config)?.data),
            (None, None) => Ok(Config::default().data),
        }
    }
}

/// Runs `madang backup`.
///
/// # Errors
///
/// What is in the way, with the file's name.
pub fn backup(options: Backup) -> anyhow::Result<()> {
    let report = store::backup(&options.data.folder()?, &options.file)?;
    say(format_args!("{}: {report}; sound", options.file.display()));
    Ok(())
}

/// Runs `madang restore`.
///
/// # Errors
///
/// What is in the way, with the file's name.
pub fn restore(options: Restore) -> anyhow::Result<()> {
    let folder = options.data.folder()?;
    let restored = store::restore(&options.file, &folder, now())?;
    say(format_args!("{}: {}", folder.display(), restored.report));
    if let Some(kept) = restored.kept {
        say(format_args!("what was there is kept in {}", kept.display()));
    }
    Ok(())
}

/// Runs `madang check`.
///
/// # Errors
///
/// When the file cannot be read, or something is wrong with it.
pub fn check(options: Check) -> anyhow::Result<()> {
    let file = match options.file {
        Some(file) => file,
        None => options.data.folder()?.join("madang.db"),
    };
    let report = store::check(&file)?;
    for finding in &report.findings {
        say(format_args!("{}: {finding}", file.display()));
    }
    anyhow::ensure!(
        report.is_sound(),
        "{} is not sound; restore a backup, or keep a copy of it and ask for help",
        file.display()
    );
    say(format_args!("{}: {report}; sound", file.display()));
    Ok(())
}

/// Nobody may be reading.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
