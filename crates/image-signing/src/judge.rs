//! Judging what is attached to an image, one candidate after the other.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bundle::{Bundle, Content, Envelope, Limits, SIGN_PREDICATE_TYPE};
use futures_util::future::join_all;
use host::Clock;
use host::bytes::Bytes;
use oci_push::{Found, LegacyKind};
use trust_root::TrustedRoot;
use verify::{Artifact, Error, LegacySignature, Policy, verify_legacy};

use crate::accepted::VerifiedSignature;
use crate::refusal::{Reason, Refusal};

/// By what the signatures of one image are judged.
#[derive(Clone)]
pub(crate) struct Judge {
    pub(crate) policy: Arc<Policy>,
    pub(crate) root: Arc<TrustedRoot>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The image's digest.
    pub(crate) image: keys::Digest,
}

/// Something that may be a signature.
#[derive(Clone)]
enum Candidate {
    Bundle { name: String, bytes: Bytes },
    Legacy(Box<oci_push::LegacySignature>),
}

impl Candidate {
    fn name(&self) -> String {
        match self {
            Self::Bundle { name, .. } => name.clone(),
            Self::Legacy(signature) => signature.digest.to_string(),
        }
    }

    /// About how many bytes it has.
    fn size(&self) -> usize {
        match self {
            Self::Bundle { bytes, .. } => bytes.len(),
            Self::Legacy(signature) => signature.bytes.len(),
        }
    }
}

/// Ends the work of the threads when nobody waits for it any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const MOST_THREADS: usize = 8;
/// What is kept while it is judged, in bytes.
const KEPT: usize = 1 << 20;

/// What became of everything that is attached to an image.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) accepted: Vec<VerifiedSignature>,
    pub(crate) refused: Vec<Refusal>,
    /// The predicate types of what has another purpose: it counts neither for nor against.
    pub(crate) others: Vec<String>,
}

impl Judge {
    /// Judges everything in `found`, beside the async runtime: one candidate of 32 MiB takes seconds
    /// on a slow machine, and whoever can write to the repository decides how many there are.
    /// Deadlines and signals act meanwhile.
    pub(crate) async fn all(&self, found: Found, judged: &mut Judged) {
        let bundles = found
            .bundles
            .into_iter()
            .map(|one| Candidate::Bundle { name: one.digest.to_string(), bytes: one.bytes });
        let legacy = found.legacy.into_iter().map(|one| Candidate::Legacy(Box::new(one)));
        self.candidates(bundles.chain(legacy).collect(), judged).await;
        for unusable in found.unusable {
            judged.refused.push(Refusal::new(unusable.what, Reason::Unusable(unusable.reason)));
        }
        for unreachable in found.unreachable {
            let reason = Reason::Unreachable(Box::new(unreachable.error));
            judged.refused.push(Refusal::new(unreachable.what, reason));
        }
    }

    /// Judges the bundle `name`, also beside the async runtime.
    pub(crate) async fn one(&self, name: &str, bundle: Bytes, judged: &mut Judged) {
        let candidate = Candidate::Bundle { name: name.to_owned(), bytes: bundle };
        self.candidates(vec![candidate], judged).await;
    }

    /// Judges on as many threads as there are cores, a part of the candidates each, and adds what
    /// they find to `judged` in the order of the candidates.
    async fn candidates(&self, mut candidates: Vec<Candidate>, judged: &mut Judged) {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let size = candidates.len().div_ceil(cores.min(MOST_THREADS)).max(1);
        let (mut parts, stop) = (Vec::new(), Stop::default());
        while !candidates.is_empty() {
            let rest = candidates.split_off(size.min(candidates.len()));
            parts.push(std::mem::replace(&mut candidates, rest));
        }
        let stop = &stop;
        let parts = parts.into_iter().map(|part| async move {
            let mut judged = Judged::default();
            // A large one is not held for another try: it is decoded where it is.
            let kept = |one: &Candidate| (one.size() <= KEPT).then(|| one.clone());
            let again: Vec<_> = part.iter().map(|one| (one.name(), kept(one))).collect();
            let Err(error) = self.beside(part, stop, &mut judged).await else { return judged };
            let error = Arc::new(error);
            // One that cannot be judged does not spoil the others.
            for (name, one) in again {
                let failure = match one {
                    Some(one) => self.beside(vec![one], stop, &mut judged).await.err(),
                    None => Some(io::Error::other(Arc::clone(&error))),
                };
                if let Some(failure) = failure {
                    // It may be acceptable: it was not judged.
                    let reason = Reason::Unreachable(Box::new(failure));
                    judged.refused.push(Refusal::new(name, reason));
                }
            }
            judged
        });
        join_all(parts).await.into_iter().for_each(|part| judged.add(part));
    }

    /// Judges `candidates` on a thread of their own.
    async fn beside(
        &self,
        candidates: Vec<Candidate>,
        stop: &Stop,
        judged: &mut Judged,
    ) -> io::Result<()> {
        let (judge, stopped) = (self.clone(), Arc::clone(&stop.0));
        let work = move || {
            let mut judged = Judged::default();
            for candidate in candidates {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                match candidate {
                    Candidate::Bundle { name, bytes } => judge.bundle(&name, bytes, &mut judged),
                    Candidate::Legacy(signature) => judge.legacy(&signature, &mut judged),
                }
            }
            judged
        };
        judged.add(host::off_thread(work).await?);
        Ok(())
    }

    fn bundle(&self, name: &str, bytes: Bytes, judged: &mut Judged) {
        let digest = keys::Digest::sha256(&bytes);
        let bundle = match Bundle::read(bytes, &Limits::large()) {
            Ok(bundle) => bundle,
            Err(error) => {
                let reason = Reason::Unreadable(Box::new(error));
                return judged.refused.push(Refusal::new(name, reason));
            }
        };
        let envelope = match bundle.content() {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        };
        if let Some(other) = envelope.and_then(|envelope| self.other_purpose(envelope)) {
            return judged.others.push(other);
        }
        let (artifact, now) = (Artifact::Digest(&self.image), self.clock.now());
        match verify::verify(&bundle, &artifact, &self.policy, &self.root, now) {
            Ok(verified) => judged.accepted.push(VerifiedSignature {
                verified,
                bundle_digest: Some(digest),
                envelope: envelope.cloned(),
            }),
            Err(error) => judged.refuse(name, error, verify::certificate(&bundle)),
        }
    }

    fn legacy(&self, signature: &oci_push::LegacySignature, judged: &mut Judged) {
        let name = match signature.kind {
            LegacyKind::Attestation => format!("{} (.att)", signature.digest),
            LegacyKind::Signature => format!("{} (.sig)", signature.digest),
        };
        let (payload, annotations) = (&signature.bytes, &signature.annotations);
        let read = match signature.kind {
            LegacyKind::Attestation => LegacySignature::attestation(payload, annotations),
            LegacyKind::Signature => LegacySignature::image_signature(payload, annotations),
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => return judged.refuse(&name, error, None),
        };
        let other = match (signature.kind, read.envelope()) {
            (LegacyKind::Signature, _) if self.purpose() == SIGN_PREDICATE_TYPE => None,
            (LegacyKind::Signature, _) => Some(SIGN_PREDICATE_TYPE.to_owned()),
            (LegacyKind::Attestation, envelope) => {
                envelope.and_then(|envelope| self.other_purpose(envelope))
            }
        };
        if let Some(other) = other {
            return judged.others.push(other);
        }
        let (artifact, now) = (Artifact::Digest(&self.image), self.clock.now());
        match verify_legacy(&read, &artifact, &self.policy, &self.root, now) {
            Ok(verified) => judged.accepted.push(VerifiedSignature {
                verified,
                bundle_digest: None,
                envelope: read.envelope().cloned(),
            }),
            Err(error) => judged.refuse(&name, error, read.certificate()),
        }
    }

    /// The predicate type that is looked for.
    fn purpose(&self) -> &str {
        self.policy.purpose().predicate_type().unwrap_or(SIGN_PREDICATE_TYPE)
    }

    /// The predicate type of a statement that has another than the one looked for.
    fn other_purpose(&self, envelope: &Envelope) -> Option<String> {
        let statement = envelope.statement().ok()?;
        let predicate_type = statement.predicate_type();
        (predicate_type != self.purpose()).then(|| predicate_type.to_owned())
    }
}

impl Judged {
    /// Whether the policy's rule is satisfied.
    pub(crate) fn is_enough(&self, policy: &Policy) -> bool {
        let verified = self.accepted.iter().map(|accepted| &accepted.verified);
        policy.rule().decide(verified).is_enough()
    }

    fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.refused.extend(other.refused);
        self.others.extend(other.others);
    }

    fn refuse(&mut self, name: &str, error: Error, certificate: Option<x509::Certificate>) {
        let refusal = Refusal::new(name, Reason::Refused(error));
        self.refused.push(Refusal { certificate: certificate.map(Box::new), ..refusal });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oci_push::{Options, Registry};
    use verify::{AcceptedSigner, StringMatch};

    use super::*;

    #[test]
    fn deadlines_act_while_a_large_candidate_is_judged() {
        const CANDIDATES: usize = 3;
        let bundle = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/captures/bundles/attest-blob-spiffe.sigstore.json"
        ));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (found, digest) = runtime.block_on(async {
            let config = sandbox::Config::new(directory.path());
            let sandbox = sandbox::Sandbox::start(config).await.unwrap();
            let image = format!("{}/demo/app:v1", sandbox.registry());
            let host = http_client::system_host();
            let base = format!("http://{}", sandbox.registry()).parse().unwrap();
            let pushed = sandbox::SampleImage::new("demo/app");
            pushed.push(&host.http, &base, "demo/app", "v1").await.unwrap();
            let registry = Registry::new(host, Options::default()).unwrap();
            let resolved = registry.resolve(&image.parse().unwrap()).await.unwrap();
            for number in 0..CANDIDATES {
                // As many different bundles: blanks at the end change nothing but the digest, and
                // reading them takes time.
                let bundle = bundle.trim_end().to_owned() + &" ".repeat((8 << 20) + number);
                let none = std::collections::BTreeMap::new();
                registry.attach(&resolved, bundle.as_bytes(), &none).await.unwrap();
            }
            let digest = crate::image::digest(&resolved).unwrap();
            (registry.find(&resolved).await.unwrap(), digest)
        });
        assert_eq!(found.bundles.len(), CANDIDATES);

        let exact = StringMatch::exact;
        let policy = Policy::attestation(
            "https://slsa.dev/provenance/v1",
            AcceptedSigner::identity(exact("me"), exact("https://issuer.example")),
        );
        let judge = Judge {
            policy: Arc::new(policy),
            root: Arc::new(TrustedRoot::public_good()),
            clock: Arc::new(http_client::SystemClock),
            image: digest,
        };
        let mut judged = Judged::default();
        let mut turns = 0_u32;
        runtime.block_on(async {
            let mut all = std::pin::pin!(judge.all(found, &mut judged));
            while tokio::time::timeout(Duration::from_millis(5), &mut all).await.is_err() {
                turns += 1;
            }
        });
        assert_eq!(judged.refused.len() + judged.others.len(), CANDIDATES);
        // On the runtime's thread there would be one for each candidate at most.
        assert!(turns > 5, "{turns} turns");
    }

    #[test]
    fn the_futures_of_the_crate_may_move_between_threads() {
        fn assert_send<T: Send>(_: &T) {}
        let host = host::Host::new(
            Arc::new(|_: http::Request<Bytes>| -> Result<_, _> {
                Err(host::TransportError::Unusable { url: String::new(), reason: String::new() })
            }),
            Arc::new([("", "")]),
            Arc::new(std::time::SystemTime::UNIX_EPOCH),
            Arc::new(host::NoPrograms),
        );
        let registry = Registry::new(host.clone(), Options::default()).unwrap();
        let signers = crate::AcceptedSigners::rule(verify::danger::any_identity());
        let root = Arc::new(TrustedRoot::public_good());
        let verifier = crate::ImageVerifier::new(registry.clone(), root, host.clock, signers);
        let image = crate::Image::parse("registry.example/app").unwrap();
        assert_send(&verifier.verify(&image));
        assert_send(&crate::ImageSigner::new(registry).locate(&image));
    }
}
