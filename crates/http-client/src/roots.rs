//! Reading trust anchors.

use std::path::Path;

use host::read_file;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::Error;

/// The certificates of one PEM file; at least one.
pub(crate) fn read_pem_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read_file(path, FILE_CAP).map_err(|source| Error::CaFile { source })?;
    match read_pem(&pem) {
        Some(certificates) if certificates.is_empty() => {
            Err(Error::NoCertificates { path: path.to_owned() })
        }
        Some(certificates) => Ok(certificates),
        None => Err(Error::BadCertificate { path: path.to_owned() }),
    }
}

/// The certificate chain of one PEM file; at least one certificate.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read_file(path, FILE_CAP).map_err(|source| Error::CaFile { source })?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if chain.is_empty() => Err(Error::NoCertificates { path: path.to_owned() }),
        Ok(chain) => Ok(chain),
        Err(_) => Err(Error::BadCertificate { path: path.to_owned() }),
    }
}

/// The certificates of a PEM text; `None` when one is damaged, or none of them can be an authority.
pub(crate) fn read_pem(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates.iter().cloned());
    (usable > 0 || certificates.is_empty()).then_some(certificates)
}

/// The certificates of every PEM file directly in `directory`. As OpenSSL does, what is something
/// else is passed over, and so is a directory that is not there.
pub(crate) fn read_pem_directory(directory: &Path) -> Vec<CertificateDer<'static>> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut certificates = Vec::new();
    for entry in entries.flatten().take(MOST_FILES) {
        let Ok(pem) = read_file(&entry.path(), FILE_CAP) else { continue };
        certificates.extend(CertificateDer::pem_slice_iter(&pem).flatten());
    }
    // The same certificate usually lies there twice: under its name and under its hash.
    certificates.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    certificates.dedup();
    certificates
}

/// All roots of a distribution in one file are under 300 kB.
const FILE_CAP: usize = 8 << 20;
/// A distribution's directory has some 300 files.
const MOST_FILES: usize = 4096;
