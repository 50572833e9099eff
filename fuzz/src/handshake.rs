//! The head of an HTTP request or answer, as the opening handshake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{Method, Response, StatusCode, Version};
use websocket::handshake::{client, server};

use crate::negotiation;

/// A server has at most so many lines to read.
const MOST_HEADERS: usize = 64;

/// What the client asked for when the bytes are an answer.
const NONCE: [u8; 16] = *b"the sample nonce";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OFFERED: [&str; 2] = ["chat", "superchat"];

fn offer<'a>(nonce: [u8; 16], protocols: &'a [&'a str]) -> client::Offer<'a> {
    client::Offer {
        nonce,
        protocols,
        deflate: true,
    }
}

/// The bytes are an answer to our client when they begin with `HTTP/`, and otherwise a request to
/// our server. What is no HTTP does not come as far as to a handshake.
pub fn handshake(data: &[u8]) {
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    if data.starts_with(b"HTTP/") {
        let mut head = httparse::Response::new(&mut lines);
        if matches!(head.parse(data), Ok(httparse::Status::Complete(_)))
            && let Some(code) = head.code
            && let Ok(status) = StatusCode::from_u16(code)
            && let Some(headers) = map(head.headers)
        {
            judge_answer(status, headers);
        }
        return;
    }
    let mut head = httparse::Request::new(&mut lines);
    if matches!(head.parse(data), Ok(httparse::Status::Complete(_)))
        && let Some(method) = head.method
        && let Ok(method) = Method::from_bytes(method.as_bytes())
        && let Some(headers) = map(head.headers)
    {
        let version = match head.version {
            Some(1) => Version::HTTP_11,
            _ => Version::HTTP_10,
        };
        judge_request(&method, version, &headers);
        judge_connect(&method, &headers);
    }
}

fn map(lines: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    Some(headers)
}

fn judge_request(method: &Method, version: Version, headers: &HeaderMap) {
    use server::HandshakeError;

    let nonce = only(headers, SEC_WEBSOCKET_KEY)
        .and_then(|key| STANDARD.decode(key).ok())
        .and_then(|nonce| <[u8; 16]>::try_from(nonce).ok());
    let protocols = elements(headers, &SEC_WEBSOCKET_PROTOCOL);
    let extensions = negotiation::choice(headers);
    let one_version = only(headers, SEC_WEBSOCKET_VERSION);
    // The rules of RFC 6455 §4.2.1 in the order in which they are told.
    let rules = [
        (
            method == Method::GET,
            HandshakeError::Method(method.clone()),
        ),
        (
            version == Version::HTTP_11,
            HandshakeError::HttpVersion(version),
        ),
        (only(headers, HOST).is_some(), HandshakeError::Host),
        (has(headers, &UPGRADE, "websocket"), HandshakeError::Upgrade),
        (
            has(headers, &CONNECTION, "upgrade"),
            HandshakeError::Connection,
        ),
        (one_version == Some(b"13"), HandshakeError::Version),
        (nonce.is_some(), HandshakeError::Key),
        (are_unique_tokens(&protocols), HandshakeError::Protocols),
        (extensions.is_ok(), HandshakeError::Extensions),
    ];
    let broken = rules.into_iter().find(|(kept, _)| !kept);

    match server::check(method, version, headers) {
        Ok(upgrade) => {
            assert_eq!(broken, None);
            let offered: Vec<_> = upgrade.protocols().collect();
            assert_eq!(offered, protocols);
            let (Some(nonce), Some(first)) = (nonce, offered.first().or(Some(&""))) else {
                return;
            };
            let deflate = upgrade.deflate();
            let bits = deflate.map(|deflate| deflate.window_bits());
            assert_eq!(Ok(bits), extensions);
            for chosen in [None, Some(*first), offered.last().copied()] {
                let chosen = chosen.filter(|name| !name.is_empty());
                let answer = upgrade.response(chosen, deflate);
                let agreed = offer(nonce, &offered).verify(&answer).unwrap();
                assert_eq!(agreed.protocol.as_deref(), chosen);
                assert_eq!(agreed.deflate.is_some(), deflate.is_some());
            }
            // One that was not offered is left out, and so is compression where it is not wanted.
            let answer = upgrade.response(Some("no, such"), None);
            let agreed = offer(nonce, &offered).verify(&answer);
            assert_eq!(agreed, Ok(client::Agreed::default()));
        }
        Err(error) => {
            assert_eq!(Some(&error), broken.as_ref().map(|(_, error)| error));
            assert!(error.status().is_client_error());
            assert!((10..200).contains(&error.to_string().len()) || method.as_str().len() > 100);
            assert_eq!(
                error.headers().contains_key(UPGRADE),
                error.status() == StatusCode::UPGRADE_REQUIRED
            );
        }
    }
}

/// The same head as a request of HTTP/2 that is meant for us (RFC 8441).
fn judge_connect(method: &Method, headers: &HeaderMap) {
    let protocols = elements(headers, &SEC_WEBSOCKET_PROTOCOL);
    let extensions = negotiation::choice(headers);
    let kept = method == Method::CONNECT
        && only(headers, SEC_WEBSOCKET_VERSION) == Some(b"13")
        && are_unique_tokens(&protocols)
        && extensions.is_ok();
    match server::check_connect(method, Some("WebSocket"), headers) {
        Ok(upgrade) => {
            assert!(kept);
            assert_eq!(upgrade.protocols().collect::<Vec<_>>(), protocols);
            let answer = upgrade.response(None, upgrade.deflate());
            assert_eq!(answer.status(), StatusCode::OK);
            let told = answer.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS);
            assert_eq!(Ok(told), extensions.map(|bits| bits.is_some()));
        }
        Err(error) => {
            assert!(!kept, "{error}");
            assert!(!error.status().is_success());
        }
    }
}

fn judge_answer(status: StatusCode, headers: HeaderMap) {
    use client::HandshakeError;

    let chosen: Vec<_> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let extensions = negotiation::answer(&headers);
    let known = |name: &&str| chosen == [name.as_bytes()];
    let rules = [
        (
            status == StatusCode::SWITCHING_PROTOCOLS,
            HandshakeError::Status(status),
        ),
        (
            has(&headers, &UPGRADE, "websocket"),
            HandshakeError::Upgrade,
        ),
        (
            has(&headers, &CONNECTION, "upgrade"),
            HandshakeError::Connection,
        ),
        (
            only(&headers, SEC_WEBSOCKET_ACCEPT) == Some(ACCEPT.as_bytes()),
            HandshakeError::Accept,
        ),
        (extensions.is_ok(), HandshakeError::Extension),
        (
            chosen.is_empty() || OFFERED.iter().any(known),
            HandshakeError::Protocol,
        ),
    ];
    let expected = match rules.into_iter().find(|(kept, _)| !kept) {
        Some((_, error)) => Err(error),
        None => Ok((
            OFFERED
                .into_iter()
                .find(|name| known(name))
                .map(str::to_owned),
            extensions.unwrap_or_default(),
        )),
    };

    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers.clone();
    let agreed = offer(NONCE, &OFFERED).verify(&answer);
    let agreed = agreed.map(|agreed| {
        let bits = agreed.deflate.map(|deflate| deflate.window_bits());
        (agreed.protocol, bits)
    });
    assert_eq!(agreed, expected);
}

/// The value of a header that is there once, if it is visible ASCII.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    match lines[..] {
        [line] => Some(line.as_bytes()),
        _ => None,
    }
}

/// The elements of a list that may go over several lines (RFC 9110 §5.6.1).
fn elements(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut elements = Vec::new();
    for line in headers.get_all(name) {
        let line = String::from_utf8_lossy(line.as_bytes());
        for element in line.split(',') {
            let element = element.trim_matches(|c| c == ' ' || c == '\t');
            if !element.is_empty() {
                elements.push(element.to_owned());
            }
        }
    }
    elements
}

fn has(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    // A line that is not visible ASCII has no elements that could be meant.
    let lines = headers.get_all(name).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|element| {
            element
                .trim_matches([' ', '\t'])
                .eq_ignore_ascii_case(token)
        })
}

fn are_unique_tokens(elements: &[String]) -> bool {
    let is_token = |element: &String| {
        let mut bytes = element.bytes();
        bytes.all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte))
    };
    let mut sorted = elements.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted.len() == elements.len() && elements.iter().all(is_token)
}
