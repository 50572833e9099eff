//! What the load needs to know of a way to call.

use std::net::SocketAddr;

use super::link::Link;

/// A way to call: bytes in, bytes out.
pub(super) trait Protocol: 'static {
    /// Opens a connection whose calls are answered to it; `number` is another for each.
    async fn open_caller(address: SocketAddr, number: usize) -> anyhow::Result<Link>;

    /// Opens a connection that serves: when it is open, calls may come.
    async fn open_service(address: SocketAddr, number: usize) -> anyhow::Result<Link>;

    /// The first message of `input`, and how many bytes it is; `None` if it has not come whole.
    fn split(input: &[u8]) -> anyhow::Result<Option<(Heard<'_>, usize)>>;

    /// Appends a caller's call with this number, which no other call of its connection has.
    fn call(caller: usize, number: u64, params: &[u8], out: &mut Vec<u8>);

    /// Appends the answer to what came as [`Heard::Request`].
    fn respond(to: &[u8], result: &[u8], out: &mut Vec<u8>);

    /// Appends the answer to what came as [`Heard::Ping`].
    fn pong(ping: &[u8], out: &mut Vec<u8>);
}

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// The call with this number is stored.
    Ticket { number: u64 },
    /// The call with this number is answered.
    Answer { number: u64, result: &'a [u8] },
    /// A service is to answer `params` to `to`.
    Request { to: &'a [u8], params: &'a [u8] },
    /// It wants a [pong](Protocol::pong).
    Ping(&'a [u8]),
    /// A step of opening is done.
    Ready,
    /// Something that needs nothing done.
    Other,
}

/// The number that `text` is.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// What is before and after the first `at` in `text`.
pub(super) fn cut<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = text.windows(at.len()).position(|window| window == at)?;
    Some((&text[..found], &text[found + at.len()..]))
}

/// For errors: what is not understood.
pub(super) fn shown(text: &[u8]) -> String {
    const MOST: usize = 300;
    String::from_utf8_lossy(&text[..text.len().min(MOST)]).into_owned()
}
