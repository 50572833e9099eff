//! RFC 8441 §5: the server's side of the opening handshake on a stream of HTTP/2.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use websocket::handshake::server::{HandshakeError, Upgrade, check_connect};

/// The headers of the example of RFC 8441 §5.1, with some replaced (`Some`) or left out (`None`).
fn request(changes: &[(&'static str, Option<&'static str>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-version", "13"),
        ("origin", "http://www.example.com"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for &(name, value) in changes {
        match value {
            Some(value) => headers.insert(name, HeaderValue::from_static(value)),
            None => headers.remove(name),
        };
    }
    headers
}

fn connect(headers: &HeaderMap) -> Result<Upgrade, HandshakeError> {
    check_connect(&Method::CONNECT, Some("websocket"), headers)
}

#[test]
fn the_request_of_the_rfc_gets_the_answer_of_the_rfc() {
    let upgrade = connect(&request(&[])).unwrap();
    let offered: Vec<_> = upgrade.protocols().collect();
    assert_eq!(offered, ["chat", "superchat"]);
    let response = upgrade.response(Some("chat"), upgrade.deflate());
    assert_eq!(response.status(), StatusCode::OK);
    // Nothing of the upgrade of HTTP/1.1: no Upgrade, no Connection, no Sec-WebSocket-Accept.
    let headers: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(
        headers,
        ["sec-websocket-protocol", "sec-websocket-extensions"]
    );
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
}

#[test]
fn nothing_but_the_version_is_needed() {
    let changes = [
        ("sec-websocket-protocol", None),
        ("sec-websocket-extensions", None),
        ("origin", None),
    ];
    let upgrade = connect(&request(&changes)).unwrap();
    assert_eq!(upgrade.protocols().count(), 0);
    let response = upgrade.response(None, upgrade.deflate());
    assert_eq!(
        (response.status(), response.headers().len()),
        (StatusCode::OK, 0)
    );
}

#[test]
fn a_key_is_passed_over() {
    for key in ["dGhlIHNhbXBsZSBub25jZQ==", "no key"] {
        let upgrade = connect(&request(&[("sec-websocket-key", Some(key))])).unwrap();
        let response = upgrade.response(None, None);
        assert!(!response.headers().contains_key("sec-websocket-accept"));
    }
}

#[test]
fn another_method_is_refused_with_the_one_that_is_allowed() {
    for method in [Method::GET, Method::POST] {
        let error = check_connect(&method, Some("websocket"), &request(&[]));
        let error = error.err().unwrap();
        assert_eq!(error, HandshakeError::ConnectMethod(method));
        assert_eq!(error.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(error.headers()["allow"], "CONNECT");
    }
}

#[test]
fn a_connect_for_something_else_is_not_implemented() {
    for protocol in [None, Some(""), Some("connect-udp"), Some("websocket/13")] {
        let error = check_connect(&Method::CONNECT, protocol, &request(&[]));
        let error = error.err().unwrap();
        assert_eq!(error, HandshakeError::ConnectProtocol, "{protocol:?}");
        assert_eq!(error.status(), StatusCode::NOT_IMPLEMENTED);
        assert!(error.headers().is_empty());
    }
    assert!(check_connect(&Method::CONNECT, Some("WebSocket"), &request(&[])).is_ok());
}

#[test]
fn another_version_is_refused_with_ours_and_without_an_upgrade() {
    for value in [None, Some("8"), Some("13, 8"), Some("")] {
        let error = connect(&request(&[("sec-websocket-version", value)]));
        let error = error.err().unwrap();
        assert_eq!(error, HandshakeError::ConnectVersion, "{value:?}");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.headers().len(), 1);
        assert_eq!(error.headers()["sec-websocket-version"], "13");
    }
    let mut twice = request(&[]);
    twice.append("sec-websocket-version", HeaderValue::from_static("13"));
    assert_eq!(connect(&twice).err(), Some(HandshakeError::ConnectVersion));
}

#[test]
fn subprotocols_and_extensions_are_held_to_the_same_rules() {
    let error = connect(&request(&[("sec-websocket-protocol", Some("a, a"))]));
    assert_eq!(error.err(), Some(HandshakeError::Protocols));
    let changes = [("sec-websocket-extensions", Some("permessage-deflate; ="))];
    let error = connect(&request(&changes));
    assert_eq!(error.err(), Some(HandshakeError::Extensions));
}
