//! The headers in which a reverse proxy tells whom a request comes from.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use madang::{ForwardedHeader, TrustedProxies};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The first byte chooses the header (1), what the proxy writes (6) and whether it begins a line (8);
/// the rest is what a client wrote before it.
pub fn proxies(data: &[u8]) {
    let Some((settings, line)) = data.split_first() else {
        return;
    };
    let Ok(line) = HeaderValue::from_bytes(line) else {
        return;
    };
    let (kind, name) = match settings & 1 {
        0 => (ForwardedHeader::XForwardedFor, X_FORWARDED_FOR),
        _ => (ForwardedHeader::Forwarded, FORWARDED),
    };
    let proxies = TrustedProxies::new(["10.0.0.0/8", "fd00::/8"]).unwrap();
    let proxies = proxies.header(kind);
    let proxy = SocketAddr::from(([10, 0, 0, 1], 4000));
    let stranger = SocketAddr::from(([203, 0, 113, 9], 4000));

    // A stranger speaks for itself alone.
    let mut headers = HeaderMap::from_iter([(name.clone(), line.clone())]);
    let client = proxies.client(stranger, &headers);
    assert_eq!((client.address, client.host), (stranger, None));
    // A proxy that passes on what it got is believed, whatever comes of it.
    let _ = proxies.client(proxy, &headers);

    // What a proxy appends is what counts, whatever the client wrote before it.
    let (element, address) = [
        ("203.0.113.7", "203.0.113.7"),
        ("\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("10.1.2.3, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, \"[fd00::1]\"", "203.0.113.7"),
    ][usize::from(settings >> 1 & 3)];
    let told = match kind {
        ForwardedHeader::Forwarded => element
            .split(", ")
            .map(|node| format!("by=\"_x,y;z\";for={node};host=a"))
            .collect::<Vec<_>>()
            .join(", "),
        _ => element.to_owned(),
    };
    if settings & 8 == 0 {
        let whole = [line.as_bytes(), b", ", told.as_bytes()].concat();
        headers.insert(name, HeaderValue::from_bytes(&whole).unwrap());
    } else {
        headers.append(name, HeaderValue::from_str(&told).unwrap());
    }
    let client = proxies.client(proxy, &headers);
    assert_eq!(client.address.ip(), address.parse::<IpAddr>().unwrap());
    if kind == ForwardedHeader::Forwarded {
        assert_eq!(client.host.as_ref().map(|host| host.as_str()), Some("a"));
    }
}
