//! axum's `ws`.

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::Uri,
    routing::any,
};
use futures_util::{SinkExt, StreamExt};
use tokio::select;

use crate::room::{Room, Rooms, hear};

/// `buffer`: bytes for reading and for writing, other than the default.
pub(crate) fn router(buffer: Option<usize>) -> Router {
    let sized = move |upgrade: WebSocketUpgrade| match buffer {
        Some(bytes) => upgrade.read_buffer_size(bytes).write_buffer_size(bytes),
        None => upgrade,
    };
    let answer_echo =
        move |upgrade: WebSocketUpgrade| async move { sized(upgrade).on_upgrade(echo) };
    let answer_room = move |State(rooms): State<Rooms<Message>>,
                            uri: Uri,
                            upgrade: WebSocketUpgrade| async move {
        let room = rooms.at(uri.path());
        sized(upgrade).on_upgrade(|socket| talk(socket, room))
    };
    Router::new()
        .route("/echo", any(answer_echo))
        .route("/fan", any(answer_room))
        .route("/rooms/{room}", any(answer_room))
        .with_state(Rooms::new())
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn talk(mut socket: WebSocket, room: Room<Message>) {
    let mut heard = room.enter();
    loop {
        select! {
            received = socket.next() => match received {
                Some(Ok(message)) if is_data(&message) => room.say(message),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            said = hear(&mut heard) => {
                let mut said = said;
                while let Some(message) = said {
                    if socket.feed(message).await.is_err() {
                        return;
                    }
                    said = heard.try_recv().ok();
                }
                if socket.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
