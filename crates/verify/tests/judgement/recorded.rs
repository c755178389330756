//! What the real Rekor v1 and v2 answered, put into bundles with what they were asked: every kind
//! of entry, of certificates and of keys.

use ambisign_verify::{
    AcceptedSigner, Artifact, Check, Error, Policy, Purpose, Verified, danger, verify,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{
    Bundle, Content, Envelope, EnvelopeSignature, LogEntry, LogProof, MessageDigest,
    VerificationMaterial,
};
use keys::{Digest, HashAlgorithm, PublicKey};
use serde_json::Value;
use x509::Certificate;

use crate::{CAPTURES, GITHUB, REKOR_V1, now};

fn answers(log: &str) -> Vec<Value> {
    let json = std::fs::read(format!("{CAPTURES}{log}/answers.json")).unwrap();
    let answers: Vec<Value> = serde_json::from_slice(&json).unwrap();
    answers.into_iter().filter(|answer| answer["status"] == 201).collect()
}

fn case(log: &str, name: &str) -> Value {
    answers(log).into_iter().find(|answer| answer["case"] == name).expect(name)
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The signer in base64 of PEM, as material and as the acceptable signer.
fn signer(pem: &Value) -> (VerificationMaterial, AcceptedSigner) {
    let pem = String::from_utf8(decoded(pem)).unwrap();
    if pem.contains("PUBLIC KEY") {
        let signer = AcceptedSigner::key(PublicKey::from_pem(&pem).unwrap());
        return (VerificationMaterial::PublicKey { hint: None }, signer);
    }
    let certificate = Certificate::from_pem(&pem).unwrap();
    (VerificationMaterial::Certificate(certificate.der().to_vec()), danger::any_identity())
}

fn v1_entry(answer: &Value) -> LogEntry {
    let entry = answer["body"].as_object().unwrap().values().next().unwrap();
    let proof = &entry["verification"]["inclusionProof"];
    let body = decoded(&entry["body"]);
    let inside: Value = serde_json::from_slice(&body).unwrap();
    LogEntry {
        log_index: entry["logIndex"].as_u64().unwrap(),
        log_id: unhex(&entry["logID"]),
        kind: inside["kind"].as_str().unwrap().into(),
        version: inside["apiVersion"].as_str().unwrap().into(),
        integrated_time: entry["integratedTime"].as_u64(),
        signed_entry_timestamp: Some(decoded(&entry["verification"]["signedEntryTimestamp"])),
        inclusion_proof: Some(LogProof {
            log_index: proof["logIndex"].as_u64().unwrap(),
            root_hash: unhex(&proof["rootHash"]),
            tree_size: proof["treeSize"].as_u64().unwrap(),
            hashes: proof["hashes"].as_array().unwrap().iter().map(unhex).collect(),
            checkpoint: proof["checkpoint"].as_str().unwrap().into(),
        }),
        canonicalized_body: body,
    }
}

fn judge_v1(
    answer: &Value,
    signer: (VerificationMaterial, AcceptedSigner),
    content: Content,
    artifact: &Digest,
) -> Result<Verified, Error> {
    let (material, signer) = signer;
    let bundle = Bundle::new(material, content, vec![v1_entry(answer)], vec![]).unwrap();
    let policy = Policy::new(Purpose::claimed_by(&bundle).unwrap(), signer);
    verify(&bundle, &Artifact::Digest(artifact), &policy, REKOR_V1.root(), now())
}

fn envelope(value: &Value, doubled: bool) -> Envelope {
    let bytes = |value: &Value| {
        let once = decoded(value);
        if doubled { STANDARD.decode(once).unwrap() } else { once }
    };
    Envelope {
        payload: bytes(&value["payload"]).into(),
        payload_type: value["payloadType"].as_str().unwrap().into(),
        signatures: vec![EnvelopeSignature {
            sig: bytes(&value["signatures"][0]["sig"]),
            keyid: None,
        }],
    }
}

fn message(digest: &Digest, signature: &Value) -> Content {
    let digest = MessageDigest {
        algorithm: digest.algorithm().sigstore_name().to_owned(),
        digest: digest.as_bytes().to_vec(),
    };
    Content::Message { digest: Some(digest), signature: decoded(signature) }
}

#[test]
fn every_hashedrekord_of_rekor_v1_verifies() {
    let mut tried = 0;
    for answer in answers("rekor-v1") {
        if answer["request"]["kind"] != "hashedrekord" {
            continue;
        }
        let spec = &answer["request"]["spec"];
        let hash = &spec["data"]["hash"];
        let algorithm = HashAlgorithm::from_name(hash["algorithm"].as_str().unwrap()).unwrap();
        let digest = Digest::from_hex(algorithm, hash["value"].as_str().unwrap()).unwrap();
        let content = |digest: &Digest| message(digest, &spec["signature"]["content"]);
        let signer = || signer(&spec["signature"]["publicKey"]["content"]);
        let verified = judge_v1(&answer, signer(), content(&digest), &digest).expect("verifies");
        assert_eq!(verified.times().len(), 1);
        assert_eq!(verified.digest(), &digest);
        // The same entry beside another artifact.
        let other = Digest::of(algorithm, b"another");
        let refused = judge_v1(&answer, signer(), content(&other), &other);
        assert!(
            matches!(refused, Err(Error::Refused(check)) if matches!(*check, Check::Signature(_)))
        );
        tried += 1;
    }
    assert_eq!(tried, 4);
}

#[test]
fn the_attestation_entries_of_rekor_v1_verify() {
    let digest = Digest::from_hex(HashAlgorithm::Sha256, &"aa".repeat(32)).unwrap();
    let dsse = case("rekor-v1", "dsse");
    let proposed = &dsse["request"]["spec"]["proposedContent"];
    let value: Value = serde_json::from_str(proposed["envelope"].as_str().unwrap()).unwrap();
    let content = Content::Envelope(envelope(&value, false));
    judge_v1(&dsse, signer(&proposed["verifiers"][0]), content, &digest).unwrap();

    let intoto = case("rekor-v1", "intoto 0.0.2");
    let value = &intoto["request"]["spec"]["content"]["envelope"];
    let content = Content::Envelope(envelope(value, true));
    let pem = &value["signatures"][0]["publicKey"];
    let verified = judge_v1(&intoto, signer(pem), content.clone(), &digest).unwrap();
    assert_eq!(verified.statement().unwrap().subjects()[0].name.as_deref(), Some("x"));

    // Each beside the other's entry: one statement, two signatures.
    let crossed = judge_v1(&dsse, signer(pem), content, &digest);
    let Err(Error::Refused(check)) = crossed else { panic!("{crossed:?}") };
    assert!(matches!(*check, Check::EntryBody { field: "signature", .. }), "{check}");
}

#[test]
fn the_entries_of_rekor_v2_verify_for_keys_and_prove_no_time_for_certificates() {
    let mut keys = 0;
    for answer in answers("rekor-v2") {
        let request: Value = serde_json::from_str(answer["request"].as_str().unwrap()).unwrap();
        let record = &request["hashedRekordRequestV002"];
        let entry = answer["body"].to_string();
        let verifier = &record["signature"]["verifier"];
        let (Ok(entry), Some(details)) =
            (LogEntry::from_json(entry.as_bytes()), verifier["keyDetails"].as_str())
        else {
            continue;
        };
        if answer["case"].as_str().unwrap().starts_with("DSSE") {
            continue;
        }
        let algorithm = keys::Scheme::from_key_details(details).unwrap().hash().unwrap();
        let digest = Digest::new(algorithm, decoded(&record["digest"])).unwrap();
        let content = message(&digest, &record["signature"]["content"]);
        let (material, signer) = match &verifier["publicKey"] {
            Value::Null => (
                VerificationMaterial::Certificate(decoded(
                    &verifier["x509Certificate"]["rawBytes"],
                )),
                danger::any_identity(),
            ),
            key => (
                VerificationMaterial::PublicKey { hint: None },
                AcceptedSigner::key(PublicKey::from_spki(&decoded(&key["rawBytes"])).unwrap()),
            ),
        };
        let policy = Policy::file_signature(signer);
        let by_key = matches!(material, VerificationMaterial::PublicKey { .. });
        let bundle = Bundle::new(material, content, vec![entry], vec![]).unwrap();
        let artifact = Artifact::Digest(&digest);
        let judged = verify(&bundle, &artifact, &policy, GITHUB.root(), now());
        if by_key {
            let verified = judged.unwrap_or_else(|e| panic!("{}: {e}", answer["case"]));
            assert!(verified.times().is_empty());
            keys += 1;
        } else {
            let Err(Error::Refused(check)) = judged else { panic!("{judged:?}") };
            assert!(matches!(*check, Check::NoTime { .. }), "{check}");
        }
    }
    assert!(keys >= 2, "{keys}");
}
