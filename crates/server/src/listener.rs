//! Accepts connections and speaks HTTP on them, until told to stop.

use std::{future::Future, io, net::SocketAddr, pin::pin, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tower::ServiceExt;

/// Connections that may wait to be accepted. With tokio's own 128, a storm of clients loses
/// connection requests, each of which costs its client a second.
const BACKLOG: i32 = 4096;
/// Bytes of a request's head at most.
const MAX_HEAD: usize = 16 * 1024;

/// Listens on `address`.
///
/// # Errors
///
/// What the system says, such as that the port is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted server takes the port over from connections that are still ending.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `shutdown`, and hands out the requests that are still at work. Sessions are not
/// among them: an upgraded connection is no longer HTTP's.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    head_timeout: Duration,
    shutdown: impl Future<Output = ()>,
) -> Requests {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(MAX_HEAD);
    let requests = Requests(watch::Sender::new(()));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return requests,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            // Out of descriptors, most likely: some will come free.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        let (http, mut ending) = (http.clone(), requests.0.subscribe());
        tokio::spawn(async move {
            // hyper's own timer begins with the first byte.
            if !matches!(timeout(head_timeout, socket.readable()).await, Ok(Ok(()))) {
                return;
            }
            let connection = http.serve_connection(TokioIo::new(socket), service);
            let mut connection = pin!(connection.with_upgrades());
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = ending.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended badly");
            }
        });
    }
}

/// The requests at work: each connection holds a receiver.
pub(crate) struct Requests(watch::Sender<()>);

impl Requests {
    /// Lets every connection end the request that it is at, and waits until all have ended.
    pub(crate) async fn end(&self) {
        self.0.send_replace(());
        self.0.closed().await;
    }
}
