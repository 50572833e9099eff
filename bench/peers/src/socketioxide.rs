//! socketioxide on axum: a room of the library's own, as in its example `chat`.

use axum::Router;
use serde::Deserialize;
use serde_json::Value;
use socketioxide::{
    SocketIo, TransportType,
    extract::{Data, SocketRef},
};

/// What a client says of itself when it connects.
#[derive(Deserialize)]
struct Auth {
    /// The room that it is to be in.
    room: Option<String>,
}

pub(crate) fn router() -> Router {
    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .build_layer();
    io.ns("/", on_connect);
    Router::new().layer(layer)
}

async fn on_connect(socket: SocketRef, Data(auth): Data<Auth>) {
    socket.on(
        "echo",
        async |socket: SocketRef, Data(said): Data<Value>| {
            let _ = socket.emit("echo", &said);
        },
    );
    let Some(room) = auth.room else {
        return;
    };
    socket.join(room.clone());
    socket.on(
        "message",
        async move |io: SocketIo, Data(said): Data<Value>| {
            let _ = io.to(room).emit("message", &said).await;
        },
    );
}
