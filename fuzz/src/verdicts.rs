//! The judgement: whatever is done to a good bundle, it says what it said, or it is refused.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use bundle::{Bundle, Content, LogEntry, VerificationMaterial};
use trust_root::TrustedRoot;
use verify::{
    Artifact, LegacySignature, Policy, Purpose, Verified, danger, examine, hash_algorithm, verify,
    verify_legacy,
};

use super::read;

/// A whole bundle as JSON, an earlier one of cosign's, or how to change a recorded one: which, the
/// part, where, how many bytes are taken out (one byte each, two for the place), and what is put
/// there.
pub fn verdict(data: &[u8]) {
    if let Some(legacy) = read(LegacySignature::blob_bundle(data)) {
        let artifact = Artifact::Message(ARTIFACT);
        let policy = Policy::file_signature(danger::any_identity());
        for root in roots() {
            let judged = verify_legacy(&legacy, &artifact, &policy, root, now());
            if let Some(verified) = read(judged) {
                assert!(is_recorded(&verified), "{verified:?}");
            }
        }
    }
    if let Some(bundle) = read(Bundle::from_json(data)) {
        judge(&bundle);
    }
    if let [which, part, high, low, out, put @ ..] = data {
        let recorded = recorded();
        let good = &recorded[usize::from(*which) % recorded.len()];
        let at = usize::from(u16::from_be_bytes([*high, *low]));
        let splice = |bytes: &mut Vec<u8>| {
            let start = at.min(bytes.len());
            let end = (start + usize::from(*out)).min(bytes.len());
            bytes.splice(start..end, put.iter().copied());
        };
        if let Some(bundle) = changed(&good.bundle, *part, splice) {
            judge(&bundle);
        }
    }
}

/// What verifies is one of the recorded signatures, and nothing else.
fn judge(bundle: &Bundle) {
    read(hash_algorithm(bundle));
    for root in roots() {
        let policy = policy(bundle);
        let artifact = Artifact::Message(ARTIFACT);
        let Some(verified) = read(verify(bundle, &artifact, &policy, root, now())) else {
            continue;
        };
        assert!(is_recorded(&verified), "{verified:?}");
        let found = examine(bundle, &artifact, None, root);
        assert!(found.signature.holds() && found.log.holds() && found.times.holds());
        assert!(found.chain.holds() && found.sct.holds());
        let other = Artifact::Message(b"another artifact");
        assert!(verify(bundle, &other, &policy, root, now()).is_err());
        let written = Bundle::from_json(bundle.to_json().as_bytes()).expect("it is read back");
        assert!(verify(&written, &artifact, &policy, root, now()).is_ok());
    }
}

/// For any signer, and for whatever the bundle says that it is.
fn policy(bundle: &Bundle) -> Policy {
    Policy::new(
        read(Purpose::claimed_by(bundle)).unwrap_or(Purpose::FileSignature),
        danger::any_identity(),
    )
}

/// The bundle with one of its parts changed, if it still is a bundle.
fn changed(bundle: &Bundle, part: u8, change: impl Fn(&mut Vec<u8>)) -> Option<Bundle> {
    let mut material = bundle.material().clone();
    let mut content = bundle.content().clone();
    let mut entries: Vec<LogEntry> = bundle.log_entries().to_vec();
    let mut timestamps = bundle.timestamps().to_vec();
    let entry = entries.first_mut()?;
    match (part % 11, &mut content, &mut material) {
        (0, _, VerificationMaterial::Certificate(der)) => change(der),
        (1, Content::Message { signature, .. }, _) => change(signature),
        (1, Content::Envelope(envelope), _) => {
            let mut payload = envelope.payload.to_bytes().to_vec();
            change(&mut payload);
            envelope.payload = payload.into();
        }
        (2, Content::Envelope(envelope), _) => {
            change(&mut envelope.signatures.first_mut()?.sig);
        }
        (3, Content::Message { digest: Some(digest), .. }, _) => change(&mut digest.digest),
        (4, _, _) => change(timestamps.first_mut()?),
        (5, _, _) => change(&mut entry.canonicalized_body),
        (6, _, _) => change(&mut entry.log_id),
        (7, _, _) => change(entry.signed_entry_timestamp.as_mut()?),
        (8, _, _) => change(entry.inclusion_proof.as_mut()?.hashes.first_mut()?),
        (9, _, _) => change(&mut entry.inclusion_proof.as_mut()?.root_hash),
        (10, _, _) => {
            let checkpoint = &mut entry.inclusion_proof.as_mut()?.checkpoint;
            let mut bytes = std::mem::take(checkpoint).into_bytes();
            change(&mut bytes);
            *checkpoint = String::from_utf8(bytes).ok()?;
        }
        _ => return None,
    }
    Bundle::new(material, content, entries, timestamps).ok()
}

/// A signature that verifies, with what that says.
struct Recorded {
    bundle: Bundle,
    verified: Verified,
}

/// That artifact, signer, log and time are those of one of the recorded signatures.
fn is_recorded(found: &Verified) -> bool {
    let entries = |verified: &Verified| -> Vec<Option<u64>> {
        verified.log_entries().iter().map(|entry| entry.log_index).collect()
    };
    let times = |verified: &Verified| -> Vec<SystemTime> {
        verified.times().iter().map(|time| time.time).collect()
    };
    recorded().iter().map(|good| &good.verified).any(|good| {
        found.digest() == good.digest()
            && found.certificate() == good.certificate()
            && entries(found) == entries(good)
            && times(found) == times(good)
    })
}

/// Of Rekor v1 and of v2.
fn roots() -> &'static [TrustedRoot; 2] {
    static ROOTS: OnceLock<[TrustedRoot; 2]> = OnceLock::new();
    ROOTS.get_or_init(|| {
        [ROOT_V1, ROOT_V2].map(|json| TrustedRoot::from_json(json).expect("a recorded root"))
    })
}

fn recorded() -> &'static [Recorded] {
    static RECORDED: OnceLock<Vec<Recorded>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let [v1, v2] = roots();
        let good = |(json, root): (&[u8], &TrustedRoot)| {
            let bundle = Bundle::from_json(json).expect("a recorded bundle");
            let artifact = Artifact::Message(ARTIFACT);
            let verified = verify(&bundle, &artifact, &policy(&bundle), root, now());
            Recorded { bundle, verified: verified.expect("a recorded bundle verifies") }
        };
        [(V1, v1), (EMAIL, v2), (GITHUB, v2), (SPIFFE, v2), (ATTESTATION, v2)]
            .map(good)
            .into_iter()
            .collect()
    })
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

const ARTIFACT: &[u8] = include_bytes!("../../tests/fixtures/captures/bundles/artifact.txt");
const EMAIL: &[u8] =
    include_bytes!("../../tests/fixtures/captures/bundles/blob-email.sigstore.json");
const ROOT_V1: &[u8] = include_bytes!("../../tests/fixtures/captures/bundles-v1/trusted_root.json");
const ROOT_V2: &[u8] = include_bytes!("../../tests/fixtures/captures/bundles/trusted_root.json");
const SPIFFE: &[u8] =
    include_bytes!("../../tests/fixtures/captures/bundles/blob-spiffe.sigstore.json");
const V1: &[u8] =
    include_bytes!("../../tests/fixtures/captures/bundles-v1/blob-spiffe.sigstore.json");
const ATTESTATION: &[u8] =
    include_bytes!("../../tests/fixtures/captures/bundles/attest-blob-spiffe.sigstore.json");
const GITHUB: &[u8] =
    include_bytes!("../../tests/fixtures/captures/bundles/blob-github.sigstore.json");
