//! The register of sessions: every client socket that is or was.

use std::sync::Arc;

use ::rooms::{RoomName, SessionId, UserId};
use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde_json::json;
use store::{SessionFilter, SessionState};

use super::{query::Query, schema};
use crate::{refused::Refused, yard::Yard};

/// The sessions, latest first
#[utoipa::path(get, path = "/api/sessions", tag = "sessions",
    params(
        ("state" = Option<String>, Query, description = "`open` or `closed`; both by default"),
        ("user" = Option<String>, Query, description = "Those of this user's id"),
        ("room" = Option<String>, Query, description = "Those subscribed to this room"),
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
