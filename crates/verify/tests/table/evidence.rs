//! Groups 3, 4, 8, 9 and 10: log entries and timestamps.

use serde_json::{Value, json};

use crate::forge::{Plan, SctPlan, seconds, then};
use crate::{Case, passes, refused, unreadable};

fn entry(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"][0]
}

fn plus_one(value: &Value) -> Value {
    json!((value.as_str().unwrap().parse::<u64>().unwrap() + 1).to_string())
}

/// Which case, and what becomes of it.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = log();
    all.extend(checkpoints());
    all.extend(stamps());
    all.extend(thresholds());
    all
}

fn log() -> Vec<Case> {
    vec![
        // 4. The promise. GHSA-hhfg-fwrw-87w7, CVE-2026-48816: without it a time is a rumour.
        Case::v1(
            "a time without its promise",
            |p| {
                p.bundle = |b| {
                    entry(b).as_object_mut().unwrap().remove("inclusionPromise");
                }
            },
            refused("UnvouchedTime", "expected a signed entry timestamp"),
        ),
        Case::v1(
            "another time than was promised",
            |p| {
                p.bundle = |b| entry(b)["integratedTime"] = plus_one(&entry(b)["integratedTime"]);
            },
            refused("SignedEntryTimestamp", ""),
        ),
        Case::v1(
            "another index than was promised",
            |p| {
                p.bundle = |b| entry(b)["logIndex"] = plus_one(&entry(b)["logIndex"]);
            },
            refused("SignedEntryTimestamp", ""),
        ),
        Case::v1(
            "a promise over the index in the shard",
            |p| p.entries[0].promise_over_shard_index = true,
            refused("SignedEntryTimestamp", ""),
        ),
        Case::v1(
            "a promise over no time",
            |p| {
                p.bundle = |b| {
                    entry(b).as_object_mut().unwrap().remove("integratedTime");
                }
            },
            refused("SignedEntryTimestamp", "no time"),
        ),
        Case::v2(
            "a time that nobody promised, within the certificate's life",
            |p| p.bundle = |b| entry(b)["integratedTime"] = json!("1790000000"),
            refused("UnvouchedTime", "Rekor v2"),
        ),
        Case::v2(
            "a promise over a Rekor v2 entry",
            |p| p.entries[0].promise = true,
            refused("UnvouchedTime", ""),
        ),
        // What was logged. CVE-2022-23649, CVE-2022-36056, CVE-2026-22703, CVE-2024-53267.
        Case::v1(
            "an entry about another digest",
            |p| {
                p.entries[0].body = |b| b["spec"]["data"]["hash"]["value"] = json!("00".repeat(32));
            },
            refused("EntryBody", "digest"),
        ),
        Case::v1(
            "an entry about another signature",
            |p| {
                p.entries[0].body = |b| b["spec"]["signature"]["content"] = json!("AAAA");
            },
            refused("EntryBody", "signature"),
        ),
        Case::v1(
            "an entry by a key instead of the certificate",
            |p| {
                p.keyed = true;
                p.bundle = |_| ();
                p.root = |_| ();
            },
            refused("Material", ""),
        ),
        Case::v1(
            "an entry with another kind inside",
            |p| p.entries[0].body = |b| b["kind"] = json!("rekord"),
            refused("EntryBody", "kind"),
        ),
        Case::v1(
            "an entry with another version inside",
            |p| p.entries[0].body = |b| b["apiVersion"] = json!("0.0.9"),
            refused("EntryBody", "version"),
        ),
        Case::v1(
            "an entry of an unknown kind",
            |p| p.entries[0].kind = ("rekord", "0.0.1"),
            refused("EntryKind", ""),
        ),
        Case::v1(
            "an intoto entry of 0.0.1",
            |p| p.entries[0].kind = ("intoto", "0.0.1"),
            refused("EntryKind", ""),
        ),
        Case::v2(
            "a dsse entry of 0.0.2",
            |p| p.entries[0].kind = ("dsse", "0.0.2"),
            refused("EntryKind", ""),
        ),
        Case::v2(
            "a Rekor v2 entry about another digest",
            |p| {
                p.entries[0].body = |b| {
                    b["spec"]["hashedRekordV002"]["data"]["digest"] =
                        json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                }
            },
            refused("EntryBody", "digest"),
        ),
        Case::v2(
            "a Rekor v2 entry with other key details",
            |p| {
                p.entries[0].body = |b| {
                    b["spec"]["hashedRekordV002"]["signature"]["verifier"]["keyDetails"] =
                        json!("PKIX_ECDSA_P384_SHA_384");
                }
            },
            refused("EntryBody", "key details"),
        ),
        Case::v2(
            "a Rekor v2 entry with more in it",
            |p| p.entries[0].body = |b| b["spec"]["more"] = json!(1),
            refused("EntryBody", "canonical form"),
        ),
        Case::v2(
            "a Rekor v2 entry with other spaces",
            |p| {
                p.entries[0].body_bytes =
                    |bytes| String::from_utf8(bytes).unwrap().replace("\":", "\": ").into_bytes();
            },
            refused("EntryBody", "canonical form"),
        ),
        // The proof.
        Case::v2(
            "no proof",
            |p| {
                p.bundle = |b| {
                    entry(b).as_object_mut().unwrap().remove("inclusionProof");
                }
            },
            unreadable("inclusionProof"),
        ),
        Case::v2(
            "another index in the entry",
            |p| p.bundle = |b| entry(b)["logIndex"] = plus_one(&entry(b)["logIndex"]),
            refused("InclusionCopies", "log index"),
        ),
        Case::v2(
            "another index in the entry and its proof",
            |p| {
                p.entries[0].index = 4;
                p.bundle = |b| {
                    entry(b)["logIndex"] = plus_one(&entry(b)["logIndex"]);
                    let proof = &mut entry(b)["inclusionProof"];
                    proof["logIndex"] = plus_one(&proof["logIndex"]);
                }
            },
            refused("Inclusion", ""),
        ),
        Case::v1(
            "a stale size",
            |p| {
                p.bundle = |b| {
                    let proof = &mut entry(b)["inclusionProof"];
                    proof["treeSize"] = plus_one(&proof["treeSize"]);
                }
            },
            refused("InclusionCopies", "tree size"),
        ),
        Case::v1(
            "another root",
            |p| {
                p.bundle = |b| {
                    entry(b)["inclusionProof"]["rootHash"] =
                        json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                }
            },
            refused("InclusionCopies", "root hash"),
        ),
        Case::v1(
            "another hash on the way",
            |p| {
                p.bundle = |b| {
                    entry(b)["inclusionProof"]["hashes"][0] =
                        json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                }
            },
            refused("Inclusion", ""),
        ),
        Case::v1(
            "a hash too few",
            |p| {
                p.bundle = |b| {
                    entry(b)["inclusionProof"]["hashes"].as_array_mut().unwrap().pop();
                }
            },
            unreadable("hashes"),
        ),
        Case::v1(
            "a hash too many",
            |p| {
                p.bundle = |b| {
                    let hashes = entry(b)["inclusionProof"]["hashes"].as_array_mut().unwrap();
                    hashes.push(hashes[0].clone());
                }
            },
            unreadable("hashes"),
        ),
        Case::v1(
            "an index that is the size",
            |p| {
                p.bundle = |b| {
                    let proof = &mut entry(b)["inclusionProof"];
                    proof["logIndex"] = proof["treeSize"].clone();
                }
            },
            unreadable("leaves"),
        ),
        Case::v1(
            "a negative index",
            |p| {
                p.bundle = |b| entry(b)["logIndex"] = json!("-1");
            },
            unreadable("logIndex"),
        ),
        Case::v1(
            "a size of 2^63-1",
            |p| {
                p.bundle = |b| {
                    entry(b)["inclusionProof"]["treeSize"] = json!("9223372036854775807");
                }
            },
            unreadable("hashes"),
        ),
        Case::v1(
            "a size of 2^64",
            |p| {
                p.bundle = |b| {
                    entry(b)["inclusionProof"]["treeSize"] = json!("18446744073709551616");
                }
            },
            unreadable("treeSize"),
        ),
        Case::v1("the first entry of a log", |p| p.entries[0].index = 0, passes()),
    ]
}

fn checkpoints() -> Vec<Case> {
    vec![
        // 8.
        Case::v1(
            "a checkpoint signed by another trusted log",
            |p| p.entries[0].by_other_log = true,
            refused("Checkpoint", ""),
        ),
        Case::v2(
            "a Rekor v2 checkpoint signed by another trusted log",
            |p| p.entries[0].by_other_log = true,
            refused("Checkpoint", ""),
        ),
        Case::v2(
            "a Rekor v1 origin on a Rekor v2 checkpoint",
            |p| p.entries[0].checkpoint = |text| text.replacen('\n', " - 42\n", 1),
            refused("CheckpointOrigin", ""),
        ),
        Case::v1(
            "a Rekor v2 origin on a Rekor v1 checkpoint",
            |p| p.entries[0].checkpoint = |text| text.replace(" - 42", ""),
            refused("CheckpointOrigin", ""),
        ),
        Case::v2(
            "the origin of another log",
            |p| p.entries[0].checkpoint = |text| text.replace("v2", "v3"),
            refused("CheckpointOrigin", "v3"),
        ),
        Case::v1(
            "a checkpoint of another size",
            |p| {
                p.entries[0].checkpoint = |text| text.replacen("\n6\n", "\n7\n", 1);
            },
            refused("InclusionCopies", "tree size"),
        ),
        Case::v1(
            "a size with a leading zero",
            |p| {
                p.entries[0].checkpoint = |text| text.replacen("\n6\n", "\n06\n", 1);
            },
            refused("Checkpoint", ""),
        ),
        Case::v1(
            "a checkpoint with other lines after the root",
            |p| p.entries[0].checkpoint = |text| text + "Timestamp: 1\n",
            passes(),
        ),
        Case::v1(
            "carriage returns",
            |p| p.entries[0].note = |note| note.replace('\n', "\r\n"),
            refused("Checkpoint", "control"),
        ),
        Case::v1(
            "no blank line",
            |p| p.entries[0].note = |note| note.replacen("\n\n", "\n", 1),
            refused("Checkpoint", ""),
        ),
        Case::v1(
            "two blank lines",
            |p| p.entries[0].note = |note| note.replacen("\n\n", "\n\n\n", 1),
            refused("Checkpoint", ""),
        ),
        Case::v1(
            "a hyphen in place of the dash",
            |p| p.entries[0].note = |note| note.replace('\u{2014}', "-"),
            refused("Checkpoint", ""),
        ),
        Case::v1(
            "a signature by a witness as well",
            |p| {
                p.entries[0].note =
                    |note| note + "\u{2014} witness.test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
            },
            passes(),
        ),
        Case::v1(
            "the witness alone",
            |p| {
                p.entries[0].note = |note| {
                    let (text, _) = note.split_once("\n\n").unwrap();
                    format!("{text}\n\n\u{2014} witness.test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
                }
            },
            refused("Checkpoint", ""),
        ),
        Case::v1(
            "the log's signature under another name",
            |p| {
                p.entries[0].note =
                    |note| note.replace("\u{2014} rekor-v1.test", "\u{2014} other.test");
            },
            refused("Checkpoint", ""),
        ),
        Case::v1(
            "no newline at the end",
            |p| p.entries[0].note = |note| note.trim_end().to_owned(),
            refused("Checkpoint", ""),
        ),
    ]
}

fn stamps() -> Vec<Case> {
    vec![
        // 3 and 9.
        Case::v2(
            "a timestamp after the certificate's life",
            |p| p.stamps[0].time = then() + seconds(3600),
            refused("Chain", "leaf"),
        ),
        Case::v2(
            "a timestamp over another signature",
            |p| p.stamps[0].over = Some(b"other"),
            refused("Timestamp", "message"),
        ),
        Case::v2("a timestamp with SHA-384 inside", |p| p.stamps[0].digest = "sha384", passes()),
        Case::v2(
            "a timestamp with a SHA-512 imprint",
            |p| p.stamps[0].imprint = "sha512",
            passes(),
        ),
        Case::v2(
            "a timestamp with a SHA-1 imprint",
            |p| p.stamps[0].imprint = "sha1",
            refused("Timestamp", ""),
        ),
        Case::v2(
            "a refusal in place of a timestamp",
            |p| p.stamps[0].status = 2,
            refused("Timestamp", ""),
        ),
        Case::v2("a timestamp granted with modifications", |p| p.stamps[0].status = 1, passes()),
        Case::v2(
            "a timestamping certificate whose usage is not critical",
            |p| p.tsa.usages_critical = false,
            refused("Timestamp", "critical"),
        ),
        Case::v2(
            "a timestamping certificate of more usages",
            |p| p.tsa.usages.push(crate::forge::CODE_SIGNING),
            refused("Timestamp", "alone"),
        ),
        Case::v2(
            "a timestamping certificate of another usage",
            |p| p.tsa.usages = vec![crate::forge::CODE_SIGNING],
            refused("Timestamp", ""),
        ),
        Case::v2(
            "a timestamping certificate that is a CA",
            |p| p.tsa.ca = true,
            refused("NoTime", "not trusted"),
        ),
        Case::v2(
            "a timestamping certificate that had expired",
            |p| p.tsa.life.1 = then() - seconds(1),
            refused("Timestamp", ""),
        ),
        Case::v2(
            "a timestamp that brings its certificate",
            |p| p.stamps[0].embedded = true,
            passes(),
        ),
        // CVE-2026-39984.
        Case::v2(
            "a signer's certificate beside the good one",
            |p| p.stamps[0].substituted = true,
            refused("Timestamp", ""),
        ),
        Case::v2(
            "a signed attribute that names another certificate",
            |p| p.stamps[0].right_ess = false,
            refused("Timestamp", ""),
        ),
        Case::v2(
            "attributes in the wrong order",
            |p| p.stamps[0].sorted = false,
            refused("Timestamp", ""),
        ),
        Case::v2("two signers", |p| p.stamps[0].signers = 2, refused("Timestamp", "")),
        Case::v2("no signer", |p| p.stamps[0].signers = 0, refused("Timestamp", "")),
        Case::v2("a timestamp of the second authority", |p| p.stamps[0].authority = 1, passes()),
        Case::v2(
            "of the first authority, within the window of the second only",
            |p| {
                p.root = |root| {
                    root["timestampAuthorities"][0]["validFor"]["end"] =
                        crate::forge::at(then() - seconds(1)).into();
                }
            },
            refused("TimestampWindow", ""),
        ),
        Case::v2(
            "a timestamp of an authority that nobody knows",
            |p| {
                p.stamps[0].authority = 2;
                p.stamps[0].embedded = true;
            },
            refused("NoTime", "not trusted"),
        ),
        Case::v2(
            "a second timestamp, of rubbish",
            |p| {
                p.bundle = |b| {
                    let stamps = &mut b["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"];
                    stamps.as_array_mut().unwrap().push(json!({ "signedTimestamp": "AAAA" }));
                }
            },
            refused("Timestamp", ""),
        ),
        Case::v1(
            "a timestamp of rubbish beside a promise",
            |p| {
                p.bundle = |b| {
                    b["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] =
                        json!([{ "signedTimestamp": "AAAA" }]);
                }
            },
            refused("Timestamp", ""),
        ),
        Case::v2("no timestamp", |p| p.stamps.clear(), refused("NoTime", "no timestamp")),
    ]
}

fn thresholds() -> Vec<Case> {
    let twice = |p: &mut Plan| {
        let mut second = p.entries[0].clone();
        second.index = 9;
        p.entries.push(second);
    };
    vec![
        // 10. CVE-2026-49834: logs and authorities count, not what they issue.
        Case::v1("two entries of one log", twice, passes()),
        Case::v1(
            "two entries of one log where two logs are wanted",
            twice,
            refused("Threshold", "expected 2 different transparency logs, found 1"),
        )
        .policy(|policy| policy.log_threshold(2)),
        Case::v1(
            "entries of two logs where two are wanted",
            |p| p.entries.extend(Plan::v2().entries),
            passes(),
        )
        .policy(|policy| policy.log_threshold(2)),
        Case::v2(
            "two timestamps of one authority where two are wanted",
            |p| {
                let mut second = p.stamps[0].clone();
                second.time += seconds(1);
                p.stamps.push(second);
            },
            refused("Threshold", "timestamp authorities, found 1"),
        )
        .policy(|policy| policy.timestamp_threshold(2)),
        Case::v2(
            "timestamps of two authorities where two are wanted",
            |p| {
                let mut second = p.stamps[0].clone();
                second.authority = 1;
                p.stamps.push(second);
            },
            passes(),
        )
        .policy(|policy| policy.timestamp_threshold(2)),
        Case::v1(
            "two SCTs of one log where two are wanted",
            |p| {
                let second = SctPlan { time: then() - seconds(59), ..p.scts[0].clone() };
                p.scts.push(second);
            },
            refused("Threshold", "certificate transparency logs, found 1"),
        )
        .policy(|policy| policy.sct_threshold(2)),
        Case::v1(
            "a second entry of an unknown log",
            |p| {
                let mut second = p.entries[0].clone();
                second.log_known = false;
                second.index = 9;
                p.entries.push(second);
            },
            passes(),
        ),
        Case::v1(
            "an entry of an unknown log alone",
            |p| p.entries[0].log_known = false,
            refused("NoLogEntry", ""),
        ),
        Case::v1(
            "the same entry twice",
            |p| {
                p.bundle = |b| {
                    let entries = b["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
                    entries.push(entries[0].clone());
                }
            },
            unreadable("twice"),
        ),
        Case::v2(
            "the same timestamp twice",
            |p| {
                p.bundle = |b| {
                    let stamps = &mut b["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"];
                    let stamps = stamps.as_array_mut().unwrap();
                    stamps.push(stamps[0].clone());
                }
            },
            unreadable("twice"),
        ),
        Case::v1("no entry", |p| p.entries.clear(), refused("NoLogEntry", "no entry")),
        Case::v1(
            "33 entries",
            |p| {
                p.bundle = |b| {
                    let entries = b["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
                    *entries = vec![entries[0].clone(); 33];
                }
            },
            unreadable("at most"),
        ),
    ]
}
