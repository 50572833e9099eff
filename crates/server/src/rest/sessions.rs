//! The register of sessions: every client socket that is or was.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ::rooms::{Error, ErrorCode, RoomName, SessionId, UserId};
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use madang::Sessions;
use serde::Deserialize;
use serde_json::json;
use store::{SessionFilter, SessionRow, SessionState};
use tokio::time::timeout;

use super::{
    query::{Body, Id, Query},
    schema,
};
use crate::{chat::REMOVED, refused::Refused, yard::Yard};

/// Bytes of a reason at most (RFC 6455 §5.5: 125 in a control frame, two of them the code's).
const MAX_REASON: usize = 123;
/// How long the end of a session may take above the time for its closing handshake.
const STORED: Duration = Duration::from_secs(1);

/// The sessions, latest first
#[utoipa::path(get, path = "/api/sessions", tag = "sessions",
    params(
        ("state" = Option<String>, Query, description = "`open` or `closed`; both by default"),
        ("user" = Option<String>, Query, description = "Those of this user's id"),
        ("room" = Option<String>, Query, description = "Those subscribed to this room, or at their end"),
        ("address" = Option<String>, Query, description = "Those that connected from this address"),
        ("from" = Option<String>, Query, description = "Those that connected at this time (RFC 3339) or later"),
        ("to" = Option<String>, Query, description = "Those that connected before this time"),
        ("before" = Option<String>, Query, description = "Sessions before this id; of the page before, the last"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 by default"),
    ),
    responses(
        (status = 200, body = schema::Sessions),
        (status = 401, description = "Without the admin token", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security(("token" = []))
)]
pub(super) async fn list_sessions(
    State(yard): State<Arc<Yard>>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Refused> {
    yard.admit_admin(&headers)?;
    let limit = query.limit()?;
    let filter = SessionFilter {
        state: query.parsed("state", "'open' or 'closed'", |text| match text {
            "open" => Some(SessionState::Open),
            "closed" => Some(SessionState::Closed),
            _ => None,
        })?,
        user: query.parsed("user", "a user's id", |text| UserId::parse(text).ok())?,
        room: query.parsed("room", "a room's name", |text| RoomName::parse(text).ok())?,
        address: query.parsed("address", "an IP address", |text| {
            text.parse::<IpAddr>()
                .ok()
                .map(|address| address.to_string())
        })?,
        from: query.time("from")?,
        to: query.time("to")?,
        before: query.parsed("before", "a session's id", |text| {
            SessionId::parse(text).ok()
        })?,
        limit: limit + 1,
    };
    let mut sessions = yard
        .reads
        .read(move |readers| readers.sessions(&filter))
        .await?;
    let more = sessions.len() as u64 > limit;
    sessions.truncate(limit as usize);
    let sessions: Vec<_> = sessions.into_iter().map(schema::Session::from).collect();
    Ok(Json(json!({"sessions": sessions, "more": more})).into_response())
}

/// One session
#[utoipa::path(get, path = "/api/sessions/{session}", tag = "sessions",
    params(("session" = String, Path, description = "The session's id")),
    responses(
        (status = 200, body = schema::Session),
        (status = 401, description = "Without the admin token", body = schema::Error),
        (status = 404, description = "There never was such a session", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security(("token" = []))
)]
pub(super) async fn get_session(
    State(yard): State<Arc<Yard>>,
    headers: HeaderMap,
    id: Id,
) -> Result<Response, Refused> {
    yard.admit_admin(&headers)?;
    let row = yard.session(id.session()?).await?;
    Ok(Json(schema::Session::from(row)).into_response())
}

/// Close a session
///
/// Its client is told 4003 with the reason, and does not come back by itself. The answer comes when
/// the session has ended, and is the session as the register has it then.
#[utoipa::path(delete, path = "/api/sessions/{session}", tag = "sessions",
    params(
        ("session" = String, Path, description = "The session's id"),
        ("reason" = Option<String>, Query, description = "Why, for its user; up to 123 bytes. It may also stand in the body"),
    ),
    request_body(content = Option<schema::Removal>),
    responses(
        (status = 200, description = "It has ended", body = schema::Session),
        (status = 202, description = "It is told to end, and has not yet", body = schema::Session),
        (status = 401, description = "Without the admin token", body = schema::Error),
        (status = 404, description = "There never was such a session", body = schema::Error),
        (status = 409, description = "It had ended before", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security(("token" = []))
)]
pub(super) async fn close_session(
    State(yard): State<Arc<Yard>>,
    Extension(sessions): Extension<Sessions>,
    headers: HeaderMap,
    id: Id,
    query: Query,
    Body(body): Body,
) -> Result<Response, Refused> {
    yard.admit_admin(&headers)?;
    let id = id.session()?;
    let reason = reason(&query, &body)?;
    let open = sessions.get(u128::from(id).into());
    let Some(open) = open.filter(|session| !session.is_closed()) else {
        return Err(ended(&yard.session(id).await?).into());
    };
    let end = sessions.ended(open.id());
    open.close(REMOVED, reason);
    let patience = Duration::from_millis(yard.config.times.close_ms) + STORED;
    let status = match timeout(patience, end).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::ACCEPTED,
    };
    let row = yard.session(id).await?;
    Ok((status, Json(schema::Session::from(row))).into_response())
}

/// The reason of the query, or of the body.
fn reason(query: &Query, body: &str) -> Result<String, Error> {
    #[derive(Default, Deserialize)]
    struct Removal {
        reason: Option<String>,
    }
    let removal = if body.trim().is_empty() {
        Removal::default()
    } else {
        let bad = |_| {
            let message = "The body must be a JSON object such as {\"reason\":\"spam\"}, or empty.";
            Error::new(ErrorCode::BadJson, message)
        };
        serde_json::from_str(body).map_err(bad)?
    };
    let reason = query.text("reason").map(str::to_owned).or(removal.reason);
    let reason = reason.unwrap_or_else(|| "closed by an administrator".to_owned());
    if reason.len() > MAX_REASON {
        return Err(Error::too_long("reason", MAX_REASON, "bytes"));
    }
    Ok(reason)
}

/// A session that is closed is not closed again.
fn ended(row: &SessionRow) -> Error {
    let message = match &row.closed {
        Some(closed) => format!(
            "The session ended at {}, with code {}: {}.",
            closed.at, closed.code, closed.reason
        ),
        None => "The session is about to end already.".to_owned(),
    };
    Error::new(ErrorCode::Conflict, message)
}

impl Yard {
    async fn session(&self, id: SessionId) -> Result<SessionRow, Error> {
        let row = self.reads.read(move |readers| readers.session(id)).await?;
        row.ok_or_else(|| {
            Error::new(
                ErrorCode::NoSuchSession,
                format!("There never was a session {id}."),
            )
        })
    }
}
