//! What is known by those who took part: to be compared with what the server has.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

/// What someone has had of one room: how far, and a digest of all of it in its order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) last: u64,
    pub(crate) digest: u64,
}

impl Read {
    /// Takes the next event.
    ///
    /// # Errors
    ///
    /// Says so where it is not the next one.
    pub(crate) fn take(&mut self, event: &Value) -> Result<(), String> {
        let seq = event["seq"].as_u64().unwrap_or(0);
        if seq != self.last + 1 {
            let what = if seq <= self.last {
                "a double"
            } else {
                "a hole"
            };
            return Err(format!("{what}: event {seq} behind event {}", self.last));
        }
        let mut hasher = DefaultHasher::new();
        self.digest.hash(&mut hasher);
        for field in ["seq", "at", "text", "key"] {
            event[field].to_string().hash(&mut hasher);
        }
        event["from"]["id"].to_string().hash(&mut hasher);
        *self = Self {
            last: seq,
            digest: hasher.finish(),
        };
        Ok(())
    }
}

/// How a session ended, as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The client closed it, and the server answered.
    Left,
    /// The client closed it, and had no answer.
    Leaving,
    /// The server closed it with this code.
    Closed(u16),
    /// The link was cut, or frozen for too long.
    Cut,
    /// It broke, and not by the link.
    Broken,
}

/// Everything that everyone knows.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// What the server said is stored: the text, with its room and number.
    pub(crate) stored: HashMap<String, (String, u64)>,
    /// Sessions that were opened, and how each ended; none while it is open.
    pub(crate) sessions: HashMap<String, Option<End>>,
    /// What is not as promised.
    pub(crate) faults: Vec<String>,
    pub(crate) counts: Counts,
}

/// How much happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) retried: u64,
    pub(crate) duplicates: u64,
    pub(crate) unavailable: u64,
    pub(crate) received: u64,
    pub(crate) resumed: u64,
    pub(crate) refused: u64,
}

impl Books {
    pub(crate) fn fault(&mut self, fault: impl Into<String>) {
        let fault = fault.into();
        // One is enough to know; a thousand of them are not read.
        if self.faults.len() < 50 {
            eprintln!("fault: {fault}");
        }
        self.faults.push(fault);
    }
}
