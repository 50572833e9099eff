//! Puts an endpoint at paths of an axum router.

use std::{ops::Deref, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    extract::{RawPathParams, Request as HttpRequest, State, rejection::RawPathParamsRejection},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::FutureExt;
use http::{StatusCode, Version};
use hyper::{
    ext::Protocol,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use websocket::{Deflate, handshake::server};

use crate::{
    driver::{Connection, log_panic},
    endpoint::Endpoint,
    line::Line,
    request::{BadHandshake, Handshake, Request},
    server::{Opening, Socket},
    session::{Session, SessionId},
    sessions::Sessions,
    settings::Settings,
};

/// An endpoint with the paths at which it can be reached.
///
/// ```
/// # use madang::{Endpoint, Handshake, Message, Mount, Refusal, Session};
/// # struct Echo;
/// # impl Endpoint for Echo {
/// #     type Data = ();
/// #     async fn on_handshake(&self, _: &mut Handshake) -> Result<(), Refusal> { Ok(()) }
/// #     async fn on_message(&self, session: &Session, message: Message) { let _ = session.send(message); }
/// # }
/// use axum::{Router, routing::get};
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "a page beside it" }))
///     .merge(Mount::new(Echo).at("/echo").at("/echo/{room}").into_router());
/// ```
pub struct Mount<E> {
    endpoint: Arc<E>,
    settings: Settings,
    sessions: Sessions,
    paths: Vec<String>,
}

impl<E: Endpoint> Mount<E> {
    /// An endpoint that is nowhere yet.
    pub fn new(endpoint: impl Into<Arc<E>>) -> Self {
        Self {
            endpoint: endpoint.into(),
            settings: Settings::default(),
            sessions: Sessions::default(),
            paths: Vec::new(),
        }
    }

    /// Adds a path: a template in axum's syntax, such as `/chat/{room}`, whose parameters the session
    /// tells by name.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.paths.push(path.into());
        self
    }

    /// Bounds the sessions otherwise than by default.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The register of the endpoint's open sessions.
    pub fn sessions(&self) -> Sessions {
        self.sessions.clone()
    }

    /// The routes, to be merged into a program's router.
    ///
    /// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, and sessions know their
    /// peer's address. Panics if a path is not a valid template, as axum's own `route` does.
    pub fn into_router(self) -> Router {
        let mounted = Arc::new(Mounted {
            endpoint: self.endpoint,
            settings: Arc::new(self.settings),
            sessions: self.sessions,
        });
        self.paths
            .iter()
            .fold(Router::new(), |router, path| {
                router.route(path, any(answer::<E>))
            })
            .with_state(mounted)
    }
}

/// What the sessions of a mount share.
struct Mounted<E> {
    endpoint: Arc<E>,
    settings: Arc<Settings>,
    sessions: Sessions,
}

/// Answers an opening request: with 101, or 200 on a stream of HTTP/2, and a session to come, or with a refusal.
async fn answer<E: Endpoint>(
    State(mounted): State<Arc<Mounted<E>>>,
    params: Result<RawPathParams, RawPathParamsRejection>,
    request: HttpRequest,
) -> Response {
    let bad = |error: BadHandshake| mounted.endpoint.on_bad_handshake(&error).into_response();
    let (mut parts, _body) = request.into_parts();
    let checked = match parts.version {
        Version::HTTP_2 => {
            let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
            server::check_connect(&parts.method, protocol, &parts.headers)
        }
        version => server::check(&parts.method, version, &parts.headers),
    };
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return bad(error.into()),
    };
    let Ok(params) = params else {
        return bad(BadHandshake::Path);
    };
    let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        return bad(BadHandshake::NoUpgrade);
    };
    let opening = parts.extensions.remove::<Opening>();
    let request = Request::new(&parts, &params);
    let mut handshake = Handshake::new(request, upgrade, mounted.settings.clone());
    let on_handshake = async { mounted.endpoint.on_handshake(&mut handshake).await };
    let data = match AssertUnwindSafe(on_handshake).catch_unwind().await {
        Ok(Ok(data)) => data,
        Ok(Err(refusal)) => return refusal.into_response(),
        Err(panic) => {
            log_panic("on_handshake", &*panic);
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let (request, upgrade, protocol, settings) = handshake.into_parts();
    let deflate = settings.agree(upgrade.deflate());
    let response = upgrade
        .response(protocol.as_deref(), deflate)
        .map(|()| axum::body::Body::empty());
    // In the register from here on, so that whoever closes all sessions closes this one too.
    let session = |id| Session::new(id, request, protocol, settings, data);
    let Some(session) = Entered::enter(&mounted, session) else {
        return bad(BadHandshake::Closing);
    };
    if let Some(opening) = opening {
        opening.announce();
    }
    tokio::spawn(async move {
        match on_upgrade.await {
            Ok(upgraded) => open(upgraded, session, deflate),
            // The client went away before it had the answer: there was no session.
            Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
        }
    });
    response
}

/// A session with its place in the register, which it leaves when it is dropped; and its endpoint.
pub(crate) struct Entered<E: Endpoint> {
    session: Session<E::Data>,
    mounted: Arc<Mounted<E>>,
}

impl<E: Endpoint> Entered<E> {
    /// Opens a session and enters it, unless nobody is let in any more.
    fn enter(
        mounted: &Arc<Mounted<E>>,
        session: impl FnOnce(SessionId) -> Session<E::Data>,
    ) -> Option<Self> {
        let heartbeat = mounted.settings.heartbeat;
        let session = mounted.sessions.enter(heartbeat, session)?;
        let mounted = mounted.clone();
        Some(Self { session, mounted })
    }

    /// Whether the register tells the session when to ping: not if it has a heartbeat of its own.
    pub(crate) fn is_told_to_ping(&self) -> bool {
        self.session.settings().heartbeat == self.mounted.settings.heartbeat
    }

    /// The endpoint and the session, for a callback.
    pub(crate) fn handles(&self) -> (&E, &Session<E::Data>) {
        (&self.mounted.endpoint, &self.session)
    }
}

impl<E: Endpoint> Deref for Entered<E> {
    type Target = Session<E::Data>;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl<E: Endpoint> Drop for Entered<E> {
    fn drop(&mut self) {
        self.mounted.sessions.leave(self.session.id());
    }
}

/// Takes the connection out of hyper: the socket itself where it is one, for the leanest path.
fn open<E: Endpoint>(upgraded: Upgraded, session: Entered<E>, deflate: Option<Deflate>) {
    type Plain = TokioIo<TcpStream>;
    // The bytes behind the handshake are copied: they lie in hyper's read buffer of 8 KiB.
    let upgraded = match upgraded.downcast::<TokioIo<Socket>>() {
        Ok(own) => {
            return match own.io.into_inner().plain() {
                Ok((line, head)) => spawn_plain(line, head, &own.read_buf, session, deflate),
                Err(socket) => spawn(socket, None, Vec::new(), &own.read_buf, session, deflate),
            };
        }
        Err(upgraded) => upgraded,
    };
    // axum's own server is hyper-util's automatic one; hyper's HTTP/1 server wraps differently.
    let plain = match auto::upgrade::downcast::<Plain>(upgraded) {
        Ok(parts) => Ok((parts.io, parts.read_buf)),
        Err(upgraded) => upgraded
            .downcast::<Plain>()
            .map(|parts| (parts.io, parts.read_buf)),
    };
    match plain {
        Ok((io, early)) => {
            let socket = io.into_inner();
            // Frames are gathered here; waiting for more of them in the kernel only delays them.
            let _ = socket.set_nodelay(true);
            let line = Line::new(socket, None);
            spawn_plain(line, Vec::new(), &early, session, deflate);
        }
        Err(upgraded) => {
            let io = TokioIo::new(upgraded);
            spawn(io, None, Vec::new(), &[], session, deflate);
        }
    }
}

fn spawn_plain<E: Endpoint>(
    line: Line,
    head: Vec<u8>,
    early: &[u8],
    session: Entered<E>,
    deflate: Option<Deflate>,
) {
    spawn(line.clone(), Some(line), head, early, session, deflate);
}

/// In a task of its own: the one that waited for the upgrade ends and frees its memory.
///
/// `line` is the same connection as `io`, if others may write to it. `head` is to be written first, `early` was read
/// already.
fn spawn<E, S>(
    io: S,
    line: Option<Line>,
    head: Vec<u8>,
    early: &[u8],
    session: Entered<E>,
    deflate: Option<Deflate>,
) where
    E: Endpoint,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    session.own_outgoing().begin(deflate, line, head);
    let inflating = deflate.is_some();
    tokio::spawn(Connection::new(io, early, session, inflating).run());
}
