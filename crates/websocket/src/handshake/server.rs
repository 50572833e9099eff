//! The server's side: judge a request (RFC 6455 §4.2.1), answer it (§4.2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ALLOW, CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{Method, Response, StatusCode, Version};

use super::{accept_of, extensions, is_token, list, list_contains};
use crate::Deflate;

/// Why a request does not open a WebSocket.
///
/// Its text is a sentence for the one who wrote the client; answer with it as the body, with
/// [`status`](Self::status) and [`headers`](Self::headers).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The method is not GET.
    #[error("a WebSocket is opened with GET, not with {0}")]
    Method(Method),
    /// The request is not HTTP/1.1.
    #[error("a WebSocket is opened over HTTP/1.1, not over {0:?}")]
    HttpVersion(Version),
    /// There is not exactly one Host.
    #[error("the request needs one header Host")]
    Host,
    /// The request does not ask for a WebSocket.
    #[error("this address speaks WebSocket: the request needs the header 'Upgrade: websocket'")]
    Upgrade,
    /// The connection is not asked to change its protocol.
    #[error(
        "the request needs the header 'Connection: Upgrade'; \
         a proxy that does not pass it on has to be told to"
    )]
    Connection,
    /// The protocol's version is not 13.
    #[error("the request needs the header 'Sec-WebSocket-Version: 13'")]
    Version,
    /// There is not exactly one key, or it is not base64 of 16 bytes.
    #[error("the request needs one header Sec-WebSocket-Key with 16 bytes in base64")]
    Key,
    /// A subprotocol is not a token, or is offered twice.
    #[error("Sec-WebSocket-Protocol has to be a list of tokens, each of them once")]
    Protocols,
    /// The method of a request of HTTP/2 is not CONNECT.
    #[error("over HTTP/2 a WebSocket is opened with CONNECT (RFC 8441), not with {0}")]
    ConnectMethod(Method),
    /// A CONNECT is not for a WebSocket.
    #[error("this address speaks WebSocket: CONNECT needs ':protocol: websocket' (RFC 8441)")]
    ConnectProtocol,
    /// The protocol's version is not 13, in a CONNECT.
    #[error("the request needs the header 'sec-websocket-version: 13'")]
    ConnectVersion,
    /// The extensions are not written as RFC 6455 §9.1 wants it.
    #[error("Sec-WebSocket-Extensions has to be a list of extensions with their parameters")]
    Extensions,
}

impl HandshakeError {
    /// The status to answer with: 405, 426, 501 or 400.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method(_) | Self::ConnectMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Upgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            // RFC 9220 §3 says it for HTTP/3, RFC 8441 says nothing.
            Self::ConnectProtocol => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers that go with the status: `Allow` with 405; with 426 what to upgrade to
    /// (RFC 9110 §15.5.22) and the version that we speak (RFC 6455 §4.4). HTTP/2 has no upgrade, so a
    /// wrong version in a CONNECT is a 400 with that version.
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Method(_) => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            Self::ConnectMethod(_) => {
                headers.insert(ALLOW, HeaderValue::from_static("CONNECT"));
            }
            Self::Upgrade | Self::Version => {
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            Self::ConnectVersion => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        headers
    }
}

/// A request that may become a WebSocket.
///
/// It owns copies of what it needs: the headers of a request often share the buffer that they
/// were read into, which a clone of them would keep alive.
#[derive(Debug, Clone)]
pub struct Upgrade {
    /// What answers the key; a CONNECT has none.
    accept: Option<HeaderValue>,
    protocols: Vec<HeaderValue>,
    deflate: Option<Deflate>,
}

/// Judges a request by the rules of RFC 6455 §4.2.1.
///
/// # Errors
///
/// A [`HandshakeError`] that names the first rule that was not kept.
pub fn check(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Result<Upgrade, HandshakeError> {
    // Rule 1: a GET of HTTP/1.1 or higher. HTTP/2 and later have no Upgrade at all (RFC 9113
    // §8.6) and open a WebSocket in their own way (`check_connect`), so it is HTTP/1.1.
    if method != Method::GET {
        return Err(HandshakeError::Method(method.clone()));
    }
    if version != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion(version));
    }
    // Rule 2: Host. HTTP/1.1 wants exactly one (RFC 9112 §3.2).
    let mut hosts = headers.get_all(HOST).into_iter();
    let (Some(_), None) = (hosts.next(), hosts.next()) else {
        return Err(HandshakeError::Host);
    };
    // Rule 3: Upgrade has the token "websocket", in any case.
    if !list_contains(headers, &UPGRADE, "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    // Rule 4: Connection has the token "Upgrade", in any case.
    if !list_contains(headers, &CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    // Rule 6: it comes before the key, as another version might have no key.
    if !is_version_13(headers) {
        return Err(HandshakeError::Version);
    }
    let accept = check_key(headers).ok_or(HandshakeError::Key)?;
    choose(Some(accept), headers)
}

/// Judges a request that opens a WebSocket on a stream of HTTP/2 (RFC 8441 §5): an extended CONNECT,
/// whose pseudo-header `:protocol` is given apart. Key, `Upgrade` and `Connection` have no place in it.
///
/// # Errors
///
/// A [`HandshakeError`] that names the first rule that was not kept.
pub fn check_connect(
    method: &Method,
    protocol: Option<&str>,
    headers: &HeaderMap,
) -> Result<Upgrade, HandshakeError> {
    if method != Method::CONNECT {
        return Err(HandshakeError::ConnectMethod(method.clone()));
    }
    // Its value is one of the registry of upgrade tokens (§4), which are compared in any case.
    if !protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")) {
        return Err(HandshakeError::ConnectProtocol);
    }
    if !is_version_13(headers) {
        return Err(HandshakeError::ConnectVersion);
    }
    choose(None, headers)
}

/// Rule 6: Sec-WebSocket-Version is 13; we take it once only (§11.3.5).
fn is_version_13(headers: &HeaderMap) -> bool {
    let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION).into_iter();
    matches!((versions.next(), versions.next()), (Some(version), None) if version == "13")
}

/// What is there to be chosen from, in every version of HTTP.
fn choose(accept: Option<HeaderValue>, headers: &HeaderMap) -> Result<Upgrade, HandshakeError> {
    let protocols = check_protocols(headers).ok_or(HandshakeError::Protocols)?;
    // Rule 9: extensions that we do not know are passed over.
    let deflate = extensions::choose(headers).map_err(|_| HandshakeError::Extensions)?;
    Ok(Upgrade {
        accept,
        protocols,
        deflate,
    })
}

/// Rule 5: one Sec-WebSocket-Key, base64 of 16 bytes. Gives what answers it.
fn check_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return None;
    };
    let key = key.to_str().ok()?;
    let nonce = STANDARD.decode(key).ok()?;
    if nonce.len() != 16 {
        return None;
    }
    HeaderValue::try_from(accept_of(key)).ok()
}

/// Rule 8 and §4.1: the offered subprotocols are unique tokens, in order of preference.
fn check_protocols(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let mut protocols = Vec::new();
    for protocol in list(headers, &SEC_WEBSOCKET_PROTOCOL) {
        if !is_token(protocol) || protocols.iter().any(|earlier| earlier == protocol) {
            return None;
        }
        protocols.push(HeaderValue::from_str(protocol).ok()?);
    }
    Some(protocols)
}

impl Upgrade {
    /// The subprotocols that the client offers, the one that it prefers first.
    pub fn protocols(&self) -> impl Iterator<Item = &str> {
        self.protocols
            .iter()
            .filter_map(|protocol| protocol.to_str().ok())
    }

    /// The compression that the client offers, as we would do it: its first offer of
    /// permessage-deflate that we can keep (RFC 7692 §7.1).
    pub fn deflate(&self) -> Option<Deflate> {
        self.deflate
    }

    /// The answer that opens the WebSocket (§4.2.2): 101, or 200 to a CONNECT (RFC 8441 §5), with the subprotocol that the server
    /// chose among [`protocols`](Self::protocols), and with its [`deflate`](Self::deflate) if
    /// messages shall be compressed.
    ///
    /// A subprotocol that was not offered is left out, since the client would have to give up (§4.1); the
    /// WebSocket then has no subprotocol.
    pub fn response(&self, protocol: Option<&str>, deflate: Option<Deflate>) -> Response<()> {
        let mut response = Response::new(());
        if let Some(accept) = &self.accept {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept.clone());
        }
        let headers = response.headers_mut();
        let chosen = protocol.and_then(|name| self.protocols.iter().find(|own| *own == name));
        if let Some(chosen) = chosen {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen.clone());
        }
        // Its characters are those of a header; the error cannot come.
        let agreed = deflate.map(extensions::answer).map(HeaderValue::try_from);
        if let Some(Ok(agreed)) = agreed {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, agreed);
        }
        response
    }
}
