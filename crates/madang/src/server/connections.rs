//! Accepts connections and speaks HTTP on them, until told to stop.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, response::Response};
use http::{HeaderValue, Request, Version, header::HOST};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{
    http2, listener,
    proxies::TrustedProxies,
    socket::{Place, Socket, Stream, Tls},
};

/// Bytes of a request's head at most.
const MAX_HEAD: u32 = 16 * 1024;
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

/// A version of HTTP.
enum Http {
    One,
    Two,
}

/// A connection that has just come.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
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
        listener::send_at_once(&listener);
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
                    let place = Place::take(&connections.places);
                    let was_full = std::mem::replace(&mut full, place.is_none());
                    let Some(place) = place else {
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
        let (stream, http) = match begun {
            Ok(Ok(begun)) => begun,
            Ok(Err(error)) => return tracing::debug!(%error, "a connection did not begin"),
            Err(_) => return,
        };
        let io = TokioIo::new(Socket::new(stream, place));
        let ended = match http {
            // On the heap, so that the tasks of those who have said nothing yet are small.
            Http::One => Box::pin(self.http1(io, peer, ending)).await,
            Http::Two => Box::pin(self.http2(io, peer, ending)).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended badly");
        }
    }

    async fn http1(
        self: Arc<Self>,
        io: TokioIo<Socket>,
        peer: SocketAddr,
        mut ending: watch::Receiver<()>,
    ) -> hyper::Result<()> {
        let (head_timeout, opening) = (self.head_timeout, io.inner().opening());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(opening.clone());
            self.answer(request, peer)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_buf_size(MAX_HEAD as usize)
            .serve_connection(io, service);
        let mut connection = pin!(connection.with_upgrades());
        tokio::select! {
            ended = connection.as_mut() => ended,
            _ = ending.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }

    /// The sessions on its streams are among the connection's requests: it ends when they have.
    async fn http2(
        self: Arc<Self>,
        io: TokioIo<Socket>,
        peer: SocketAddr,
        mut ending: watch::Receiver<()>,
    ) -> hyper::Result<()> {
        let (head_timeout, asked) = (self.head_timeout, Arc::new(Notify::new()));
        let ask = asked.clone();
        let service = service_fn(move |request| {
            ask.notify_one();
            self.answer(request, peer)
        });
        let silent = async {
            if timeout(head_timeout, asked.notified()).await.is_ok() {
                pending().await
            }
        };
        let connection = http2::builder(MAX_HEAD).serve_connection(io, service);
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended,
            // hyper has no timer for the first request. Later ones may take their time: pings tell
            // whether the client still is there.
            () = silent => Ok(()),
            _ = ending.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }

    /// Agrees with the client on TLS and on a version of HTTP, by what it says first.
    async fn begin(&self, stream: TcpStream) -> io::Result<(Stream, Http)> {
        let (stream, two) = match &self.tls {
            Some(tls) => {
                let stream = Box::pin(tls.accept(stream)).await?;
                let two = stream.get_ref().1.alpn_protocol() == Some(http2::ALPN);
                (Stream::Tls(Tls(Box::new(stream))), two)
            }
            None => {
                let two = http2::begins(&stream).await?;
                (Stream::Plain(stream), two)
            }
        };
        Ok((stream, if two { Http::Two } else { Http::One }))
    }

    /// Answers a request, once it says where it comes from and what it asked for, past the proxies.
    fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let client = self.proxies.client(peer, request.headers());
        request.extensions_mut().insert(ConnectInfo(client.address));
        // HTTP/2 says `:authority` (RFC 9113 §8.3.1) for what HTTP/1.1 calls Host.
        let authority = match request.version() {
            Version::HTTP_2 => request.uri().authority(),
            _ => None,
        };
        let host = client.host.as_ref().or(authority);
        let host = host.and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host {
            request.headers_mut().insert(HOST, host);
        }
        self.router.clone().oneshot(request)
    }
}
