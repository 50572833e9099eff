//! tokio-tungstenite.

use futures_util::{SinkExt, StreamExt};
use tokio::select;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::WebSocketConfig,
    },
};

use crate::{
    listener::{Handler, Listener, Socket},
    room::{Room, Rooms, hear},
};

/// `buffer`: bytes for reading and for writing, other than the default.
pub(crate) async fn serve(listener: Listener, buffer: Option<usize>) -> anyhow::Result<()> {
    let config = WebSocketConfig::default();
    let config = match buffer {
        Some(bytes) => config.read_buffer_size(bytes).write_buffer_size(bytes),
        None => config,
    };
    let rooms = Rooms::new();
    listener.serve(Server { config, rooms }).await
}

#[derive(Clone)]
struct Server {
    config: WebSocketConfig,
    rooms: Rooms<Message>,
}

impl Handler for Server {
    async fn handle(self, socket: impl Socket) {
        let mut path = String::new();
        #[expect(
            clippy::result_large_err,
            reason = "the signature is tungstenite's own"
        )]
        let answer = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            request.uri().path().clone_into(&mut path);
            Ok(response)
        };
        let Ok(socket) = accept_hdr_async_with_config(socket, answer, Some(self.config)).await
        else {
            return;
        };
        match &*path {
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
