//! Certificates and keys in files.

use std::path::Path;

use anyhow::{Result, anyhow};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificates in a file.
///
/// # Errors
/// When the file cannot be read, or one of them is damaged.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| anyhow!("reading {}: {error}", path.display()))
}

/// The private key in a file.
///
/// # Errors
/// When the file cannot be read, or holds none.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| anyhow!("reading {}: {error}", path.display()))
}
