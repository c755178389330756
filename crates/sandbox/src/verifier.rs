//! What a log entry is verified with: a public key, or a certificate that carries one.

use der::{Decode as _, Encode as _};
use keys::PublicKey;
use x509_cert::certificate::Certificate;

use crate::key::encode_pem;

/// The most certificates of one verifier.
const CHAIN_CAP: usize = 10;

/// A key and the PEM blocks that carried it. Neither Rekor asks where a certificate comes from,
/// nor whether it is valid.
#[derive(Debug)]
pub(crate) struct Verifier {
    key: PublicKey,
    blocks: Vec<(&'static str, Vec<u8>)>,
}

impl Verifier {
    /// Reads one certificate, one chain or one public key; the error is in Rekor's words.
    pub(crate) fn from_pem(text: &[u8]) -> Result<Self, &'static str> {
        let blocks = pem::parse_many(text).map_err(|_| "failure decoding PEM")?;
        match blocks.as_slice() {
            [] => Err("failure decoding PEM"),
            [block] if block.tag() == "PUBLIC KEY" => {
                let key = PublicKey::from_spki(block.contents());
                Ok(Self::from_key(key.map_err(|_| "failure loading public key")?))
            }
            [block] if block.tag() == "RSA PUBLIC KEY" => {
                let key = PublicKey::from_pkcs1(block.contents());
                Ok(Self::from_key(key.map_err(|_| "failure loading public key")?))
            }
            blocks if blocks.iter().all(|block| block.tag() == "CERTIFICATE") => {
                if blocks.len() > CHAIN_CAP {
                    return Err("too many certificates specified in PEM block");
                }
                let key = certificate_key(blocks[0].contents());
                Ok(Self {
                    key: key.ok_or("failure loading certificate")?,
                    blocks: blocks
                        .iter()
                        .map(|block| ("CERTIFICATE", block.contents().to_vec()))
                        .collect(),
                })
            }
            _ => Err("invalid public key type"),
        }
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The PEM in its canonical form: lines of 64, one newline at the end.
    pub(crate) fn to_pem(&self) -> Vec<u8> {
        let pem: String = self.blocks.iter().map(|(tag, der)| encode_pem(tag, der)).collect();
        pem.into_bytes()
    }

    fn from_key(key: PublicKey) -> Self {
        let blocks = vec![("PUBLIC KEY", key.spki().to_vec())];
        Self { key, blocks }
    }
}

/// The key of a DER certificate.
pub(crate) fn certificate_key(der: &[u8]) -> Option<PublicKey> {
    let certificate = Certificate::from_der(der).ok()?;
    let spki = certificate.tbs_certificate.subject_public_key_info.to_der().ok()?;
    PublicKey::from_spki(&spki).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyKind, ServiceKey};

    #[test]
    fn a_key_is_logged_in_its_canonical_pem() {
        let key = ServiceKey::generate(KeyKind::EcdsaP256).unwrap();
        let pem = key.public_key().to_pem();
        let crooked = pem.replace('\n', "\r\n") + "\n\n";
        let verifier = Verifier::from_pem(crooked.as_bytes()).unwrap();
        assert_eq!(verifier.key(), key.public_key());
        assert_eq!(verifier.to_pem(), pem.as_bytes());
    }

    #[test]
    fn junk_is_refused_in_rekors_words() {
        assert_eq!(Verifier::from_pem(b"junk").unwrap_err(), "failure decoding PEM");
        let junk = encode_pem("CERTIFICATE", b"junk");
        assert_eq!(Verifier::from_pem(junk.as_bytes()).unwrap_err(), "failure loading certificate");
    }
}
