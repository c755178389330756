//! The recorded answers of real logs of both versions, replayed, verified, and broken.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests are not in #[test] functions"
)]

mod find;
mod hostile;
mod refusals;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{Envelope, EnvelopeSignature, LogEntry};
use bytes::Bytes;
use futures_util::FutureExt as _;
use host::{CallPolicy, TransportError};
use http::{Request, Response};
use keys::{Digest, HashAlgorithm, Payload, PublicKey, Scheme};
use rekor_client::{ApiVersion, Entry, Error, Rekor, Verifier};
use serde_json::{Value, json};
use tlog::{Checkpoint, EntryBundle, Hash, InclusionProof, NoteKey, TileReader};
use x509::Certificate;

const URL: &str = "https://log.example/below";

#[test]
fn every_entry_that_version_1_took_is_read_and_proves_itself() {
    for (name, index) in [
        ("hashedrekord, certificate", 5),
        ("hashedrekord, public key", 6),
        ("dsse", 7),
        ("hash in upper case", 9),
        ("P-384 with SHA-384", 10),
    ] {
        let case = v1(name);
        let (rekor, requests) = replay(ApiVersion::V1, vec![case.clone()]);
        let logged = ready(rekor.submit(&Submission::v1(&case["request"]).entry())).expect(name);
        assert_eq!(logged.log_index, index, "{name}");
        prove_v1(&logged);

        let request = requests.lock().unwrap().remove(0);
        assert_eq!(request.method(), "POST", "{name}");
        assert_eq!(request.uri(), "https://log.example/below/api/v1/log/entries", "{name}");
        assert_eq!(request.headers()["content-type"], "application/json", "{name}");
        assert!(request.extensions().get::<CallPolicy>().unwrap().attempt.as_secs() == 60);
    }
}

#[test]
fn a_request_to_version_1_is_the_recorded_one() {
    for name in ["hashedrekord, certificate", "hashedrekord, public key", "P-384 with SHA-384"] {
        let case = v1(name);
        assert_eq!(sent(ApiVersion::V1, &Submission::v1(&case["request"])), case["request"]);
    }
    let case = v1("dsse");
    let mut ours = sent(ApiVersion::V1, &Submission::v1(&case["request"]));
    let mut theirs = case["request"].clone();
    // An envelope is sent as a text, in which white space is free.
    for request in [&mut ours, &mut theirs] {
        let envelope = &mut request["spec"]["proposedContent"]["envelope"];
        *envelope = serde_json::from_str(envelope.as_str().unwrap()).unwrap();
    }
    assert_eq!(ours, theirs);
}

#[test]
fn every_entry_that_version_2_took_is_read_and_proves_itself() {
    for (name, index) in [
        ("hashedrekord, certificate", 0),
        ("hashedrekord, public key", 1),
        ("DSSE as hashedrekord over the PAE", 2),
        ("key P-384", 4),
    ] {
        let case = v2(name);
        let (rekor, requests) = replay(ApiVersion::V2, vec![case.clone()]);
        let submission = Submission::v2(&case["request"]);
        let logged = ready(rekor.submit(&submission.entry())).expect(name);
        assert_eq!(logged.log_index, index, "{name}");
        assert_eq!(logged.integrated_time, None, "{name}");
        prove_v2(&logged);

        let request = requests.lock().unwrap().remove(0);
        assert_eq!(request.uri(), "https://log.example/below/api/v2/log/entries", "{name}");
        let recorded: Value = serde_json::from_str(case["request"].as_str().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(request.body()).unwrap(), recorded, "{name}");
    }
}

/// The recording has no envelope for this entry, only what was logged of it; so this one is made
/// here, and the log's part is played with its own encoding.
#[test]
fn version_2_logs_an_envelope_as_the_digest_of_what_was_signed() {
    let case = v2("hashedrekord, public key");
    let request: Value = serde_json::from_str(case["request"].as_str().unwrap()).unwrap();
    let spki = &request["hashedRekordRequestV002"]["signature"]["verifier"]["publicKey"];
    let key = PublicKey::from_spki(&decoded(&spki["rawBytes"])).unwrap();
    let envelope = Envelope {
        payload: b"{}".to_vec().into(),
        payload_type: bundle::INTOTO_PAYLOAD_TYPE.into(),
        signatures: vec![EnvelopeSignature { sig: vec![1, 2, 3], keyid: None }],
    };
    let entry = Entry::Envelope {
        envelope: &envelope,
        scheme: Scheme::EcdsaP256Sha256,
        verifier: Verifier::PublicKey(&key),
    };
    let (rekor, requests) = replay(ApiVersion::V2, vec![case]);
    let error = ready(rekor.submit(&entry)).unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "the digest", .. }), "{error}");
    let sent: Value = serde_json::from_slice(requests.lock().unwrap()[0].body()).unwrap();
    let sent = &sent["hashedRekordRequestV002"];
    assert_eq!(decoded(&sent["digest"]), Digest::sha256(&envelope.pae()).as_bytes());
    assert_eq!(decoded(&sent["signature"]["content"]), [1, 2, 3]);
}

#[test]
fn an_entry_that_version_1_has_already_is_fetched() {
    for (conflict, existing, name) in
        [("the same again", "by uuid", "hashedrekord, certificate"), ("dsse again", "dsse", "dsse")]
    {
        let mut found = v1(existing);
        found["status"] = json!(200);
        for strip_location in [false, true] {
            let mut conflict = v1(conflict);
            if strip_location {
                conflict["headers"].as_object_mut().unwrap().remove("location");
            }
            let (rekor, requests) = replay(ApiVersion::V1, vec![conflict, found.clone()]);
            let submission = Submission::v1(&v1(name)["request"]);
            prove_v1(&ready(rekor.submit(&submission.entry())).unwrap());
            let requests = requests.lock().unwrap();
            assert_eq!(requests[1].method(), "GET");
            let id = v1(name)["headers"]["etag"].as_str().unwrap().to_owned();
            assert_eq!(
                requests[1].uri().to_string(),
                format!("https://log.example/below/api/v1/log/entries/{id}")
            );
        }
    }
}

#[test]
fn a_conflict_cannot_send_us_elsewhere() {
    let mut conflict = v1("the same again");
    conflict["headers"]["location"] = json!("https://evil.example/api/v1/log/entries/x?y");
    conflict["body"] = json!({ "code": 409, "message": "look at ../../secret" });
    let (rekor, requests) = replay(ApiVersion::V1, vec![conflict]);
    let submission = Submission::v1(&v1("hashedrekord, certificate")["request"]);
    let error = ready(rekor.submit(&submission.entry())).unwrap_err();
    assert!(matches!(error, Error::Http { status: 409, .. }), "{error}");
    assert_eq!(requests.lock().unwrap().len(), 1);
}

#[test]
fn a_conflict_over_an_entry_of_something_else_is_refused() {
    let mut other = v1("hashedrekord, public key");
    other["status"] = json!(200);
    let (rekor, _) = replay(ApiVersion::V1, vec![v1("the same again"), other]);
    let submission = Submission::v1(&v1("hashedrekord, certificate")["request"]);
    let error = ready(rekor.submit(&submission.entry())).unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "the id", .. }), "{error}");
}

#[test]
fn an_entry_that_version_2_has_already_is_an_error_that_names_its_index() {
    for name in ["the same again", "content-type text"] {
        let case = v2(name);
        let (rekor, _) = replay(ApiVersion::V2, vec![case.clone()]);
        let error = ready(rekor.submit(&Submission::v2(&case["request"]).entry())).unwrap_err();
        assert!(matches!(error, Error::Duplicate { index: Some(0), .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "the log at https://log.example/below already has this entry at index 0 and does \
             not return it again"
        );
    }
}

#[test]
fn an_entry_is_looked_up_by_either_id_and_may_be_absent() {
    for name in ["by uuid", "by hash of the entry alone"] {
        let case = v1(name);
        let id = case["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let (rekor, requests) = replay(ApiVersion::V1, vec![case]);
        prove_v1(&ready(rekor.entry(&id)).unwrap().unwrap());
        assert!(requests.lock().unwrap()[0].uri().path().ends_with(&id));
    }
    let (rekor, _) = replay(ApiVersion::V1, vec![v1("unknown uuid")]);
    assert_eq!(ready(rekor.entry(&"0".repeat(64))).unwrap(), None);
    // A path that the server does not know is no absent entry.
    let (rekor, _) = replay(ApiVersion::V1, vec![v1("GET /api/v1/nothing")]);
    let error = ready(rekor.entry(&"0".repeat(64))).unwrap_err();
    assert!(error.to_string().ends_with("path /api/v1/nothing was not found"), "{error}");

    let (rekor, requests) = replay(ApiVersion::V1, Vec::new());
    assert!(matches!(ready(rekor.entry("../x")), Err(Error::Unloggable { .. })));
    assert!(requests.lock().unwrap().is_empty());
    let (rekor, _) = replay(ApiVersion::V2, Vec::new());
    assert!(matches!(ready(rekor.entry(&"0".repeat(64))), Err(Error::Unloggable { .. })));
}

/// The recorded log as a static server hands it out: its checkpoint is signed by the key, its tiles
/// lead to the checkpoint's root, and every entry bundle hashes to its tile.
#[test]
fn the_recorded_tiles_hold_the_recorded_entries() {
    let (checkpoint, note) = Checkpoint::parse(&fixture("rekor-v2/log/checkpoint")).unwrap();
    v2_key().verify(&note).unwrap();
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("localhost", 307));
    let fetch = |path: &str| std::fs::read(capture(&format!("rekor-v2/log/{path}"))).ok();
    let mut tiles = TileReader::new(checkpoint.size, fetch);
    assert_eq!(tiles.root().unwrap(), checkpoint.root);
    let mut index = 0;
    for (number, width) in [(0, 256), (1, 51)] {
        let bundle = fetch(&tlog::entry_bundle_path(number, width)).unwrap();
        for entry in EntryBundle::parse(&bundle).unwrap().entries {
            let leaf = tlog::leaf_hash(&entry);
            assert_eq!(tiles.leaf(index).unwrap(), leaf);
            tiles.inclusion_proof(index).unwrap().verify(&leaf, &checkpoint.root).unwrap();
            index += 1;
        }
    }
    assert_eq!(index, checkpoint.size);
    // What the log answered when it took the entry, the tiles say too: the old tree is the new
    // one's beginning.
    for name in ["hashedrekord, public key", "DSSE as hashedrekord over the PAE", "key P-384"] {
        let entry = LogEntry::from_json(v2(name)["body"].to_string().as_bytes()).unwrap();
        let (old, _) = Checkpoint::parse(&entry.inclusion_proof.unwrap().checkpoint).unwrap();
        let leaf = tlog::leaf_hash(&entry.canonicalized_body);
        assert_eq!(tiles.leaf(entry.log_index).unwrap(), leaf, "{name}");
        let proof = tiles.consistency_proof(old.size).unwrap();
        proof.verify(&old.root, &checkpoint.root).unwrap();
    }
}

/// Promise, checkpoint and proof against the recorded key, as `verify` judges them.
fn prove_v1(entry: &LogEntry) {
    let key = PublicKey::from_pem(&fixture("rekor-v1/public-key.pem")).unwrap();
    assert_eq!(entry.log_id, key.id());
    let promised = format!(
        r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
        STANDARD.encode(&entry.canonicalized_body),
        entry.integrated_time.unwrap(),
        entry.log_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        entry.log_index,
    );
    let set = entry.signed_entry_timestamp.as_ref().unwrap();
    key.verify(Scheme::EcdsaP256Sha256, Payload::Message(promised.as_bytes()), set).unwrap();
    prove(entry, &NoteKey::new("rekor.real.test", key).unwrap());
}

fn prove_v2(entry: &LogEntry) {
    let key = v2_key();
    assert_eq!(entry.log_id, key.full_id());
    prove(entry, &key);
}

fn prove(entry: &LogEntry, key: &NoteKey) {
    let proof = entry.inclusion_proof.clone().unwrap();
    let (checkpoint, note) = Checkpoint::parse(&proof.checkpoint).unwrap();
    key.verify(&note).unwrap();
    assert_eq!(checkpoint.root.as_bytes(), proof.root_hash.as_slice());
    assert_eq!(checkpoint.size, proof.tree_size);
    let hashes = proof.hashes.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect();
    InclusionProof { index: proof.log_index, size: proof.tree_size, hashes }
        .verify(&tlog::leaf_hash(&entry.canonicalized_body), &checkpoint.root)
        .unwrap();
}

fn v2_key() -> NoteKey {
    let key = PublicKey::from_pem(&fixture("rekor-v2/public-key.pem")).unwrap();
    NoteKey::new("localhost", key).unwrap()
}

/// What was submitted when a request was recorded.
struct Submission {
    content: Content,
    scheme: Scheme,
    verifier: OwnedVerifier,
}

enum Content {
    Hashed { digest: Digest, signature: Vec<u8> },
    Envelope(Envelope),
}

enum OwnedVerifier {
    Certificate(Certificate),
    PublicKey(Box<PublicKey>),
}

impl Submission {
    fn v1(request: &Value) -> Self {
        let spec = &request["spec"];
        let (content, pem) = if request["kind"] == "dsse" {
            let proposed = &spec["proposedContent"];
            let envelope = proposed["envelope"].as_str().unwrap();
            let envelope = Envelope::from_json(envelope.as_bytes()).unwrap();
            (Content::Envelope(envelope), &proposed["verifiers"][0])
        } else {
            let hash = &spec["data"]["hash"];
            let algorithm = HashAlgorithm::from_name(hash["algorithm"].as_str().unwrap()).unwrap();
            let digest = Digest::from_hex(algorithm, hash["value"].as_str().unwrap()).unwrap();
            let signature = decoded(&spec["signature"]["content"]);
            (Content::Hashed { digest, signature }, &spec["signature"]["publicKey"]["content"])
        };
        let pem = String::from_utf8(decoded(pem)).unwrap();
        let verifier = match Certificate::from_pem(&pem) {
            Ok(certificate) => OwnedVerifier::Certificate(certificate),
            Err(_) => OwnedVerifier::PublicKey(Box::new(PublicKey::from_pem(&pem).unwrap())),
        };
        let key = match &verifier {
            OwnedVerifier::Certificate(certificate) => certificate.public_key(),
            OwnedVerifier::PublicKey(key) => key,
        };
        let scheme = key.default_scheme();
        Self { content, scheme, verifier }
    }

    fn v2(request: &Value) -> Self {
        let request: Value = serde_json::from_str(request.as_str().unwrap()).unwrap();
        let request = &request["hashedRekordRequestV002"];
        let verifier = &request["signature"]["verifier"];
        let details = verifier["keyDetails"].as_str().unwrap();
        let scheme = Scheme::from_key_details(details).unwrap();
        let digest = Digest::new(scheme.hash().unwrap(), decoded(&request["digest"])).unwrap();
        let signature = decoded(&request["signature"]["content"]);
        let verifier = match &verifier["x509Certificate"]["rawBytes"] {
            Value::Null => {
                let spki = decoded(&verifier["publicKey"]["rawBytes"]);
                OwnedVerifier::PublicKey(Box::new(PublicKey::from_spki(&spki).unwrap()))
            }
            der => OwnedVerifier::Certificate(Certificate::from_der(&decoded(der)).unwrap()),
        };
        Self { content: Content::Hashed { digest, signature }, scheme, verifier }
    }

    fn entry(&self) -> Entry<'_> {
        let verifier = match &self.verifier {
            OwnedVerifier::Certificate(certificate) => Verifier::Certificate(certificate),
            OwnedVerifier::PublicKey(key) => Verifier::PublicKey(key),
        };
        let scheme = self.scheme;
        match &self.content {
            Content::Hashed { digest, signature } => {
                Entry::Hashed { digest, signature, scheme, verifier }
            }
            Content::Envelope(envelope) => Entry::Envelope { envelope, scheme, verifier },
        }
    }
}

/// What is sent for a submission.
fn sent(version: ApiVersion, submission: &Submission) -> Value {
    let (rekor, requests) = replay(version, vec![json!({ "status": 500, "body": "" })]);
    ready(rekor.submit(&submission.entry())).unwrap_err();
    serde_json::from_slice(requests.lock().unwrap()[0].body()).unwrap()
}

type Requests = Arc<Mutex<Vec<Request<Bytes>>>>;

/// A log that answers as recorded, one case after the other.
fn replay(version: ApiVersion, cases: Vec<Value>) -> (Rekor, Requests) {
    let requests: Requests = Arc::default();
    let seen = Arc::clone(&requests);
    let http = move |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        let mut seen = seen.lock().unwrap();
        let case = cases.get(seen.len()).expect("one request too many");
        seen.push(request);
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let mut response = Response::builder().status(status);
        for (name, value) in case["headers"].as_object().into_iter().flatten() {
            response = response.header(name, value.as_str().unwrap());
        }
        Ok(response.body(Bytes::from(body(case))).unwrap())
    };
    (Rekor::new(URL.parse().unwrap(), version, Arc::new(http)), requests)
}

fn body(case: &Value) -> Vec<u8> {
    match &case["body"] {
        Value::String(text) => text.clone().into_bytes(),
        json => json.to_string().into_bytes(),
    }
}

fn v1(name: &str) -> Value {
    recording("rekor-v1").into_iter().find(|case| case["case"] == name).expect(name)
}

fn v2(name: &str) -> Value {
    recording("rekor-v2").into_iter().find(|case| case["case"] == name).expect(name)
}

fn recording(log: &str) -> Vec<Value> {
    serde_json::from_str(&fixture(&format!("{log}/answers.json"))).unwrap()
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn fixture(path: &str) -> String {
    std::fs::read_to_string(capture(path)).expect(path)
}

fn capture(path: &str) -> String {
    format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/{}"), path)
}

/// Futures over a replayed network are ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a replayed network made us wait")
}
