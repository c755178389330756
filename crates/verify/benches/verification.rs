//! One keyless bundle, verified in process, beside the signature checks that any verifier of it
//! must make: the same keys, the same bytes, the same libraries, and nothing around them.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::expect_used, reason = "a benchmark without its data is none")]
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use ambisign_verify::{AcceptedSigner, Artifact, Policy, StringMatch, verify};
use bundle::{Bundle, Content, VerificationMaterial};
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::{Decode as _, Encode as _, Reader as _};
use divan::{Bencher, black_box};
use keys::{Payload, PublicKey};
use rustls_pki_types::SignatureVerificationAlgorithm;
use tlog::Checkpoint;
use trust_root::TrustedRoot;
use x509::{Certificate, precert_tbs, sct_signed_data};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [task, what, threads] = arguments.as_slice()
        && task == "rate"
    {
        return print_rate(what, threads.parse().expect("a number of threads"));
    }
    divan::main();
    for (name, case) in [("rekor_v1", &*V1), ("rekor_v2_with_timestamp", &*V2)] {
        let ratio = case.ratio();
        println!("{name}: {ratio:.2} times its signature checks");
        assert!(ratio <= LIMIT, "{name} takes more than {LIMIT} times its signature checks");
    }
}

/// How often per second: for another program, which measures several of them in turn.
fn print_rate(what: &str, threads: usize) {
    let run = || match what {
        "judge" => V1.judge(),
        _ => V1.signatures.iter().for_each(Signature::check),
    };
    run();
    let start = Instant::now();
    let count = || {
        let mut count = 0_u32;
        while start.elapsed() < Duration::from_millis(500) {
            run();
            count += 1;
        }
        f64::from(count) / start.elapsed().as_secs_f64()
    };
    let rate: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it ended")).sum()
    });
    println!("{rate}");
}

/// How much longer than the signature checks in it a verification may take.
const LIMIT: f64 = 1.3;

/// The whole judgement of a bundle with an entry of Rekor v1, whose promise vouches for the time.
#[divan::bench(threads = [1, 2])]
fn rekor_v1(bencher: Bencher<'_, '_>) {
    bencher.bench(|| V1.judge());
}

/// What `rekor_v1` must at least do.
#[divan::bench]
fn rekor_v1_signatures_alone(bencher: Bencher<'_, '_>) {
    bencher.bench(|| V1.signatures.iter().for_each(Signature::check));
}

/// The whole judgement of a bundle with an entry of Rekor v2 and a timestamp.
#[divan::bench(threads = [1, 2])]
fn rekor_v2_with_timestamp(bencher: Bencher<'_, '_>) {
    bencher.bench(|| V2.judge());
}

/// What `rekor_v2_with_timestamp` must at least do.
#[divan::bench]
fn rekor_v2_with_timestamp_signatures_alone(bencher: Bencher<'_, '_>) {
    bencher.bench(|| V2.signatures.iter().for_each(Signature::check));
}

static V1: LazyLock<Case> = LazyLock::new(|| {
    Case::new(
        include_bytes!("../../../tests/fixtures/captures/bundles-v1/blob-spiffe.sigstore.json"),
        include_bytes!("../../../tests/fixtures/captures/bundles-v1/trusted_root.json"),
        AcceptedSigner::identity(
            StringMatch::exact("spiffe://example.org/ns/ci/sa/builder"),
            StringMatch::exact("http://localhost:8888"),
        ),
    )
});

static V2: LazyLock<Case> = LazyLock::new(|| {
    Case::new(
        include_bytes!("../../../tests/fixtures/captures/bundles/blob-github.sigstore.json"),
        include_bytes!("../../../tests/fixtures/captures/bundles/trusted_root.json"),
        AcceptedSigner::identity(
            StringMatch::regexp("https://github\\.com/octo-org/.*").expect("a pattern"),
            StringMatch::exact("http://127.0.0.1:8890/githubci"),
        ),
    )
});

const ARTIFACT: &[u8] = include_bytes!("../../../tests/fixtures/captures/bundles/artifact.txt");

struct Case {
    bundle: Bundle,
    policy: Policy,
    root: TrustedRoot,
    signatures: Vec<Signature>,
}

impl Case {
    fn new(bundle: &[u8], root: &[u8], signer: AcceptedSigner) -> Self {
        let bundle = Bundle::from_json(bundle).expect("a bundle");
        let root = TrustedRoot::from_json(root).expect("its root");
        let signatures = signatures(&bundle, &root);
        Self { bundle, policy: Policy::file_signature(signer), root, signatures }
    }

    /// The quickest verification beside the quickest signature checks: what disturbs them makes
    /// them slower, never quicker.
    fn ratio(&self) -> f64 {
        let time = |run: &dyn Fn()| {
            let start = Instant::now();
            run();
            start.elapsed()
        };
        let rounds = (0..100).map(|_| {
            let checks = || self.signatures.iter().for_each(Signature::check);
            (time(&|| self.judge()), time(&checks))
        });
        let (whole, checks) = rounds.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1))).expect("rounds");
        whole.as_secs_f64() / checks.as_secs_f64()
    }

    fn judge(&self) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let artifact = Artifact::Message(black_box(ARTIFACT));
        let verified = verify(black_box(&self.bundle), &artifact, &self.policy, &self.root, now);
        black_box(verified.expect("it verifies"));
    }
}

/// One signature, with all that is needed to check it.
enum Signature {
    /// Of a certificate: path building verifies those by ring.
    Certificate {
        tbs: Vec<u8>,
        signature: Vec<u8>,
        issuer: Vec<u8>,
        algorithm: &'static dyn SignatureVerificationAlgorithm,
    },
    /// Of anything else.
    Other { message: Vec<u8>, signature: Vec<u8>, key: PublicKey },
}

impl Signature {
    fn check(&self) {
        match self {
            Self::Certificate { tbs, signature, issuer, algorithm } => {
                let verified = algorithm.verify_signature(issuer, black_box(tbs), signature);
                verified.expect("the certificate is its issuer's");
            }
            Self::Other { message, signature, key } => {
                let message = Payload::Message(black_box(message));
                let verified = key.verify(key.algorithm().default_scheme(), message, signature);
                verified.expect("the signature is the key's");
            }
        }
    }
}

/// Every signature that stands between the artifact and the trusted root.
fn signatures(bundle: &Bundle, root: &TrustedRoot) -> Vec<Signature> {
    let VerificationMaterial::Certificate(leaf) = bundle.material() else {
        unreachable!("a keyless bundle of v0.3")
    };
    let Content::Message { signature, .. } = bundle.content() else {
        unreachable!("a signature over a file")
    };
    let leaf = Certificate::from_der(leaf).expect("the leaf");
    let other = |message: Vec<u8>, signature: &[u8], key: &PublicKey| Signature::Other {
        message,
        signature: signature.to_vec(),
        key: key.clone(),
    };
    let mut found = vec![other(ARTIFACT.to_vec(), signature, leaf.public_key())];

    let authority = &root.certificate_authorities()[0];
    found.extend(chain(&leaf, &authority.chain));
    let sct = leaf.scts().expect("SCTs").swap_remove(0);
    let issuer = authority.chain[0].public_key().id();
    let tbs = precert_tbs(&leaf).expect("it has an SCT");
    let message = sct_signed_data(sct.timestamp, &sct.extensions, &issuer, &tbs).expect("short");
    found.push(other(message, &sct.signature, root.ctlogs()[0].key()));

    let entry = &bundle.log_entries()[0];
    let log = root.tlogs()[0].key();
    if let Some(promise) = &entry.signed_entry_timestamp {
        let body = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            &entry.canonicalized_body,
        );
        let id: String = entry.log_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let time = entry.integrated_time.expect("a time");
        let index = entry.log_index;
        let promised = format!(
            r#"{{"body":"{body}","integratedTime":{time},"logID":"{id}","logIndex":{index}}}"#
        );
        found.push(other(promised.into_bytes(), promise, log));
    }
    let proof = entry.inclusion_proof.as_ref().expect("a proof");
    let (checkpoint, note) = Checkpoint::parse(&proof.checkpoint).expect("a checkpoint");
    let signed = &note.signatures()[0].signature;
    found.push(other(checkpoint.to_text().into_bytes(), signed, log));

    for timestamp in bundle.timestamps() {
        let authority = &root.timestamp_authorities()[0].chain;
        let (leaf, above) = authority.split_first().expect("the authority's certificates");
        let response = x509_tsp::TimeStampResp::from_der(timestamp).expect("a timestamp");
        let token: ContentInfo = response.time_stamp_token.expect("a token");
        let data: SignedData = token.content.decode_as().expect("signed data");
        let signer = &data.signer_infos.0.as_slice()[0];
        let attributes = signer.signed_attrs.as_ref().expect("attributes").to_der();
        let message = attributes.expect("attributes");
        found.push(other(message, signer.signature.as_bytes(), leaf.public_key()));
        found.extend(chain(leaf, above));
    }
    found
}

/// The signatures from `leaf` up to the last of `above`, which is trusted itself.
fn chain(leaf: &Certificate, above: &[Certificate]) -> Vec<Signature> {
    let below = std::iter::once(leaf).chain(above);
    below
        .zip(above)
        .map(|(certificate, issuer)| {
            let issuer = last_bits(issuer.public_key().spki(), 1);
            let tbs = certificate.tbs().to_vec();
            let signature = last_bits(certificate.der(), 2);
            let algorithm = *webpki::ALL_VERIFICATION_ALGS
                .iter()
                .find(|one| one.verify_signature(&issuer, &tbs, &signature).is_ok())
                .expect("the certificate is its issuer's");
            Signature::Certificate { tbs, signature, issuer, algorithm }
        })
        .collect()
}

/// The BIT STRING in a SEQUENCE behind so many other elements: the key of a SubjectPublicKeyInfo,
/// the signature of a certificate.
fn last_bits(der: &[u8], before: usize) -> Vec<u8> {
    let mut reader = der::SliceReader::new(der).expect("DER");
    reader
        .sequence(|inner| {
            for _ in 0..before {
                inner.tlv_bytes()?;
            }
            der::asn1::BitString::decode(inner)
        })
        .map(|bits| bits.raw_bytes().to_vec())
        .expect("bits")
}
