//! The opening handshake (RFC 6455 §4), for both sides, on the types of the `http` crate.
//!
//! A server calls [`server::check`] with a request and answers with
//! [`server::Upgrade::response`]; a client makes a [`client::Offer`], sends its request and checks
//! the answer with it. What follows the answer on the socket is for the [`Decoder`](crate::Decoder).

pub mod client;
mod extensions;
pub mod server;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName};
use sha1::{Digest as _, Sha1};

/// §1.3: what is hashed with the key, to prove that the server speaks this protocol.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// §4.2.2, step 5.4: base64 of the SHA-1 of the key and the GUID.
fn accept_of(key: &str) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(hash)
}

/// The elements of a header that is a list, over all its lines. Empty elements are skipped, as
/// RFC 9110 §5.6.1.2 asks; a line that is not visible ASCII is one element that matches nothing.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .map(|line| line.to_str().unwrap_or("\u{fffd}"))
        .flat_map(|line| line.split(','))
        .map(|element| element.trim_matches([' ', '\t']))
        .filter(|element| !element.is_empty())
}

fn list_contains(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}

/// RFC 9110 §5.6.2: a token is one or more of letters, digits and a few signs.
fn is_token(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_token)
}
