use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use keys::{Payload, Scheme};
use serde_json::{Value, json};
use sigstore_sandbox::RekorV1;
use tlog::{Checkpoint, ConsistencyProof, Hash, InclusionProof, NoteKey, leaf_hash};

use super::{at, get, json, json_recording, post, send, text};

const NOW: u64 = 1_795_357_279;
/// The tree of the recorded log, before the leaf hash in every entry id.
const RECORDED_TREE: &str = "116e2176b0083cb7";
const ENTRIES: &str = "/api/v1/log/entries";

fn log() -> RekorV1 {
    RekorV1::new(RekorV1::generate_key().unwrap(), Arc::new(at(NOW)))
}

fn tree_id(log: &RekorV1) -> u64 {
    text(&json(&get(log, "/api/v1/log")), "/treeID").parse().unwrap()
}

fn recorded_body(case: &Value) -> Bytes {
    match &case["request"] {
        Value::Null => Bytes::new(),
        Value::String(text) => Bytes::from(text.clone()),
        other => Bytes::from(other.to_string()),
    }
}

/// Checks everything that a client would check in an answer with one entry, and returns its body.
fn verified_body(log: &RekorV1, answer: &Value) -> Vec<u8> {
    let (id, entry) = answer.as_object().unwrap().iter().next().unwrap();
    let body = STANDARD.decode(text(entry, "/body")).unwrap();
    let leaf = leaf_hash(&body);
    let tree = tree_id(log);
    assert_eq!(*id, format!("{tree:016x}{leaf}"));

    let key = log.key().public_key();
    let promised = json!({
        "body": entry["body"], "integratedTime": entry["integratedTime"],
        "logID": entry["logID"], "logIndex": entry["logIndex"],
    });
    let signature = text(entry, "/verification/signedEntryTimestamp");
    let signature = STANDARD.decode(signature).unwrap();
    let payload = promised.to_string();
    key.verify(Scheme::EcdsaP256Sha256, Payload::Message(payload.as_bytes()), &signature).unwrap();

    let proof = &entry["verification"]["inclusionProof"];
    let (checkpoint, note) = Checkpoint::parse(text(proof, "/checkpoint")).unwrap();
    NoteKey::new("localhost", key.clone()).unwrap().verify(&note).unwrap();
    assert_eq!(checkpoint.origin, format!("localhost - {tree}"));
    assert_eq!(checkpoint.root.to_string(), text(proof, "/rootHash"));
    assert_eq!(proof["treeSize"], checkpoint.size);
    InclusionProof {
        index: proof["logIndex"].as_u64().unwrap(),
        size: checkpoint.size,
        hashes: hashes(&proof["hashes"]),
    }
    .verify(&leaf, &checkpoint.root)
    .unwrap();
    body
}

fn hashes(list: &Value) -> Vec<Hash> {
    list.as_array().unwrap().iter().map(|hex| hash(hex.as_str().unwrap())).collect()
}

fn hash(hex: &str) -> Hash {
    let digest = keys::Digest::from_hex(keys::HashAlgorithm::Sha256, hex).unwrap();
    Hash::from_slice(digest.as_bytes()).unwrap()
}

#[test]
fn recorded_requests_get_the_recorded_answers() {
    let log = log();
    let ours = format!("{:016x}", tree_id(&log));
    let cases = json_recording("rekor-v1/answers.json");
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 32);
    for case in cases {
        let name = text(case, "/case");
        // The recorded instance had its search index switched off; here there is none.
        if name == "search index" {
            continue;
        }
        let translate = |text: &str| text.replace(RECORDED_TREE, &ours);
        let path = translate(text(case, "/path"));
        let body = recorded_body(case);
        let body = translate(std::str::from_utf8(&body).unwrap());
        let headers = [("content-type", "application/json")];
        let response = send(&log, text(case, "/method"), &path, &headers, body);

        let shown = String::from_utf8_lossy(response.body()).into_owned();
        assert_eq!(response.status(), case["status"].as_u64().unwrap() as u16, "{name}: {shown}");
        for (header, value) in case["headers"].as_object().unwrap() {
            let found = response.headers()[header].to_str().unwrap();
            // The recording calls text what the server called a PEM file.
            if header != "content-type" || !path.ends_with("publicKey") {
                assert_eq!(found, translate(value.as_str().unwrap()), "{name}: {header}");
            }
        }
        let recorded = &case["body"];
        if recorded == "" {
            assert!(response.body().is_empty(), "{name}");
        } else if recorded.is_string() {
            continue;
        } else if recorded.get("code").is_some() {
            let recorded: Value = serde_json::from_str(&translate(&recorded.to_string())).unwrap();
            assert_eq!(json(&response), recorded, "{name}");
            assert!(response.body().ends_with(b"\n"), "{name}");
        } else if name == "by index" {
            verified_body(&log, &json(&response));
        } else if let Some(entry) = recorded.as_object().and_then(|map| map.values().next())
            && entry.get("body").is_some()
        {
            let body = verified_body(&log, &json(&response));
            let recorded = STANDARD.decode(text(entry, "/body")).unwrap();
            assert_eq!(body, recorded, "{name}");
        }
    }
}

#[test]
fn the_log_tells_its_key_its_size_and_that_it_only_grew() {
    let log = log();
    let mut sizes = vec![];
    for case in json_recording("rekor-v1/answers.json").as_array().unwrap() {
        if case["method"] == "POST" && case["status"] == 201 {
            post(&log, ENTRIES, recorded_body(case));
            let info = json(&get(&log, "/api/v1/log"));
            sizes.push((info["treeSize"].as_u64().unwrap(), hash(text(&info, "/rootHash"))));
        }
    }
    assert_eq!(sizes.len(), 6);
    let (new_size, new) = sizes[5];
    for (old_size, old) in sizes {
        let path = format!("/api/v1/log/proof?firstSize={old_size}&lastSize={new_size}");
        let answer = json(&get(&log, &path));
        let hashes = hashes(&answer["hashes"]);
        ConsistencyProof { old_size, new_size, hashes }.verify(&old, &new).unwrap();
    }
    let pem = get(&log, "/api/v1/log/publicKey");
    assert_eq!(pem.body(), log.key().public_key().to_pem().as_bytes());
    assert_eq!(pem.headers()["content-type"], "application/x-pem-file");
}

#[test]
fn look_ups_that_break_the_schema_are_refused_with_its_codes() {
    let log = log();
    let code = |path: &str| {
        let response = get(&log, path);
        (response.status().as_u16(), json(&response)["code"].as_u64().unwrap())
    };
    assert_eq!(code(ENTRIES), (422, 602));
    assert_eq!(code("/api/v1/log/entries?logIndex=x"), (422, 601));
    assert_eq!(code("/api/v1/log/entries?logIndex=-1"), (422, 609));
    assert_eq!(code("/api/v1/log/entries/nothex"), (422, 605));
    assert_eq!(code("/api/v1/log/proof"), (422, 602));
    assert_eq!(code("/api/v1/log/proof?lastSize=9"), (400, 400));
    let indexes: Vec<u64> = (0..11).collect();
    let many = json!({ "logIndexes": indexes }).to_string();
    let response = post(&log, "/api/v1/log/entries/retrieve", many);
    assert_eq!((response.status().as_u16(), json(&response)["code"].clone()), (422, json!(611)));
    let response = send(&log, "DELETE", ENTRIES, &[], Bytes::new());
    assert_eq!(response.status(), 405);
}

#[test]
fn an_envelope_needs_a_verifier_for_every_signature() {
    let log = log();
    let cases = json_recording("rekor-v1/answers.json");
    let case = cases.as_array().unwrap().iter().find(|case| case["case"] == "dsse").unwrap();
    let other = cases.as_array().unwrap().iter().find(|case| case["case"] == "P-384 with SHA-384");
    let other_key = other.unwrap().pointer("/request/spec/signature/publicKey/content").unwrap();
    let status = |change: &dyn Fn(&mut Value)| {
        let mut request = case["request"].clone();
        change(&mut request["spec"]["proposedContent"]);
        post(&log, ENTRIES, request.to_string()).status().as_u16()
    };
    assert_eq!(status(&|content| content["verifiers"] = json!([])), 400);
    assert_eq!(status(&|content| content["verifiers"] = json!([other_key])), 400);
    assert_eq!(status(&|content| content["envelope"] = json!("{}")), 400);
    assert_eq!(status(&|_| ()), 201);
}
