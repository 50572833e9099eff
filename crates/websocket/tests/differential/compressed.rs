//! permessage-deflate (RFC 7692) with sockudo-ws; the other two have none.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use sockudo_ws::protocol::CompressedProtocol;
use websocket::handshake::{client, server};
use websocket::{Decoder, Deflate, Frame, Limits, Opcode, Role};

use crate::messages::said;
use crate::peers::*;

/// The request of RFC 6455 §1.3 with this offer.
fn check(offer: &str) -> Result<server::Upgrade, server::HandshakeError> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "example.com"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", offer),
    ] {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    server::check(&Method::GET, Version::HTTP_11, &headers)
}

/// Their end, with what we always agree on: no context is taken over.
fn sockudo(role: Role, window_bits: u8) -> CompressedProtocol {
    let bits = window_bits.try_into().unwrap();
    let config = DeflateConfig {
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        compression_threshold: 0,
        ..DeflateConfig::default()
    };
    match role {
        Role::Server => CompressedProtocol::server(LIMIT, LIMIT, config),
        Role::Client => CompressedProtocol::client(LIMIT, LIMIT, config),
    }
}

fn deflate(window_bits: u8) -> Deflate {
    let offer = format!("permessage-deflate; server_max_window_bits={window_bits}");
    check(&offer).unwrap().deflate().unwrap()
}

fn repetitive() -> impl Strategy<Value = Said> {
    let text = (vec("[가-힣a-z ]{1,20}", 1..4), 1..8_usize);
    prop_oneof![
        2 => text.prop_map(|(words, times)| Said::Text(words.concat().repeat(times))),
        1 => (vec(any::<u8>(), 1..60), 1..15_usize).prop_map(|(bytes, times)| Said::Binary(bytes.repeat(times))),
        1 => said(),
    ]
    .prop_filter("over the limit", |said| match said {
        Said::Text(text) => text.len() <= LIMIT,
        Said::Binary(bytes) => bytes.len() <= LIMIT,
        _ => true,
    })
}

fn we_hear_compressed(role: Role, bytes: &[u8]) -> Heard {
    let limits = Limits { max_message: LIMIT };
    listen(Decoder::new(role, limits).inflating(), bytes)
}

fn they_hear_compressed(role: Role, bytes: &[u8]) -> Heard {
    let mut messages = Vec::new();
    let processed = sockudo(role, 15).process_into(&mut bytes.into(), &mut messages);
    sockudo_heard(messages, processed)
}

/// What we write as `role` with this agreement.
fn we_write_compressed(role: Role, said: &[Said], deflate: Deflate) -> Vec<u8> {
    let mut bytes = Vec::new();
    for said in said {
        let (opcode, payload, frame) = match said {
            Said::Text(text) => (Opcode::Text, text.as_bytes(), Frame::text(&**text)),
            Said::Binary(bytes) => (Opcode::Binary, &**bytes, Frame::binary(bytes.clone())),
            control => {
                bytes.extend(we_write(role, std::slice::from_ref(control)));
                continue;
            }
        };
        match role {
            Role::Server => {
                let encoded = frame.encode(Some(deflate));
                bytes.extend([encoded.header(), encoded.payload()].concat());
            }
            Role::Client => deflate.encode_masked(opcode, payload, [1, 2, 3, 4], &mut bytes),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_they_compress_we_hear(said in vec(repetitive(), 0..6), window_bits in 9..=15_u8) {
        for role in ROLES {
            let mut protocol = sockudo(other(role), window_bits);
            let mut bytes = BytesMut::new();
            for said in &said {
                protocol.encode_message(&sockudo_message(said), &mut bytes).unwrap();
            }
            prop_assert_eq!(we_hear_compressed(role, &bytes), Heard::fine(&said));
        }
    }

    #[test]
    fn what_we_compress_they_hear(said in vec(repetitive(), 0..6), window_bits in 9..=15_u8) {
        for role in ROLES {
            let bytes = we_write_compressed(other(role), &said, deflate(window_bits));
            prop_assert_eq!(they_hear_compressed(role, &bytes), Heard::fine(&said));
        }
    }

    #[test]
    fn the_same_offers_are_taken(offers in vec(offer(), 1..4)) {
        let offers = offers.join(", ");
        let theirs = negotiate_server_deflate(&offers, &DeflateConfig::default());
        let ours = check(&offers).unwrap().deflate();
        prop_assert_eq!(
            ours.map(|deflate| deflate.window_bits()),
            theirs.map(|agreed| agreed.config.server_max_window_bits.into()),
            "{}", offers
        );
    }

    #[test]
    fn our_client_takes_their_answer(
        no_takeover: bool,
        theirs in 9..=15_u8,
        ours in 9..=15_u8,
    ) {
        let policy = DeflateConfig {
            server_no_context_takeover: no_takeover,
            server_max_window_bits: theirs.try_into().unwrap(),
            client_max_window_bits: ours.try_into().unwrap(),
            ..DeflateConfig::default()
        };
        let offer = client::Offer { nonce: *b"the sample nonce", protocols: &[], deflate: true };
        let request = offer.request(&"ws://example.com/".parse().unwrap()).unwrap();
        let offered = request.headers()["sec-websocket-extensions"].to_str().unwrap();
        let answer = negotiate_server_deflate(offered, &policy).unwrap().to_response_header();
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for (name, value) in [
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-extensions", &*answer),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let agreed = offer.verify(&response).unwrap();
        let bits = agreed.deflate.map(|deflate| deflate.window_bits());
        prop_assert_eq!(bits, Some(ours), "{}", answer);
    }
}

/// An offer of permessage-deflate, right or wrong.
fn offer() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        Just("server_no_context_takeover".to_owned()),
        Just("client_no_context_takeover".to_owned()),
        Just("client_no_context_takeover=1".to_owned()),
        Just("client_max_window_bits".to_owned()),
        Just("unknown".to_owned()),
        (7..17_u8).prop_map(|bits| format!("client_max_window_bits={bits}")),
        (7..17_u8).prop_map(|bits| format!("server_max_window_bits={bits}")),
        (8..16_u8).prop_map(|bits| format!("server_max_window_bits = \"{bits}\"")),
        (8..16_u8).prop_map(|bits| format!("server_max_window_bits=0{bits}")),
    ];
    let name = prop_oneof![4 => Just("permessage-deflate"), 1 => Just("x-webkit-deflate-frame")];
    (name, vec(parameter, 0..4)).prop_map(|(name, parameters)| {
        let parameters = parameters
            .into_iter()
            .map(|parameter| format!("; {parameter}"));
        name.to_owned() + &parameters.collect::<String>()
    })
}
