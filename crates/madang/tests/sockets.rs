//! The bare-socket path, with another library as the client.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use axum::Router;
use futures_util::{SinkExt, StreamExt};
use madang::{CloseCode, Endpoint, Handshake, Message, Mount, Refusal, Session, Sessions};
use tokio::net::TcpListener;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message as Theirs, protocol::frame::coding::CloseCode as TheirCode},
};

struct Echo;

impl Endpoint for Echo {
    type Data = ();

    async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> {
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        if message.as_text() == Some("where am I") {
            session
                .send(format!("{}", session.peer().unwrap().ip()))
                .unwrap();
        } else {
            session.send(message).unwrap();
        }
    }
}

async fn serve() -> (String, Sessions) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/echo", listener.local_addr().unwrap());
    let mount = Mount::new(Echo).at("/echo");
    let sessions = mount.sessions();
    let app: Router = mount.into_router();
    let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, sessions)
}

#[tokio::test]
async fn messages_of_every_size_go_there_and_back() {
    let (url, _) = serve().await;
    let (mut socket, _) = connect_async(&url).await.unwrap();
    for size in [0, 1, 125, 126, 127, 65_535, 65_536] {
        for message in [
            Theirs::text("x".repeat(size)),
            Theirs::binary(vec![7; size]),
        ] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
    }
}

#[tokio::test]
async fn many_messages_sent_at_once_come_back_in_order() {
    let (url, _) = serve().await;
    let (mut socket, _) = connect_async(&url).await.unwrap();
    for number in 0..5_000 {
        socket.feed(Theirs::text(number.to_string())).await.unwrap();
    }
    socket.flush().await.unwrap();
    for number in 0..5_000 {
        assert_eq!(
            socket.next().await.unwrap().unwrap().into_text().unwrap(),
            number.to_string()
        );
    }
}

#[tokio::test]
async fn a_session_knows_its_peer_and_is_in_the_register_while_it_is_open() {
    let (url, sessions) = serve().await;
    let (mut socket, _) = connect_async(&url).await.unwrap();
    socket.send(Theirs::text("where am I")).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap().into_text().unwrap(),
        "127.0.0.1"
    );
    let all = sessions.all();
    assert_eq!((all.len(), sessions.len()), (1, 1));
    assert!(sessions.get(all[0].id()).is_some());
    drop(socket);
    sessions.wait_until_empty().await;
    assert!(all[0].is_closed());
}

#[tokio::test]
async fn all_sessions_can_be_closed_together() {
    let (url, sessions) = serve().await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let (mut socket, _) = connect_async(&url).await.unwrap();
        socket.send(Theirs::text("open")).await.unwrap();
        socket.next().await.unwrap().unwrap();
        sockets.push(socket);
    }
    sessions.close_all(CloseCode::RESTART, "later");
    for mut socket in sockets {
        let Theirs::Close(Some(close)) = socket.next().await.unwrap().unwrap() else {
            panic!("no close frame")
        };
        assert_eq!((close.code, &*close.reason), (TheirCode::Restart, "later"));
        while socket.next().await.is_some() {}
    }
    sessions.wait_until_empty().await;
}
