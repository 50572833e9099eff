//! The two files that a certificate consists of.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tokio_rustls::rustls::{
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject},
    },
    sign::CertifiedKey,
};

use super::TlsError;

#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// How both files look from outside; two that are the same have not changed.
pub(super) type Stamps = [Option<Stamp>; 2];

/// Where a file is, past all symbolic links, when it was changed, and its length.
type Stamp = (PathBuf, SystemTime, u64);

impl Files {
    /// Nothing for a file that cannot be seen.
    pub(super) fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key].map(|path| {
            let path = fs::canonicalize(path).ok()?;
            let file = fs::metadata(&path).ok()?;
            Some((path, file.modified().ok()?, file.len()))
        })
    }

    /// Reads both and checks that they belong together.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let Self { certificate, key } = self;
        let bad_pem = |path: &Path| {
            let path = path.to_owned();
            |source| TlsError::Pem { path, source }
        };
        let pem = read(certificate)?;
        let chain = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(bad_pem(certificate))?;
        if chain.is_empty() {
            let path = certificate.clone();
            return Err(TlsError::NoCertificate { path });
        }
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| match error {
            PemError::NoItemsFound => TlsError::NoKey { path: key.clone() },
            error => bad_pem(key)(error),
        })?;
        CertifiedKey::from_der(chain, private, provider).map_err(|source| TlsError::Pair {
            certificate: certificate.clone(),
            key: key.clone(),
            source,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}
