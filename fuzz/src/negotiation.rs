//! The header Sec-WebSocket-Extensions (RFC 6455 §9.1), as offers and as an answer (RFC 7692 §7.1).

use http::header::{HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use http::{Method, Response, StatusCode, Version};
use websocket::handshake::client::{HandshakeError as Refused, Offer};
use websocket::handshake::server::{self, HandshakeError};

/// The bytes are the header's lines, with line ends between them.
pub fn negotiation(data: &[u8]) {
    let mut lines = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(line) = HeaderValue::from_bytes(line) else {
            return;
        };
        lines.append(SEC_WEBSOCKET_EXTENSIONS, line);
    }
    offers(&lines);
    answered(&lines);
}

fn offers(lines: &HeaderMap) {
    let mut headers = lines.clone();
    for (name, value) in [
        ("host", "example.com"),
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let upgrade = match server::check(&Method::GET, Version::HTTP_11, &headers) {
        Ok(upgrade) => upgrade,
        Err(error) => {
            assert_eq!(error, HandshakeError::Extensions);
            assert_eq!(choice(lines), Err(NotAList));
            return;
        }
    };
    let deflate = upgrade.deflate();
    let bits = deflate.map(|deflate| deflate.window_bits());
    assert_eq!(choice(lines), Ok(bits));

    // Our client offers less than this client did, and takes the answer.
    let response = upgrade.response(None, deflate);
    let agreed = offer(true).verify(&response).unwrap();
    assert_eq!(agreed.deflate.is_some(), deflate.is_some());
    let refused = offer(false).verify(&response).err();
    assert_eq!(refused, deflate.map(|_| Refused::Extension));
}

fn answered(lines: &HeaderMap) {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = lines.clone();
    for (name, value) in [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let agreed = offer(true).verify(&response);
    let agreed = agreed.map(|agreed| agreed.deflate.map(|deflate| deflate.window_bits()));
    assert_eq!(agreed, answer(lines).map_err(|NotAList| Refused::Extension));
    assert_eq!(offer(false).verify(&response), Err(Refused::Extension));
}

fn offer(deflate: bool) -> Offer<'static> {
    Offer {
        nonce: *b"the sample nonce",
        protocols: &[],
        deflate,
    }
}

/// What refuses a handshake: no list of extensions, or one that cannot be.
#[derive(Debug, PartialEq)]
pub(crate) struct NotAList;

/// The window that a server agrees to, in bits: that of the first offer that it can keep.
pub(crate) fn choice(headers: &HeaderMap) -> Result<Option<u8>, NotAList> {
    let offers = extensions(headers)?;
    Ok(offers.iter().find_map(|offer| {
        let params = Params::read(offer)?;
        match params.server_bits {
            Some(bits) => (bits >= 9).then_some(bits),
            None => Some(15),
        }
    }))
}

/// The window that a server's answer leaves to a client, in bits, if the two agree on compression. The
/// client asked for no takeover by the server and has offered to have its window chosen.
pub(crate) fn answer(headers: &HeaderMap) -> Result<Option<u8>, NotAList> {
    let answer = extensions(headers)?;
    let [extension] = &answer[..] else {
        return if answer.is_empty() {
            Ok(None)
        } else {
            Err(NotAList)
        };
    };
    let params = Params::read(extension).ok_or(NotAList)?;
    let window_chosen = params.names.contains(&"client_max_window_bits");
    match params.client_bits {
        _ if !params.names.contains(&"server_no_context_takeover") => Err(NotAList),
        None if window_chosen => Err(NotAList),
        // It has no window of 8 bits and sends nothing compressed then.
        None | Some(8) => Ok(Some(15)),
        bits => Ok(bits),
    }
}

/// The parameters of permessage-deflate, each of them known, there once and in range.
struct Params {
    names: Vec<&'static str>,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

impl Params {
    fn read((name, list): &Extension) -> Option<Self> {
        const BITS: [&str; 8] = ["8", "9", "10", "11", "12", "13", "14", "15"];
        if !name.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut params = Self {
            names: Vec::new(),
            server_bits: None,
            client_bits: None,
        };
        for (name, value) in list {
            let bits = value.as_ref().map(|value| {
                let mut known = BITS.iter().zip(8..);
                known.find_map(|(bits, number)| (bits == value).then_some(number))
            });
            let name = match (&**name, bits) {
                ("server_no_context_takeover", None) => "server_no_context_takeover",
                ("client_no_context_takeover", None) => "client_no_context_takeover",
                ("client_max_window_bits", None) => "client_max_window_bits",
                ("client_max_window_bits", Some(Some(bits))) => {
                    params.client_bits = Some(bits);
                    "client_max_window_bits"
                }
                ("server_max_window_bits", Some(Some(bits))) => {
                    params.server_bits = Some(bits);
                    "server_max_window_bits"
                }
                _ => return None,
            };
            if params.names.contains(&name) {
                return None;
            }
            params.names.push(name);
        }
        Some(params)
    }
}

/// A name, and parameters with or without a value.
type Extension = (String, Vec<(String, Option<String>)>);

/// A piece of the header.
#[derive(PartialEq)]
enum Lexeme {
    Token(String),
    /// Without its quotes.
    Quoted(String),
    Sign(u8),
}

/// RFC 6455 §9.1 by its grammar: lexemes first, then what they make.
fn extensions(headers: &HeaderMap) -> Result<Vec<Extension>, NotAList> {
    let mut all = Vec::new();
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let lexemes = lexemes(line.as_bytes())?;
        for element in lexemes.split(|lexeme| *lexeme == Lexeme::Sign(b',')) {
            if element.is_empty() {
                continue;
            }
            let mut pieces = element.split(|lexeme| *lexeme == Lexeme::Sign(b';'));
            let Some([Lexeme::Token(name)]) = pieces.next() else {
                return Err(NotAList);
            };
            let mut params = Vec::new();
            for piece in pieces {
                params.push(match piece {
                    [Lexeme::Token(name)] => (name.clone(), None),
                    [
                        Lexeme::Token(name),
                        Lexeme::Sign(b'='),
                        Lexeme::Token(value),
                    ] => (name.clone(), Some(value.clone())),
                    [
                        Lexeme::Token(name),
                        Lexeme::Sign(b'='),
                        Lexeme::Quoted(value),
                    ] if !value.is_empty() && value.bytes().all(is_of_token) => {
                        (name.clone(), Some(value.clone()))
                    }
                    _ => return Err(NotAList),
                });
            }
            all.push((name.clone(), params));
        }
    }
    Ok(all)
}

fn lexemes(mut line: &[u8]) -> Result<Vec<Lexeme>, NotAList> {
    let mut lexemes = Vec::new();
    while let Some((&first, mut rest)) = line.split_first() {
        match first {
            b' ' | b'\t' => {}
            b',' | b';' | b'=' => lexemes.push(Lexeme::Sign(first)),
            b'"' => {
                let mut text = String::new();
                loop {
                    let (&byte, after) = rest.split_first().ok_or(NotAList)?;
                    rest = after;
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            let (&escaped, after) = rest.split_first().ok_or(NotAList)?;
                            rest = after;
                            text.push(char::from(escaped));
                        }
                        byte => text.push(char::from(byte)),
                    }
                }
                lexemes.push(Lexeme::Quoted(text));
            }
            _ => {
                let end = line.iter().position(|byte| !is_of_token(*byte));
                let (token, after) = line.split_at(end.unwrap_or(line.len()));
                let token = str::from_utf8(token).map_err(|_| NotAList)?;
                if token.is_empty() {
                    return Err(NotAList);
                }
                lexemes.push(Lexeme::Token(token.to_owned()));
                rest = after;
            }
        }
        line = rest;
    }
    Ok(lexemes)
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte)
}
