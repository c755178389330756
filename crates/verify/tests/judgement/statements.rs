//! Statements and messages signed by a known key, without a log: what binds an artifact, and what
//! each kind of key signs.

use ambisign_verify::{
    AcceptedSigner, Artifact, Check, Error, Policy, Purpose, StringMatch, Verified, Warning,
    danger, hash_algorithm, verify,
};
use bundle::{
    Bundle, Content, Envelope, EnvelopeSignature, INTOTO_PAYLOAD_TYPE, MAX_SUBJECTS, MessageDigest,
    VerificationMaterial, pae,
};
use keys::{Digest, HashAlgorithm, KeyAlgorithm, KeyPair, Payload, Scheme, Sign};
use serde_json::{Value, json};
use trust_root::TrustedRoot;

use crate::now;

const FILE: &[u8] = b"the artifact";

fn empty_root() -> TrustedRoot {
    TrustedRoot::new(vec![], vec![], vec![], vec![]).unwrap()
}

const KIND: &str = "https://example.com/p";

fn signer(key: &KeyPair) -> AcceptedSigner {
    AcceptedSigner::key(key.public_key().clone())
}

/// For the signature of a file.
fn policy(key: &KeyPair) -> Policy {
    danger::ignore_tlog(Policy::file_signature(signer(key)))
}

/// For a statement about a file.
fn attestation(key: &KeyPair) -> Policy {
    danger::ignore_tlog(Policy::attestation(KIND, signer(key)))
}

fn bundle(content: Content, hint: Option<&str>) -> Bundle {
    let material = VerificationMaterial::PublicKey { hint: hint.map(str::to_owned) };
    Bundle::new(material, content, vec![], vec![]).unwrap()
}

fn envelope(key: &KeyPair, payload_type: &str, payload: &[u8]) -> Bundle {
    let sig = key.sign(Payload::Message(&pae(payload_type, payload))).unwrap();
    let signatures = vec![EnvelopeSignature { sig, keyid: None }];
    let payload_type = payload_type.to_owned();
    bundle(
        Content::Envelope(Envelope { payload: payload.to_vec().into(), payload_type, signatures }),
        None,
    )
}

fn statement(subjects: &Value) -> Vec<u8> {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": KIND,
        "predicate": {"x": 1},
    })
    .to_string()
    .into_bytes()
}

fn judge(key: &KeyPair, bundle: &Bundle) -> Result<Verified, Error> {
    let policy = match Purpose::claimed_by(bundle) {
        Ok(Purpose::FileSignature) => policy(key),
        _ => attestation(key),
    };
    verify(bundle, &Artifact::Message(FILE), &policy, &empty_root(), now())
}

fn check(judged: Result<Verified, Error>) -> Check {
    match judged {
        Err(Error::Refused(check)) => *check,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn about(digests: &[(&str, String)]) -> Value {
    let digests: serde_json::Map<String, Value> =
        digests.iter().map(|(name, hex)| ((*name).to_owned(), json!(hex))).collect();
    json!([{"name": "other", "digest": {"sha256": "00"}}, {"digest": digests}])
}

fn hex(algorithm: HashAlgorithm) -> String {
    Digest::of(algorithm, FILE).to_hex()
}

#[test]
fn a_statement_is_about_an_artifact_by_any_accepted_digest() {
    let key = KeyPair::generate().unwrap();
    for digests in [
        vec![("sha256", hex(HashAlgorithm::Sha256))],
        vec![("sha256", hex(HashAlgorithm::Sha256).to_uppercase())],
        vec![("sha512", hex(HashAlgorithm::Sha512))],
        vec![("sha384", hex(HashAlgorithm::Sha384)), ("gitCommit", "abc".into())],
    ] {
        let bundle = envelope(&key, INTOTO_PAYLOAD_TYPE, &statement(&about(&digests)));
        let verified = judge(&key, &bundle).unwrap();
        assert_eq!(verified.statement().unwrap().predicate_type(), KIND);
        assert!(verified.certificate().is_none() && verified.times().is_empty());
    }
    let sha512 = envelope(
        &key,
        INTOTO_PAYLOAD_TYPE,
        &statement(&json!([{"digest": {"sha512": hex(HashAlgorithm::Sha512)}}])),
    );
    assert_eq!(hash_algorithm(&sha512).unwrap(), HashAlgorithm::Sha512);
}

#[test]
fn nothing_else_binds_an_artifact() {
    let key = KeyPair::generate().unwrap();
    let sha256 = hex(HashAlgorithm::Sha256);
    for digests in [
        vec![],
        vec![("sha1", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12".to_owned())],
        vec![("SHA256", sha256.clone())],
        vec![("sha256", sha256[..62].to_owned())],
        vec![("sha512", sha256.clone())],
        vec![("sha256", Digest::sha256(b"another").to_hex())],
    ] {
        let bundle = envelope(&key, INTOTO_PAYLOAD_TYPE, &statement(&about(&digests)));
        let check = check(judge(&key, &bundle));
        assert!(matches!(check, Check::Subject { .. }), "{digests:?}: {check}");
    }
    let good = about(&[("sha256", sha256)]);
    for payload_type in ["application/json", "application/vnd.in-toto+json "] {
        let bundle = envelope(&key, payload_type, &statement(&good));
        assert!(matches!(check(judge(&key, &bundle)), Check::PayloadType { .. }), "{payload_type}");
    }
    let text = String::from_utf8(statement(&good)).unwrap();
    for payload in [
        statement(&json!([])),
        statement(&json!(vec![json!({}); MAX_SUBJECTS + 1])),
        text.replacen('{', "{\"predicateType\":\"x\",", 1).into_bytes(),
        text.replace("Statement/v1", "Statement/v2").into_bytes(),
        b"not JSON".to_vec(),
    ] {
        let bundle = envelope(&key, INTOTO_PAYLOAD_TYPE, &payload);
        assert!(matches!(check(judge(&key, &bundle)), Check::Statement(_)));
    }
}

#[test]
fn one_subject_must_carry_all_the_annotations() {
    let key = KeyPair::generate().unwrap();
    let sha256 = hex(HashAlgorithm::Sha256);
    let subject =
        |annotations: Value| json!({"digest": {"sha256": sha256}, "annotations": annotations});
    let policy = attestation(&key).annotation("a", "1").annotation("b", "2");
    let judge = |subjects: Value| {
        let bundle = envelope(&key, INTOTO_PAYLOAD_TYPE, &statement(&subjects));
        verify(&bundle, &Artifact::Message(FILE), &policy, &empty_root(), now())
    };
    let right =
        json!([{"digest": {"sha256": sha256}}, subject(json!({"a": "1", "b": "2", "c": "3"}))]);
    let verified = judge(right).unwrap();
    assert_eq!(verified.claims().annotations.len(), 3, "of the subject that has them all");
    for subjects in [
        json!([subject(json!({"a": "1"})), subject(json!({"b": "2"}))]),
        json!([subject(json!({"a": 1, "b": "2"}))]),
        json!([subject(json!({})), {"digest": {"sha256": "00"}, "annotations": {"a": "1", "b": "2"}}]),
    ] {
        assert!(matches!(check(judge(subjects)), Check::Annotation { .. }));
    }
}

fn hint(data: &[u8], algorithm: HashAlgorithm) -> Option<MessageDigest> {
    let digest = Digest::of(algorithm, data).as_bytes().to_vec();
    Some(MessageDigest { algorithm: algorithm.sigstore_name().to_owned(), digest })
}

fn message(key: &KeyPair) -> Bundle {
    let signature = key.sign(Payload::Message(FILE)).unwrap();
    let algorithm = key.scheme().hash().unwrap_or(HashAlgorithm::Sha512);
    bundle(Content::Message { digest: hint(FILE, algorithm), signature }, None)
}

#[test]
fn every_kind_of_key_verifies_messages_and_envelopes() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        judge(&key, &message(&key)).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        let subjects = about(&[("sha256", hex(HashAlgorithm::Sha256))]);
        let statement = envelope(&key, INTOTO_PAYLOAD_TYPE, &statement(&subjects));
        judge(&key, &statement).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        let other = KeyPair::generate_for(algorithm).unwrap();
        assert!(matches!(check(judge(&other, &message(&key))), Check::Signature(_)), "{algorithm}");
        assert!(matches!(check(judge(&other, &statement)), Check::Signature(_)), "{algorithm}");
    }
}

#[test]
fn a_digest_serves_where_the_signature_is_over_one() {
    let judge = |key: &KeyPair, algorithm| {
        let digest = Digest::of(algorithm, FILE);
        verify(&message(key), &Artifact::Digest(&digest), &policy(key), &empty_root(), now())
    };
    let p384 = KeyPair::generate_for(KeyAlgorithm::EcdsaP384).unwrap();
    judge(&p384, HashAlgorithm::Sha384).unwrap();
    let wrong = judge(&p384, HashAlgorithm::Sha512);
    assert!(
        matches!(&wrong, Err(Error::Artifact { expected, .. }) if expected == "sha384 or sha256"),
        "{wrong:?}"
    );
    let ed25519 = || KeyPair::generate_for(KeyAlgorithm::Ed25519).unwrap();
    let prehashed = ed25519().with_scheme(Scheme::Ed25519ph).unwrap();
    judge(&prehashed, HashAlgorithm::Sha512).unwrap();
    // Pure Ed25519 signs the whole message: no digest can stand for it, and nothing is said about
    // the signature.
    let pure = ed25519().with_scheme(Scheme::Ed25519).unwrap();
    for (algorithm, needed) in [
        (HashAlgorithm::Sha512, "the file itself"),
        (HashAlgorithm::Sha256, "sha512 or the file itself"),
    ] {
        let judged = judge(&pure, algorithm);
        assert!(
            matches!(&judged, Err(Error::Artifact { expected, .. }) if expected == needed),
            "{judged:?}"
        );
    }
    let right =
        verify(&message(&pure), &Artifact::Message(FILE), &policy(&pure), &empty_root(), now());
    right.unwrap();
}

#[test]
fn a_log_entry_is_demanded_of_a_key_too() {
    let key = KeyPair::generate().unwrap();
    let policy = Policy::file_signature(signer(&key));
    let judged = verify(&message(&key), &Artifact::Message(FILE), &policy, &empty_root(), now());
    assert!(matches!(check(judged), Check::NoLogEntry { .. }));
}

#[test]
fn a_key_has_no_identity_and_a_wrong_hint_is_only_odd() {
    let key = KeyPair::generate().unwrap();
    let signer = signer(&key).extension("1.3.6.1.4.1.57264.1.8", StringMatch::exact("x"));
    let with_extension = Policy::file_signature(signer);
    let judged =
        verify(&message(&key), &Artifact::Message(FILE), &with_extension, &empty_root(), now());
    assert!(matches!(check(judged), Check::Extension { found: None, .. }));
    let Content::Message { signature, .. } = message(&key).content().clone() else { panic!() };
    let content = Content::Message { digest: hint(FILE, HashAlgorithm::Sha256), signature };
    let hinted = bundle(content, Some("another"));
    let verified = judge(&key, &hinted).unwrap();
    assert!(matches!(verified.warnings(), [Warning::KeyHint { .. }]));
}

#[test]
fn the_digest_in_a_bundle_is_never_believed() {
    let key = KeyPair::generate().unwrap();
    let Content::Message { signature, .. } = message(&key).content().clone() else { panic!() };
    let judge_other = |hinted: &[u8]| {
        let digest = hint(hinted, HashAlgorithm::Sha256);
        let content = Content::Message { digest, signature: signature.clone() };
        let artifact = Artifact::Message(b"another");
        check(verify(&bundle(content, None), &artifact, &policy(&key), &empty_root(), now()))
    };
    assert!(matches!(judge_other(FILE), Check::ArtifactDigest { .. }));
    assert!(matches!(judge_other(b"another"), Check::Signature(_)));
}
