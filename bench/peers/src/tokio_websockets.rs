//! tokio-websockets.

use futures_util::{SinkExt, StreamExt};
use tokio::select;
use tokio_websockets::{Message, ServerBuilder, WebSocketStream};

use crate::{
    listener::{Handler, Listener, Socket},
    room::Room,
};

pub(crate) async fn serve(listener: Listener) -> anyhow::Result<()> {
    listener.serve(Server { room: Room::new() }).await
}

#[derive(Clone)]
struct Server {
    room: Room<Message>,
}

impl Handler for Server {
    async fn handle(self, socket: impl Socket) {
        let Ok((request, socket)) = ServerBuilder::new().accept(socket).await else {
            return;
        };
        match request.uri().path() {
            "/echo" => echo(socket).await,
            "/fan" => fan(socket, self.room).await,
            _ => {}
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

async fn fan(mut socket: WebSocketStream<impl Socket>, room: Room<Message>) {
    let mut heard = room.enter();
    loop {
        select! {
            received = socket.next() => match received {
                Some(Ok(message)) if is_data(&message) => room.say(message),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            said = heard.recv() => {
                let mut said = said.ok();
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
