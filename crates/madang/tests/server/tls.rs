//! Sessions and pages over TLS, and certificates that change.

use std::{fs, io, os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use madang::{Server, Tls, TlsError};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message as Theirs};

use crate::running::{PATIENCE, Running, closed, echoes, read};

/// A folder with a certificate of its own.
pub(crate) struct Certificate {
    folder: TempDir,
    pub(crate) root: CertificateDer<'static>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = write(folder.path());
        Self { folder, root }
    }

    pub(crate) fn tls(&self) -> Tls {
        tls(self.folder.path()).unwrap()
    }
}

fn tls(folder: &Path) -> Result<Tls, TlsError> {
    let tls = Tls::from_files(folder.join("cert.pem"), folder.join("key.pem"))?;
    Ok(tls.check_every(Duration::from_millis(10)))
}

/// Puts a new pair into a folder, each file renamed over the one that was there.
fn write(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    replace(&folder.join("key.pem"), &signing_key.serialize_pem());
    replace(&folder.join("cert.pem"), &cert.pem());
    cert.der().clone()
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A TLS connection of a client that trusts this certificate alone.
pub(crate) async fn tls_stream(
    server: &Running,
    root: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(server.address).await?;
    let name = "localhost".try_into().unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn connect(
    server: &Running,
    root: &CertificateDer<'static>,
) -> io::Result<WebSocketStream<TlsStream<TcpStream>>> {
    let stream = tls_stream(server, root, &[]).await?;
    let connected = client_async("wss://localhost/echo", stream).await;
    connected
        .map(|(socket, _)| socket)
        .map_err(io::Error::other)
}

/// Waits until new connections get this certificate.
async fn shows(server: &Running, root: &CertificateDer<'static>) {
    let shown = async { while tls_stream(server, root, &[]).await.is_err() {} };
    timeout(PATIENCE, shown).await.unwrap();
}

#[tokio::test]
async fn sessions_and_pages_are_reached_over_tls() {
    let certificate = Certificate::new();
    let mut server = Running::start(|server| server.tls(certificate.tls())).await;
    let mut socket = connect(&server, &certificate.root).await.unwrap();
    for size in [0, 125, 126, 16_384, 65_536] {
        for message in [
            Theirs::text("x".repeat(size)),
            Theirs::binary(vec![7; size]),
        ] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
    }
    for number in 0..2_000 {
        socket.feed(Theirs::text(number.to_string())).await.unwrap();
    }
    socket.flush().await.unwrap();
    for number in 0..2_000 {
        let message = socket.next().await.unwrap().unwrap();
        assert_eq!(message, Theirs::text(number.to_string()));
    }

    let mut page = tls_stream(&server, &certificate.root, &[b"http/1.1"])
        .await
        .unwrap();
    assert_eq!(page.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    page.write_all(b"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read(&mut page).await.starts_with("HTTP/1.1 426 "));

    server.begin_to_end();
    assert_eq!(closed(socket).await.0, 1001);
    server.ended().await;
}

#[tokio::test]
async fn tls_is_ended_in_its_own_words() {
    let certificate = Certificate::new();
    let mut server = Running::start(|server| server.tls(certificate.tls())).await;
    let mut stream = tls_stream(&server, &certificate.root, &[]).await.unwrap();
    let upgrade = "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A ping behind the handshake, in the same record.
    stream
        .write_all(&[upgrade.as_bytes(), b"\x89\x80\0\0\0\0"].concat())
        .await
        .unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x8a\0") {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    server.begin_to_end();
    let mut close = [0; 4];
    stream.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], &close[2..]), (0x88, &[0x03, 0xe9][..]));
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").await.unwrap();
    // Without the alert close_notify this would be an error.
    timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    server.ended().await;
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_to_whoever_comes_next() {
    let certificate = Certificate::new();
    let server = Running::start(|server| server.tls(certificate.tls())).await;
    let mut early = connect(&server, &certificate.root).await.unwrap();
    let second = write(certificate.folder.path());
    shows(&server, &second).await;
    assert!(connect(&server, &certificate.root).await.is_err());
    echoes(&mut early).await;

    // A pair that does not fit is not used, and neither is one that is not there.
    let key = KeyPair::generate().unwrap().serialize_pem();
    for broken in [&*key, "no key", ""] {
        replace(&certificate.folder.path().join("key.pem"), broken);
        tokio::time::sleep(Duration::from_millis(100)).await;
        shows(&server, &second).await;
    }
    fs::remove_file(certificate.folder.path().join("cert.pem")).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    shows(&server, &second).await;
    let third = write(certificate.folder.path());
    shows(&server, &third).await;
    echoes(&mut early).await;
}

#[tokio::test]
async fn a_link_to_another_certificate_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let roots = ["one", "two"].map(|name| {
        fs::create_dir(path(name)).unwrap();
        write(&path(name))
    });
    symlink("one", path("current")).unwrap();
    let tls = tls(&path("current")).unwrap();
    let server = Running::start(|server| server.tls(tls)).await;
    shows(&server, &roots[0]).await;
    symlink("two", path("next")).unwrap();
    fs::rename(path("next"), path("current")).unwrap();
    shows(&server, &roots[1]).await;
}

#[tokio::test]
async fn a_client_that_does_not_begin_is_not_waited_for() {
    let certificate = Certificate::new();
    let change = |server: Server| {
        let server = server.request_head_timeout(Duration::from_millis(300));
        server.max_connections(1).tls(certificate.tls())
    };
    let server = Running::start(change).await;
    // Nothing at all, half a handshake, HTTP without TLS.
    for said in ["", "\x16\x03\x01\x02", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut socket = server.send(said).await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
        let _ = read.unwrap();
        assert!(!answer.starts_with(b"HTTP"));
    }
    // TLS, and then nothing.
    let mut silent = loop {
        // The places of those before are free when the server has seen that they are gone.
        if let Ok(stream) = tls_stream(&server, &certificate.root, &[]).await {
            break stream;
        }
    };
    assert_eq!(read(&mut silent).await, "");
}

#[test]
fn what_is_wrong_with_the_files_is_named() {
    let (one, other) = (Certificate::new(), Certificate::new());
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| one.folder.path().join(name));
    let other_key = other.folder.path().join("key.pem");
    let nothing = one.folder.path().join("nothing.pem");
    let broken = one.folder.path().join("broken.pem");
    fs::write(
        &broken,
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for (certificate, key, expected) in [
        (&nothing, &key, "cannot read NOTHING"),
        (&certificate, &nothing, "cannot read NOTHING"),
        (&key, &key, "there is no certificate in KEY"),
        (
            &certificate,
            &certificate,
            "there is no private key in CERTIFICATE",
        ),
        (&broken, &key, "BROKEN is no PEM file"),
        (
            &certificate,
            &other_key,
            "the key in OTHER cannot be used with the certificate in CERTIFICATE",
        ),
    ] {
        let error = Tls::from_files(certificate, key).err().unwrap().to_string();
        let expected = expected
            .replace("NOTHING", &nothing.display().to_string())
            .replace("KEY", &key.display().to_string())
            .replace("CERTIFICATE", &certificate.display().to_string())
            .replace("BROKEN", &broken.display().to_string())
            .replace("OTHER", &other_key.display().to_string());
        assert!(error.contains(&expected), "{error}: {expected}");
    }
}
