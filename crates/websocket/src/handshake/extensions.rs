//! The header Sec-WebSocket-Extensions (RFC 6455 §9.1), and what is agreed on in it (RFC 7692 §7.1).

use http::header::{HeaderMap, SEC_WEBSOCKET_EXTENSIONS};

use super::is_token;
use crate::Deflate;

/// RFC 7692 §7: the one extension that we know.
const DEFLATE: &str = "permessage-deflate";

/// One element of the header: an extension that is offered, or was chosen.
#[derive(Debug, PartialEq, Eq)]
struct Extension {
    name: String,
    params: Vec<(String, Option<String>)>,
}

/// Why the header agrees on nothing that we can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAgreed;

/// As a server: the first of the client's offers that we can keep. Offers of other extensions, and those of
/// permessage-deflate with something wrong in them, are declined (§7.1); a header that is no list
/// of extensions fails the handshake (RFC 6455 §9.1).
pub(super) fn choose(headers: &HeaderMap) -> Result<Option<Deflate>, NotAgreed> {
    let offers = parse(headers)?;
    Ok(offers.iter().find_map(accept))
}

/// What the client asks of us in one offer; `None` declines it.
fn accept(offer: &Extension) -> Option<Deflate> {
    if !offer.name.eq_ignore_ascii_case(DEFLATE) {
        return None;
    }
    // The other parameters ask for no takeover, which we keep to anyway, and hint at the client's
    // own window, which may be of any size.
    let params = Params::of(offer)?;
    match params.server_max_window_bits {
        None => Deflate::new(15),
        // A window that we cannot have declines the offer (§7.1.2.1).
        Some(bits) => Deflate::new(bits?),
    }
}

/// Our answer. Neither side takes a context over: §7.1.1.2 lets the server decide that for the
/// client too.
pub(super) fn answer(agreed: Deflate) -> String {
    let no_takeover = format!("{DEFLATE}; server_no_context_takeover; client_no_context_takeover");
    match agreed.window_bits() {
        15 => no_takeover,
        bits => format!("{no_takeover}; server_max_window_bits={bits}"),
    }
}

/// As a client: our offer. The server may choose the window that we compress with.
pub(super) const OFFER: &str = "permessage-deflate; client_no_context_takeover; \
                                server_no_context_takeover; client_max_window_bits";

/// As a client that sent [`OFFER`]: what the server chose (§7.1). It is either nothing or exactly what
/// we can do.
pub(super) fn chosen(headers: &HeaderMap) -> Result<Option<Deflate>, NotAgreed> {
    let answer = parse(headers)?;
    let extension = match &answer[..] {
        [] => return Ok(None),
        [extension] if extension.name.eq_ignore_ascii_case(DEFLATE) => extension,
        _ => return Err(NotAgreed),
    };
    let params = Params::of(extension).ok_or(NotAgreed)?;
    // §7.1.1.1: asked for, it has to be there.
    if !params.server_no_context_takeover || params.server_max_window_bits == Some(None) {
        return Err(NotAgreed);
    }
    match params.client_max_window_bits {
        None => Ok(Deflate::new(15)),
        // §7.1.2.2: the answer names the window.
        Some(None) => Err(NotAgreed),
        // zlib has no window of 8 bits; but nothing that we send has to be compressed.
        Some(Some(8)) => Ok(Deflate::new(15).map(|deflate| deflate.from_bytes_on(usize::MAX))),
        Some(Some(bits)) => Ok(Deflate::new(bits)),
    }
}

/// The parameters of permessage-deflate (§7.1.1 and §7.1.2).
#[derive(Debug, Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    /// Present, and with which value.
    server_max_window_bits: Option<Option<u8>>,
    client_max_window_bits: Option<Option<u8>>,
}

impl Params {
    /// `None` for a parameter that is unknown, is there twice, or has a value that it cannot have.
    fn of(extension: &Extension) -> Option<Self> {
        let mut params = Self::default();
        for (name, value) in &extension.params {
            let value = value.as_deref();
            let is_new = match name.as_str() {
                "server_no_context_takeover" => set(&mut params.server_no_context_takeover, value)?,
                "client_no_context_takeover" => set(&mut params.client_no_context_takeover, value)?,
                "server_max_window_bits" => {
                    let bits = Some(window_bits(value?)?);
                    params.server_max_window_bits.replace(bits).is_none()
                }
                "client_max_window_bits" => {
                    let bits = match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    };
                    params.client_max_window_bits.replace(bits).is_none()
                }
                _ => return None,
            };
            if !is_new {
                return None;
            }
        }
        Some(params)
    }
}

/// A parameter without a value.
fn set(flag: &mut bool, value: Option<&str>) -> Option<bool> {
    value.is_none().then(|| !std::mem::replace(flag, true))
}

/// §7.1.2: a decimal number from 8 to 15 without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok()?;
    ((8..=15).contains(&bits) && !value.starts_with(['0', '+'])).then_some(bits)
}

/// RFC 6455 §9.1: extensions, separated by commas, each with parameters behind semicolons.
fn parse(headers: &HeaderMap) -> Result<Vec<Extension>, NotAgreed> {
    let mut extensions = Vec::new();
    for line in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let line = line.to_str().map_err(|_| NotAgreed)?;
        for element in split(line, ',')? {
            let mut pieces = split(element, ';')?.into_iter();
            let name = pieces.next().unwrap_or_default();
            if name.is_empty() && pieces.len() == 0 {
                // RFC 9110 §5.6.1.2: empty elements of a list count for nothing.
                continue;
            }
            if !is_token(name) {
                return Err(NotAgreed);
            }
            extensions.push(Extension {
                name: name.to_owned(),
                params: pieces.map(param).collect::<Result<_, _>>()?,
            });
        }
    }
    Ok(extensions)
}

/// `name`, `name=token` or `name="token"`.
fn param(piece: &str) -> Result<(String, Option<String>), NotAgreed> {
    let (name, value) = match piece.split_once('=') {
        Some((name, value)) => (
            name.trim_end_matches(BLANK),
            Some(value.trim_start_matches(BLANK)),
        ),
        None => (piece, None),
    };
    let value = match value {
        Some(value) => Some(unquote(value)?),
        None => None,
    };
    if !is_token(name) || value.as_ref().is_some_and(|value| !is_token(value)) {
        return Err(NotAgreed);
    }
    Ok((name.to_owned(), value))
}

const BLANK: [char; 2] = [' ', '\t'];

/// §9.1: what a quoted string holds has to be a token once the quotes and backslashes are gone.
fn unquote(value: &str) -> Result<String, NotAgreed> {
    let Some(quoted) = value.strip_prefix('"') else {
        return Ok(value.to_owned());
    };
    let quoted = quoted.strip_suffix('"').ok_or(NotAgreed)?;
    let mut escaped = false;
    let mut plain = String::new();
    for c in quoted.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    if escaped { Err(NotAgreed) } else { Ok(plain) }
}

/// Splits outside of quoted strings, and trims; fails where a quote is not closed.
fn split(text: &str, separator: char) -> Result<Vec<&str>, NotAgreed> {
    let (mut quoted, mut escaped) = (false, false);
    let pieces = text.split(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == separator && !quoted,
        }
        false
    });
    let pieces = pieces.map(|piece| piece.trim_matches(BLANK)).collect();
    if quoted { Err(NotAgreed) } else { Ok(pieces) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                SEC_WEBSOCKET_EXTENSIONS,
                HeaderValue::from_str(line).unwrap(),
            );
        }
        headers
    }

    fn chosen_bits(lines: &[&str]) -> Result<Option<u8>, NotAgreed> {
        choose(&headers(lines)).map(|agreed| agreed.map(|deflate| deflate.window_bits()))
    }

    #[test]
    fn an_offer_is_accepted_with_all_that_it_may_ask() {
        for (offer, bits) in [
            ("permessage-deflate", 15),
            ("Permessage-Deflate", 15),
            ("permessage-deflate; client_max_window_bits", 15),
            ("permessage-deflate; client_max_window_bits=8", 15),
            (
                "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
                15,
            ),
            ("permessage-deflate; server_max_window_bits=15", 15),
            ("permessage-deflate; server_max_window_bits=9", 9),
            ("permessage-deflate ; server_max_window_bits = 10", 10),
            ("permessage-deflate; server_max_window_bits=\"12\"", 12),
            ("permessage-deflate; server_max_window_bits=\"1\\2\"", 12),
            (", ,permessage-deflate,", 15),
        ] {
            assert_eq!(chosen_bits(&[offer]), Ok(Some(bits)), "{offer}");
        }
    }

    #[test]
    fn an_offer_with_something_wrong_in_it_is_declined() {
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-bzip2; x=1",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=257",
            "permessage-deflate; server_max_window_bits=1e1",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=x",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"true\"",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
            "permessage-deflate; level=9",
            "permessage-deflate; Server_No_Context_Takeover",
        ] {
            assert_eq!(chosen_bits(&[offer]), Ok(None), "{offer}");
        }
    }

    #[test]
    fn the_first_offer_that_can_be_kept_is_chosen() {
        let offers = "permessage-deflate; server_max_window_bits=8, x, permessage-deflate; \
                      server_max_window_bits=10, permessage-deflate";
        assert_eq!(chosen_bits(&[offers]), Ok(Some(10)));
        let lines = ["permessage-deflate; unknown", "permessage-deflate"];
        assert_eq!(chosen_bits(&lines), Ok(Some(15)));
    }

    #[test]
    fn a_header_that_is_no_list_of_extensions_fails() {
        for line in [
            ";",
            "; server_no_context_takeover",
            "permessage-deflate;",
            "permessage-deflate; =9",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=\"9",
            "permessage-deflate; server_max_window_bits=\"9\\\"",
            "permessage-deflate; server_max_window_bits=\"\"",
            "permessage-deflate; x=\"a b\"",
            "permessage-deflate server_no_context_takeover",
            "per/message",
            "\"permessage-deflate\"",
        ] {
            assert_eq!(chosen_bits(&[line]), Err(NotAgreed), "{line}");
        }
    }

    #[test]
    fn the_answer_says_what_was_agreed_on() {
        let agreed = answer(Deflate::new(15).unwrap());
        assert_eq!(
            agreed,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        );
        assert!(answer(Deflate::new(9).unwrap()).ends_with("; server_max_window_bits=9"));
    }

    #[test]
    fn a_client_takes_what_it_offered_and_nothing_else() {
        assert_eq!(chosen(&headers(&[])), Ok(None));
        for line in [
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=8",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
        ] {
            assert_eq!(chosen(&headers(&[line])), Ok(Deflate::new(15)), "{line}");
        }
        for line in [
            "permessage-deflate",
            "x",
            "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=16",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=16",
            "permessage-deflate; server_no_context_takeover; x",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        ] {
            assert_eq!(chosen(&headers(&[line])), Err(NotAgreed), "{line}");
        }
    }

    #[test]
    fn a_client_compresses_with_the_window_that_the_server_chose() {
        let answer = "permessage-deflate; server_no_context_takeover; client_max_window_bits";
        let chosen = |bits| chosen(&headers(&[&format!("{answer}={bits}")]));
        assert_eq!(chosen(9), Ok(Deflate::new(9)));
        assert_eq!(chosen(14), Ok(Deflate::new(14)));
        // None of 8 bits: it takes what is compressed, and compresses nothing.
        let deflate = chosen(8).unwrap().unwrap().from_bytes_on(0);
        assert!(!deflate.takes(1000) && !deflate.takes(usize::MAX));
    }

    #[test]
    fn a_client_and_a_server_of_ours_agree() {
        let agreed = choose(&headers(&[OFFER])).unwrap().unwrap();
        assert_eq!(chosen(&headers(&[&answer(agreed)])), Ok(Some(agreed)));
    }

    proptest! {
        #[test]
        fn any_line_is_judged(line in "[ -~]{0,80}") {
            let _ = chosen_bits(&[&line]);
            let _ = chosen(&headers(&[&line]));
        }
    }
}
