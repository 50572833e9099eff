//! Between the columns of a row and the values of the domain.

use rooms::{CallId, CallIdError, SessionId, Timestamp, User, UserId, UserName};
use rusqlite::Row;
use rusqlite::types::Type;
use serde_json::value::RawValue;

/// Reads a text column as a value that has rules of its own.
pub(crate) fn parsed<T, E>(
    row: &Row<'_>,
    column: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> rusqlite::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    parsed_or_null(row, column, parse)?
        .ok_or_else(|| rusqlite::Error::InvalidColumnType(0, column.to_owned(), Type::Null))
}

/// The same for a column that may be NULL.
pub(crate) fn parsed_or_null<T, E>(
    row: &Row<'_>,
    column: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> rusqlite::Result<Option<T>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let index = row.as_ref().column_index(column)?;
    let text = row.get_ref(index)?.as_str_or_null()?;
    text.map(parse).transpose().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
    })
}

pub(crate) fn timestamp(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

pub(crate) fn session(row: &Row<'_>, column: &str) -> rusqlite::Result<SessionId> {
    parsed(row, column, SessionId::parse)
}

/// What stands before the id of a call, and not in its column.
const CALL: &str = "c_";

/// The id of a call, as its column has it.
pub(crate) fn call_column(call: CallId) -> String {
    call.to_string().split_off(CALL.len())
}

pub(crate) fn call(row: &Row<'_>, column: &str) -> rusqlite::Result<CallId> {
    let parse = |text: &str| -> Result<_, CallIdError> { CallId::parse(&format!("{CALL}{text}")) };
    parsed(row, column, parse)
}

/// JSON, byte for byte.
pub(crate) fn json(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(text.to_owned())
}

/// Reads the columns `user_id`, `user_name` and `user_guest`.
pub(crate) fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: parsed(row, "user_id", UserId::parse)?,
        name: parsed(row, "user_name", UserName::parse)?,
        guest: row.get("user_guest")?,
    })
}

/// A value that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("{what} {value:?} is not known")]
pub(crate) struct Unknown {
    pub(crate) what: &'static str,
    pub(crate) value: String,
}
