//! A client's connection, plain or in TLS.

use std::{
    cell::RefCell,
    fs,
    future::poll_fn,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use anyhow::Context;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::{
    frames::{self, Replies, Reply},
    program::Program,
};

/// How long opening one may take.
const OPEN: Duration = Duration::from_secs(30);
/// Bytes read at a time.
const BUFFER: usize = 64 * 1024;
const HOST: &str = "localhost";

thread_local! {
    /// One for all connections.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER].into_boxed_slice());
}

/// A certificate of this run, for the server and for those who trust it.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    folder: Arc<TempDir>,
}

impl Tls {
    pub(super) fn new() -> anyhow::Result<Self> {
        let issued = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(issued.cert.der().clone())?;
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = Self {
            connector: TlsConnector::from(Arc::new(config)),
            folder: Arc::new(TempDir::with_prefix("madang-bench-")?),
        };
        let [certificate, key] = tls.files();
        fs::write(certificate, issued.cert.pem())?;
        fs::write(key, issued.signing_key.serialize_pem())?;
        Ok(tls)
    }

    /// The certificate's and the key's, in PEM.
    pub(super) fn files(&self) -> [PathBuf; 2] {
        ["certificate.pem", "key.pem"].map(|file| self.folder.path().join(file))
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Io for S {}

/// An open WebSocket.
pub(super) struct Connection {
    io: Box<dyn Io>,
    /// Whether permessage-deflate was agreed on.
    pub(super) deflate: bool,
    replies: Replies,
}

impl Connection {
    pub(super) async fn open(program: &Program, path: &str, deflate: bool) -> anyhow::Result<Self> {
        timeout(OPEN, open(program, path, deflate))
            .await
            .with_context(|| format!("not open within {OPEN:?}"))?
    }

    pub(super) async fn send(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        self.io.write_all(frame).await?;
        Ok(self.io.flush().await?)
    }

    /// Sends a frame and waits for one message.
    pub(super) async fn ask(&mut self, frame: &[u8]) -> anyhow::Result<Reply> {
        self.send(frame).await?;
        let mut reply = None;
        while reply.is_none() {
            hear(&mut self.io, &mut self.replies, |came| reply = Some(came)).await?;
        }
        reply.context("no reply")
    }

    /// Whether the server sends back exactly `text`, which `frame` holds.
    pub(super) async fn is_echoed(&mut self, frame: &[u8], text: &[u8]) -> anyhow::Result<bool> {
        self.send(frame).await?;
        let (mut read, mut whole) = (Vec::new(), false);
        while !whole {
            self.io.read_buf(&mut read).await?;
            let mut replies = Replies::default();
            replies.receive(&read, |_| whole = true)?;
        }
        frames::holds(&read, text)
    }

    /// For one who sends while it hears.
    pub(super) fn split(self) -> (impl AsyncRead + Unpin, impl AsyncWrite + Unpin) {
        tokio::io::split(self.io)
    }
}

/// Reads once.
pub(super) async fn hear(
    io: &mut (impl AsyncRead + Unpin),
    replies: &mut Replies,
    mut take: impl FnMut(Reply),
) -> anyhow::Result<()> {
    poll_fn(|cx| {
        READ.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(anyhow::anyhow!("the server hung up")));
            }
            Poll::Ready(replies.receive(buffer.filled(), &mut take))
        })
    })
    .await
}

async fn open(program: &Program, path: &str, deflate: bool) -> anyhow::Result<Connection> {
    let socket = TcpStream::connect(program.address).await?;
    socket.set_nodelay(true)?;
    // Thousands are closed after each run: they would keep their ports for a minute.
    socket.set_zero_linger()?;
    let mut io: Box<dyn Io> = match &program.tls {
        None => Box::new(socket),
        Some(tls) => {
            let host = ServerName::try_from(HOST)?;
            Box::new(tls.connector.connect(host, socket).await?)
        }
    };
    let offer = if deflate {
        "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
         server_no_context_takeover\r\n"
    } else {
        ""
    };
    // RFC 6455 §1.2 has this key. Nothing between here and the server would mix up answers.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n"
    );
    io.write_all(request.as_bytes()).await?;
    io.flush().await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let count = io.read_buf(&mut answer).await?;
        anyhow::ensure!(count > 0, "the server hung up in place of an answer");
    }
    let answer = String::from_utf8(answer)?.to_ascii_lowercase();
    anyhow::ensure!(
        answer.starts_with("http/1.1 101 "),
        "the server refused: {answer}"
    );
    let deflate = answer.contains("permessage-deflate");
    Ok(Connection {
        io,
        deflate,
        replies: Replies::default(),
    })
}
