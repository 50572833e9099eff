//! TLS, with a certificate that may change while the server runs.

mod files;

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::task::spawn_blocking;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};

use self::files::{Files, Stamps};

/// The protocols that are offered (RFC 7301), the preferred first.
const ALPN: [&[u8]; 2] = [super::http2::ALPN, b"http/1.1"];

/// A certificate and its key, for TLS 1.2 and 1.3.
///
/// The files are looked at every few seconds, and read again when they have changed: written anew, renamed
/// over, or behind a symbolic link that points elsewhere now, as certbot and Kubernetes do it. New
/// connections then get the new certificate; open ones stay. Of a pair that is broken the log tells,
/// and the old one stays in use.
///
/// ```no_run
/// # use madang::{Endpoint, Server, Tls};
/// # async fn serve(echo: impl Endpoint) -> Result<(), Box<dyn std::error::Error>> {
/// let tls = Tls::from_files("fullchain.pem", "privkey.pem")?;
/// Server::bind("0.0.0.0:443").await?.tls(tls).endpoint("/echo", echo).run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tls {
    current: Arc<Current>,
    files: Files,
    stamps: Stamps,
    interval: Duration,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what PEM (RFC 7468) is.
    #[error("{path} is no PEM file", path = .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no section `CERTIFICATE` in the file.
    #[error("there is no certificate in {path}", path = .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no section `PRIVATE KEY` in the file.
    #[error("there is no private key in {path}, or it is encrypted", path = .path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of a kind that is not supported, or the two do not belong together.
    #[error(
        "the key in {key} cannot be used with the certificate in {certificate}",
        key = .key.display(), certificate = .certificate.display()
    )]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// TLS itself does not work here.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

impl Tls {
    /// Reads a certificate, with those that vouch for it behind it, and its key. Both are PEM files, the
    /// key in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    ///
    /// Names the file and what is wrong with it.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let files = Files {
            certificate: certificate.into(),
            key: key.into(),
        };
        // Before the reading: what changes meanwhile is seen at the next look.
        let stamps = files.stamps();
        let pair = files.read(&ring::default_provider())?;
        Ok(Self {
            current: Arc::new(Current(RwLock::new(Arc::new(pair)))),
            files,
            stamps,
            interval: Duration::from_secs(5),
        })
    }

    /// Looks at the files this often; by default every five seconds.
    #[must_use]
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// What accepts connections with the certificate of the moment.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        // Clients that come back keep what was agreed on, encrypted, and not the server.
        config.ticketer = ring::Ticketer::new().map_err(TlsError::Setup)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again whenever they have changed.
    pub(super) async fn keep_current(mut self) -> Infallible {
        loop {
            tokio::time::sleep(self.interval).await;
            // A disk may take its time, and other connections shall not wait for it.
            let looked = spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(tls) => self = tls,
                // The runtime ends.
                Err(_) => return std::future::pending().await,
            }
        }
    }

    fn look(&mut self) {
        let stamps = self.files.stamps();
        if stamps == self.stamps {
            return;
        }
        self.stamps = stamps;
        match self.files.read(&ring::default_provider()) {
            Ok(pair) => {
                self.current.set(pair);
                tracing::info!("the certificate was read again");
            }
            // The files are often written one after the other; the next look sees the second.
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, reason, "the new certificate is not used; the old one stays");
            }
        }
    }
}

/// The pair that new connections get. Written by whoever looks at the files, read by handshakes.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn set(&self, pair: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}
