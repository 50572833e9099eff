//! A disk that fails and loses power, for tests of a program that writes to it.
//!
//! A [`Disk`] is a folder. A program that is started with [`Disk::attach`] has a small library loaded into it
//! (`disk.c`, by `LD_PRELOAD`), which writes down every write, sync, truncation and change of names in
//! that folder, and lets them fail as [`Disk::fail`] says. After the program was killed, [`Disk::cut`]
//! puts into the folder what a machine would find there whose power went at that moment: all that was
//! synced, and of the rest a random part.
//!
//! A sync that fails drops what it was to write, as Linux does: the file shows it, a later sync does not write it, and
//! a cut finds no more than a part of it.
//!
//! It knows no more of the program than its folder, and stands for the worst that a disk may do that keeps
//! its word: 512-byte sectors are written whole or not at all, in any order; names change in their order.
//! A disk that says that it has synced and has not is another matter.
//!
//! ```no_run
//! # use std::process::Command;
//! let mut disk = madang_disk::Disk::new("/tmp/data".as_ref())?;
//! let mut server = disk.attach(Command::new("madang").args(["--data", "/tmp/data"])).spawn()?;
//! // … write, and note what was acknowledged …
//! server.kill()?;
//! server.wait()?;
//! disk.cut(42)?;
//! // Start it again on the same folder, and see what is there.
//! # Ok::<_, std::io::Error>(())
//! ```

mod image;
mod log;

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::Command,
};

use image::Image;

/// A folder whose disk fails and loses power when it is told to.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    /// What the folder held durably when the log began.
    image: Image,
    log: PathBuf,
    fault: PathBuf,
}

/// What may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Writing to a file.
    Write,
    /// `fsync` of a file or of the folder, whose name is `""`.
    Sync,
    /// Changing a file's length.
    Truncate,
    /// Opening a file for writing.
    Open,
}

/// Errors as Linux numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errno {
    /// The device failed (EIO).
    Failed = 5,
    /// There is no room (ENOSPC).
    Full = 28,
    /// The file system is read-only (EROFS).
    ReadOnly = 30,
}

impl Disk {
    /// Takes a folder as it is, and makes it where there is none. What stands beside it with its name
    /// and more is used too.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let beside = |end: &str| {
            let mut name = folder.file_name().unwrap_or_default().to_owned();
            name.push(end);
            folder.with_file_name(name)
        };
        let disk = Self {
            image: Image::read(&folder)?,
            log: beside(".disk-log"),
            fault: beside(".disk-fault"),
            folder,
        };
        disk.begin_log()?;
        disk.heal()?;
        Ok(disk)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has `command`'s program write through this disk. One program at a time.
    pub fn attach<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        self.attach_faults(command)
            .env("MADANG_DISK_LOG", &self.log)
    }

    /// The same without a log, for a disk that fails and is not cut off; syncs are real.
    pub fn attach_faults<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LD_PRELOAD", env!("DISK_SHIM"))
            .env("MADANG_DISK_FOLDER", &self.folder)
            .env("MADANG_DISK_FAULT", &self.fault)
    }

    /// From now on these calls fail, on the named files of the folder or on all (`"*"`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn fail(&self, faults: &[(Call, &str, Errno)]) -> io::Result<()> {
        let line = |(call, file, errno): &(Call, &str, Errno)| {
            format!(
                "{} {file} {}\n",
                format!("{call:?}").to_lowercase(),
                *errno as i32
            )
        };
        let text: String = faults.iter().map(line).collect();
        let new = self.fault.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, &self.fault)
    }

    /// Nothing fails any more.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn heal(&self) -> io::Result<()> {
        match fs::remove_file(&self.fault) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Syncs that have failed since the last cut.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn failed_syncs(&self) -> io::Result<usize> {
        let log = log::read(&fs::read(&self.log)?)?;
        let failed = log
            .iter()
            .filter(|entry| entry.step == log::Step::FailedSync);
        Ok(failed.count())
    }

    /// The power goes, after the program was killed: puts into the folder what was synced, and of the
    /// rest a random part, the same for the same seed and log.
    ///
    /// # Errors
    ///
    /// What the system says, and a log that tells of a file that it did not tell the beginning of.
    pub fn cut(&mut self, seed: u64) -> io::Result<()> {
        let mut rng = fastrand::Rng::with_seed(seed);
        for entry in log::read(&fs::read(&self.log)?)? {
            self.image.apply(entry, &mut rng)?;
        }
        self.image.cut(&mut rng);
        self.image.write(&self.folder)?;
        self.begin_log()
    }

    fn begin_log(&self) -> io::Result<()> {
        fs::write(&self.log, "")
    }
}

#[cfg(test)]
mod tests;
