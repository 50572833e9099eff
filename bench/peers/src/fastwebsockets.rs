//! fastwebsockets on hyper's HTTP/1 server, as its examples `echo_server` and `echo_server_split`.

use std::convert::Infallible;

use bytes::Bytes;
use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, WebSocketError,
    upgrade::{UpgradeFut, upgrade},
};
use http_body_util::Empty;
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;

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
    rooms: Rooms<Bytes>,
}

impl Handler for Server {
    async fn handle(self, socket: impl Socket) {
        let service = service_fn(move |request| {
            let answer = answer(request, &self.rooms);
            async move { Ok::<_, Infallible>(answer) }
        });
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades()
            .await;
    }
}

fn answer(mut request: Request<Incoming>, rooms: &Rooms<Bytes>) -> Response<Empty<Bytes>> {
    let Ok((response, socket)) = upgrade(&mut request) else {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    match request.uri().path() {
        "/echo" => tokio::spawn(unconstrained(echo(socket))),
        path => tokio::spawn(unconstrained(talk(socket, rooms.at(path)))),
    };
    response
}

async fn echo(socket: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = FragmentCollector::new(socket.await?);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

/// Reading must not be broken off here, so that it needs a task beside the one that writes.
async fn talk(socket: UpgradeFut, room: Room<Bytes>) -> Result<(), WebSocketError> {
    let (reading, mut writing) = socket.await?.split(tokio::io::split);
    let mut reading = FragmentCollectorRead::new(reading);
    let mut heard = room.enter();
    let writing = tokio::spawn(async move {
        while let Some(message) = hear(&mut heard).await {
            let frame = Frame::text(Payload::Borrowed(&message));
            if writing.write_frame(frame).await.is_err() {
                return;
            }
        }
    });
    let hear = async {
        loop {
            // The generator sends nothing that has to be answered.
            let mut answer = |_| async { Ok::<_, WebSocketError>(()) };
            let frame = reading.read_frame(&mut answer).await?;
            match frame.opcode {
                OpCode::Close => return Ok(()),
                OpCode::Text | OpCode::Binary => room.say(Bytes::copy_from_slice(&frame.payload)),
                _ => {}
            }
        }
    };
    let heard = hear.await;
    writing.abort();
    heard
}
