//! Answers of a log that no log should give.

use std::time::{Duration, Instant};

use rekor_client::{ApiVersion, Error};
use serde_json::{Value, json};

use super::{Submission, ready, replay, v1, v2};

/// What is done to the answer of a log, as text: its entry is `ENTRY` and the id of it `ID`.
fn outcome_v1(change: impl FnOnce(&str, &Value) -> String) -> Result<u64, Error> {
    let case = v1("hashedrekord, certificate");
    let (id, entry) = case["body"].as_object().unwrap().iter().next().unwrap();
    let answer = json!({ "status": 201, "body": change(id, entry) });
    let (rekor, _) = replay(ApiVersion::V1, vec![answer]);
    let submission = Submission::v1(&case["request"]);
    ready(rekor.submit(&submission.entry())).map(|logged| logged.log_index)
}

fn outcome_v2(change: impl FnOnce(Value) -> String) -> Result<u64, Error> {
    let case = v2("hashedrekord, certificate");
    let answer = json!({ "status": 201, "body": change(case["body"].clone()) });
    let (rekor, _) = replay(ApiVersion::V2, vec![answer]);
    let submission = Submission::v2(&case["request"]);
    ready(rekor.submit(&submission.entry())).map(|logged| logged.log_index)
}

/// Every error is short, in a line, and comes soon.
fn refused(name: &str, outcome: Result<u64, Error>, started: Instant) {
    let error = outcome.expect_err(name);
    assert!(matches!(error, Error::Malformed { .. } | Error::Mismatch { .. }), "{name}: {error}");
    let text = error.to_string();
    assert!(text.len() < 1000, "{name}: {} bytes", text.len());
    assert!(!text.chars().any(host::is_unsafe), "{name}: {text:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
}

type Change = Box<dyn Fn(&mut Value)>;

fn set(path: &'static str, value: Value) -> Change {
    Box::new(move |entry| {
        let (parent, name) = path.rsplit_once('/').unwrap();
        entry.pointer_mut(parent).unwrap()[name] = value.clone();
    })
}

/// Text of hundreds of kilobytes that a parser's error would quote, with what moves a cursor in it.
fn long_text() -> String {
    "\u{1b}[2J\u{202e}x".repeat(30_000)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures how long the work takes")]
fn what_a_log_of_version_1_should_never_answer_is_refused_in_a_line() {
    let tries: [(&str, Change); 13] = [
        ("a time of text", set("/integratedTime", json!(long_text()))),
        ("a time before 1970", set("/integratedTime", json!(-1))),
        ("a time beyond 2^64", set("/integratedTime", json!(1e30))),
        ("an index with a fraction", set("/logIndex", json!(1.5))),
        ("an index of text", set("/logIndex", json!("5"))),
        ("a body of 3 MB of nothing", set("/body", json!("A".repeat(3 << 20)))),
        ("a body that is a list", set("/body", json!([]))),
        ("a proof of text", set("/verification/inclusionProof", json!(long_text()))),
        ("hashes of text", set("/verification/inclusionProof/hashes", json!([long_text()]))),
        ("a size below zero", set("/verification/inclusionProof/treeSize", json!(-1))),
        ("a promise of controls", set("/verification/signedEntryTimestamp", json!(long_text()))),
        ("a log's id of text", set("/logID", json!(long_text()))),
        ("a checkpoint of numbers", set("/verification/inclusionProof/checkpoint", json!(1))),
    ];
    for (name, change) in tries {
        let started = Instant::now();
        let outcome = outcome_v1(|id, entry| {
            let mut entry = entry.clone();
            change(&mut entry);
            json!({ id: entry }).to_string()
        });
        refused(name, outcome, started);
    }
    type Text = fn(&str, &Value) -> String;
    let texts: [(&str, Text); 9] = [
        ("a body cut short", |id, entry| {
            let text = json!({ id: entry }).to_string();
            text[..text.len() - 1].to_owned()
        }),
        ("something behind it", |id, entry| format!("{}{{}}", json!({ id: entry }))),
        ("a member twice", |id, entry| {
            let entry = entry.to_string();
            format!("{{\"{id}\":{{\"logIndex\":1,{}}}", &entry[1..])
        }),
        ("nested 200,000 deep", |_, _| "{\"a\":".repeat(200_000)),
        ("a million ids", |_, _| {
            let ids: Vec<String> = (0..100_000).map(|id| format!("\"{id}\":{{}}")).collect();
            format!("{{{}}}", ids.join(","))
        }),
        ("an id of 3 MB", |_, entry| json!({ long_text(): entry }).to_string()),
        ("an id in front of the id", |id, entry| {
            json!({ "0".repeat(16): entry, id: entry }).to_string()
        }),
        ("compressed", |_, _| "\u{1f}\u{8b}\u{8}\u{0}".repeat(100)),
        ("a page", |_, _| format!("<html>{}", long_text())),
    ];
    for (name, text) in texts {
        let started = Instant::now();
        refused(name, outcome_v1(text), started);
    }
    assert_eq!(outcome_v1(|id, entry| json!({ id: entry }).to_string()).unwrap(), 5);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures how long the work takes")]
fn what_a_log_of_version_2_should_never_answer_is_refused_in_a_line() {
    let tries: [(&str, Change); 10] = [
        ("an index of 2^63", set("/logIndex", json!("9223372036854775808"))),
        ("a negative index", set("/logIndex", json!("-1"))),
        ("another index than the proof's", set("/logIndex", json!("77"))),
        ("an index of text", set("/logIndex", json!(long_text()))),
        ("a kind of text", set("/kindVersion", json!(long_text()))),
        ("another kind", set("/kindVersion/kind", json!(long_text()))),
        ("hashes of text", set("/inclusionProof/hashes", json!([long_text()]))),
        ("a body of controls", set("/canonicalizedBody", json!(long_text()))),
        ("a million hashes", set("/inclusionProof/hashes", json!(vec![""; 200_000]))),
        ("no checkpoint", set("/inclusionProof/checkpoint", Value::Null)),
    ];
    for (name, change) in tries {
        let started = Instant::now();
        let outcome = outcome_v2(|mut entry| {
            change(&mut entry);
            entry.to_string()
        });
        refused(name, outcome, started);
    }
    let started = Instant::now();
    refused(
        "a member twice",
        outcome_v2(|entry| format!("{{\"logIndex\":\"1\",{}", &entry.to_string()[1..])),
        started,
    );
    assert_eq!(outcome_v2(|entry| entry.to_string()).unwrap(), 0);
}

/// An entry that is there already is asked for once, whatever the log says about it.
#[test]
fn a_log_that_has_every_entry_already_and_never_finds_it_is_asked_twice() {
    let id = "a".repeat(64);
    for (found, words) in [
        (json!({ "status": 404, "body": "" }), "cannot find it"),
        (json!({ "status": 409, "body": "" }), "answered 409"),
        (json!({ "status": 201, "body": "{}" }), "answered 201"),
        (json!({ "status": 200, "body": "{}" }), "expected one entry, found 0"),
    ] {
        let location = format!("/api/v1/log/entries/{id}");
        let conflict = json!({ "status": 409, "headers": { "location": location }, "body": "" });
        let (rekor, requests) = replay(ApiVersion::V1, vec![conflict, found]);
        let submission = Submission::v1(&v1("hashedrekord, certificate")["request"]);
        let error = ready(rekor.submit(&submission.entry())).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(requests.lock().unwrap().len(), 2);
    }
}
