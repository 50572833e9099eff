//! Who comes in, where, and under which terms.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test cannot go on without"
)]

use axum::http::StatusCode;
use madang::{
    Endpoint, Handshake, Message, Mount, Refusal, Session,
    harness::{Failed, Harness, Visitor},
};

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let harness = doors();
    // The harness's host is "harness".
    for (origin, allowed) in [
        ("http://harness", true),
        ("https://harness", true),
        ("https://example.com", true),
        ("https://evil.example", false),
        ("http://example.com", false),
        ("https://example.com:8443", false),
        ("https://example.com.evil.example", false),
        ("https://harness.evil.example", false),
        ("http://harness:81", false),
        ("https://evil.example/harness", false),
        ("harness", false),
        // A page in a sandbox, or a file.
        ("null", false),
        ("", false),
    ] {
        let answer = harness
            .connect_with("/page", &[], &[("origin", origin)])
            .await;
        match answer {
            Ok(_) => assert!(allowed, "{origin} is let in"),
            Err(Failed::Refused(StatusCode::FORBIDDEN, body)) => {
                assert!(!allowed, "{origin} is refused");
                assert!(body.contains(&format!("'{origin}'")), "{body}");
            }
            Err(error) => panic!("{origin}: {error}"),
        }
    }
}

#[tokio::test]
async fn who_is_no_page_has_no_origin_and_may_come_in() {
    assert!(doors().connect("/page").await.is_ok());
}

#[tokio::test]
async fn the_subprotocol_is_the_first_of_the_clients_that_is_supported() {
    let harness = doors();
    for (offered, chosen) in [
        (&["v1"][..], Some("v1")),
        (&["v2", "v1"], Some("v2")),
        (&["v3", "v1", "v2"], Some("v1")),
        (&["v3"], None),
        (&["V1"], None),
        (&[], None),
    ] {
        let mut visitor = harness.connect_with("/page", offered, &[]).await.unwrap();
        assert_eq!(visitor.protocol(), chosen, "{offered:?}");
        assert_eq!(said(&mut visitor).await, format!("page {chosen:?}"));
    }
}

#[tokio::test]
async fn endpoints_have_paths_and_sessions_of_their_own() {
    let (a, b) = (Mount::<Door>::new(Door("a")), Mount::<Door>::new(Door("b")));
    let (of_a, of_b) = (a.sessions(), b.sessions());
    let router = a.at("/a").at("/also/{room}").into_router();
    let harness = Harness::new(router.merge(b.at("/b/{room}").into_router()));
    let mut visitors = Vec::new();
    for (path, expected) in [("/a", "a None"), ("/also/x", "a None"), ("/b/x", "b None")] {
        let mut visitor = harness.connect(path).await.unwrap();
        assert_eq!(said(&mut visitor).await, expected);
        visitors.push(visitor);
    }
    assert_eq!((of_a.len(), of_b.len()), (2, 1));
    assert_eq!(of_b.all()[0].param("room"), Some("x"));
    assert!(of_a.get(of_b.all()[0].id()).is_none());
    let none = harness.connect("/b").await;
    assert!(matches!(
        none,
        Err(Failed::Refused(StatusCode::NOT_FOUND, _))
    ));
}

#[tokio::test]
async fn a_request_that_is_forgotten_was_there_for_the_handshake_alone() {
    let mount = Mount::<Forgetful>::new(Forgetful).at("/{keep}");
    let harness = Harness::new(mount.into_router());
    let headers = [("cookie", "token=secret")];
    for (path, known) in [
        (
            "/yes?name=Ana",
            "/yes Some(\"name=Ana\") Some(\"yes\") Some(\"token=secret\")",
        ),
        ("/no?name=Ana", " None None None"),
    ] {
        let visitor = harness.connect_with(path, &["v1"], &headers).await;
        let mut visitor = visitor.unwrap();
        let agreed = "Some(\"v1\") Some(\"token=secret\")";
        assert_eq!(said(&mut visitor).await, format!("{known}, {agreed}"));
    }
}

/// Says what the session knows of the request, and what was agreed on and taken from it in the handshake.
struct Forgetful;

impl Endpoint for Forgetful {
    type Data = Option<String>;

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<Self::Data, Refusal> {
        handshake.choose_protocol(&["v1"]);
        if handshake.param("keep") == Some("no") {
            handshake.forget_request();
        }
        Ok(handshake.header("cookie").map(str::to_owned))
    }

    async fn on_open(&self, session: &Session<Self::Data>) {
        let request = session.request();
        let (path, query) = (request.path(), request.query());
        let (keep, cookie) = (session.param("keep"), request.header("cookie"));
        let (protocol, taken) = (session.protocol(), session.data());
        let said = format!("{path} {query:?} {keep:?} {cookie:?}, {protocol:?} {taken:?}");
        session.send(said).unwrap();
    }
}

/// Says its name and the subprotocol.
struct Door(&'static str);

impl Endpoint for Door {
    type Data = ();

    async fn on_handshake(&self, handshake: &mut Handshake) -> Result<(), Refusal> {
        handshake.check_origin(&["https://example.com"])?;
        handshake.choose_protocol(&["v1", "v2"]);
        Ok(())
    }

    async fn on_open(&self, session: &Session) {
        let protocol = session.protocol();
        session.send(format!("{} {protocol:?}", self.0)).unwrap();
    }
}

fn doors() -> Harness {
    Harness::new(Mount::new(Door("page")).at("/page").into_router())
}

async fn said(visitor: &mut Visitor) -> String {
    match visitor.next_message().await {
        Some(Message::Text(text)) => text.to_string(),
        other => panic!("no text but {other:?}"),
    }
}
