//! Users: who was here, and when last.

use std::sync::Arc;

use ::rooms::{Error, ErrorCode};
use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::{query::Id, schema};
use crate::{refused::Refused, yard::Yard};

/// A user, and when they were last seen
#[utoipa::path(get, path = "/api/users/{user}", tag = "users",
    params(("user" = String, Path, description = "The user's id")),
    responses(
        (status = 200, body = schema::Seen),
        (status = 401, description = "Without the admin token", body = schema::Error),
        (status = 404, description = "No user has this id", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    ),
    security(("token" = []))
)]
pub(super) async fn get_user(
    State(yard): State<Arc<Yard>>,
    headers: HeaderMap,
    id: Id,
) -> Result<Response, Refused> {
    yard.admit_admin(&headers)?;
    let id = id.user()?;
    let name = id.clone();
    let user = yard.reads.read(move |readers| readers.user(&name)).await?;
    let unknown = || {
        let message = format!("No user has the id '{id}'.");
        Error::new(ErrorCode::NoSuchUser, message)
    };
    Ok(Json(schema::Seen::from(user.ok_or_else(unknown)?)).into_response())
}
