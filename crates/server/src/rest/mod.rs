//! Rooms and the register of sessions over HTTP, described by the OpenAPI document that the server
//! itself serves at `/api/openapi.json`.

mod query;
mod rooms;
mod schema;
mod sessions;

use std::sync::Arc;

use ::rooms::{Error, ErrorCode};
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::schema::Security;
use crate::yard::Yard;

/// The document's head; the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Madang",
        description = "Rooms and sessions over HTTP. What stays open and speaks both ways is at `/ws`, as docs/protocol.md says.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    modifiers(&Security),
    tags(
        (name = "rooms", description = "Rooms, their logs, and who is in them"),
        (name = "sessions", description = "Every client socket, for who has the admin token")
    )
)]
struct Document;

/// Everything under `/api`.
pub(crate) fn router(yard: Arc<Yard>) -> Router {
    let limit = DefaultBodyLimit::max(yard.config.limits.message_bytes);
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(rooms::list_rooms))
        .routes(routes!(rooms::list_messages, rooms::post_message))
        .routes(routes!(rooms::get_presence))
        .routes(routes!(sessions::list_sessions))
        .split_for_parts();
    router
        .with_state(yard)
        .route("/api/openapi.json", get(|| async { Json(document) }))
        .route("/api", get(no_such_address))
        .route(
            "/api/{*path}",
            get(no_such_address).fallback(no_such_address),
        )
        .method_not_allowed_fallback(wrong_method)
        .layer(limit)
}

async fn no_such_address() -> Response {
    let message = "There is nothing at this address. /api/openapi.json tells what there is.";
    (
        StatusCode::NOT_FOUND,
        Refused::body(&Error::new(ErrorCode::UnknownType, message)),
    )
        .into_response()
}

async fn wrong_method() -> Response {
    let message = "This address does not take this method. /api/openapi.json tells what it takes.";
    (
        StatusCode::METHOD_NOT_ALLOWED,
        Refused::body(&Error::new(ErrorCode::UnknownType, message)),
    )
        .into_response()
}

/// A request that is answered with an error: the same JSON as over a WebSocket, with the HTTP status
/// for it.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Error);

impl Refused {
    /// The body alone.
    pub(crate) fn body(error: &Error) -> Json<&Error> {
        Json(error)
    }

    fn status(&self) -> StatusCode {
        match self.0.code {
            ErrorCode::BadJson | ErrorCode::UnknownType | ErrorCode::BadField => {
                StatusCode::BAD_REQUEST
            }
            ErrorCode::TooLong if self.0.field.is_none() => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::TooLong => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::Forbidden | ErrorCode::NotSubscribed => StatusCode::FORBIDDEN,
            ErrorCode::NoSuchRoom
            | ErrorCode::NoSuchMessage
            | ErrorCode::NoSuchUser
            | ErrorCode::NoSuchService => StatusCode::NOT_FOUND,
            ErrorCode::Conflict | ErrorCode::Cancelled => StatusCode::CONFLICT,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Busy | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Timeout => StatusCode::REQUEST_TIMEOUT,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Self::body(&self.0)).into_response();
        let headers = response.headers_mut();
        if self.0.code == ErrorCode::Unauthorized {
            // RFC 9110 §11.6.1: a 401 tells how to authenticate.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(millis) = self.0.retry_after_ms {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(millis.div_ceil(1_000)),
            );
        }
        response
    }
}
