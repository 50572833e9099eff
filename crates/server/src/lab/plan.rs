//! What is to be done each way.

use std::time::Duration;

use rooms::Error;
use serde::{Deserialize, Serialize};

use super::browser::After;

/// The name of who is measured.
pub(super) const ME: &str = "Dongyup";
/// The name of who is not.
pub(super) const OTHER: &str = "Jaeseok";

/// What a demonstration does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) task: Task,
    /// How long the way by HTTP waits between two questions.
    pub(super) poll_ms: u64,
    pub(super) connection: Connection,
}

/// The same, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    /// One message is said.
    Once,
    /// Two people say a message in turn.
    Talk,
    /// Nothing is said, and then one message.
    Wait,
}

/// The connections of the way by HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Connection {
    /// One for all requests.
    Kept,
    /// One for each.
    New,
}

/// Something that is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    pub(super) at_ms: u64,
    pub(super) mine: bool,
    pub(super) text: String,
}

impl Plan {
    /// # Errors
    ///
    /// Names the field that is out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        if (200..=5_000).contains(&self.poll_ms) {
            return Ok(());
        }
        let message = "The field 'poll_ms' must be from 200 to 5000.";
        Err(Error::bad_field("poll_ms", message))
    }

    /// What is said, in order.
    pub(super) fn lines(&self) -> Vec<Line> {
        let line = |at_ms, mine, number| Line {
            at_ms,
            mine,
            text: format!("hello {number}"),
        };
        match self.task {
            Task::Once => vec![line(300, true, 1)],
            // At no time at which someone asks for news.
            Task::Talk => (0..6)
                .map(|number| line(450 + 830 * number, number % 2 == 0, number + 1))
                .collect(),
            Task::Wait => vec![line(5_300, false, 1)],
        }
    }

    /// How often the way by HTTP asks whether there is something new; `None` where there is nothing to
    /// wait for.
    pub(super) fn polls(&self) -> Option<Duration> {
        (self.task != Task::Once).then(|| Duration::from_millis(self.poll_ms))
    }

    pub(super) fn after(&self) -> After {
        match self.connection {
            Connection::Kept => After::Keep,
            Connection::New => After::Close,
        }
    }
}
