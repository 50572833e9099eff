//! Calls of Madang's protocol (section 5). The service has the storing of each answer confirmed, as one
//! needs it that sends again what was not stored.

use std::net::SocketAddr;

use super::{
    link::Link,
    protocol::{Heard, Protocol, cut, number, shown},
    websocket::{self, Message},
};

/// The most that a session may serve at a time.
const CONCURRENCY: u32 = 1024;

pub(super) struct Madang;

impl Protocol for Madang {
    async fn open_caller(address: SocketAddr, number: usize) -> anyhow::Result<Link> {
        let mut link = websocket::open(address, &format!("/ws?name=caller-{number}")).await?;
        link.step::<Self>().await?;
        Ok(link)
    }

    async fn open_service(address: SocketAddr, number: usize) -> anyhow::Result<Link> {
        let mut link = websocket::open(address, &format!("/ws?name=service-{number}")).await?;
        link.step::<Self>().await?;
        let serve =
            format!(r#"{{"type":"serve","id":1,"service":"cafe","concurrency":{CONCURRENCY}}}"#);
        websocket::text(&[serve.as_bytes()], &mut link.out);
        link.step::<Self>().await?;
        Ok(link)
    }

    fn split(input: &[u8]) -> anyhow::Result<Option<(Heard<'_>, usize)>> {
        let Some((message, length)) = websocket::split(input)? else {
            return Ok(None);
        };
        let heard = match message {
            Message::Text(text) => {
                read(text).ok_or_else(|| anyhow::anyhow!("the server said {}", shown(text)))?
            }
            Message::Ping(ping) => Heard::Ping(ping),
            Message::Pong => Heard::Other,
        };
        Ok(Some((heard, length)))
    }

    fn call(_: usize, number: u64, params: &[u8], out: &mut Vec<u8>) {
        let id = number.to_string();
        let parts: [&[u8]; 5] = [
            br#"{"type":"call","id":"#,
            id.as_bytes(),
            br#","service":"cafe","method":"order","params":"#,
            params,
            b"}",
        ];
        websocket::text(&parts, out);
    }

    fn respond(to: &[u8], result: &[u8], out: &mut Vec<u8>) {
        let parts: [&[u8]; 5] = [
            br#"{"type":"respond","id":2,"call":""#,
            to,
            br#"","result":"#,
            result,
            b"}",
        ];
        websocket::text(&parts, out);
    }

    fn pong(ping: &[u8], out: &mut Vec<u8>) {
        websocket::pong(ping, out);
    }
}

/// By the order in which the server writes the fields; `None` is an error, or what is not expected.
fn read(text: &[u8]) -> Option<Heard<'_>> {
    let rest = text.strip_prefix(br#"{"type":""#)?;
    if let Some(rest) = rest.strip_prefix(br#"ok","id":"#) {
        let (id, rest) = cut(rest, b",")?;
        if rest.starts_with(br#""ticket":"#) {
            let (_, result) = cut(rest, br#","result":"#)?;
            return Some(Heard::Answer {
                number: number(id)?,
                result: result.strip_suffix(b"}")?,
            });
        }
        // The `ok` of `serve`, and those of answers.
        let serves = rest.starts_with(br#""service":"#);
        return Some(if serves { Heard::Ready } else { Heard::Other });
    }
    if let Some(rest) = rest.strip_prefix(br#"ticket","id":"#) {
        let (id, _) = cut(rest, b",")?;
        return Some(Heard::Ticket {
            number: number(id)?,
        });
    }
    if let Some(rest) = rest.strip_prefix(br#"request","call":""#) {
        let (to, rest) = cut(rest, b"\"")?;
        let (_, rest) = cut(rest, br#","params":"#)?;
        let (params, _) = cut(rest, br#","from":"#)?;
        return Some(Heard::Request { to, params });
    }
    rest.starts_with(b"hello\"").then_some(Heard::Ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_told_apart() {
        let cases: [(&str, Option<Heard<'_>>); 7] = [
            (r#"{"type":"hello","protocol":1}"#, Some(Heard::Ready)),
            (
                r#"{"type":"ticket","id":31,"ticket":"t_1"}"#,
                Some(Heard::Ticket { number: 31 }),
            ),
            (
                r#"{"type":"ok","id":31,"ticket":"t_1","result":{"a":{}}}"#,
                Some(Heard::Answer {
                    number: 31,
                    result: br#"{"a":{}}"#,
                }),
            ),
            (
                r#"{"type":"ok","id":1,"service":"cafe","concurrency":4,"resumed":[]}"#,
                Some(Heard::Ready),
            ),
            (r#"{"type":"ok","id":2,"call":"c_1"}"#, Some(Heard::Other)),
            (
                r#"{"type":"request","call":"c_1","service":"cafe","method":"order","params":{"a":{}},"from":{"id":"u_1"},"timeout_ms":5}"#,
                Some(Heard::Request {
                    to: b"c_1",
                    params: br#"{"a":{}}"#,
                }),
            ),
            (
                r#"{"type":"error","id":3,"code":"busy","message":"…"}"#,
                None,
            ),
        ];
        for (text, heard) in cases {
            assert_eq!(read(text.as_bytes()), heard, "{text}");
        }
    }
}
