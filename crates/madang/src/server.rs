//! A server of endpoints and pages, from listening to a graceful end.

mod connections;
mod http2;
mod listener;
mod proxies;
mod socket;
mod tls;

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use futures_util::future::{OptionFuture, join_all};
use tokio::{
    net::{TcpListener, ToSocketAddrs},
    sync::{Semaphore, oneshot},
    time::timeout,
};
use websocket::CloseCode;

use self::connections::{Connections, Requests};
pub use self::proxies::{BadNetwork, Client, ForwardedHeader, TrustedProxies};
pub(crate) use self::socket::{Opening, Place, Socket};
pub use self::tls::{Tls, TlsError};
use crate::{endpoint::Endpoint, mount::Mount, sessions::Sessions};

/// A listening server: endpoints, the pages beside them, and what bounds their connections.
///
/// ```no_run
/// # use madang::{Endpoint, Handshake, Message, Refusal, Server, Session};
/// # struct Echo;
/// # impl Endpoint for Echo {
/// #     type Data = ();
/// #     async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> { Ok(()) }
/// #     async fn on_message(&self, session: &Session, message: Message) { let _ = session.send(message); }
/// # }
/// use axum::{Router, routing::get};
///
/// # async fn serve() -> std::io::Result<()> {
/// let server = Server::bind("127.0.0.1:9001").await?;
/// println!("open at http://{}", server.local_addr()?);
/// server
///     .endpoint("/echo", Echo)
///     .router(Router::new().route("/", get(|| async { "a page beside it" })))
///     .run_until(async { _ = tokio::signal::ctrl_c().await })
///     .await
/// # }
/// ```
///
/// # What is spoken
///
/// HTTP/1.1 and HTTP/2 on the same port: in TLS the client chooses by ALPN (RFC 7301), without TLS by beginning
/// with HTTP/2's preface (prior knowledge, RFC 9113 §3.3). A WebSocket is opened by an upgrade (RFC 6455 §4) or on
/// a stream of HTTP/2 by extended CONNECT (RFC 8441); its endpoint sees no difference. A session that came by an
/// upgrade has the socket to itself and costs the least.
///
/// # What is bounded
///
/// | bound | by default | what happens at it |
/// |---|---|---|
/// | [connections](Self::max_connections), of any kind | 131,072 | one more is accepted and closed at once |
/// | [time for the first request's head](Self::request_head_timeout), TLS included, and in HTTP/1.1 for each next one | 10 s | the connection is closed |
/// | a request's head | 16 KiB | 431 |
/// | requests and sessions at a time on one connection of HTTP/2 | 200 | one more is refused (RFC 9113 §5.1.2) |
/// | bytes not read yet on one stream of HTTP/2, on all of a connection | 64 KiB, 1 MiB | the client waits (§5.2) |
/// | silence of a client of HTTP/2, pings unanswered | 50 s | the connection is closed |
/// | streams that are reset again at once (§10.5) | 20 waiting | the connection is closed |
/// | [time for the end](Self::patience) | 5 s | the server returns, whatever is left |
///
/// A session's own bounds are its endpoint's [`Settings`](crate::Settings).
///
/// # The end
///
/// When the future given to [`run_until`](Self::run_until) is ready, nothing more is accepted, every session of
/// the mounted endpoints is [closed](Self::close_with), requests at work are answered, and the server returns
/// when the last `on_close` has ended, or its [patience](Self::patience) has.
pub struct Server {
    listener: TcpListener,
    router: Router,
    sessions: Vec<Sessions>,
    proxies: TrustedProxies,
    tls: Option<Tls>,
    max_connections: usize,
    head_timeout: Duration,
    patience: Duration,
    code: CloseCode,
    reason: String,
    closes_per_second: u32,
}

impl Server {
    /// Listens on an address, such as `"127.0.0.1:9001"`; port 0 is one that is free.
    ///
    /// Clients that come from here on wait until the server runs.
    ///
    /// # Errors
    ///
    /// What the system says: that the address is no address of this machine, or in use, or needs
    /// special rights.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::on(listener::bind(address).await?))
    }

    /// A server on a socket that listens already, such as one that was handed down by systemd.
    pub fn on(listener: TcpListener) -> Self {
        Self {
            listener,
            router: Router::new(),
            sessions: Vec::new(),
            proxies: TrustedProxies::default(),
            tls: None,
            max_connections: 128 * 1024,
            head_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(5),
            code: CloseCode::GOING_AWAY,
            reason: "the server ends".into(),
            closes_per_second: 0,
        }
    }

    /// Where the server listens.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Puts an endpoint at a path: a template in axum's syntax, such as `/chat/{room}`. With settings,
    /// at several paths, or shared as an `Arc`, it is [mounted](Self::mount).
    ///
    /// Panics if the path is not a valid template or is taken, as axum's own `route` does.
    #[must_use]
    pub fn endpoint<E: Endpoint>(self, path: &str, endpoint: E) -> Self {
        self.mount(Mount::<E>::new(endpoint).at(path))
    }

    /// Adds an endpoint with its paths and settings.
    ///
    /// Panics if a path is not a valid template or is taken, as axum's own `route` does.
    #[must_use]
    pub fn mount<E: Endpoint>(mut self, mount: Mount<E>) -> Self {
        self.sessions.push(mount.sessions());
        self.router(mount.into_router())
    }

    /// Adds pages: the routes of an axum router, and its fallback.
    ///
    /// Handlers find the client's address as `ConnectInfo<SocketAddr>`. Panics if a path is taken, or if
    /// there are two fallbacks, as axum's own `merge` does.
    #[must_use]
    pub fn router(mut self, router: Router) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// Speaks TLS on the port, and nothing else.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Believes these reverse proxies about who the client is; by default none.
    ///
    /// The client's address is then what [`Request::peer`](crate::Request::peer) and `ConnectInfo` say, in
    /// `on_handshake` and everywhere else; and the host that it asked for is the header `Host`, whatever
    /// the proxy made of it.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Holds no more connections than these, those of HTTP and those of sessions together.
    ///
    /// One more is accepted and closed at once: who asks learns that there is no room, and a balancer in
    /// front tries elsewhere. Left alone in the kernel's queue it would only wait.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.min(Semaphore::MAX_PERMITS);
        self
    }

    /// Closes a connection that takes longer to send the head of a request.
    #[must_use]
    pub fn request_head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = timeout;
        self
    }

    /// Closes sessions with this code and reason when the server ends; by default with 1001, going
    /// away. 1012, service restart, asks clients to come back.
    #[must_use]
    pub fn close_with(mut self, code: CloseCode, reason: impl Into<String>) -> Self {
        (self.code, self.reason) = (code, reason.into());
        self
    }

    /// Closes no more sessions within a second than these when the server ends, so that their clients do
    /// not all come back at once; by default, or with 0, there is no limit.
    #[must_use]
    pub fn closes_per_second(mut self, sessions: u32) -> Self {
        self.closes_per_second = sessions;
        self
    }

    /// Waits no longer than this for sessions and requests when the server ends, from when the last
    /// session was told to close. A session's own close
    /// takes up to its [`close_timeout`](crate::Settings::close_timeout).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Serves for as long as the program runs.
    ///
    /// # Errors
    ///
    /// As of [`run_until`](Self::run_until).
    pub async fn run(self) -> io::Result<()> {
        self.run_until(pending()).await
    }

    /// Serves until `shutdown` is ready, and then [ends](Self#the-end).
    ///
    /// # Errors
    ///
    /// Where TLS cannot begin. Once it runs, nothing ends the server but `shutdown`: where no connection can be
    /// accepted, out of file descriptors say, it waits and tries again.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let tls = self.tls.as_ref().map(Tls::acceptor).transpose();
        let connections = Connections {
            router: self.router,
            proxies: self.proxies,
            tls: tls.map_err(io::Error::other)?,
            head_timeout: self.head_timeout,
            places: Arc::new(Semaphore::new(self.max_connections)),
        };
        let certificate = OptionFuture::from(self.tls.map(Tls::keep_current));
        // In a task, and so on a worker: what a connection needs at first and what its session keeps is
        // then allocated side by side, and the one fills the gaps that the other leaves. It ends with
        // this future too.
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { _ = stopped.await };
        let serving = tokio::spawn(connections.serve(self.listener, stopped));
        tokio::select! {
            () = shutdown => {}
            Some(never) = certificate => match never {},
        }
        drop(stop);
        let requests = serving.await.map_err(io::Error::other)?;
        let open = || self.sessions.iter().map(Sessions::len).sum::<usize>();
        tracing::info!(sessions = open(), "closing");
        let drains = self
            .sessions
            .iter()
            .map(|sessions| sessions.drain_slowly(self.code, &self.reason, self.closes_per_second));
        join_all(drains).await;
        if timeout(self.patience, end(&requests, &self.sessions))
            .await
            .is_err()
        {
            tracing::warn!(sessions = open(), "not everything ended in time");
        }
        Ok(())
    }
}

/// Waits for the requests first: they may still open sessions.
async fn end(requests: &Requests, sessions: &[Sessions]) {
    requests.end().await;
    for sessions in sessions {
        sessions.wait_until_empty().await;
    }
}
