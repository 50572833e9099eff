//! What of a folder is on its disk.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use crate::log::{Entry, Step};

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A folder on a disk.
#[derive(Debug, Default)]
pub(crate) struct Image {
    files: Vec<File>,
    /// Names on the disk, and the files that they stand for.
    durable: BTreeMap<String, usize>,
    /// Names as the program sees them.
    seen: BTreeMap<String, usize>,
    /// What has become of the names since the folder was synced.
    changes: Vec<BTreeMap<String, usize>>,
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// Changes since it was synced.
    pending: Vec<Step>,
}

impl Image {
    /// A folder, all of it on the disk. There are no folders in it, and shared memory does not count.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_file() && !name.ends_with("-shm") {
                image.seen.insert(name.into_owned(), image.files.len());
                image.files.push(File {
                    durable: fs::read(&path)?,
                    pending: Vec::new(),
                });
            }
        }
        image.durable = image.seen.clone();
        Ok(image)
    }

    /// Follows the program by one step.
    pub(crate) fn apply(
        &mut self,
        Entry { name, step }: Entry,
        rng: &mut fastrand::Rng,
    ) -> io::Result<()> {
        match step {
            Step::Create => {
                self.seen.insert(name, self.files.len());
                self.files.push(File::default());
                self.changes.push(self.seen.clone());
            }
            Step::Unlink => {
                self.seen.remove(&name);
                self.changes.push(self.seen.clone());
            }
            Step::Rename { to } => {
                let file = self.seen.remove(&name).ok_or_else(|| unknown(&name))?;
                self.seen.insert(to, file);
                self.changes.push(self.seen.clone());
            }
            Step::SyncFolder => {
                self.durable = self.seen.clone();
                self.changes.clear();
            }
            Step::Sync => {
                let file = self.file(&name)?;
                for step in std::mem::take(&mut file.pending) {
                    file.apply(&step);
                }
            }
            // Linux takes what it could not write for written: another sync will not try it again.
            Step::FailedSync if name.is_empty() => {}
            Step::FailedSync => self.file(&name)?.lose(rng),
            change => self.file(&name)?.pending.push(change),
        }
        Ok(())
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let file = *self.seen.get(name).ok_or_else(|| unknown(name))?;
        Ok(&mut self.files[file])
    }

    /// The power goes: of what was not synced, some is on the disk.
    pub(crate) fn cut(&mut self, rng: &mut fastrand::Rng) {
        for file in &mut self.files {
            file.lose(rng);
        }
        let reached = rng.usize(..=self.changes.len());
        if let Some(names) = reached.checked_sub(1).map(|last| &self.changes[last]) {
            self.durable = names.clone();
        }
        self.seen = self.durable.clone();
        self.changes.clear();
    }

    /// Makes `folder` what is on the disk.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                fs::remove_file(path)?;
            }
        }
        for (name, &file) in &self.durable {
            fs::write(folder.join(name), &self.files[file].durable)?;
        }
        Ok(())
    }
}

impl File {
    /// Of what was not synced, a part reaches the disk, and the rest never will.
    fn lose(&mut self, rng: &mut fastrand::Rng) {
        // All, nothing, or sectors here and there.
        let chance = [0.0, 1.0, rng.f64()][rng.usize(..3)];
        for change in std::mem::take(&mut self.pending) {
            for part in parts(change) {
                if rng.f64() < chance {
                    self.apply(&part);
                }
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Write { offset, data } => {
                let start = *offset as usize;
                let end = start + data.len();
                if self.durable.len() < end {
                    self.durable.resize(end, 0);
                }
                self.durable[start..end].copy_from_slice(data);
            }
            Step::Truncate { length } => self.durable.resize(*length as usize, 0),
            _ => {}
        }
    }
}

/// A change in the parts that reach the disk by themselves.
fn parts(change: Step) -> Vec<Step> {
    let Step::Write { offset, data } = change else {
        return vec![change];
    };
    let mut parts = Vec::new();
    let (mut offset, mut rest) = (offset, &data[..]);
    while !rest.is_empty() {
        let room = SECTOR - offset as usize % SECTOR;
        let (part, more) = rest.split_at(room.min(rest.len()));
        parts.push(Step::Write {
            offset,
            data: part.to_vec(),
        });
        offset += part.len() as u64;
        rest = more;
    }
    parts
}

fn unknown(name: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("the log does not tell where '{name}' came from"),
    )
}
