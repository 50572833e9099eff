//! The request that opened a session.

use std::{borrow::Cow, net::SocketAddr, ops::Deref, sync::Arc};

use axum::{
    extract::{ConnectInfo, RawPathParams},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use websocket::handshake::server::{HandshakeError, Upgrade};

use crate::settings::Settings;

/// Path, parameters, query, headers and peer of a session's opening request.
///
/// These are copies in one compact block: hyper's own values share its read buffer, and one of them
/// kept for the life of a session would keep all 8 KiB of it. Once they are
/// [forgotten](Handshake::forget_request), all of it is empty.
#[derive(Debug)]
pub struct Request(Option<Box<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Path and query as sent; then, a line each, `name: value`, names in lower case; then the path's
    /// parameters, see [`Params`].
    text: Box<str>,
    /// Where the parameters begin.
    params: usize,
    peer: Option<SocketAddr>,
}

/// Headers that served the connection or the handshake and say nothing about the peer.
const HANDSHAKE_HEADERS: [header::HeaderName; 6] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];

impl Request {
    pub(crate) fn new(parts: &Parts, params: &RawPathParams) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let mut text = String::with_capacity(512);
        pack_head(parts, &mut text);
        let begin = text.len();
        for (name, value) in params {
            Params::pack(name, value, &mut text);
        }
        Self(Some(Box::new(Kept {
            text: text.into(),
            params: begin,
            peer: peer.map(|ConnectInfo(peer)| *peer),
        })))
    }

    /// One of which nothing is known any more.
    pub(crate) fn forgotten() -> Self {
        Self(None)
    }

    /// The path as it was sent, percent-encoded.
    pub fn path(&self) -> &str {
        self.target()
            .split_once('?')
            .map_or(self.target(), |(path, _)| path)
    }

    /// The query as it was sent, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// The first query parameter `name`, decoded (`+` is a space).
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        form_urlencoded::parse(self.query()?.as_bytes())
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The path parameter `name`, decoded.
    pub fn param(&self, name: &str) -> Option<&str> {
        let kept = self.0.as_ref()?;
        Params(&kept.text[kept.params..]).find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The first header `name` (any case). Those of the handshake itself
    /// (`Connection`, `Upgrade`, `Sec-WebSocket-*`) are not kept.
    pub fn header(&self, name: &str) -> Option<&str> {
        let kept = self.0.as_ref()?;
        kept.text[..kept.params].lines().skip(1).find_map(|line| {
            let (key, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The address that the connection came from; behind [trusted proxies](crate::TrustedProxies) the
    /// client's, with port 0 where they do not tell it.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.as_ref()?.peer
    }

    fn target(&self) -> &str {
        let line = self.0.as_ref().and_then(|kept| kept.text.lines().next());
        line.unwrap_or_default()
    }
}

fn pack_head(parts: &Parts, packed: &mut String) {
    let target = parts.uri.path_and_query();
    packed.extend([target.map_or("/", |target| target.as_str()), "\n"]);
    for (name, value) in &parts.headers {
        // RFC 9110 §5.5: a value holds no line breaks. One in another charset than UTF-8 is kept as
        // well as it can be, so that it is not taken for absent.
        if !HANDSHAKE_HEADERS.contains(name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            packed.extend([name.as_str(), ": ", &value, "\n"]);
        }
    }
}

/// The parameters of a path, names and values in turn. Decoded, they may hold any character, so each
/// comes behind its length: `4:room6:마당`.
struct Params<'t>(&'t str);

impl<'t> Params<'t> {
    fn pack(name: &str, value: &str, packed: &mut String) {
        for part in [name, value] {
            packed.extend([&part.len().to_string(), ":", part]);
        }
    }

    fn next_part(&mut self) -> Option<&'t str> {
        let (length, rest) = self.0.split_once(':')?;
        let (part, rest) = rest.split_at_checked(length.parse().ok()?)?;
        self.0 = rest;
        Some(part)
    }
}

impl<'t> Iterator for Params<'t> {
    type Item = (&'t str, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.next_part()?, self.next_part()?))
    }
}

/// A session about to be: the request, and what the endpoint may still decide about it.
#[derive(Debug)]
pub struct Handshake {
    request: Request,
    upgrade: Upgrade,
    protocol: Option<Box<str>>,
    settings: Arc<Settings>,
    forget: bool,
}

impl Handshake {
    pub(crate) fn new(request: Request, upgrade: Upgrade, settings: Arc<Settings>) -> Self {
        Self {
            request,
            upgrade,
            protocol: None,
            settings,
            forget: false,
        }
    }

    /// Lets the session know nothing of the request, peer and headers included, once it is accepted.
    ///
    /// An endpoint that has taken what it needs saves the memory of it, 100 to 300 bytes a session as clients go,
    /// and holds no cookies and tokens longer than it must.
    pub fn forget_request(&mut self) {
        self.forget = true;
    }

    /// The settings of this session, to be changed for it alone: a larger bound for those who are
    /// known, say.
    pub fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// Refuses pages of other sites (RFC 6455 §10.2): with 403, unless the request comes from no page
    /// at all (it has no `Origin`), from a page of this host, or from one of the `allowed`
    /// origins, such as `https://example.com`.
    ///
    /// A browser sends a user's cookies with every request to a host, whichever page makes it. An
    /// endpoint that knows people by a cookie has to ask this; one that asks for a token need not.
    ///
    /// # Errors
    ///
    /// The refusal, to be passed on with `?`.
    pub fn check_origin(&self, allowed: &[impl AsRef<str>]) -> Result<(), Refusal> {
        let Some(origin) = self.header("origin") else {
            return Ok(());
        };
        let host = origin.split_once("://").map(|(_, host)| host);
        let is_own = host.is_some_and(|host| {
            self.header("host")
                .is_some_and(|own| own.eq_ignore_ascii_case(host))
        });
        let is_allowed = || allowed.iter().any(|allowed| allowed.as_ref() == origin);
        if is_own || is_allowed() {
            return Ok(());
        }
        let message = format!("pages of '{origin}' may not open sessions here\n");
        Err(Refusal::new(StatusCode::FORBIDDEN, message))
    }

    /// The subprotocols that the client offers, the one it likes best first (RFC 6455 §4.1).
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.upgrade.protocols()
    }

    /// Agrees on the first of the client's subprotocols that `supported` has, and tells which.
    /// Without a call, or without one in common, the session has none.
    pub fn choose_protocol(&mut self, supported: &[&str]) -> Option<&str> {
        self.protocol = self
            .upgrade
            .protocols()
            .find(|offered| supported.contains(offered))
            .map(Box::from);
        self.protocol.as_deref()
    }

    pub(crate) fn into_parts(self) -> (Request, Upgrade, Option<Box<str>>, Arc<Settings>) {
        let request = if self.forget {
            Request::forgotten()
        } else {
            self.request
        };
        (request, self.upgrade, self.protocol, self.settings)
    }
}

impl Deref for Handshake {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

/// Why a request cannot become a session; the endpoint is not even asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadHandshake {
    /// It is not the handshake of RFC 6455 §4.2.1.
    #[error(transparent)]
    Invalid(#[from] HandshakeError),
    /// A parameter of its path cannot be read.
    #[error("the path is not percent-encoded UTF-8")]
    Path,
    /// The server's connection cannot change its protocol.
    #[error("this connection cannot become a WebSocket")]
    NoUpgrade,
    /// The endpoint's sessions are being [closed](crate::Sessions::drain) for good.
    #[error("the server is closing")]
    Closing,
}

impl BadHandshake {
    /// The HTTP status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(error) => error.status(),
            Self::Path => StatusCode::BAD_REQUEST,
            Self::NoUpgrade => StatusCode::NOT_IMPLEMENTED,
            Self::Closing => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Headers that belong to the answer.
    pub fn headers(&self) -> HeaderMap {
        match self {
            Self::Invalid(error) => error.headers(),
            Self::Path | Self::NoUpgrade | Self::Closing => HeaderMap::new(),
        }
    }
}

/// An HTTP answer instead of a session.
#[derive(Debug)]
pub struct Refusal(Box<Response>);

impl Refusal {
    /// Refuses with a status and a body: text, `axum::Json`, or anything that axum can answer with.
    pub fn new(status: StatusCode, body: impl IntoResponse) -> Self {
        Self(Box::new((status, body).into_response()))
    }
}

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_hold_any_character() {
        let params = [
            ("room", "마당"),
            ("3:a", "1:\n0:"),
            ("empty", ""),
            ("", "12"),
        ];
        let mut text = String::new();
        for (name, value) in params {
            Params::pack(name, value, &mut text);
        }
        assert!(Params(&text).eq(params));
    }
}
