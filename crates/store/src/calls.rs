//! Reading calls: those that wait for an answer, and what came of one.

use rooms::{Answer, Call, CallId, Data, Failure, Key, MethodName, ServiceName, Timestamp, UserId};
use rusqlite::{OptionalExtension, Row, params};

use crate::error::ReadError;
use crate::readers::Readers;
use crate::row;

/// A call that has no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCall {
    /// The call.
    pub call: Call,
    /// The user whose service has it, where no other may be given it too.
    pub given_to: Option<UserId>,
}

/// A call, as its caller comes back to it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRow {
    /// Who asked.
    pub user: UserId,
    /// Who was asked.
    pub service: ServiceName,
    /// What was asked.
    pub method: MethodName,
    /// When it was asked.
    pub at: Timestamp,
    /// What came of it, and when; `None` while it is open.
    pub answer: Option<(Answer, Timestamp)>,
}

impl Readers {
    /// All calls that have no answer, in the order of asking. It looks at every call that is kept: for
    /// the start.
    pub fn open_calls(&self) -> Result<Vec<OpenCall>, ReadError> {
        const OPEN: &str = "
            SELECT id, service, method, params, user_id, user_name, user_guest, key, at, deadline_at,
                given_to
            FROM calls WHERE answered_at IS NULL ORDER BY id";
        self.read(|connection| {
            let mut statement = connection.prepare(OPEN)?;
            statement.query_map([], read_open)?.collect()
        })
    }

    /// One call, whether open or answered at `answered_since` or later; `None` if there is none of this
    /// id, or not any more.
    pub fn call(
        &self,
        call: CallId,
        answered_since: Timestamp,
    ) -> Result<Option<CallRow>, ReadError> {
        const CALL: &str = "
            SELECT user_id, service, method, at, answered_at, code, message, result
            FROM calls WHERE id = ?1 AND (answered_at IS NULL OR answered_at >= ?2)";
        self.read(|connection| {
            let mut statement = connection.prepare_cached(CALL)?;
            let values = params![row::call_column(call), answered_since.as_millis()];
            statement.query_one(values, read_call).optional()
        })
    }
}

fn read_open(row: &Row<'_>) -> rusqlite::Result<OpenCall> {
    Ok(OpenCall {
        call: Call {
            id: row::call(row, "id")?,
            service: row::parsed(row, "service", ServiceName::parse)?,
            method: row::parsed(row, "method", MethodName::parse)?,
            params: Data(row::parsed(row, "params", row::json)?),
            from: row::user(row)?,
            key: row::parsed_or_null(row, "key", Key::parse)?,
            at: row::timestamp(row, "at")?,
            deadline: row::timestamp(row, "deadline_at")?,
        },
        given_to: row::parsed_or_null(row, "given_to", UserId::parse)?,
    })
}

fn read_call(row: &Row<'_>) -> rusqlite::Result<CallRow> {
    let answered_at: Option<i64> = row.get("answered_at")?;
    let answer = match answered_at {
        Some(at) => Some((read_answer(row)?, Timestamp::from_millis(at))),
        None => None,
    };
    Ok(CallRow {
        user: row::parsed(row, "user_id", UserId::parse)?,
        service: row::parsed(row, "service", ServiceName::parse)?,
        method: row::parsed(row, "method", MethodName::parse)?,
        at: row::timestamp(row, "at")?,
        answer,
    })
}

fn read_answer(row: &Row<'_>) -> rusqlite::Result<Answer> {
    let code: Option<String> = row.get("code")?;
    Ok(match code {
        Some(code) => Err(Failure {
            code,
            message: row.get("message")?,
        }),
        None => Ok(Data(row::parsed(row, "result", row::json)?)),
    })
}

#[cfg(test)]
mod tests;
