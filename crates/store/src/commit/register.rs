//! The register: who is connected, since when, and in which rooms.

use rooms::{RoomName, SessionId, Timestamp, User};
use rusqlite::{Transaction, params};

use super::execute;
use crate::token::TokenHash;

pub(super) fn store_user(
    transaction: &Transaction<'_>,
    user: &User,
    at: Timestamp,
) -> rusqlite::Result<()> {
    execute(
        transaction,
        "INSERT INTO users (id, name, guest, created_at, last_seen_at) VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT DO UPDATE SET name = excluded.name, guest = excluded.guest,
            last_seen_at = max(last_seen_at, excluded.last_seen_at)",
        params![
            user.id.as_str(),
            user.name.as_str(),
            user.guest,
            at.as_millis()
        ],
    )?;
    Ok(())
}

pub(super) fn store_token(
    transaction: &Transaction<'_>,
    token: &TokenHash,
    user: &User,
    at: Timestamp,
) -> rusqlite::Result<()> {
    execute(
        transaction,
        "INSERT INTO tokens (hash, user_id, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![token.as_bytes(), user.id.as_str(), at.as_millis()],
    )?;
    Ok(())
}

pub(super) fn close_session(
    transaction: &Transaction<'_>,
    session: SessionId,
    at: Timestamp,
    code: u16,
    reason: &str,
) -> rusqlite::Result<()> {
    let session = session.to_string();
    let closed = execute(
        transaction,
        "UPDATE sessions SET state = 'closed', closed_at = max(?1, connected_at), close_code = ?2,
            close_reason = ?3
         WHERE id = ?4 AND state = 'open'",
        params![at.as_millis(), code, reason, session],
    )?;
    if closed == 0 {
        return Ok(());
    }
    execute(
        transaction,
        "UPDATE subscriptions SET until_at = (SELECT closed_at FROM sessions WHERE id = ?1)
         WHERE session_id = ?1 AND until_at IS NULL",
        [&session],
    )?;
    execute(
        transaction,
        "UPDATE users SET last_seen_at = max(last_seen_at, ?1)
         WHERE id = (SELECT user_id FROM sessions WHERE id = ?2)",
        params![at.as_millis(), session],
    )?;
    Ok(())
}

/// Notes a subscription, unless there is one.
///
/// Of a session that is not open none is noted: it closed while its command waited, and nothing
/// would end the subscription. Leaving and coming back within one millisecond is one that goes on.
pub(super) fn subscribe(
    transaction: &Transaction<'_>,
    session: SessionId,
    room_id: i64,
    at: Timestamp,
) -> rusqlite::Result<()> {
    execute(
        transaction,
        "INSERT INTO subscriptions (session_id, room_id, since_at)
         SELECT ?1, ?2, ?3
         WHERE EXISTS (SELECT 1 FROM sessions WHERE id = ?1 AND state = 'open')
            AND NOT EXISTS (SELECT 1 FROM subscriptions
                WHERE session_id = ?1 AND room_id = ?2 AND until_at IS NULL)
         ON CONFLICT DO UPDATE SET until_at = NULL",
        params![session.to_string(), room_id, at.as_millis()],
    )?;
    Ok(())
}

pub(super) fn unsubscribe(
    transaction: &Transaction<'_>,
    session: SessionId,
    room: &RoomName,
    at: Timestamp,
) -> rusqlite::Result<()> {
    execute(
        transaction,
        "UPDATE subscriptions SET until_at = max(?1, since_at)
         WHERE session_id = ?2 AND until_at IS NULL
            AND room_id = (SELECT id FROM rooms WHERE name = ?3)",
        params![at.as_millis(), session.to_string(), room.as_str()],
    )?;
    Ok(())
}
