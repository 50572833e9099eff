//! The client's side: ask (RFC 6455 §4.1), and judge the answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};

use super::{accept_of, extensions, is_token, list_contains};
use crate::Deflate;

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
    /// The server uses an extension, or one in a way, that was not offered.
    #[error("the server chose an extension that was not offered")]
    Extension,
    /// The server chose a subprotocol that we did not offer, or several.
    #[error("the server chose a subprotocol that was not offered")]
    Protocol,
}

/// What a client asks for, to judge the answer by.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Random, new for each request.
    pub nonce: [u8; 16],
    /// The subprotocols to offer, the preferred one first.
    pub protocols: &'a [&'a str],
    /// Whether to offer permessage-deflate (RFC 7692), without context takeover on both sides.
    pub deflate: bool,
}

/// What client and server agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agreed {
    /// The subprotocol, one of those offered.
    pub protocol: Option<String>,
    /// Compression, if it was offered and is wanted. The [`Decoder`](crate::Decoder) has to be
    /// [inflating](crate::Decoder::inflating) then.
    pub deflate: Option<Deflate>,
}

impl Offer<'_> {
    /// The request that asks for a WebSocket at `uri` (`ws://host:port/path?query`), on a connection
    /// to its host.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NoHost`] and [`HandshakeError::Protocols`].
    pub fn request(&self, uri: &Uri) -> Result<Request<()>, HandshakeError> {
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
        let key = HeaderValue::try_from(key_of(self.nonce)).map_err(|_| HandshakeError::Accept)?;
        headers.insert(SEC_WEBSOCKET_KEY, key);
        if let Some(protocols) = self.offered_protocols()? {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols);
        }
        if self.deflate {
            let offer = HeaderValue::from_static(extensions::OFFER);
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, offer);
        }
        Ok(request)
    }

    /// §4.1: the subprotocols are unique tokens, separated by commas.
    fn offered_protocols(&self) -> Result<Option<HeaderValue>, HandshakeError> {
        let protocols = self.protocols;
        for (index, protocol) in protocols.iter().enumerate() {
            if !is_token(protocol) || protocols[..index].contains(protocol) {
                return Err(HandshakeError::Protocols);
            }
        }
        if protocols.is_empty() {
            return Ok(None);
        }
        let offered = HeaderValue::try_from(protocols.join(", "));
        offered.map(Some).map_err(|_| HandshakeError::Protocols)
    }

    /// Judges the answer to the [`request`](Self::request) (§4.1, the list after "Once the client's
    /// opening handshake has been sent").
    ///
    /// # Errors
    ///
    /// A [`HandshakeError`] that names the first rule that was not kept.
    pub fn verify<T>(&self, response: &Response<T>) -> Result<Agreed, HandshakeError> {
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
            (Some(accept), None) if *accept == *accept_of(&key_of(self.nonce)) => {}
            _ => return Err(HandshakeError::Accept),
        }
        if !self.deflate && headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            return Err(HandshakeError::Extension);
        }
        let deflate = extensions::chosen(headers).map_err(|_| HandshakeError::Extension)?;
        let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
        let protocol = match (chosen.next(), chosen.next()) {
            (None, _) => None,
            (Some(chosen), None) => match self.protocols.iter().find(|own| *chosen == **own) {
                Some(chosen) => Some((*chosen).to_owned()),
                None => return Err(HandshakeError::Protocol),
            },
            (Some(_), Some(_)) => return Err(HandshakeError::Protocol),
        };
        Ok(Agreed { protocol, deflate })
    }
}

/// §4.1: the key is base64 of 16 random bytes.
fn key_of(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}
