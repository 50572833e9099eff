//! Who was there when the server stopped.

use std::time::Duration;

use rooms::{RoomName, Timestamp};
use rusqlite::{Connection, params};

use super::LeftBehind;
use crate::room::Room;
use crate::row;

/// Of each user in each room, what ended last tells whether they were there: `last` is when, and odd
/// if it ended against their will. Of two ends in one millisecond that is the one which counts.
///
/// 1006: broken, or left open by a server that was killed. 1012: closed by a server that was told to
/// end. 4008: silent.
const BEHIND: &str = "
    SELECT rooms.name AS room, users.id AS user_id, users.name AS user_name,
        users.guest AS user_guest, since_at,
        max(2 * until_at + (until_at = closed_at AND close_code IN (1006, 1012, 4008))) AS last
    FROM runs CROSS JOIN sessions ON closed_at >= stopped_at - ?1
        CROSS JOIN subscriptions ON session_id = sessions.id AND until_at >= stopped_at - ?1
        CROSS JOIN rooms ON rooms.id = room_id
        CROSS JOIN users ON users.id = user_id
    WHERE runs.id = (SELECT max(id) FROM runs WHERE stopped_at IS NOT NULL)
    GROUP BY rooms.name, users.id HAVING last % 2 = 1";

pub(super) fn behind(
    connection: &Connection,
    grace: Duration,
) -> rusqlite::Result<Vec<LeftBehind>> {
    let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let mut statement = connection.prepare(BEHIND)?;
    let mut rows = statement.query(params![grace])?;
    let mut all: Vec<LeftBehind> = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row::parsed(row, "room", RoomName::parse)?;
        let user: (_, Timestamp) = (row::user(row)?, row::timestamp(row, "since_at")?);
        match all.last_mut() {
            Some(last) if last.room == name => last.users.push(user),
            _ => {
                let Some(Room { head, .. }) = Room::read(connection, &name)? else {
                    continue;
                };
                all.push(LeftBehind {
                    room: name,
                    head,
                    users: vec![user],
                });
            }
        }
    }
    Ok(all)
}
