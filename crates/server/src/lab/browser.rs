//! What a browser sends: the headers of Chromium 156 for `fetch` and for `new WebSocket`.
//! `tests/browser` compares their names with those of the Chromium that it runs.

/// Headers have the length that they have at a page of this host; no cookie is among them.
const HOST: &str = "madang.example";
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/156.0.0.0 Safari/537.36";
const BRANDS: &str = r#""Not:A-Brand";v="8", "Chromium";v="156""#;
const LANGUAGE: &str = "ko-KR";

/// Whether a connection goes on after a request (RFC 9112 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Close,
}

/// `fetch(path)`.
pub(super) fn get(path: &str, after: After) -> String {
    request("GET", path, after, "", "", "")
}

/// `fetch(path, {method: "POST", headers: {"content-type": "application/json"}, body})`.
pub(super) fn post(path: &str, after: After, body: &str) -> String {
    let length = format!("Content-Length: {}\r\n", body.len());
    let origin = format!("Origin: https://{HOST}\r\n");
    let kind = "content-type: application/json\r\n";
    request("POST", path, after, &length, kind, &origin) + body
}

/// `new WebSocket(path)`; the key is 16 random bytes in Base64 (RFC 6455 §4.1).
pub(super) fn websocket(path: &str, key: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\n\
         Host: {HOST}\r\n\
         Connection: Upgrade\r\n\
         Pragma: no-cache\r\n\
         Cache-Control: no-cache\r\n\
         User-Agent: {USER_AGENT}\r\n\
         Accept-Language: {LANGUAGE}\r\n\
         Upgrade: websocket\r\n\
         Origin: https://{HOST}\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         Sec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         \r\n"
    )
}

fn request(
    method: &str,
    path: &str,
    after: After,
    length: &str,
    kind: &str,
    origin: &str,
) -> String {
    let connection = match after {
        After::Keep => "keep-alive",
        After::Close => "close",
    };
    format!(
        "{method} {path} HTTP/1.1\r\n\
         Host: {HOST}\r\n\
         Connection: {connection}\r\n\
         {length}\
         sec-ch-ua-platform: \"Linux\"\r\n\
         User-Agent: {USER_AGENT}\r\n\
         sec-ch-ua: {BRANDS}\r\n\
         {kind}\
         sec-ch-ua-mobile: ?0\r\n\
         Accept-Language: {LANGUAGE}\r\n\
         Accept: */*\r\n\
         {origin}\
         Sec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: cors\r\n\
         Sec-Fetch-Dest: empty\r\n\
         Referer: https://{HOST}/\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         \r\n"
    )
}
