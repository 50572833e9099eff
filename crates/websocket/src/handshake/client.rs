//! The client's side: ask (RFC 6455 §4.1), and judge the answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};

use super::{accept_of, is_token, list_contains};

/// Why no request can be made, or why the answer does not open a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The address has no host.
    #[error("the address has no host")]
    NoHost,
    /// A subprotocol to offer is not a token, or is there twice.
    #[error("subprotocols have to be tokens, each of them once")]
    Protocols,
    /// The status is not 101: the server refuses, or redirects, or wants credentials.
    #[error("the server answered {0} instead of 101")]
    Status(StatusCode),
    /// The answer lacks `Upgrade: websocket`.
    #[error("the answer lacks the header 'Upgrade: websocket'")]
    Upgrade,
    /// The answer lacks `Connection: Upgrade`.
    #[error("the answer lacks the header 'Connection: Upgrade'")]
    Connection,
    /// The answer does not prove that it is one to our request.
    #[error("the header Sec-WebSocket-Accept does not answer our key")]
    Accept,
    /// The server uses an extension; we offered none.
    #[error("the server chose an extension that was not offered")]
    Extension,
    /// The server chose a subprotocol that we did not offer, or several.
    #[error("the server chose a subprotocol that was not offered")]
    Protocol,
}

/// The request that asks for a WebSocket at `uri` (`ws://host:port/path?query`), on a connection
/// to its host. `nonce` is random, new for each request; `protocols` are the subprotocols to
/// offer, the preferred one first.
///
/// # Errors
///
/// [`HandshakeError::NoHost`] and [`HandshakeError::Protocols`].
pub fn request(
    uri: &Uri,
    nonce: [u8; 16],
    protocols: &[&str],
) -> Result<Request<()>, HandshakeError> {
    let authority = uri.authority().ok_or(HandshakeError::NoHost)?.as_str();
    // Userinfo (RFC 3986 §3.2.1) is for us; Host is what stands after it.
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = HeaderValue::from_str(host).map_err(|_| HandshakeError::NoHost)?;
    let target = uri.path_and_query().cloned();
    let mut request = Request::new(());
    *request.uri_mut() = target.unwrap_or(PathAndQuery::from_static("/")).into();
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    // Base64 is always a header value; the error cannot come.
    let key = HeaderValue::try_from(key_of(nonce)).map_err(|_| HandshakeError::Accept)?;
    headers.insert(SEC_WEBSOCKET_KEY, key);
    // §4.1: the subprotocols are unique tokens, separated by commas.
    for (index, protocol) in protocols.iter().enumerate() {
        if !is_token(protocol) || protocols[..index].contains(protocol) {
            return Err(HandshakeError::Protocols);
        }
    }
    if !protocols.is_empty() {
        let offered = HeaderValue::try_from(protocols.join(", "));
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            offered.map_err(|_| HandshakeError::Protocols)?,
        );
    }
    Ok(request)
}

/// Judges the answer to [`request`] with the same `nonce` and `protocols`, and gives the
/// subprotocol that the server chose (§4.1, the list after "Once the client's opening handshake
/// has been sent").
///
/// # Errors
///
/// A [`HandshakeError`] that names the first rule that was not kept.
pub fn verify<T>(
    response: &Response<T>,
    nonce: [u8; 16],
    protocols: &[&str],
) -> Result<Option<String>, HandshakeError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(HandshakeError::Status(response.status()));
    }
    let headers = response.headers();
    if !list_contains(headers, &UPGRADE, "websocket") {
        return Err(HandshakeError::Upgrade);
    }
    if !list_contains(headers, &CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    let mut accepts = headers.get_all(SEC_WEBSOCKET_ACCEPT).into_iter();
    match (accepts.next(), accepts.next()) {
        (Some(accept), None) if *accept == *accept_of(&key_of(nonce)) => {}
        _ => return Err(HandshakeError::Accept),
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(HandshakeError::Extension);
    }
    let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    match (chosen.next(), chosen.next()) {
        (None, _) => Ok(None),
        (Some(chosen), None) => match protocols.iter().find(|own| *chosen == **own) {
            Some(chosen) => Ok(Some((*chosen).to_owned())),
            None => Err(HandshakeError::Protocol),
        },
        (Some(_), Some(_)) => Err(HandshakeError::Protocol),
    }
}

/// §4.1: the key is base64 of 16 random bytes.
fn key_of(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}
