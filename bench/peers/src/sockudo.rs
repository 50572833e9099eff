//! sockudo-ws on axum, as its example `axum_deflate`: of the peers the one that can compress.

use axum::{Router, extract::State, http::Uri, response::IntoResponse, routing::any};
use futures_util::{SinkExt, StreamExt};
use sockudo_ws::{
    Compression, Config, Message,
    axum_integration::{WebSocket, WebSocketUpgrade},
};
use tokio::select;

use crate::room::{Room, Rooms, hear};

pub(crate) fn router(compression: bool) -> Router {
    // Its documentation's choice for many connections.
    let compression = if compression {
        Compression::Shared
    } else {
        Compression::Disabled
    };
    let config = Config::builder().compression(compression).build();
    let configured = move |upgrade: WebSocketUpgrade| upgrade.config(config.clone());
    let for_rooms = configured.clone();
    let answer_echo = move |upgrade: WebSocketUpgrade| async move {
        configured(upgrade).on_upgrade(echo).into_response()
    };
    let answer_room = move |State(rooms): State<Rooms<Message>>,
                            uri: Uri,
                            upgrade: WebSocketUpgrade| async move {
        let room = rooms.at(uri.path());
        for_rooms(upgrade)
            .on_upgrade(|socket| talk(socket, room))
            .into_response()
    };
    Router::new()
        .route("/echo", any(answer_echo))
        .route("/fan", any(answer_room.clone()))
        .route("/rooms/{room}", any(answer_room))
        .with_state(Rooms::new())
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
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
