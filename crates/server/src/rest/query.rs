//! Parameters and bodies of requests, each refused by name.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::rooms::{Error, ErrorCode, RoomName, Seq, SessionId, Ticket, Timestamp, UserId};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, request::Parts},
};
use tokio::time::timeout;

use crate::{identity::Credentials, refused::Refused, yard::Yard};

/// Rooms or sessions in one answer at most.
const MOST_LISTED: u64 = 1_000;
/// And by default.
const SOME_LISTED: u64 = 100;

/// The query's parameters and who asks.
pub(super) struct Query {
    params: HashMap<String, String>,
    authorization: Option<String>,
}

impl Query {
    /// The parameter as text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// The parameter as a whole number.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<Seq>, Error> {
        self.parsed(name, "a whole number", |text| text.parse().ok())
    }

    /// The parameter as a moment.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        let expected = "an RFC 3339 time such as 2026-11-22T09:30:00Z";
        self.parsed(name, expected, |text| Timestamp::parse(text).ok())
    }

    /// The parameter as whatever `parse` makes of it.
    pub(super) fn parsed<T>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let message = || format!("The parameter '{name}' must be {expected}.");
        parse(text)
            .map(Some)
            .ok_or_else(|| Error::bad_field(name, message()))
    }

    /// How many to list at most: 1 to [`MOST_LISTED`].
    pub(super) fn limit(&self) -> Result<u64, Error> {
        let expected = format!("a number from 1 to {MOST_LISTED}");
        let limit = self.parsed("limit", &expected, |text| {
            let limit = text.parse().ok();
            limit.filter(|limit| (1..=MOST_LISTED).contains(limit))
        })?;
        Ok(limit.unwrap_or(SOME_LISTED))
    }

    /// What the request shows of its sender, or nothing.
    pub(super) fn credentials(&self, name: Option<String>) -> Result<Credentials, Error> {
        let text = |name| self.text(name).map(str::to_owned);
        Credentials::new(
            self.authorization.as_deref(),
            text("token"),
            text("name").or(name),
        )
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let params = axum::extract::Query::from_request_parts(parts, state).await;
        let authorization = parts.headers.get("authorization");
        Ok(Self {
            params: params
                .map(|axum::extract::Query(params)| params)
                .map_err(|error| {
                    Error::new(ErrorCode::BadField, format!("The query is wrong: {error}."))
                })?,
            authorization: authorization
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        })
    }
}

/// The room of the path.
pub(super) struct Room(pub(super) RoomName);

impl<S: Send + Sync> FromRequestParts<S> for Room {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| {
                Error::bad_field("room", "The room in the path is not percent-encoded UTF-8.")
            })?;
        let name = RoomName::parse(&name).map_err(|error| Error::bad_name("room", error))?;
        Ok(Self(name))
    }
}

/// The id of the path, of whatever kind.
pub(super) struct Id(String);

impl Id {
    pub(super) fn session(&self) -> Result<SessionId, Error> {
        let bad = |error| Error::bad_field("session", format!("The session in the path {error}."));
        SessionId::parse(&self.0).map_err(bad)
    }

    pub(super) fn ticket(&self) -> Result<Ticket, Error> {
        let bad = |error| Error::bad_field("ticket", format!("The ticket in the path {error}."));
        Ticket::parse(&self.0).map_err(bad)
    }

    pub(super) fn user(&self) -> Result<UserId, Error> {
        UserId::parse(&self.0).map_err(|error| Error::bad_name("user", error))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|_| {
            Error::bad_field("id", "The id in the path is not percent-encoded UTF-8.").into()
        })
    }
}

/// The body as text, within the limit of size and time.
pub(super) struct Body(pub(super) String);

impl FromRequest<Arc<Yard>> for Body {
    type Rejection = Refused;

    async fn from_request(request: Request, yard: &Arc<Yard>) -> Result<Self, Refused> {
        let patience = Duration::from_millis(yard.config.times.request_head_ms);
        let Ok(body) = timeout(patience, Bytes::from_request(request, yard)).await else {
            let message = format!("The body did not come within {} ms.", patience.as_millis());
            return Err(Error::new(ErrorCode::Timeout, message).into());
        };
        let body = body.map_err(|error| {
            let limit = yard.config.limits.message_bytes as u64;
            match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Error {
                    limit: Some(limit),
                    ..Error::new(
                        ErrorCode::TooLong,
                        format!("A body has at most {limit} bytes."),
                    )
                },
                _ => Error::new(ErrorCode::BadJson, format!("The body is wrong: {error}.")),
            }
        })?;
        let text = String::from_utf8(body.into());
        let bad = |_| Error::new(ErrorCode::BadJson, "The body is not JSON in UTF-8.");
        Ok(Self(text.map_err(bad)?))
    }
}
