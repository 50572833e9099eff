//! What a program did to its folder, as `disk.c` writes it down: for each step a letter, the length of a
//! name, an offset and a length of data (4, 8 and 8 bytes, little-endian), the name, the data.

use std::io::{self, ErrorKind};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) step: Step,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Write { offset: u64, data: Vec<u8> },
    Truncate { length: u64 },
    Sync,
    FailedSync,
    Unlink,
    Rename { to: String },
    SyncFolder,
}

/// Reads a log. A last entry that was cut off is none: its step was not done for anyone.
pub(crate) fn read(mut log: &[u8]) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    while let Some((what, name, offset, data)) = next(&mut log) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let step = match what {
            b'C' => Step::Create,
            b'W' => Step::Write {
                offset,
                data: data.to_vec(),
            },
            b'T' => Step::Truncate { length: offset },
            b'S' => Step::Sync,
            b'F' => Step::FailedSync,
            b'U' => Step::Unlink,
            b'R' => Step::Rename { to: text(data) },
            b'D' => Step::SyncFolder,
            _ => return Err(io::Error::new(ErrorKind::InvalidData, "no such step")),
        };
        entries.push(Entry {
            name: text(name),
            step,
        });
    }
    Ok(entries)
}

fn next<'a>(log: &mut &'a [u8]) -> Option<(u8, &'a [u8], u64, &'a [u8])> {
    let mut rest = *log;
    let what = *rest.split_off_first()?;
    let name = u32::from_le_bytes(*rest.split_first_chunk()?.0);
    rest = &rest[4..];
    let offset = u64::from_le_bytes(*rest.split_first_chunk()?.0);
    rest = &rest[8..];
    let length = u64::from_le_bytes(*rest.split_first_chunk()?.0);
    rest = &rest[8..];
    let name = rest.split_off(..name as usize)?;
    let data = rest.split_off(..usize::try_from(length).ok()?)?;
    *log = rest;
    Some((what, name, offset, data))
}
