//! Rooms, their messages, and who is in them.

use std::sync::Arc;

use ::rooms::{Error, Page, Post, RoomName, Who};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    query::{Body, Query, Room},
    schema,
};
use crate::{
    reads::{HISTORY_BYTES, no_such_room, unavailable},
    refused::Refused,
    yard::Yard,
};

/// The rooms, by name
#[utoipa::path(get, path = "/api/rooms", tag = "rooms",
    params(
        ("after" = Option<String>, Query, description = "Rooms after this name; of the page before, the last"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 by default"),
    ),
    responses(
        (status = 200, body = schema::Rooms),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    )
)]
pub(super) async fn list_rooms(
    State(yard): State<Arc<Yard>>,
    query: Query,
) -> Result<Response, Refused> {
    yard.may_read(&query).await?;
    let after = query.parsed("after", "a room's name", |text| RoomName::parse(text).ok())?;
    let limit = query.limit()?;
    let mut rooms = yard
        .reads
        .read(move |readers| readers.rooms(after.as_ref(), limit + 1))
        .await?;
    let more = rooms.len() as u64 > limit;
    rooms.truncate(limit as usize);
    let rooms: Vec<_> = rooms.into_iter().map(schema::Room::from).collect();
    Ok(Json(json!({"rooms": rooms, "more": more})).into_response())
}

/// A page of a room's messages, oldest first
#[utoipa::path(get, path = "/api/rooms/{room}/messages", tag = "rooms",
    params(
        ("room" = String, Path, description = "The room's name"),
        ("before" = Option<u64>, Query, description = "Messages before this number"),
        ("after" = Option<u64>, Query, description = "Messages after this number; not with `before`"),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 200, description = "How many at most; 50 by default"),
    ),
    responses(
        (status = 200, body = schema::Messages),
        (status = 404, description = "There is no such room", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    )
)]
pub(super) async fn list_messages(
    State(yard): State<Arc<Yard>>,
    Room(room): Room,
    query: Query,
) -> Result<Response, Refused> {
    yard.may_read(&query).await?;
    let page = Page::new(
        query.number("before")?,
        query.number("after")?,
        query.number("limit")?,
    )?;
    let name = room.clone();
    let page = yard
        .reads
        .read(move |readers| readers.history(&name, page, HISTORY_BYTES))
        .await?;
    let page = page.ok_or_else(|| no_such_room(&room))?;
    let body = json!({
        "room": room,
        "epoch": page.room.epoch,
        "head": page.room.head,
        "events": page.events,
        "more": page.more,
    });
    Ok(Json(body).into_response())
}

/// Say something in a room
///
/// It is stored when the answer comes, and delivered to everyone in the room. Who says it is told
/// as over a WebSocket: by a token, or as a guest by `name`, in the query or in the body. With a
/// token and a `key` a retry is safe: the same key is stored once within 24 hours.
#[utoipa::path(post, path = "/api/rooms/{room}/messages", tag = "rooms",
    params(
        ("room" = String, Path, description = "The room's name"),
        ("name" = Option<String>, Query, description = "Who says it, where guests are allowed"),
    ),
    request_body = schema::NewMessage,
    responses(
        (status = 201, description = "It is stored", body = schema::Stored),
        (status = 200, description = "It was stored before, under the same key", body = schema::Stored),
        (status = 401, description = "It is not known who says it", body = schema::Error),
        (status = 404, description = "There is no such room", body = schema::Error),
        (status = 409, description = "The key was used for another message", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = 503, description = "Nothing was stored; try again", body = schema::Error),
    ),
    security((), ("token" = []))
)]
pub(super) async fn post_message(
    State(yard): State<Arc<Yard>>,
    Room(room): Room,
    query: Query,
    Body(body): Body,
) -> Result<Response, Refused> {
    let post = Post::parse(&body)?;
    let identity = yard.identify(query.credentials(post.name)?).await?;
    let (sender, stored) = oneshot::channel();
    yard.say(
        room.clone(),
        identity.user,
        post.key,
        post.content,
        |stored| {
            // The client may have gone; its message is stored all the same.
            let _ = sender.send(stored);
        },
    );
    let stored = stored.await.map_err(|_| unavailable())??;
    let status = if stored.duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let mut body = json!({"room": room, "seq": stored.seq, "at": stored.at});
    if stored.duplicate {
        body["duplicate"] = true.into();
    }
    Ok((status, Json(body)).into_response())
}

/// Who is in a room now
#[utoipa::path(get, path = "/api/rooms/{room}/presence", tag = "rooms",
    params(("room" = String, Path, description = "The room's name")),
    responses(
        (status = 200, body = schema::Presence),
        (status = 404, description = "There is no such room", body = schema::Error),
        (status = "4XX", body = schema::Error),
        (status = "5XX", body = schema::Error),
    )
)]
pub(super) async fn get_presence(
    State(yard): State<Arc<Yard>>,
    Room(room): Room,
    query: Query,
) -> Result<Response, Refused> {
    yard.may_read(&query).await?;
    let Who { count, users } = yard.who(&room).await?;
    Ok(Json(json!({"room": room, "count": count, "users": users})).into_response())
}

impl Yard {
    /// Open rooms may be read by anyone who could come in as a guest; elsewhere a token is needed.
    async fn may_read(&self, query: &Query) -> Result<(), Error> {
        let credentials = query.credentials(None)?;
        if credentials.token.is_some() || !self.config.access.guests {
            self.identify(credentials).await?;
        }
        Ok(())
    }
}
