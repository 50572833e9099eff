//! The elements of `X-Forwarded-For` and `Forwarded` (RFC 7239), the last one first.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, header::HeaderName, uri::Authority};

/// What one proxy tells of the request as it came to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// Where it came from; nothing where the element names no address.
    pub(super) address: Option<SocketAddr>,
    /// The host that was asked for.
    pub(super) host: Option<Authority>,
}

impl Hop {
    pub(super) fn of_x_forwarded_for(element: &str) -> Self {
        Self {
            address: unquote(element).and_then(|node| parse_node(&node)),
            host: None,
        }
    }

    /// RFC 7239 §4: pairs `name=value`, the names in any case and each once. Of one that is not so,
    /// nothing is believed.
    pub(super) fn of_forwarded(element: &str) -> Self {
        let (mut node, mut host) = (None, None);
        for pair in rsplit(element.as_bytes(), b';') {
            let pair = str::from_utf8(pair).ok();
            let Some((name, value)) = pair.and_then(|pair| pair.split_once('=')) else {
                return Self::default();
            };
            let Some(value) = unquote(value) else {
                return Self::default();
            };
            let twice = match name {
                name if name.eq_ignore_ascii_case("for") => node.replace(value).is_some(),
                name if name.eq_ignore_ascii_case("host") => host.replace(value).is_some(),
                _ => false,
            };
            if twice {
                return Self::default();
            }
        }
        Self {
            address: node.and_then(|node| parse_node(&node)),
            host: host.and_then(|host| host.parse().ok()),
        }
    }
}

/// The elements of a header, of all its lines together (RFC 9110 §5.3), the last one first.
pub(super) fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().rev();
    let elements = lines.flat_map(|line| rsplit(line.as_bytes(), b','));
    // One that is no text says nothing, but it is one.
    elements.map(|element| str::from_utf8(element).unwrap_or("?"))
}

/// The parts between separators outside of quotes, the last one first, without those that are empty.
///
/// It goes from the end, so that a quote that a client leaves open swallows nothing of what a proxy
/// appended behind it.
fn rsplit(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    let parts = std::iter::from_fn(move || {
        let bytes = rest?;
        let mut quoted = false;
        for (at, &byte) in bytes.iter().enumerate().rev() {
            let escapes = || bytes[..at].iter().rev().take_while(|&&b| b == b'\\');
            if byte == b'"' && escapes().count() % 2 == 0 {
                quoted = !quoted;
            } else if byte == separator && !quoted {
                rest = Some(&bytes[..at]);
                return Some(&bytes[at + 1..]);
            }
        }
        rest = None;
        Some(bytes)
    });
    parts
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
}

/// A value without its quotes and escapes (RFC 9110 §5.6.4); nothing where they are not in order.
fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = value.strip_prefix('"') else {
        return (!value.contains('"')).then_some(Cow::Borrowed(value));
    };
    let quoted = quoted.strip_suffix('"')?;
    if !quoted.contains(['\\', '"']) {
        return Some(Cow::Borrowed(quoted));
    }
    let (mut text, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
    Some(Cow::Owned(text))
}

/// RFC 7239 §6: an address, IPv6 in brackets, and perhaps a port. Old proxies leave the brackets away.
fn parse_node(node: &str) -> Option<SocketAddr> {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, 0));
    }
    let (address, port) = match node.strip_prefix('[') {
        Some(node) => {
            let (address, port) = node.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.into(), port)
        }
        None => {
            let (address, port) = node.split_at(node.find(':')?);
            (address.parse::<Ipv4Addr>().ok()?.into(), port)
        }
    };
    if port.is_empty() {
        return Some(SocketAddr::new(address, 0));
    }
    Some(SocketAddr::new(
        address,
        parse_port(port.strip_prefix(':')?)?,
    ))
}

/// A port, or 0 for one that the proxy hides (§6.3).
fn parse_port(port: &str) -> Option<u16> {
    match port.as_bytes() {
        [b'_', _, ..] => Some(0),
        digits if digits.iter().all(u8::is_ascii_digit) => port.parse().ok(),
        _ => None,
    }
}
