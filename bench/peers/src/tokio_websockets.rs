//! tokio-websockets.

use futures_util::{SinkExt, StreamExt};
use tokio::select;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

use crate::{
    listener::{Handler, Listener, Socket},
    room::{Room, Rooms, hear},
};

pub(crate) async fn serve(listener: Listener) -> anyhow::Result<()> {
    listener
        .serve(Server {
            rooms: Rooms::new(),
        })
        .await
}

#[derive(Clone)]
struct Server {
    rooms: Rooms<Message>,
}

impl Handler for Server {
    async fn handle(self, socket: impl Socket) {
        let Ok((request, socket)) = ServerBuilder::new().accept(socket).await else {
            return;
        };
        match request.uri().path() {
            "/echo" => echo(socket).await,
            path => talk(socket, self.rooms.at(path)).await,
        }
    }
}

async fn echo(mut socket: WebSocketStream<impl Socket>) {
    while let Some(Ok(message)) = socket.next().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn talk(mut socket: WebSocketStream<impl Socket>, room: Room<Message>) {
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
    message.is_text() || message.is_binary()
}
