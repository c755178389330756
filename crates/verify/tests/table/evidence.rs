//! Groups 4 and 8: log entries and checkpoints.

use serde_json::{Value, json};

use crate::forge::Plan;
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
    all.extend(crate::stamps::cases());
    all.extend(crate::thresholds::cases());
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
            refused("SignedEntryTimestamp", "the log did not sign it"),
        ),
        Case::v1(
            "another index than was promised",
            |p| {
                p.bundle = |b| entry(b)["logIndex"] = plus_one(&entry(b)["logIndex"]);
            },
            refused("SignedEntryTimestamp", "the log did not sign it"),
        ),
        Case::v1(
            "a promise over the index in the shard",
            |p| p.entries[0].promise_over_shard_index = true,
            refused("SignedEntryTimestamp", "the log did not sign it"),
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
            "a time without a promise, within the certificate's life",
            |p| p.bundle = |b| entry(b)["integratedTime"] = json!("1790000000"),
            refused("UnvouchedTime", "Rekor v2"),
        ),
        Case::v2(
            "a promise over a Rekor v2 entry",
            |p| p.entries[0].promise = true,
            refused("UnvouchedTime", "Rekor v2 signs no times"),
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
            refused("Material", "found one with a public key"),
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
            refused("EntryKind", "rekord 0.0.1"),
        ),
        Case::v1(
            "an intoto entry of 0.0.1",
            |p| p.entries[0].kind = ("intoto", "0.0.1"),
            refused("EntryKind", "intoto 0.0.1"),
        ),
        Case::v2(
            "a dsse entry of 0.0.2",
            |p| p.entries[0].kind = ("dsse", "0.0.2"),
            refused("EntryKind", "dsse 0.0.2"),
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
            refused("Inclusion", "root hash"),
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
            refused("Inclusion", "root hash"),
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
            "a size of nothing",
            |p| p.bundle = |b| entry(b)["inclusionProof"]["treeSize"] = json!("0"),
            unreadable("treeSize"),
        ),
        Case::v1(
            "a size of 2^63",
            |p| {
                p.bundle =
                    |b| entry(b)["inclusionProof"]["treeSize"] = json!("9223372036854775808");
            },
            unreadable("treeSize"),
        ),
        Case::v1(
            "an index beyond the one over all shards",
            |p| {
                p.bundle = |b| {
                    entry(b).as_object_mut().unwrap().remove("inclusionPromise");
                    entry(b).as_object_mut().unwrap().remove("integratedTime");
                    entry(b)["logIndex"] = json!("0");
                };
                p.stamps = Plan::v2().stamps;
            },
            refused("InclusionCopies", "log index"),
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
            refused("Checkpoint", "rekor-v1.test"),
        ),
        Case::v2(
            "a Rekor v2 checkpoint signed by another trusted log",
            |p| p.entries[0].by_other_log = true,
            refused("Checkpoint", "rekor-v2.test"),
        ),
        Case::v2(
            "a Rekor v1 origin on a Rekor v2 checkpoint",
            |p| p.entries[0].checkpoint = |text| text.replacen('\n', " - 42\n", 1),
            refused("CheckpointOrigin", "found \"rekor-v2.test - 42\""),
        ),
        Case::v1(
            "a Rekor v2 origin on a Rekor v1 checkpoint",
            |p| p.entries[0].checkpoint = |text| text.replace(" - 42", ""),
            refused("CheckpointOrigin", "<name> - <tree id>"),
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
            "a checkpoint of another root",
            |p| {
                p.entries[0].checkpoint = |text| {
                    let (head, _) = text.rsplit_once("\n6\n").unwrap();
                    format!("{head}\n6\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
                };
            },
            refused("InclusionCopies", "root hash"),
        ),
        Case::v1(
            "a checkpoint of a size that no integer holds",
            |p| {
                p.entries[0].checkpoint =
                    |text| text.replacen("\n6\n", "\n99999999999999999999\n", 1);
            },
            refused("Checkpoint", "tree size"),
        ),
        Case::v1(
            "a size with a leading zero",
            |p| {
                p.entries[0].checkpoint = |text| text.replacen("\n6\n", "\n06\n", 1);
            },
            refused("Checkpoint", "tree size"),
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
            refused("Checkpoint", "blank line"),
        ),
        Case::v1(
            "two blank lines",
            |p| p.entries[0].note = |note| note.replacen("\n\n", "\n\n\n", 1),
            refused("Checkpoint", "empty"),
        ),
        Case::v1(
            "a hyphen in place of the dash",
            |p| p.entries[0].note = |note| note.replace('\u{2014}', "-"),
            refused("Checkpoint", "em dash"),
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
            "the log's signature twice",
            |p| {
                p.entries[0].note = |note| {
                    let line = note.lines().last().unwrap();
                    format!("{note}{line}\n")
                }
            },
            passes(),
        ),
        Case::v1(
            "a thousand signatures",
            |p| {
                p.entries[0].note = |note| {
                    let line = "\u{2014} witness.test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
                    note + &line.repeat(1000)
                }
            },
            refused("Checkpoint", "128 signatures"),
        ),
        Case::v1(
            "the witness alone",
            |p| {
                p.entries[0].note = |note| {
                    let (text, _) = note.split_once("\n\n").unwrap();
                    format!("{text}\n\n\u{2014} witness.test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
                }
            },
            refused("Checkpoint", "rekor-v1.test"),
        ),
        Case::v1(
            "the log's signature under another name",
            |p| {
                p.entries[0].note =
                    |note| note.replace("\u{2014} rekor-v1.test", "\u{2014} other.test");
            },
            refused("Checkpoint", "rekor-v1.test"),
        ),
        Case::v1(
            "no newline at the end",
            |p| p.entries[0].note = |note| note.trim_end().to_owned(),
            refused("Checkpoint", "newline at the end"),
        ),
    ]
}
