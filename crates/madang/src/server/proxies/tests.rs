use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1:4000";

/// The client's address and host, for a request from `peer` with these header lines.
fn seen(header: ForwardedHeader, peer: &str, lines: &[(&str, &str)]) -> (String, Option<String>) {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let proxies = TrustedProxies::new(["10.0.0.0/8", "fd00::/8", "192.0.2.1"]).unwrap();
    let client = proxies
        .header(header)
        .client(peer.parse().unwrap(), &headers);
    (
        client.address.to_string(),
        client.host.map(|host| host.to_string()),
    )
}

fn x_forwarded_for(value: &str) -> String {
    seen(
        ForwardedHeader::XForwardedFor,
        PROXY,
        &[("x-forwarded-for", value)],
    )
    .0
}

fn forwarded(value: &str) -> String {
    seen(ForwardedHeader::Forwarded, PROXY, &[("forwarded", value)]).0
}

#[test]
fn an_address_that_is_not_trusted_speaks_for_itself_alone() {
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1;host=evil.example"),
            ("x-forwarded-host", "evil.example"),
        ];
        let client = seen(header, "203.0.113.7:4000", &lines);
        assert_eq!(client, ("203.0.113.7:4000".into(), None));
    }
}

#[test]
fn only_the_header_that_the_proxies_write_is_read() {
    let client = seen(
        ForwardedHeader::XForwardedFor,
        PROXY,
        &[("forwarded", "for=1.1.1.1;host=evil.example")],
    );
    assert_eq!(client, (PROXY.into(), None));
    let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-host", "evil")];
    let client = seen(ForwardedHeader::Forwarded, PROXY, &lines);
    assert_eq!(client, (PROXY.into(), None));
}

#[test]
fn the_walk_goes_from_the_end_past_what_is_trusted() {
    for (value, client) in [
        ("1.1.1.1", "1.1.1.1:0"),
        ("6.6.6.6, 1.1.1.1", "1.1.1.1:0"),
        ("6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1:0"),
        ("6.6.6.6,1.1.1.1 ,\t10.0.0.2,192.0.2.1", "1.1.1.1:0"),
        // All of them are ours: the first has asked.
        ("10.0.0.3, 10.0.0.2", "10.0.0.3:0"),
        // Elements that are empty are none (RFC 9110 §5.6.1.2).
        ("6.6.6.6, 1.1.1.1, , ,", "1.1.1.1:0"),
        ("", PROXY),
    ] {
        assert_eq!(x_forwarded_for(value), client, "{value}");
    }
}

#[test]
fn addresses_come_in_many_forms() {
    for (value, client) in [
        ("1.1.1.1:8080", "1.1.1.1:8080"),
        ("2001:db8::1", "[2001:db8::1]:0"),
        ("[2001:db8::1]", "[2001:db8::1]:0"),
        ("[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ("\"[2001:db8::1]:8080\"", "[2001:db8::1]:8080"),
        ("1.1.1.1, fd00::7", "1.1.1.1:0"),
        // An IPv4 address in an IPv6 one is the same address.
        ("::ffff:1.1.1.1", "1.1.1.1:0"),
        ("1.1.1.1, ::ffff:10.0.0.9", "1.1.1.1:0"),
    ] {
        assert_eq!(x_forwarded_for(value), client, "{value}");
    }
    let lines = [("x-forwarded-for", "1.1.1.1")];
    let client = seen(
        ForwardedHeader::XForwardedFor,
        "[::ffff:10.0.0.1]:4000",
        &lines,
    );
    assert_eq!(client.0, "1.1.1.1:0");
}

#[test]
fn an_element_without_an_address_ends_the_walk_at_the_proxy_that_wrote_it() {
    for garbage in [
        "unknown",
        "_hidden",
        "_",
        "1.1.1",
        "1.1.1.1:",
        "1.1.1.1:70000",
        "1.1.1.1:+1",
        "1.1.1.1:x",
        "[1.1.1.1]",
        "[2001:db8::1",
        "[2001:db8::1]8080",
        "2001:db8::1]",
        "fe80::1%eth0",
        "\"1.1.1.1",
        "안녕",
        "1.1.1.1 2.2.2.2",
    ] {
        assert_eq!(x_forwarded_for(garbage), PROXY, "{garbage}");
        let value = format!("1.1.1.1, {garbage}, 10.0.0.2");
        assert_eq!(x_forwarded_for(&value), "10.0.0.2:0", "{value}");
    }
}

#[test]
fn forwarded_is_read_as_its_rfc_writes_it() {
    for (value, client) in [
        // The examples of RFC 7239 §4 and §6.
        ("for=\"_gazonk\"", PROXY),
        (
            "For=\"[2001:db8:cafe::17]:4711\"",
            "[2001:db8:cafe::17]:4711",
        ),
        (
            "for=203.0.113.60;proto=http;by=203.0.113.43",
            "203.0.113.60:0",
        ),
        ("for=203.0.113.43, for=198.51.100.17", "198.51.100.17:0"),
        ("for=\"203.0.113.47:_port\"", "203.0.113.47:0"),
        ("for=unknown", PROXY),
        // Ours.
        ("for=1.1.1.1, for=10.0.0.2;by=10.0.0.1", "1.1.1.1:0"),
        ("by=_x ; FOR=1.1.1.1", "1.1.1.1:0"),
        ("for=\"1.1.1\\.1\"", "1.1.1.1:0"),
        ("by=\"a,b;for=6.6.6.6\";for=1.1.1.1", "1.1.1.1:0"),
        ("by=\"\\\",for=6.6.6.6\";for=1.1.1.1", "1.1.1.1:0"),
    ] {
        assert_eq!(forwarded(value), client, "{value}");
    }
}

#[test]
fn of_a_forwarded_element_that_is_wrong_nothing_is_believed() {
    for garbage in [
        "1.1.1.1",
        "for",
        "for=",
        "for=1.1.1.1;for=2.2.2.2",
        "proto=https",
        "for=\"1.1.1.1\"x",
        "for=1.1.1.1;x=\"y\"z\"",
        "for =1.1.1.1",
        "for=1.1.1.1;oops",
    ] {
        assert_eq!(forwarded(garbage), PROXY, "{garbage}");
        let value = format!("for=6.6.6.6, {garbage}, for=10.0.0.2");
        assert_eq!(forwarded(&value), "10.0.0.2:0", "{value}");
    }
}

#[test]
fn a_quote_that_the_client_leaves_open_hides_nothing_of_what_a_proxy_appends() {
    for open in ["for=\"", "for=6.6.6.6;x=\"", "for=6.6.6.6;x=\"\\"] {
        assert_eq!(forwarded(&format!("{open}, for=1.1.1.1")), "1.1.1.1:0");
        let value = format!("{open}, for=\"[2001:db8::1]\"");
        assert_eq!(forwarded(&value), "[2001:db8::1]:0");
    }
    assert_eq!(x_forwarded_for("\"6.6.6.6, 1.1.1.1"), "1.1.1.1:0");
}

#[test]
fn several_header_lines_are_one_list() {
    let lines = [
        ("x-forwarded-for", "6.6.6.6, 1.1.1.1"),
        ("x-forwarded-for", "10.0.0.3"),
        ("x-forwarded-for", "10.0.0.2"),
    ];
    let client = seen(ForwardedHeader::XForwardedFor, PROXY, &lines);
    assert_eq!(client.0, "1.1.1.1:0");
    let lines = [("forwarded", "for=1.1.1.1"), ("forwarded", "for=10.0.0.2")];
    assert_eq!(
        seen(ForwardedHeader::Forwarded, PROXY, &lines).0,
        "1.1.1.1:0"
    );
}

#[test]
fn the_host_is_what_the_nearest_proxy_that_tells_it_says() {
    let lines = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-host", "evil.example, madang.example:8443"),
    ];
    let client = seen(ForwardedHeader::XForwardedFor, PROXY, &lines);
    assert_eq!(client.1.as_deref(), Some("madang.example:8443"));
    let value = "for=6.6.6.6;host=evil.example, for=1.1.1.1;host=\"madang.example:8443\", \
                 for=10.0.0.2;host=inner";
    let client = seen(ForwardedHeader::Forwarded, PROXY, &[("forwarded", value)]);
    assert_eq!(client.1.as_deref(), Some("madang.example:8443"));
    for wrong in ["a b", "", "/", "a, b c"] {
        let lines = [("x-forwarded-host", wrong)];
        assert_eq!(seen(ForwardedHeader::XForwardedFor, PROXY, &lines).1, None);
    }
}

#[test]
fn what_is_no_network_is_named() {
    for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "1.1.1.1:80"] {
        let error = TrustedProxies::new(["127.0.0.1", wrong]).err().unwrap();
        assert!(error.to_string().contains(&format!("'{wrong}'")), "{error}");
    }
}

proptest! {
    /// Whatever a client sends, what the proxy appended behind it decides.
    #[test]
    fn a_client_cannot_be_anyone_else(sent in "[ -~\u{80}-\u{ff}]{0,60}") {
        for (header, name, appended) in [
            (ForwardedHeader::XForwardedFor, "x-forwarded-for", "1.1.1.1"),
            (ForwardedHeader::Forwarded, "forwarded", "for=1.1.1.1"),
        ] {
            let value = format!("{sent}, {appended}");
            prop_assert_eq!(seen(header, PROXY, &[(name, &*value)]).0, "1.1.1.1:0");
            let lines = [(name, &*sent), (name, appended)];
            prop_assert_eq!(seen(header, PROXY, &lines).0, "1.1.1.1:0");
        }
    }

    #[test]
    fn nothing_in_the_headers_is_too_strange(value in "([0-9.:\\[\\]\"\\\\,;= a-z]|for=){0,80}") {
        x_forwarded_for(&value);
        forwarded(&value);
    }
}
