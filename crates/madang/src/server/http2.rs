//! HTTP/2, with WebSockets on its streams (RFC 8441).

use std::{io, time::Duration};

use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;

/// The name of HTTP/2 in TLS (RFC 9113 §3.1).
pub(super) const ALPN: &[u8] = b"h2";
/// What a client of HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two looks at a preface of which a part is there.
const LOOK: Duration = Duration::from_millis(20);

/// Streams of one connection at a time: sessions, and requests at work.
const MAX_STREAMS: u32 = 200;
/// Bytes that a client may send on one stream before they are read; a session that is not read holds these.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one stream that may wait to be written, besides what the session itself holds.
const SEND_BUFFER: usize = 64 * 1024;
/// Between two pings to a client, and how long it may take to answer.
const PING: Duration = Duration::from_secs(25);

/// How HTTP/2 is spoken. Floods of resets and of header continuations end the connection, within h2's
/// own bounds.
pub(super) fn builder(max_head: u32) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(max_head)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

/// Whether a client that has just connected begins with HTTP/2, as one that knows of it may (RFC 9113
/// §3.3). Nothing is read; waits until it is certain.
pub(super) async fn begins(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 || first[..count] != PREFACE[..count] {
            return Ok(false);
        }
        if count == PREFACE.len() {
            return Ok(true);
        }
        // What is there already would wake us at once, again and again.
        tokio::time::sleep(LOOK).await;
    }
}
