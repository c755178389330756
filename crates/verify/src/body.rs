//! Compares what was logged with what is in the bundle.
//!
//! An inclusion proof only proves that *some* body is in the log. Unless the body is about this
//! signature, key and content, the entry of any other signature could be put beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::LogEntry;
use bundle::log_body::{
    HashedRekord001, HashedRekord002, LogBody, LogKind, LoggedHash, LoggedSignature, LoggedVerifier,
};
use keys::{Digest, HashAlgorithm, PublicKey, Scheme};
use x509::Certificate;

use crate::check::Check;
use crate::signature::Signed;
use crate::text::{digest_name, plain, quote};

/// Whether an entry of this kind can be checked.
pub(crate) fn kind(index: usize, entry: &LogEntry) -> Result<LogKind, Check> {
    let reason = match (entry.kind.as_str(), entry.version.as_str()) {
        (kind, version) if LogKind::of(kind, version).is_some() => "",
        ("intoto", "0.0.1") => "it does not record the signature",
        ("dsse", "0.0.2") => "no log uses it",
        _ => "expected hashedrekord 0.0.1 or 0.0.2, dsse 0.0.1 or intoto 0.0.2",
    };
    LogKind::of(&entry.kind, &entry.version).ok_or_else(|| refused(index, entry, reason))
}

/// Whether a log of Rekor v2 makes entries of this kind. Rekor v1 makes all the others.
pub(crate) fn is_v2(kind: LogKind) -> bool {
    kind == LogKind::HashedRekord002
}

pub(crate) fn kind_version(entry: &LogEntry) -> String {
    format!("{} {}", plain(&entry.kind), plain(&entry.version))
}

fn refused(index: usize, entry: &LogEntry, reason: &'static str) -> Check {
    Check::EntryKind { entry: index, found: kind_version(entry), reason }
}

/// Compares the body of `entry` with what was signed.
pub(crate) fn check(
    index: usize,
    entry: &LogEntry,
    kind: LogKind,
    signed: &Signed<'_>,
    scheme: Scheme,
    digest_entries: bool,
) -> Result<(), Check> {
    // The log never saw the envelope: a file that is an envelope's pre-authentication encoding,
    // signed as a file, has just such an entry, and its signature would count for the envelope.
    if kind == LogKind::HashedRekord001 && signed.envelope().is_some() && !digest_entries {
        return Err(refused(
            index,
            entry,
            "it records a file's signature, not an envelope's, and the policy accepts no attestation that is logged by its digest only",
        ));
    }
    let compared = Compared { index, signed };
    let body = LogBody::parse(&entry.canonicalized_body).map_err(|error| match error {
        bundle::Error::LogKind { kind: found, version } => compared.kind(entry, &found, &version),
        error => compared.malformed(host::with_causes(&error)),
    })?;
    let found = body.kind();
    if found != kind {
        return Err(compared.kind(entry, found.kind(), found.version()));
    }
    match body {
        LogBody::HashedRekord001(body) => compared.hashedrekord_0_0_1(&body),
        LogBody::HashedRekord002(body) => {
            compared.hashedrekord_0_0_2(&body, scheme)?;
            compared.rebuilt(&entry.canonicalized_body, scheme)
        }
        LogBody::Dsse001(body) => {
            compared.payload(&body.payload_hash)?;
            compared.signature(compared.only(&body.signatures)?)
        }
        LogBody::Intoto002(body) => {
            compared.payload(&body.payload_hash)?;
            let expected = signed.envelope().map_or("", |envelope| envelope.payload_type.as_str());
            if body.payload_type != expected {
                let found = quote(&body.payload_type);
                return Err(compared.differs("payload type", quote(expected), found));
            }
            compared.signature(&compared.only(&body.signatures)?.0)
        }
        _ => Err(refused(index, entry, "this version cannot check it")),
    }
}

struct Compared<'a> {
    index: usize,
    signed: &'a Signed<'a>,
}

impl Compared<'_> {
    /// The kind or the version in the body is not the one that the entry names.
    fn kind(&self, entry: &LogEntry, kind: &str, version: &str) -> Check {
        let (field, expected, found) = match entry.kind == kind {
            true => ("version", &entry.version, version),
            false => ("kind", &entry.kind, kind),
        };
        self.differs(field, quote(expected), quote(found))
    }

    fn hashedrekord_0_0_1(&self, body: &HashedRekord001) -> Result<(), Check> {
        let algorithm = &body.hash.algorithm;
        let algorithm = HashAlgorithm::from_name(algorithm).ok_or_else(|| {
            self.malformed(format!("unknown hash algorithm {}", plain(algorithm)))
        })?;
        self.content(&self.digest(&body.hash, algorithm)?)?;
        self.signature(&body.signature)
    }

    fn hashedrekord_0_0_2(&self, body: &HashedRekord002, scheme: Scheme) -> Result<(), Check> {
        let algorithm = HashAlgorithm::from_sigstore_name(&body.algorithm).ok_or_else(|| {
            self.malformed(format!("unknown hash algorithm {}", plain(&body.algorithm)))
        })?;
        let logged = Digest::new(algorithm, body.digest.clone())
            .map_err(|error| self.malformed(error.to_string()))?;
        self.content(&logged)?;
        self.raw_signature(&body.signature)?;
        if body.key_details != scheme.key_details() {
            let (expected, found) = (scheme.key_details().to_owned(), plain(&body.key_details));
            return Err(self.differs("key details", expected, found));
        }
        match &body.verifier {
            LoggedVerifier::Certificate(der) => self.certificate(der),
            LoggedVerifier::PublicKey(spki) => self.key(spki),
        }
    }

    /// The body must be the one that this bundle leads to, byte for byte: nothing may be added.
    fn rebuilt(&self, logged: &[u8], scheme: Scheme) -> Result<(), Check> {
        let digest = scheme.hash().and_then(|algorithm| self.signed.digest(algorithm));
        let Some(digest) = digest else {
            return Err(self.malformed(format!("{scheme} signs no digest")));
        };
        let verifier = match self.signed.certificate {
            Some(certificate) => LoggedVerifier::Certificate(certificate.der().to_vec()),
            None => LoggedVerifier::PublicKey(self.signed.key.spki().to_vec()),
        };
        let body = LogBody::HashedRekord002(HashedRekord002 {
            algorithm: digest.algorithm().sigstore_name().to_owned(),
            digest: digest.as_bytes().to_vec(),
            signature: self.signed.signature.to_vec(),
            key_details: scheme.key_details().to_owned(),
            verifier,
        });
        let body = body.to_json();
        if body.as_bytes() == logged {
            return Ok(());
        }
        Err(self.differs(
            "canonical form",
            digest_name(&Digest::sha256(body.as_bytes())),
            digest_name(&Digest::sha256(logged)),
        ))
    }

    fn content(&self, logged: &Digest) -> Result<(), Check> {
        match self.signed.digest(logged.algorithm()) {
            Some(digest) if digest == *logged => Ok(()),
            Some(digest) => Err(self.differs("digest", digest_name(&digest), digest_name(logged))),
            None => {
                Err(self.differs("digest", self.signed.artifact.describe(), digest_name(logged)))
            }
        }
    }

    fn payload(&self, hash: &LoggedHash) -> Result<(), Check> {
        let Some(envelope) = self.signed.envelope() else {
            let expected = "an entry for a file".to_owned();
            return Err(self.differs("kind", expected, "one for an envelope".to_owned()));
        };
        if hash.algorithm != "sha256" {
            let found = plain(&hash.algorithm);
            return Err(self.malformed(format!("the payload hash is {found}, expected sha256")));
        }
        let logged = self.digest(hash, HashAlgorithm::Sha256)?;
        let expected = Digest::of_pieces(HashAlgorithm::Sha256, envelope.payload.iter());
        if logged == expected {
            return Ok(());
        }
        Err(self.differs("payload hash", digest_name(&expected), digest_name(&logged)))
    }

    fn signature(&self, logged: &LoggedSignature) -> Result<(), Check> {
        self.raw_signature(&logged.signature)?;
        self.signer(&logged.verifier)
    }

    fn raw_signature(&self, logged: &[u8]) -> Result<(), Check> {
        if logged == self.signed.signature {
            return Ok(());
        }
        let shown = |signature: &[u8]| STANDARD.encode(signature.get(..96).unwrap_or(signature));
        Err(self.differs("signature", shown(self.signed.signature), shown(logged)))
    }

    /// Compares the signer with the PEM text of a certificate (the first of a chain) or public key.
    fn signer(&self, pem: &[u8]) -> Result<(), Check> {
        let text = std::str::from_utf8(pem)
            .map_err(|_| self.malformed("the verifier is not PEM".to_owned()))?;
        let is_key = text.contains("-----BEGIN PUBLIC KEY-----")
            || text.contains("-----BEGIN RSA PUBLIC KEY-----");
        if is_key {
            let key = PublicKey::from_pem(text).map_err(|e| self.malformed(e.to_string()))?;
            return self.key(key.spki());
        }
        let chain = Certificate::chain_from_pem(text).map_err(|e| self.malformed(e.to_string()))?;
        match chain.first() {
            Some(leaf) => self.certificate(leaf.der()),
            None => Err(self.malformed("the verifier is empty".to_owned())),
        }
    }

    fn certificate(&self, der: &[u8]) -> Result<(), Check> {
        let of = |der| format!("the certificate {}", digest_name(&Digest::sha256(der)));
        match self.signed.certificate {
            Some(certificate) if certificate.der() == der => Ok(()),
            Some(certificate) => Err(self.differs("signer", of(certificate.der()), of(der))),
            None => Err(self.differs("signer", A_KEY.to_owned(), A_CERTIFICATE.to_owned())),
        }
    }

    fn key(&self, spki: &[u8]) -> Result<(), Check> {
        let of = |spki| format!("the key {}", digest_name(&Digest::sha256(spki)));
        match self.signed.certificate {
            None if self.signed.key.spki() == spki => Ok(()),
            None => Err(self.differs("signer", of(self.signed.key.spki()), of(spki))),
            Some(_) => Err(self.differs("signer", A_CERTIFICATE.to_owned(), A_KEY.to_owned())),
        }
    }

    fn digest(&self, hash: &LoggedHash, algorithm: HashAlgorithm) -> Result<Digest, Check> {
        Digest::from_hex(algorithm, &hash.value).map_err(|error| self.malformed(error.to_string()))
    }

    fn only<'a, T>(&self, signatures: &'a [T]) -> Result<&'a T, Check> {
        match signatures {
            [signature] => Ok(signature),
            _ => Err(self
                .malformed(format!("expected exactly one signature, found {}", signatures.len()))),
        }
    }

    fn malformed(&self, reason: String) -> Check {
        Check::EntryMalformed { entry: self.index, reason }
    }

    fn differs(&self, field: &'static str, expected: String, found: String) -> Check {
        Check::EntryBody { entry: self.index, field, expected, found }
    }
}

const A_CERTIFICATE: &str = "a certificate";
const A_KEY: &str = "a public key";
