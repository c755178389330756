//! cosign's earlier formats, written: what a bundle holds as annotations of a layer, or as files.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::bytes::Bytes;
use bundle::{Content, LogEntry};
use host::Body;
use oci_push::{Digest, LegacyKind, Resolved};
use serde_json::{Value, json};
use signer::{ApiVersion, Error, FileHasher, Services, Session, Signed};
use x509::Certificate;

use crate::body::{body_of, digest_of};

/// The parts of a signature, each as cosign wrote it before there were bundles.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EarlierParts {
    /// The signature, in base64.
    pub signature: String,
    /// The certificate of the signer, in PEM; `None` for a key of one's own.
    pub certificate: Option<String>,
    /// The certificates that issued it, in PEM.
    pub chain: String,
    /// The log entry with its signed time, in JSON, where it is logged.
    pub logged: Option<Value>,
    /// The timestamp, in JSON, where there is one.
    pub timestamp: Option<Value>,
    /// The key, in PEM.
    key: String,
}

/// A signature that becomes a layer of the manifest under `sha256-<hex>.sig` or `.att`.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) kind: LegacyKind,
    pub(crate) digest: Digest,
    pub(crate) body: Body,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl EarlierParts {
    /// The parts of `signed`.
    ///
    /// # Errors
    /// [`Error::Unverifiable`]: it is logged in Rekor v2 only, whose entries these formats do not
    /// hold.
    pub fn of(signed: &Signed) -> Result<Self, Error> {
        let bundle = &signed.bundle;
        let dated = bundle.log_entries().iter().find_map(logged);
        if dated.is_none() && !bundle.log_entries().is_empty() {
            return Err(refused(ONLY_V1));
        }
        let stamp = |der: &Vec<u8>| json!({ "SignedRFC3161Timestamp": STANDARD.encode(der) });
        Ok(Self {
            signature: STANDARD.encode(bundle.signature()),
            certificate: verify::certificate(bundle).map(|leaf| leaf.to_pem()),
            chain: signed.issuers.iter().map(Certificate::to_pem).collect(),
            logged: dated,
            timestamp: bundle.timestamps().first().map(stamp),
            key: signed.key.to_pem(),
        })
    }

    /// The JSON that `cosign sign-blob --bundle` wrote.
    pub fn blob_bundle(&self) -> String {
        let signer = self.certificate.as_ref().unwrap_or(&self.key);
        let mut json = json!({
            "base64Signature": self.signature,
            "cert": STANDARD.encode(signer),
        });
        if let Some(logged) = &self.logged {
            json["rekorBundle"] = logged.clone();
        }
        json.to_string()
    }

    /// The annotations of a layer.
    fn annotations(self) -> BTreeMap<String, String> {
        let chain = self.certificate.as_ref().map(|_| self.chain);
        let parts = [
            (SIGNATURE, Some(self.signature)),
            (CERTIFICATE, self.certificate),
            (CHAIN, chain),
            (LOGGED, self.logged.map(|it| it.to_string())),
            (TIMESTAMP, self.timestamp.map(|it| it.to_string())),
        ];
        let given = parts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
        given.collect()
    }
}

/// Refuses services whose signatures these formats cannot hold, before anything is signed.
///
/// # Errors
/// [`Error::Unverifiable`].
pub fn check_earlier(services: &Services) -> Result<(), Error> {
    let is_v1 = |log: &signer::Log| log.version == ApiVersion::V1;
    if services.logs.iter().all(is_v1) { Ok(()) } else { Err(refused(ONLY_V1)) }
}

/// Signs that `image` is approved, with annotations.
pub(crate) async fn sign(
    image: &Resolved,
    annotations: &BTreeMap<String, String>,
    session: &Session,
) -> Result<(Signed, Layer), Error> {
    let optional = (!annotations.is_empty()).then_some(annotations);
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": image.repository().to_string() },
            "image": { "docker-manifest-digest": image.digest().to_string() },
            "type": "cosign container image signature",
        },
        "optional": optional,
    });
    let payload = payload.to_string().into_bytes();
    let mut hasher = FileHasher::for_key(session.algorithm());
    hasher.update(&payload);
    let signed = session.sign_file(&signer::danger::finish(hasher)).await?;
    let annotations = EarlierParts::of(&signed)?.annotations();
    let (kind, digest) = (LegacyKind::Signature, Digest::sha256(&payload));
    let body = Bytes::from(payload).into();
    Ok((signed, Layer { kind, digest, body, annotations }))
}

/// The layer with an attestation.
pub(crate) fn attestation(signed: &Signed, predicate_type: &str) -> Result<Layer, Error> {
    let Content::Envelope(envelope) = signed.bundle.content() else {
        return Err(refused("hold attestations in envelopes only"));
    };
    // The timestamp is over the signature, and in this format it is over the envelope.
    let parts = EarlierParts { timestamp: None, ..EarlierParts::of(signed)? };
    if parts.certificate.is_some() && parts.logged.is_none() {
        return Err(refused("date attestations by an entry of Rekor v1, and there is none"));
    }
    let mut annotations = parts.annotations();
    annotations.insert(SIGNATURE.to_owned(), String::new());
    annotations.insert("predicateType".to_owned(), predicate_type.to_owned());
    let text = envelope.json_text();
    let (kind, digest, body) = (LegacyKind::Attestation, digest_of(&text), body_of(&text));
    Ok(Layer { kind, digest, body, annotations })
}

/// An entry of Rekor v1, whose time the log signed.
fn logged(entry: &LogEntry) -> Option<Value> {
    let promise = entry.signed_entry_timestamp.as_ref()?;
    Some(json!({
        "SignedEntryTimestamp": STANDARD.encode(promise),
        "Payload": {
            "body": STANDARD.encode(&entry.canonicalized_body),
            "integratedTime": entry.integrated_time?,
            "logIndex": entry.log_index,
            "logID": base16ct::lower::encode_string(&entry.log_id),
        },
    }))
}

fn refused(reason: &str) -> Error {
    Error::Unverifiable { reason: format!("cosign's earlier formats {reason}") }
}

const ONLY_V1: &str = "hold no entries of Rekor v2: use a log of version 1, or none";

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const LOGGED: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keys::{KeyPair, Sign as _};
    use oci_push::{Options, Registry};
    use signer::Signer;
    use trust_root::{SigningConfig, TrustedRoot};
    use verify::{AcceptedSigner, Formats};

    use super::*;
    use crate::{AcceptedSigners, Attestation, Image, ImageSigner, ImageVerifier};

    #[test]
    fn a_signature_and_an_attestation_in_the_earlier_formats_verify() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let config = sandbox::Config::new(directory.path());
            let sandbox = sandbox::Sandbox::start(config).await.unwrap();
            let host = http_client::system_host();
            let base = format!("http://{}", sandbox.registry()).parse().unwrap();
            let pushed = sandbox::SampleImage::new("demo/app");
            pushed.push(&host.http, &base, "demo/app", "v1").await.unwrap();
            let image = Image::parse(&format!("{}/demo/app:v1", sandbox.registry())).unwrap();
            let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
            let root = TrustedRoot::from_json(&read(sandbox.trusted_root())).unwrap();
            let root = Arc::new(root);
            let registry = Registry::new(host.clone(), Options::default()).unwrap();
            let key = Arc::new(KeyPair::generate().unwrap());
            let session = |version| {
                let config = read(sandbox.signing_config(version));
                let config = SigningConfig::from_json(&config).unwrap();
                let services = Services::select_for_key(&config, host.clock.now()).unwrap();
                let (http, clock) = (Arc::clone(&host.http), Arc::clone(&host.clock));
                let signer = Signer::new(services, Arc::clone(&root), http, clock).unwrap();
                Session::with_key(signer, Arc::clone(&key))
            };

            let images = ImageSigner::new(registry.clone()).earlier_format(true);
            let claim = Attestation::predicate("https://x.test/p", b"{}".as_slice()).unwrap();
            let attestations = images.clone().with_attestation(claim);
            let target = images.locate(&image).await.unwrap().remove(0);
            let v2 = images.sign(&target, &session(sandbox::RekorVersion::V2)).await.unwrap_err();
            assert!(host::with_causes(&v2).contains("no entries of Rekor v2"), "{v2}");
            let session = session(sandbox::RekorVersion::V1);
            let annotated = [("env".to_owned(), "prod".to_owned())].into();
            let images = images.with_annotations(annotated).unwrap();
            for signer in [&images, &attestations] {
                let signed = signer.sign_and_attach(&target, &session).await.unwrap();
                assert_eq!(signed.attached.unwrap().how.as_str(), "earlier-tag");
            }

            let signers = AcceptedSigners::rule(AcceptedSigner::key(key.public_key().clone()));
            let signers = signers.adjust(|policy| policy.formats(Formats::Legacy));
            let stamped = signers.clone().adjust(verify::Policy::use_signed_timestamps);
            let verifier = |signers| {
                let (root, clock) = (Arc::clone(&root), Arc::clone(&host.clock));
                ImageVerifier::new(registry.clone(), root, clock, signers)
            };
            let verified = verifier(stamped).verify(&image).await.unwrap();
            assert_eq!(verified.signatures.len(), 1);
            let attested = verifier(signers).attestations("https://x.test/p");
            assert_eq!(attested.verify(&image).await.unwrap().signatures.len(), 1);
        });
    }
}
