//! Requests of core NATS, in its text protocol: a subscription for all replies of a connection, and a
//! queue group that answers. Nothing is stored, and no service is told that it has what it asks.

use std::{net::SocketAddr, path::Path, process::Stdio};

use anyhow::Context;
use tokio::process::Command;

use super::{
    link::Link,
    protocol::{Heard, Protocol, cut, number, shown},
};

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"raw\",\"version\":\"1\",\"protocol\":1}\r\n";
const SUBJECT: &str = "cafe.order";
const INBOX: &str = "_INBOX.";

pub(super) struct Nats;

/// The server, as it comes, on a free port.
pub(super) fn command(program: &Path) -> anyhow::Result<Command> {
    anyhow::ensure!(
        program.is_file(),
        "there is no {}: install Debian's nats-server, or name another with --nats",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .args(["--addr", "127.0.0.1", "--port", "-1"])
        .stdout(Stdio::null());
    Ok(command)
}

impl Protocol for Nats {
    async fn open_caller(address: SocketAddr, number: usize) -> anyhow::Result<Link> {
        subscribed(address, &format!("SUB {INBOX}{number}.* 1\r\n")).await
    }

    async fn open_service(address: SocketAddr, _: usize) -> anyhow::Result<Link> {
        subscribed(address, &format!("SUB {SUBJECT} workers 1\r\n")).await
    }

    fn split(input: &[u8]) -> anyhow::Result<Option<(Heard<'_>, usize)>> {
        let Some((line, behind)) = cut(input, b"\r\n") else {
            return Ok(None);
        };
        let head = line.len() + 2;
        let Some(message) = line.strip_prefix(b"MSG ") else {
            let heard = match line {
                b"PING" => Heard::Ping(b""),
                b"PONG" => Heard::Ready,
                _ if line.starts_with(b"INFO ") => Heard::Other,
                _ => anyhow::bail!("the server said {}", shown(line)),
            };
            return Ok(Some((heard, head)));
        };
        let not_expected = || format!("the server said {}", shown(line));
        let mut fields = message.split(|&byte| byte == b' ');
        let (subject, _, third, fourth) =
            (fields.next(), fields.next(), fields.next(), fields.next());
        let bytes = fourth.or(third).and_then(number);
        let bytes = usize::try_from(bytes.with_context(not_expected)?)?;
        let Some(payload) = behind.get(..bytes + 2) else {
            return Ok(None);
        };
        let payload = &payload[..bytes];
        let heard = match (third, fourth) {
            (Some(to), Some(_)) => Heard::Request {
                to,
                params: payload,
            },
            _ => {
                let asked = subject.and_then(|subject| subject.rsplit(|&byte| byte == b'.').next());
                Heard::Answer {
                    number: asked.and_then(number).with_context(not_expected)?,
                    result: payload,
                }
            }
        };
        Ok(Some((heard, head + bytes + 2)))
    }

    fn call(caller: usize, number: u64, params: &[u8], out: &mut Vec<u8>) {
        let reply = format!("{INBOX}{caller}.{number}");
        publish(&[SUBJECT.as_bytes(), b" ", reply.as_bytes()], params, out);
    }

    fn respond(to: &[u8], result: &[u8], out: &mut Vec<u8>) {
        publish(&[to], result, out);
    }

    fn pong(_: &[u8], out: &mut Vec<u8>) {
        out.extend(b"PONG\r\n");
    }
}

async fn subscribed(address: SocketAddr, sub: &str) -> anyhow::Result<Link> {
    let mut link = Link::connect(address).await?;
    link.out.extend([CONNECT, sub, "PING\r\n"].concat().bytes());
    link.step::<Nats>().await?;
    Ok(link)
}

fn publish(subjects: &[&[u8]], payload: &[u8], out: &mut Vec<u8>) {
    out.extend(b"PUB ");
    for subject in subjects {
        out.extend_from_slice(subject);
    }
    out.push(b' ');
    out.extend(payload.len().to_string().bytes());
    out.extend(b"\r\n");
    out.extend_from_slice(payload);
    out.extend(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_told_apart_wherever_the_reads_end() {
        let request = b"MSG cafe.order 1 _INBOX.7.31 4\r\n{\r\n}\r\n";
        let answer = b"MSG _INBOX.7.31 1 2\r\n{}\r\n";
        let cases: [(&[u8], Heard<'_>); 5] = [
            (b"INFO {}\r\n", Heard::Other),
            (b"PING\r\n", Heard::Ping(b"")),
            (b"PONG\r\n", Heard::Ready),
            (
                request,
                Heard::Request {
                    to: b"_INBOX.7.31",
                    params: b"{\r\n}",
                },
            ),
            (
                answer,
                Heard::Answer {
                    number: 31,
                    result: b"{}",
                },
            ),
        ];
        for (bytes, heard) in cases {
            for end in 0..bytes.len() {
                assert_eq!(Nats::split(&bytes[..end]).unwrap(), None);
            }
            let more = [bytes, b"PING\r\n"].concat();
            assert_eq!(Nats::split(&more).unwrap(), Some((heard, bytes.len())));
        }
        assert!(Nats::split(b"-ERR 'Slow Consumer'\r\n").is_err());
    }

    #[test]
    fn a_call_names_where_its_answer_goes() {
        let mut out = Vec::new();
        Nats::call(7, 31, b"{}", &mut out);
        assert_eq!(out, b"PUB cafe.order _INBOX.7.31 2\r\n{}\r\n");
    }
}
