//! Rooms, calls and the register of sessions over HTTP, described by the OpenAPI document that the server
//! itself serves at `/api/openapi.json`.

mod events;
mod prefer;
mod query;
mod rooms;
mod schema;
mod services;
mod sessions;
mod tickets;
mod users;
mod waiting;

use std::sync::Arc;

use ::rooms::{Error, ErrorCode};
use axum::{
    Extension, Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use madang::Sessions;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::schema::Security;
use crate::{refused::Refused, yard::Yard};

/// The document's head; the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Madang",
        description = "Rooms, calls and sessions over HTTP. What stays open and speaks both ways is at `/ws`, as docs/protocol.md says.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    modifiers(&Security),
    tags(
        (name = "rooms", description = "Rooms, their logs, and who is in them"),
        (name = "calls", description = "Questions to services, answered when the answer is ready"),
        (name = "sessions", description = "Every client socket, for who has the admin token"),
        (name = "users", description = "Who was here, for who has the admin token")
    )
)]
struct Document;

/// Everything under `/api`. `sessions` are those that are open.
pub(crate) fn router(yard: Arc<Yard>, sessions: Sessions) -> Router {
    let limit = DefaultBodyLimit::max(yard.config.limits.message_bytes);
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(rooms::list_rooms))
        .routes(routes!(rooms::list_messages, rooms::post_message))
        .routes(routes!(rooms::get_presence))
        .routes(routes!(services::list_services))
        .routes(routes!(services::call))
        .routes(routes!(tickets::get_ticket, tickets::cancel_ticket))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::get_session, sessions::close_session))
        .routes(routes!(users::get_user))
        .split_for_parts();
    router
        .with_state(yard)
        .layer(Extension(sessions))
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
