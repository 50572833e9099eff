//! §4.1: the client's side of the opening handshake.

use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use websocket::handshake::client::{HandshakeError, Offer};
use websocket::handshake::server;

/// The nonce of RFC 6455 §1.3.
const NONCE: [u8; 16] = *b"the sample nonce";

const URI: &str = "ws://server.example.com:8080/chat?name=x";

fn request(uri: &Uri, nonce: [u8; 16], protocols: &[&str]) -> Result<Request<()>, HandshakeError> {
    offer(nonce, protocols).request(uri)
}

fn verify(
    response: &Response<()>,
    nonce: [u8; 16],
    protocols: &[&str],
) -> Result<Option<String>, HandshakeError> {
    let agreed = offer(nonce, protocols).verify(response)?;
    assert_eq!(agreed.deflate, None);
    Ok(agreed.protocol)
}

fn offer<'a>(nonce: [u8; 16], protocols: &'a [&'a str]) -> Offer<'a> {
    Offer {
        nonce,
        protocols,
        deflate: false,
    }
}

/// The answer of RFC 6455 §1.3, with headers replaced (`Some`) or left out (`None`).
fn response(changes: &[(&'static str, Option<&'static str>)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for &(name, value) in changes {
        match value {
            Some(value) => headers.insert(name, HeaderValue::from_static(value)),
            None => headers.remove(name),
        };
    }
    response
}

#[test]
fn the_request_of_the_rfc_is_made() {
    let request = request(&Uri::from_static(URI), NONCE, &["chat", "superchat"]).unwrap();
    assert_eq!(request.method(), "GET");
    assert_eq!(request.version(), Version::HTTP_11);
    assert_eq!(request.uri(), "/chat?name=x");
    let headers = request.headers();
    assert_eq!(headers["host"], "server.example.com:8080");
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["connection"], "Upgrade");
    assert_eq!(headers["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(headers["sec-websocket-version"], "13");
    assert_eq!(headers["sec-websocket-protocol"], "chat, superchat");
    assert_eq!(headers.len(), 6);
}

#[test]
fn an_address_without_a_path_asks_for_the_root() {
    let request = request(&Uri::from_static("ws://example.com"), NONCE, &[]).unwrap();
    assert_eq!(request.uri(), "/");
    assert_eq!(request.headers()["host"], "example.com");
    assert!(!request.headers().contains_key("sec-websocket-protocol"));
}

#[test]
fn user_and_password_do_not_go_into_host() {
    let request = request(&Uri::from_static("ws://me:secret@example.com/"), NONCE, &[]).unwrap();
    assert_eq!(request.headers()["host"], "example.com");
}

#[test]
fn an_address_without_a_host_makes_no_request() {
    let error = request(&Uri::from_static("/chat"), NONCE, &[]).err();
    assert_eq!(error, Some(HandshakeError::NoHost));
}

#[test]
fn subprotocols_that_are_no_tokens_or_come_twice_make_no_request() {
    for protocols in [
        ["a", "a"],
        ["a", ""],
        ["a", "b c"],
        ["a", "b,c"],
        ["a", "b\r\n"],
    ] {
        let error = request(&Uri::from_static(URI), NONCE, &protocols).err();
        assert_eq!(error, Some(HandshakeError::Protocols), "{protocols:?}");
    }
}

#[test]
fn the_answer_of_the_rfc_is_accepted() {
    assert_eq!(verify(&response(&[]), NONCE, &[]), Ok(None));
    assert_eq!(verify(&response(&[]), NONCE, &["chat"]), Ok(None));
    let chosen = response(&[("sec-websocket-protocol", Some("chat"))]);
    assert_eq!(
        verify(&chosen, NONCE, &["superchat", "chat"]),
        Ok(Some("chat".to_owned()))
    );
}

#[test]
fn upgrade_and_connection_may_be_in_any_case() {
    let changes = [
        ("upgrade", Some("WebSocket")),
        ("connection", Some("keep-alive, upgrade")),
    ];
    assert_eq!(verify(&response(&changes), NONCE, &[]), Ok(None));
}

#[test]
fn an_answer_that_breaks_a_rule_is_refused() {
    use HandshakeError::*;
    for (name, value, error) in [
        ("upgrade", None, Upgrade),
        ("upgrade", Some("h2c"), Upgrade),
        ("connection", None, Connection),
        ("connection", Some("close"), Connection),
        ("sec-websocket-accept", None, Accept),
        (
            "sec-websocket-accept",
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOO="),
            Accept,
        ),
        (
            "sec-websocket-accept",
            Some("dGhlIHNhbXBsZSBub25jZQ=="),
            Accept,
        ),
        (
            "sec-websocket-extensions",
            Some("permessage-deflate"),
            Extension,
        ),
        ("sec-websocket-protocol", Some("other"), Protocol),
        ("sec-websocket-protocol", Some("chat, superchat"), Protocol),
        ("sec-websocket-protocol", Some("CHAT"), Protocol),
    ] {
        let verified = verify(&response(&[(name, value)]), NONCE, &["chat", "superchat"]);
        assert_eq!(verified, Err(error), "{name}: {value:?}");
    }
}

#[test]
fn a_status_other_than_101_is_the_servers_refusal() {
    for status in [StatusCode::OK, StatusCode::FOUND, StatusCode::UNAUTHORIZED] {
        let mut response = response(&[]);
        *response.status_mut() = status;
        assert_eq!(
            verify(&response, NONCE, &[]),
            Err(HandshakeError::Status(status))
        );
    }
}

#[test]
fn our_server_and_our_client_agree() {
    let nonce = [0xA5; 16];
    let request = request(&Uri::from_static(URI), nonce, &["one", "two"]).unwrap();
    let upgrade = server::check(request.method(), request.version(), request.headers()).unwrap();
    let response = upgrade.response(Some("two"), None);
    assert_eq!(
        verify(&response, nonce, &["one", "two"]),
        Ok(Some("two".to_owned()))
    );
}

#[test]
fn compression_is_used_where_it_was_offered() {
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let response = response(&[("sec-websocket-extensions", Some(agreed))]);
    assert_eq!(
        verify(&response, NONCE, &[]),
        Err(HandshakeError::Extension)
    );
    let offer = Offer {
        deflate: true,
        ..offer(NONCE, &[])
    };
    assert!(offer.verify(&response).unwrap().deflate.is_some());
}

#[test]
fn our_server_agrees_to_the_compression_that_our_client_offers() {
    let offer = Offer {
        deflate: true,
        ..offer(NONCE, &[])
    };
    let request = offer.request(&Uri::from_static(URI)).unwrap();
    let upgrade = server::check(request.method(), Version::HTTP_11, request.headers()).unwrap();
    let deflate = upgrade.deflate();
    assert!(deflate.is_some());
    let agreed = |response| offer.verify(&response).unwrap().deflate;
    assert_eq!(agreed(upgrade.response(None, deflate)), deflate);
    // The server need not want it.
    assert_eq!(agreed(upgrade.response(None, None)), None);
}
