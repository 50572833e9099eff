//! Accepts connections and speaks HTTP on them, until told to stop.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use http::{HeaderValue, Request, header::HOST};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{
    proxies::TrustedProxies,
    socket::{Socket, Stream},
};

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 16 * 1024;
/// How long nothing is accepted when nothing can be.
const PAUSE: Duration = Duration::from_millis(100);

/// What every connection is served with.
pub(super) struct Connections {
    pub(super) router: Router,
    pub(super) proxies: TrustedProxies,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) head_timeout: Duration,
    /// The places that are free.
    pub(super) places: Arc<Semaphore>,
}

/// The requests at work: each connection holds a receiver.
pub(super) struct Requests(watch::Sender<()>);

impl Requests {
    /// Lets every connection end the requests that it is at, and waits until all have ended.
    pub(super) async fn end(&self) {
        self.0.send_replace(());
        self.0.closed().await;
    }
}

/// A connection that has just come.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    ending: watch::Receiver<()>,
}

impl Connections {
    /// Serves until `shutdown`, and hands out the requests that are still at work. Sessions are not
    /// among them: an upgraded connection is no longer HTTP's.
    pub(super) async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Requests {
        let connections = Arc::new(self);
        let requests = Requests(watch::Sender::new(()));
        let mut shutdown = pin!(shutdown);
        let mut full = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => return requests,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let place = connections.places.clone().try_acquire_owned();
                    let was_full = std::mem::replace(&mut full, place.is_err());
                    let Ok(place) = place else {
                        // Said once, and not for each of those who try again and again.
                        if !was_full {
                            tracing::warn!("too many connections: those that come are closed");
                        }
                        continue;
                    };
                    let accepted = Accepted {
                        stream,
                        peer,
                        place,
                        ending: requests.0.subscribe(),
                    };
                    tokio::spawn(connections.clone().connection(accepted));
                }
                // The client was quicker to leave than we to accept.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Out of descriptors, most likely: some will come free.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, accepted: Accepted) {
        let Accepted {
            stream,
            peer,
            place,
            mut ending,
        } = accepted;
        let begun = tokio::select! {
            begun = timeout(self.head_timeout, self.begin(stream)) => begun,
            _ = ending.changed() => return,
        };
        let stream = match begun {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a connection did not begin"),
            Err(_) => return,
        };
        let shared = self.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            shared.introduce(&mut request, peer);
            shared.router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Socket::new(stream, place)), service);
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
    }

    /// Waits for the client's first bytes, and agrees with it on TLS.
    async fn begin(&self, stream: TcpStream) -> io::Result<Stream> {
        // Frames are gathered before they are written; waiting for more in the kernel only delays them.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            Some(tls) => Ok(Stream::Tls(Box::new(tls.accept(stream).await?))),
            None => {
                stream.readable().await?;
                Ok(Stream::Plain(stream))
            }
        }
    }

    /// Tells handlers where a request comes from and what it asked for, past the proxies.
    fn introduce(&self, request: &mut Request<Incoming>, peer: SocketAddr) {
        let client = self.proxies.client(peer, request.headers());
        request.extensions_mut().insert(ConnectInfo(client.address));
        let host = client
            .host
            .and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host);
        }
    }
}
