//! Acknowledgements of Socket.IO (protocol 5 in Engine.IO 4), over WebSocket alone.

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::process::Command;

use super::{
    link::Link,
    protocol::{Heard, Protocol, number, shown},
    websocket::{self, Message},
};

pub(super) struct SocketIo;

/// The server in `folder`, on a free port.
pub(super) fn command(folder: &Path) -> anyhow::Result<Command> {
    let (server, packages) = (folder.join("server.js"), folder.join("node_modules"));
    anyhow::ensure!(
        server.is_file() && packages.is_dir(),
        "there is no Socket.IO server in {folder}: install its packages with 'npm --prefix {folder} \
         ci', or name another folder with --socketio",
        folder = folder.display()
    );
    let mut command = Command::new("node");
    command
        .arg(server)
        .env("NODE_ENV", "production")
        .stdout(Stdio::null());
    Ok(command)
}

impl Protocol for SocketIo {
    async fn open_caller(address: SocketAddr, _: usize) -> anyhow::Result<Link> {
        connected(address).await
    }

    async fn open_service(address: SocketAddr, _: usize) -> anyhow::Result<Link> {
        let mut link = connected(address).await?;
        websocket::text(&[br#"420["serve"]"#], &mut link.out);
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
            // Its own pings are Engine.IO's.
            Message::Ping(_) | Message::Pong => Heard::Other,
        };
        Ok(Some((heard, length)))
    }

    fn call(_: usize, number: u64, params: &[u8], out: &mut Vec<u8>) {
        let id = number.to_string();
        websocket::text(&[b"42", id.as_bytes(), br#"["call","#, params, b"]"], out);
    }

    fn respond(to: &[u8], result: &[u8], out: &mut Vec<u8>) {
        websocket::text(&[b"43", to, b"[", result, b"]"], out);
    }

    fn pong(_: &[u8], out: &mut Vec<u8>) {
        websocket::text(&[b"3"], out);
    }
}

/// Up to the answer to CONNECT.
async fn connected(address: SocketAddr) -> anyhow::Result<Link> {
    let mut link = websocket::open(address, "/socket.io/?EIO=4&transport=websocket").await?;
    websocket::text(&[b"40"], &mut link.out);
    link.step::<SocketIo>().await?;
    Ok(link)
}

/// An Engine.IO packet: its type, and for a message (4) that of Socket.IO.
fn read(text: &[u8]) -> Option<Heard<'_>> {
    match text {
        [b'0', ..] => Some(Heard::Other),
        b"2" => Some(Heard::Ping(b"")),
        [b'4', b'0', ..] | b"430[]" => Some(Heard::Ready),
        [b'4', b'2', rest @ ..] => {
            let (to, rest) = digits(rest);
            let params = rest.strip_prefix(br#"["request","#)?.strip_suffix(b"]")?;
            Some(Heard::Request { to, params })
        }
        [b'4', b'3', rest @ ..] => {
            let (id, rest) = digits(rest);
            Some(Heard::Answer {
                number: number(id)?,
                result: rest.strip_prefix(b"[")?.strip_suffix(b"]")?,
            })
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_told_apart() {
        let cases: [(&str, Option<Heard<'_>>); 7] = [
            (r#"0{"sid":"a","pingInterval":25000}"#, Some(Heard::Other)),
            ("2", Some(Heard::Ping(b""))),
            (r#"40{"sid":"a"}"#, Some(Heard::Ready)),
            ("430[]", Some(Heard::Ready)),
            (
                r#"4215["request",{"a":[]}]"#,
                Some(Heard::Request {
                    to: b"15",
                    params: br#"{"a":[]}"#,
                }),
            ),
            (
                r#"4331[{"a":[]}]"#,
                Some(Heard::Answer {
                    number: 31,
                    result: br#"{"a":[]}"#,
                }),
            ),
            (r#"44{"message":"no"}"#, None),
        ];
        for (text, heard) in cases {
            assert_eq!(read(text.as_bytes()), heard, "{text}");
        }
    }
}
