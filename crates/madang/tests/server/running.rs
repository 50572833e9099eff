//! A server that runs, and clients of it.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use futures_util::{SinkExt, StreamExt};
use madang::{Closed, Endpoint, Handshake, Message, Mount, Refusal, Server, Session};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message as Theirs,
};

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Sends back what it is sent, and can be made to wait.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) in_handshake: Notify,
    pub(crate) go_on: Notify,
    pub(crate) in_close: AtomicBool,
    /// How the last session ended.
    pub(crate) closed: watch::Sender<Option<Closed>>,
    /// The last handshake's.
    pub(crate) peer: Mutex<Option<String>>,
}

impl Endpoint for Echo {
    type Data = ();

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<(), Refusal> {
        *self.peer.lock().unwrap() = handshake.peer().map(|peer| peer.ip().to_string());
        handshake.choose_protocol(&["chat"]);
        match handshake.query() {
            Some("refuse") => return Err(Refusal::new(StatusCode::FORBIDDEN, "not you")),
            Some("wait") => {
                self.in_handshake.notify_one();
                self.go_on.notified().await;
            }
            _ => {}
        }
        Ok(())
    }

    async fn on_message(&self, session: &Session, message: Message) {
        session.send(message).unwrap();
    }

    async fn on_close(&self, session: &Session, closed: &Closed) {
        self.closed.send_replace(Some(closed.clone()));
        if session.request().query() == Some("never") {
            return pending().await;
        }
        // Others run meanwhile: whoever does not wait for this end returns before it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.in_close.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn at(path: &str, endpoint: &Arc<Echo>) -> Mount<Echo> {
    Mount::<Echo>::new(endpoint.clone()).at(path)
}

/// A server that runs until it is told to end.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) endpoint: Arc<Echo>,
    end: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn start(change: impl FnOnce(Server) -> Server) -> Self {
        let endpoint = Arc::new(Echo::default());
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let server = change(server.mount(at("/echo", &endpoint)));
        let (end, ended) = oneshot::channel();
        let ended = async { _ = ended.await };
        Self {
            address,
            endpoint,
            end: Some(end),
            server: tokio::spawn(server.run_until(ended)),
        }
    }

    pub(crate) fn begin_to_end(&mut self) {
        self.end.take().unwrap().send(()).unwrap();
    }

    /// Waits until the server has returned.
    pub(crate) async fn ended(self) {
        let ended = timeout(PATIENCE, self.server).await;
        ended.unwrap().unwrap().unwrap();
    }

    pub(crate) async fn connect(&self, query: &str) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let url = format!("ws://{}/echo{query}", self.address);
        connect_async(url).await.unwrap().0
    }

    /// Sends bytes on a new connection.
    pub(crate) async fn send(&self, bytes: &str) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(bytes.as_bytes()).await.unwrap();
        socket
    }

    /// One request, and everything that is answered.
    pub(crate) async fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        read(&mut self.send(&request).await).await
    }
}

/// Everything that comes until the server hangs up.
pub(crate) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await;
    // A connection that is refused may be reset.
    let _ = read.unwrap();
    String::from_utf8(bytes).unwrap()
}

pub(crate) async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    socket.send(Theirs::text("안녕")).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    assert_eq!(answer, Theirs::text("안녕"));
}

/// Waits for the close frame and the end.
pub(crate) async fn closed<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
) -> (u16, String) {
    let close = timeout(PATIENCE, socket.next()).await.unwrap();
    let Some(Ok(Theirs::Close(Some(close)))) = close else {
        panic!("no close frame but {close:?}")
    };
    while let Ok(Some(Ok(_))) = timeout(PATIENCE, socket.next()).await {}
    (close.code.into(), close.reason.to_string())
}
