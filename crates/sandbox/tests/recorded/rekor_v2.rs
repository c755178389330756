use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_sandbox::{Delay, RekorV2};
use tlog::{Checkpoint, EntryBundle, Hash, InclusionProof, TileReader, leaf_hash};

use super::{at, get, json, json_recording, post, recording, send, text};

const ENTRIES: &str = "/api/v2/log/entries";

fn log() -> RekorV2 {
    RekorV2::new(RekorV2::generate_key().unwrap(), Arc::new(at(1_795_359_000))).unwrap()
}

/// Checks everything that a client would check in an answer.
fn verify(log: &RekorV2, answer: &Value) {
    let bytes = |pointer: &str| STANDARD.decode(text(answer, pointer)).unwrap();
    let number = |pointer: &str| text(answer, pointer).parse::<u64>().unwrap();
    assert_eq!(bytes("/logId/keyId"), log.note_key().full_id());
    let envelope = text(answer, "/inclusionProof/checkpoint/envelope");
    let (checkpoint, note) = Checkpoint::parse(envelope).unwrap();
    log.note_key().verify(&note).unwrap();
    assert_eq!(checkpoint.origin, "localhost");
    assert_eq!(checkpoint.size, number("/inclusionProof/treeSize"));
    let hashes = answer.pointer("/inclusionProof/hashes").unwrap().as_array().unwrap();
    let hash = |text: &Value| Hash::from_slice(&STANDARD.decode(text.as_str().unwrap()).unwrap());
    InclusionProof {
        index: number("/logIndex"),
        size: checkpoint.size,
        hashes: hashes.iter().map(|text| hash(text).unwrap()).collect(),
    }
    .verify(&leaf_hash(&bytes("/canonicalizedBody")), &checkpoint.root)
    .unwrap();
}

/// Messages that tell a place in the request tell it differently: only what is wrong counts.
fn without_place(body: &Value) -> Value {
    let mut body = body.clone();
    let message = text(&body, "/message").replace('\u{a0}', " ");
    let message = match (message.find("(line"), message.find("): ")) {
        (Some(start), Some(end)) => format!("{}{}", &message[..start], &message[end + 3..]),
        _ => message,
    };
    body["message"] = Value::from(message);
    body
}

#[test]
fn recorded_requests_get_the_recorded_answers() {
    let log = log();
    let cases = json_recording("rekor-v2/answers.json");
    for case in cases.as_array().unwrap() {
        let name = text(case, "/case");
        if let Some(path) = name.strip_prefix("GET ") {
            // The recorded program leaves reading to a file server; the sandbox is one, too.
            if !path.contains("checkpoint") && !path.contains("tile") {
                let response = get(&log, path);
                assert_eq!(response.status(), case["status"].as_u64().unwrap() as u16, "{name}");
                let recorded: Value = serde_json::from_str(text(case, "/body")).unwrap();
                assert_eq!(json(&response), recorded, "{name}");
            }
            continue;
        }
        let request = match name {
            "body of 5 MiB" => "x".repeat(6_991_677),
            _ => text(case, "/request").to_owned(),
        };
        let content_type =
            if name == "content-type text" { "text/plain" } else { "application/json" };
        let headers = [("content-type", content_type)];
        let response = send(&log, "POST", ENTRIES, &headers, request);
        let shown = String::from_utf8_lossy(response.body()).into_owned();
        assert_eq!(response.status(), case["status"].as_u64().unwrap() as u16, "{name}: {shown}");
        for (header, value) in case["headers"].as_object().unwrap() {
            assert_eq!(response.headers()[header], value.as_str().unwrap(), "{name}: {header}");
        }
        let found = json(&response);
        if response.status() == 201 {
            verify(&log, &found);
        }
        match case.get("body") {
            None => {}
            Some(recorded) if response.status() == 201 => {
                // All but the log's name for itself and its signature, roots and proofs included.
                let comparable = |answer: &Value| {
                    let mut answer = answer.clone();
                    answer["logId"] = Value::Null;
                    answer["inclusionProof"]["checkpoint"] = Value::Null;
                    answer
                };
                assert_eq!(comparable(&found), comparable(recorded), "{name}");
            }
            Some(recorded) => assert_eq!(without_place(&found), without_place(recorded), "{name}"),
        }
    }
}

/// The request that led to a canonical body.
fn request_for(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    let spec = body.pointer("/spec/hashedRekordV002").unwrap();
    json!({ "hashedRekordRequestV002": {
        "digest": spec["data"]["digest"], "signature": spec["signature"],
    }})
    .to_string()
}

#[test]
fn the_recorded_log_grows_again_tile_by_tile() {
    let log = log();
    let bundles = ["tile/entries/000", "tile/entries/001.p/51"];
    let entries: Vec<Vec<u8>> = bundles
        .iter()
        .flat_map(|path| {
            EntryBundle::parse(&recording(&format!("rekor-v2/log/{path}"))).unwrap().entries
        })
        .collect();
    for (index, entry) in entries.iter().enumerate() {
        let response = post(&log, ENTRIES, request_for(entry));
        assert_eq!(response.status(), 201, "entry {index}: {:?}", response.body());
    }
    let tiles = ["tile/0/000", "tile/0/001.p/51", "tile/1/000.p/1"];
    for path in bundles.iter().chain(&tiles) {
        let response = get(&log, &format!("/api/v2/{path}"));
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.body(), &recording(&format!("rekor-v2/log/{path}")), "{path}");
    }

    let envelope = get(&log, "/api/v2/checkpoint");
    let envelope = std::str::from_utf8(envelope.body()).unwrap();
    let (checkpoint, note) = Checkpoint::parse(envelope).unwrap();
    log.note_key().verify(&note).unwrap();
    let recorded = String::from_utf8(recording("rekor-v2/log/checkpoint")).unwrap();
    let (recorded, _) = Checkpoint::parse(&recorded).unwrap();
    assert_eq!(checkpoint, recorded);

    let mut reader = TileReader::new(checkpoint.size, |path: &str| {
        let response = get(&log, &format!("/api/v2/{path}"));
        (response.status() == 200).then(|| response.body().to_vec())
    });
    assert_eq!(reader.root().unwrap(), checkpoint.root);
    for index in [0, 255, 256, 306] {
        let proof = reader.inclusion_proof(index).unwrap();
        proof.verify(&leaf_hash(&entries[index as usize]), &checkpoint.root).unwrap();
    }
}

#[test]
fn tiles_that_do_not_exist_are_not_found() {
    let log = log();
    for path in [
        "tile/0/000",
        "tile/0/000.p/1",
        "tile/9/000",
        "tile/99/000",
        "tile/x/000",
        "tile/0",
        "tile/entries/000",
        "tile/0/999.p/0",
        "nothing",
    ] {
        assert_eq!(get(&log, &format!("/api/v2/{path}")).status(), 404, "{path}");
    }
}

#[test]
fn a_checkpoint_interval_asks_the_server_to_wait() {
    let cases = json_recording("rekor-v2/answers.json");
    let request = text(&cases[0], "/request").to_owned();
    let delay =
        |log: &RekorV2| post(log, ENTRIES, request.clone()).extensions().get::<Delay>().copied();
    assert_eq!(delay(&log()), Some(Delay(Duration::ZERO)));
    let slow = log().with_checkpoint_interval(Duration::from_secs(7));
    let Some(Delay(wait)) = delay(&slow) else { panic!("no delay") };
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(7), "{wait:?}");
}
