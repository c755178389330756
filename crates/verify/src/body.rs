//! Binding what was logged to what is in the bundle.
//!
//! A proof only says that *some* body is in the log. Unless that body is about this very signature,
//! key and content, an entry of anybody's could be put beside any signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::LogEntry;
use bundle::proto_json::{Message, decode_base64};
use keys::{Digest, HashAlgorithm, PublicKey, Scheme};
use x509::Certificate;

use crate::check::Check;
use crate::signature::Signed;
use crate::text::{digest_name, plain};

/// The kinds of entry that can be checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Dsse001,
    HashedRekord001,
    HashedRekord002,
    Intoto002,
}

impl Kind {
    pub(crate) fn of(index: usize, entry: &LogEntry) -> Result<Self, Check> {
        let reason = match (entry.kind.as_str(), entry.version.as_str()) {
            ("dsse", "0.0.1") => return Ok(Self::Dsse001),
            ("hashedrekord", "0.0.1") => return Ok(Self::HashedRekord001),
            ("hashedrekord", "0.0.2") => return Ok(Self::HashedRekord002),
            ("intoto", "0.0.2") => return Ok(Self::Intoto002),
            ("intoto", "0.0.1") => "it does not record the signature it is about",
            ("dsse", "0.0.2") => "Rekor v2 dropped this kind before it was in use",
            _ => "expected hashedrekord 0.0.1 or 0.0.2, dsse 0.0.1 or intoto 0.0.2",
        };
        Err(Check::EntryKind { entry: index, found: kind_version(entry), reason })
    }

    /// Rekor v2 knows no other kind, and Rekor v1 does not know this one.
    pub(crate) fn is_v2(self) -> bool {
        self == Self::HashedRekord002
    }
}

pub(crate) fn kind_version(entry: &LogEntry) -> String {
    format!("{} {}", plain(&entry.kind), plain(&entry.version))
}

/// Compares the body of `entry` with what was signed.
pub(crate) fn check(
    index: usize,
    entry: &LogEntry,
    kind: Kind,
    signed: &Signed<'_>,
    scheme: Scheme,
) -> Result<(), Check> {
    let body = Body { index, signed };
    let mut message = body.read(Message::parse(&entry.canonicalized_body, BODY_CAP))?;
    for (field, name, outside) in
        [("kind", "kind", &entry.kind), ("version", "apiVersion", &entry.version)]
    {
        let inside = body.read(message.string(name))?.unwrap_or_default();
        if inside != *outside {
            let found = format!("{:?}", plain(&inside));
            return Err(body.differs(field, format!("{outside:?}"), found));
        }
    }
    let spec = body.message(&mut message, "spec")?;
    match kind {
        Kind::HashedRekord001 => body.hashedrekord_0_0_1(spec),
        Kind::HashedRekord002 => {
            body.hashedrekord_0_0_2(spec, scheme)?;
            body.rebuilt(&entry.canonicalized_body, scheme)
        }
        Kind::Dsse001 => body.dsse_0_0_1(spec),
        Kind::Intoto002 => body.intoto_0_0_2(spec),
    }
}

struct Body<'a> {
    index: usize,
    signed: &'a Signed<'a>,
}

impl Body<'_> {
    fn hashedrekord_0_0_1(&self, mut spec: Message<'_>) -> Result<(), Check> {
        let mut data = self.message(&mut spec, "data")?;
        let mut hash = self.message(&mut data, "hash")?;
        let algorithm = self.read(hash.string("algorithm"))?.unwrap_or_default();
        let algorithm = HashAlgorithm::from_name(&algorithm).ok_or_else(|| {
            self.malformed(format!("unknown hash algorithm {}", plain(&algorithm)))
        })?;
        let logged = self.hex_digest(&mut hash, algorithm)?;
        self.same_content(&logged)?;
        let mut signature = self.message(&mut spec, "signature")?;
        let content = self.read(signature.bytes("content"))?.unwrap_or_default();
        self.same_signature(&content)?;
        let mut key = self.message(&mut signature, "publicKey")?;
        let pem = self.read(key.bytes("content"))?.unwrap_or_default();
        self.same_signer_pem(&pem)
    }

    fn hashedrekord_0_0_2(&self, mut spec: Message<'_>, scheme: Scheme) -> Result<(), Check> {
        let mut record = self.message(&mut spec, "hashedRekordV002")?;
        let mut data = self.message(&mut record, "data")?;
        let algorithm = self.read(data.string("algorithm"))?.unwrap_or_default();
        let algorithm = HashAlgorithm::from_sigstore_name(&algorithm).ok_or_else(|| {
            self.malformed(format!("unknown hash algorithm {}", plain(&algorithm)))
        })?;
        let digest = self.read(data.bytes("digest"))?.unwrap_or_default();
        let logged =
            Digest::new(algorithm, digest).map_err(|error| self.malformed(error.to_string()))?;
        self.same_content(&logged)?;
        let mut signature = self.message(&mut record, "signature")?;
        let content = self.read(signature.bytes("content"))?.unwrap_or_default();
        self.same_signature(&content)?;
        let mut verifier = self.message(&mut signature, "verifier")?;
        let details = self.read(verifier.string("keyDetails"))?.unwrap_or_default();
        if details != scheme.key_details() {
            let found = plain(&details);
            return Err(self.differs("key details", scheme.key_details().to_owned(), found));
        }
        let mut raw = |name| -> Result<Option<Vec<u8>>, Check> {
            let Some(mut message) = self.read(verifier.message(name))? else { return Ok(None) };
            Ok(Some(self.read(message.bytes("rawBytes"))?.unwrap_or_default()))
        };
        match (raw("x509Certificate")?, raw("publicKey")?) {
            (Some(der), None) => self.same_certificate(&der),
            (None, Some(spki)) => self.same_key(&spki),
            _ => Err(self.malformed("not exactly one of x509Certificate and publicKey".to_owned())),
        }
    }

    /// The leaf of the log must be the one entry that this bundle can have made, byte for byte:
    /// nothing may ride along in the body.
    fn rebuilt(&self, logged: &[u8], scheme: Scheme) -> Result<(), Check> {
        let digest = scheme.hash().and_then(|algorithm| self.signed.digest(algorithm));
        let Some(digest) = digest else {
            return Err(self.malformed(format!("{scheme} signs no digest")));
        };
        let (field, raw) = match self.signed.certificate {
            Some(certificate) => ("x509Certificate", certificate.der()),
            None => ("publicKey", self.signed.key.spki()),
        };
        // Keys sorted, no white space, nothing to escape: the canonical form (RFC 8785).
        let body = format!(
            concat!(
                r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"#,
                r#""data":{{"algorithm":"{}","digest":"{}"}},"signature":{{"content":"{}","#,
                r#""verifier":{{"keyDetails":"{}","{}":{{"rawBytes":"{}"}}}}}}}}}}}}"#,
            ),
            digest.algorithm().sigstore_name(),
            STANDARD.encode(digest.as_bytes()),
            STANDARD.encode(self.signed.signature),
            scheme.key_details(),
            field,
            STANDARD.encode(raw),
        );
        if body.as_bytes() == logged {
            return Ok(());
        }
        Err(self.differs(
            "canonical form",
            digest_name(&Digest::sha256(body.as_bytes())),
            digest_name(&Digest::sha256(logged)),
        ))
    }

    fn dsse_0_0_1(&self, mut spec: Message<'_>) -> Result<(), Check> {
        let mut hash = self.message(&mut spec, "payloadHash")?;
        self.same_payload(&mut hash)?;
        let mut signature = self.only(self.read(spec.messages("signatures"))?)?;
        let sig = self.read(signature.bytes("signature"))?.unwrap_or_default();
        self.same_signature(&sig)?;
        let pem = self.read(signature.bytes("verifier"))?.unwrap_or_default();
        self.same_signer_pem(&pem)
    }

    fn intoto_0_0_2(&self, mut spec: Message<'_>) -> Result<(), Check> {
        let mut content = self.message(&mut spec, "content")?;
        let mut hash = self.message(&mut content, "payloadHash")?;
        self.same_payload(&mut hash)?;
        let mut envelope = self.message(&mut content, "envelope")?;
        let payload_type = self.read(envelope.string("payloadType"))?.unwrap_or_default();
        let expected = self.signed.envelope().map_or("", |e| e.payload_type.as_str());
        if payload_type != expected {
            return Err(self.differs(
                "payload type",
                format!("{:?}", plain(expected)),
                format!("{:?}", plain(&payload_type)),
            ));
        }
        let mut signature = self.only(self.read(envelope.messages("signatures"))?)?;
        // What is encoded here is already base64 text.
        let text = self.read(signature.bytes("sig"))?.unwrap_or_default();
        let sig = std::str::from_utf8(&text)
            .ok()
            .and_then(decode_base64)
            .ok_or_else(|| self.malformed("the signature is not base64 of base64".to_owned()))?;
        self.same_signature(&sig)?;
        let pem = self.read(signature.bytes("publicKey"))?.unwrap_or_default();
        self.same_signer_pem(&pem)
    }

    fn same_content(&self, logged: &Digest) -> Result<(), Check> {
        match self.signed.digest(logged.algorithm()) {
            Some(digest) if digest == *logged => Ok(()),
            Some(digest) => Err(self.differs("digest", digest_name(&digest), digest_name(logged))),
            None => {
                Err(self.differs("digest", self.signed.artifact.describe(), digest_name(logged)))
            }
        }
    }

    fn same_payload(&self, hash: &mut Message<'_>) -> Result<(), Check> {
        let Some(envelope) = self.signed.envelope() else {
            return Err(self.differs(
                "kind",
                "an entry about a signed artifact".to_owned(),
                "one about an envelope".to_owned(),
            ));
        };
        let algorithm = self.read(hash.string("algorithm"))?.unwrap_or_default();
        if algorithm != "sha256" {
            return Err(self.malformed(format!(
                "the payload hash is by {}, expected sha256",
                plain(&algorithm)
            )));
        }
        let logged = self.hex_digest(hash, HashAlgorithm::Sha256)?;
        let expected = Digest::sha256(&envelope.payload);
        if logged == expected {
            return Ok(());
        }
        Err(self.differs("payload hash", digest_name(&expected), digest_name(&logged)))
    }

    fn same_signature(&self, logged: &[u8]) -> Result<(), Check> {
        if logged == self.signed.signature {
            return Ok(());
        }
        let (expected, found) = (STANDARD.encode(self.signed.signature), STANDARD.encode(logged));
        Err(self.differs("signature", plain(&expected), plain(&found)))
    }

    /// The PEM text of a certificate (the first, of a chain) or a public key.
    fn same_signer_pem(&self, pem: &[u8]) -> Result<(), Check> {
        let text = std::str::from_utf8(pem)
            .map_err(|_| self.malformed("the verifier is not PEM".to_owned()))?;
        let is_key = text.contains("-----BEGIN PUBLIC KEY-----")
            || text.contains("-----BEGIN RSA PUBLIC KEY-----");
        if is_key {
            let key = PublicKey::from_pem(text).map_err(|e| self.malformed(e.to_string()))?;
            return self.same_key(key.spki());
        }
        let chain = Certificate::chain_from_pem(text).map_err(|e| self.malformed(e.to_string()))?;
        match chain.first() {
            Some(leaf) => self.same_certificate(leaf.der()),
            None => Err(self.malformed("the verifier is empty".to_owned())),
        }
    }

    fn same_certificate(&self, der: &[u8]) -> Result<(), Check> {
        match self.signed.certificate {
            Some(certificate) if certificate.der() == der => Ok(()),
            Some(certificate) => {
                let of = |der| format!("the certificate {}", digest_name(&Digest::sha256(der)));
                Err(self.differs("signer", of(certificate.der()), of(der)))
            }
            None => Err(self.differs("signer", A_KEY.to_owned(), A_CERTIFICATE.to_owned())),
        }
    }

    fn same_key(&self, spki: &[u8]) -> Result<(), Check> {
        match self.signed.certificate {
            None if self.signed.key.spki() == spki => Ok(()),
            None => {
                let of = |spki| format!("the key {}", digest_name(&Digest::sha256(spki)));
                Err(self.differs("signer", of(self.signed.key.spki()), of(spki)))
            }
            Some(_) => Err(self.differs("signer", A_CERTIFICATE.to_owned(), A_KEY.to_owned())),
        }
    }

    fn hex_digest(
        &self,
        hash: &mut Message<'_>,
        algorithm: HashAlgorithm,
    ) -> Result<Digest, Check> {
        let value = self.read(hash.string("value"))?.unwrap_or_default();
        Digest::from_hex(algorithm, &value).map_err(|error| self.malformed(error.to_string()))
    }

    fn message<'a>(&self, message: &mut Message<'a>, name: &str) -> Result<Message<'a>, Check> {
        let path = message.path_of(name);
        self.read(message.message(name))?
            .ok_or_else(|| self.malformed(format!("{path} is missing")))
    }

    fn only<'a>(&self, mut messages: Vec<Message<'a>>) -> Result<Message<'a>, Check> {
        match (messages.pop(), messages.len()) {
            (Some(message), 0) => Ok(message),
            (last, others) => Err(self.malformed(format!(
                "expected exactly one signature, found {}",
                others + usize::from(last.is_some())
            ))),
        }
    }

    fn read<T>(&self, read: Result<T, bundle::Error>) -> Result<T, Check> {
        read.map_err(|error| self.malformed(with_cause(&error)))
    }

    fn malformed(&self, reason: String) -> Check {
        Check::EntryMalformed { entry: self.index, reason }
    }

    fn differs(&self, field: &'static str, expected: String, found: String) -> Check {
        Check::EntryBody { entry: self.index, field, expected, found }
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

const A_CERTIFICATE: &str = "a certificate";
const A_KEY: &str = "a public key";
const BODY_CAP: usize = 32 << 20;
