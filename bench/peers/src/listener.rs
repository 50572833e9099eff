//! Accepts connections, in TLS or without, for the libraries that begin with a socket.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// Connections that may wait to be accepted: with tokio's own 128, a storm of clients loses some.
const BACKLOG: u32 = 4096;

/// A connection, plain or in TLS.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Socket for S {}

/// What a library does with a connection.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    fn handle(self, socket: impl Socket) -> impl Future<Output = ()> + Send;
}

/// Where a server listens.
pub(crate) struct Listener {
    pub(crate) tcp: TcpListener,
    /// Empty, or a certificate's file and a key's.
    pub(crate) tls: Vec<PathBuf>,
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr, tls: Vec<PathBuf>) -> anyhow::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket
            .bind(address)
            .with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self {
            tcp: socket.listen(BACKLOG)?,
            tls,
        })
    }

    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.tcp.local_addr()?)
    }

    /// Gives every connection, in a task of its own, to `handler`.
    pub(crate) async fn serve(self, handler: impl Handler) -> anyhow::Result<()> {
        let tls = match &*self.tls {
            [certificate, key] => Some(acceptor(certificate, key)?),
            _ => None,
        };
        loop {
            let (socket, _) = self.tcp.accept().await?;
            socket.set_nodelay(true)?;
            let handler = handler.clone();
            match &tls {
                None => {
                    tokio::spawn(handler.handle(socket));
                }
                Some(tls) => {
                    let accepting = tls.accept(socket);
                    tokio::spawn(async move {
                        // In a task of its own, so that no session carries the handshake's state.
                        if let Ok(socket) = accepting.await {
                            tokio::spawn(handler.handle(socket));
                        }
                    });
                }
            }
        }
    }
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let unreadable = |file: &Path| format!("cannot read {}", file.display());
    let certificates = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| unreadable(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| unreadable(key))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
