//! §4.2: the server's side of the opening handshake.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use websocket::handshake::server::{HandshakeError, Upgrade, check};

/// The request of RFC 6455 §1.3, with headers replaced (`Some`) or left out (`None`).
fn request(changes: &[(&'static str, Option<&'static str>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "server.example.com"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "http://example.com"),
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-version", "13"),
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

fn get(headers: &HeaderMap) -> Result<Upgrade, HandshakeError> {
    check(&Method::GET, Version::HTTP_11, headers)
}

/// The error that the request ends in, or nothing when it is accepted.
fn refusal(changes: &[(&'static str, Option<&'static str>)]) -> Option<HandshakeError> {
    get(&request(changes)).err()
}

#[test]
fn the_request_of_the_rfc_gets_the_answer_of_the_rfc() {
    let upgrade = get(&request(&[])).unwrap();
    assert_eq!(
        upgrade.protocols().collect::<Vec<_>>(),
        ["chat", "superchat"]
    );
    let response = upgrade.response(Some("chat"), None);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(response.headers()["connection"], "Upgrade");
    assert_eq!(
        response.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(response.headers().len(), 4);
}

#[test]
fn a_subprotocol_is_answered_only_when_chosen_and_offered() {
    let upgrade = get(&request(&[])).unwrap();
    for protocol in [None, Some("other"), Some("CHAT"), Some("")] {
        let response = upgrade.response(protocol, None);
        assert!(
            !response.headers().contains_key("sec-websocket-protocol"),
            "{protocol:?}"
        );
    }
}

#[test]
fn a_request_may_offer_no_subprotocol() {
    let upgrade = get(&request(&[("sec-websocket-protocol", None)])).unwrap();
    assert_eq!(upgrade.protocols().count(), 0);
}

#[test]
fn subprotocols_may_come_in_several_headers() {
    let mut headers = request(&[("sec-websocket-protocol", Some("one ,\ttwo"))]);
    headers.append("sec-websocket-protocol", HeaderValue::from_static("three"));
    let upgrade = get(&headers).unwrap();
    assert_eq!(
        upgrade.protocols().collect::<Vec<_>>(),
        ["one", "two", "three"]
    );
}

#[test]
fn subprotocols_that_are_no_tokens_or_come_twice_are_refused() {
    for value in ["two words", "a/b", "a, b, a", "\"quoted\""] {
        let error = refusal(&[("sec-websocket-protocol", Some(value))]);
        assert_eq!(error, Some(HandshakeError::Protocols), "{value}");
    }
    let mut headers = request(&[]);
    headers.insert(
        "sec-websocket-protocol",
        HeaderValue::from_bytes(b"caf\xE9").unwrap(),
    );
    assert_eq!(get(&headers).err(), Some(HandshakeError::Protocols));
}

#[test]
fn upgrade_and_connection_are_lists_in_any_case() {
    for (upgrade, connection) in [
        ("WebSocket", "upgrade"),
        ("WEBSOCKET", "keep-alive, Upgrade"),
        ("h2c, websocket", "keep-alive,\tUPGRADE , x"),
        (",websocket,", ",upgrade"),
    ] {
        let changes = [("upgrade", Some(upgrade)), ("connection", Some(connection))];
        assert_eq!(refusal(&changes), None, "{upgrade}, {connection}");
    }
}

#[test]
fn upgrade_and_connection_may_come_in_several_headers() {
    let mut headers = request(&[("upgrade", Some("h2c")), ("connection", Some("keep-alive"))]);
    headers.append("upgrade", HeaderValue::from_static("websocket"));
    headers.append("connection", HeaderValue::from_static("Upgrade"));
    assert!(get(&headers).is_ok());
}

#[test]
fn a_request_that_does_not_upgrade_to_websocket_is_told_how() {
    for value in [
        None,
        Some("h2c"),
        Some("websockets"),
        Some("web socket"),
        Some("websocket/13"),
    ] {
        let error = refusal(&[("upgrade", value)]).unwrap();
        assert_eq!(error, HandshakeError::Upgrade, "{value:?}");
        assert_eq!(error.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(error.headers()["upgrade"], "websocket");
        assert_eq!(error.headers()["connection"], "Upgrade");
        assert_eq!(error.headers()["sec-websocket-version"], "13");
    }
}

#[test]
fn a_connection_that_is_not_to_be_upgraded_is_refused() {
    for value in [None, Some("keep-alive"), Some("upgraded"), Some("")] {
        let error = refusal(&[("connection", value)]).unwrap();
        assert_eq!(error, HandshakeError::Connection, "{value:?}");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn another_version_is_refused_with_ours() {
    for value in [
        None,
        Some("8"),
        Some("12"),
        Some("13, 8"),
        Some("013"),
        Some(""),
    ] {
        let error = refusal(&[("sec-websocket-version", value)]).unwrap();
        assert_eq!(error, HandshakeError::Version, "{value:?}");
        assert_eq!(error.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(error.headers()["sec-websocket-version"], "13");
    }
}

#[test]
fn a_key_that_is_not_16_bytes_in_base64_is_refused() {
    for value in [
        None,
        Some(""),
        Some("dGhlIHNhbXBsZSBub25jZQ"),    // without its padding
        Some("dGhlIHNhbXBsZSBub25jZQ==="), // with too much of it
        Some("dGhlIHNhbXBsZSBub25j"),      // 15 bytes
        Some("dGhlIHNhbXBsZSBub25jZWU="),  // 17 bytes
        Some("dGhlIHNhbXBsZSBub25jZ!=="),  // not base64
        Some("dGhl IHNhbXBsZSBub25jZQ=="), // with a space
    ] {
        let error = refusal(&[("sec-websocket-key", value)]).unwrap();
        assert_eq!(error, HandshakeError::Key, "{value:?}");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn headers_that_come_once_are_refused_twice() {
    for (name, error) in [
        ("host", HandshakeError::Host),
        ("sec-websocket-key", HandshakeError::Key),
        ("sec-websocket-version", HandshakeError::Version),
    ] {
        let mut headers = request(&[]);
        let again = headers[name].clone();
        headers.append(HeaderName::from_static(name), again);
        assert_eq!(get(&headers).err(), Some(error));
    }
}

#[test]
fn a_request_without_a_host_is_refused() {
    let error = refusal(&[("host", None)]).unwrap();
    assert_eq!(error, HandshakeError::Host);
    assert_eq!(error.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn another_method_is_refused_with_the_one_that_is_allowed() {
    let error = check(&Method::POST, Version::HTTP_11, &request(&[]))
        .err()
        .unwrap();
    assert_eq!(error, HandshakeError::Method(Method::POST));
    assert_eq!(error.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(error.headers()["allow"], "GET");
    assert_eq!(
        error.to_string(),
        "a WebSocket is opened with GET, not with POST"
    );
}

#[test]
fn another_version_of_http_is_refused() {
    for version in [
        Version::HTTP_09,
        Version::HTTP_10,
        Version::HTTP_2,
        Version::HTTP_3,
    ] {
        let error = check(&Method::GET, version, &request(&[])).err().unwrap();
        assert_eq!(error, HandshakeError::HttpVersion(version));
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }
}

#[test]
fn extensions_that_are_no_list_fail_and_unknown_ones_are_passed_over() {
    let extensions = |value| get(&request(&[("sec-websocket-extensions", Some(value))]));
    assert_eq!(
        extensions("permessage-deflate; =").err(),
        Some(HandshakeError::Extensions)
    );
    assert_eq!(HandshakeError::Extensions.status(), StatusCode::BAD_REQUEST);
    assert_eq!(extensions("x-other; y=1").unwrap().deflate(), None);
    assert!(
        extensions("x-other, permessage-deflate")
            .unwrap()
            .deflate()
            .is_some()
    );
}

#[test]
fn the_answer_names_the_compression_that_is_wanted_and_no_other() {
    let offer = "permessage-deflate; server_max_window_bits=10; client_max_window_bits";
    let upgrade = get(&request(&[("sec-websocket-extensions", Some(offer))])).unwrap();
    let header = |deflate| {
        let response = upgrade.response(None, deflate);
        response.headers().get("sec-websocket-extensions").cloned()
    };
    assert_eq!(header(None), None);
    assert_eq!(
        header(upgrade.deflate()).unwrap(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=10"
    );
}
