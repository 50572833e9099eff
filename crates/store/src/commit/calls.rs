//! Calls: each key once, and each call answered once.

use rooms::{Answer, Call, CallId, Key, Timestamp, UserId};
use rusqlite::{OptionalExtension, Transaction, params};

use super::execute;
use crate::row;
use crate::write::Outcome;

/// Stores a call, unless its key stands for an earlier one that is open, or was answered at this moment
/// or later.
pub(super) fn accept(
    transaction: &Transaction<'_>,
    call: &Call,
    given_to: Option<&UserId>,
    answered_since: Timestamp,
) -> rusqlite::Result<Outcome> {
    if insert(transaction, call, given_to)? {
        return Ok(Outcome::Done);
    }
    let earlier = match &call.key {
        Some(key) => find_key(transaction, key, &call.from.id)?,
        None => None,
    };
    let Some(earlier) = earlier else {
        // This very call is there.
        return Ok(Outcome::Done);
    };
    if earlier.answered_at.is_some_and(|at| at < answered_since) {
        let sql = "DELETE FROM calls WHERE id = ?1";
        execute(transaction, sql, [row::call_column(earlier.id)])?;
        insert(transaction, call, given_to)?;
        return Ok(Outcome::Done);
    }
    let question = (
        call.service.as_str(),
        call.method.as_str(),
        call.params.0.get(),
    );
    let (service, method, params) = &earlier.question;
    Ok(if question == (service, method, params) {
        Outcome::SameCall(earlier.id)
    } else {
        Outcome::OtherCall(earlier.id)
    })
}

/// Whether there was none of this id or this key.
fn insert(
    transaction: &Transaction<'_>,
    call: &Call,
    given_to: Option<&UserId>,
) -> rusqlite::Result<bool> {
    let inserted = execute(
        transaction,
        "INSERT INTO calls (id, service, method, user_id, user_name, user_guest, key, at,
            deadline_at, given_to, params)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
        params![
            row::call_column(call.id),
            call.service.as_str(),
            call.method.as_str(),
            call.from.id.as_str(),
            call.from.name.as_str(),
            call.from.guest,
            call.key.as_ref().map(Key::as_str),
            call.at.as_millis(),
            call.deadline.as_millis(),
            given_to.map(UserId::as_str),
            call.params.0.get(),
        ],
    )?;
    Ok(inserted == 1)
}

/// The call that a key stands for.
struct Earlier {
    id: CallId,
    answered_at: Option<Timestamp>,
    /// Service, method and params.
    question: (String, String, String),
}

fn find_key(
    transaction: &Transaction<'_>,
    key: &Key,
    user: &UserId,
) -> rusqlite::Result<Option<Earlier>> {
    let sql = "SELECT id, answered_at, service, method, params FROM calls
               WHERE key = ?1 AND user_id = ?2";
    let mut statement = transaction.prepare_cached(sql)?;
    let earlier = statement.query_one([key.as_str(), user.as_str()], |row| {
        let answered_at: Option<i64> = row.get("answered_at")?;
        Ok(Earlier {
            id: row::call(row, "id")?,
            answered_at: answered_at.map(Timestamp::from_millis),
            question: (row.get("service")?, row.get("method")?, row.get("params")?),
        })
    });
    earlier.optional()
}

/// Notes who alone may go on with a call.
pub(super) fn hand(
    transaction: &Transaction<'_>,
    call: CallId,
    to: Option<&UserId>,
) -> rusqlite::Result<()> {
    execute(
        transaction,
        "UPDATE calls SET given_to = ?2 WHERE id = ?1 AND answered_at IS NULL",
        params![row::call_column(call), to.map(UserId::as_str)],
    )?;
    Ok(())
}

/// Stores the answer of a call that has none.
pub(super) fn answer(
    transaction: &Transaction<'_>,
    call: CallId,
    answer: &Answer,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let (result, failure) = match answer {
        Ok(result) => (Some(result.0.get()), None),
        Err(failure) => (None, Some(failure)),
    };
    execute(
        transaction,
        "UPDATE calls SET answered_at = max(?2, at), result = ?3, code = ?4, message = ?5
         WHERE id = ?1 AND answered_at IS NULL",
        params![
            row::call_column(call),
            at.as_millis(),
            result,
            failure.map(|failure| failure.code.as_str()),
            failure.map(|failure| failure.message.as_str()),
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
