//! No bundle verifies after any one byte of what it proves with is flipped.

use ambisign_verify::Policy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{ALL, ATTESTATION, Case, IMAGE};

/// How the byte at an offset is changed: each bit in turn, and several bits of short fields. (All
/// changes of all bytes take minutes and find no more.)
fn flips(at: usize, len: usize) -> Vec<u8> {
    if len < 40 { vec![0x01, 0x80, 0xff] } else { vec![1 << (at % 8)] }
}

fn field<'a>(value: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    value.pointer_mut(pointer).filter(|found| found.is_string())
}

/// Flips each byte of the field in turn; the offsets at which the bundle still verified. `None`
/// where the bundle has no such field.
fn tolerated(case: Case, policy: &Policy, pointer: &str) -> Option<Vec<usize>> {
    let mut value = case.value();
    let text = field(&mut value, pointer)?.as_str()?.to_owned();
    let bytes = STANDARD.decode(&text).expect(pointer);
    assert!(!bytes.is_empty(), "{pointer}");
    let mut tolerated = Vec::new();
    for at in 0..bytes.len() {
        for flip in flips(at, bytes.len()) {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            *field(&mut value, pointer)? = json!(STANDARD.encode(changed));
            if case.judge(value.to_string().as_bytes(), policy).is_ok() {
                tolerated.push(at);
            }
        }
    }
    Some(tolerated)
}

/// Each of the fields is in so many of the bundles.
fn no_flip_is_tolerated(fields: &[(&str, usize)]) {
    for (pointer, bundles) in fields {
        let mut tried = 0;
        for case in ALL {
            let Some(tolerated) = tolerated(case, &case.policy(), pointer) else { continue };
            assert!(tolerated.is_empty(), "{} {pointer}: {tolerated:?}", case.bundle);
            tried += 1;
        }
        assert_eq!(tried, *bundles, "{pointer}");
    }
}

#[test]
fn a_changed_signature_is_refused() {
    no_flip_is_tolerated(&[
        ("/messageSignature/signature", 4),
        ("/dsseEnvelope/signatures/0/sig", 2),
    ]);
}

#[test]
fn a_changed_certificate_is_refused() {
    no_flip_is_tolerated(&[("/verificationMaterial/certificate/rawBytes", 6)]);
}

#[test]
fn a_changed_payload_or_digest_is_refused() {
    no_flip_is_tolerated(&[
        ("/dsseEnvelope/payload", 2),
        ("/messageSignature/messageDigest/digest", 4),
    ]);
}

#[test]
fn a_changed_proof_is_refused() {
    let entry = "/verificationMaterial/tlogEntries/0";
    no_flip_is_tolerated(&[
        (&format!("{entry}/inclusionProof/rootHash"), 6),
        (&format!("{entry}/logId/keyId"), 6),
        (&format!("{entry}/inclusionPromise/signedEntryTimestamp"), 1),
    ]);
    let mut hashes = 0;
    for case in ALL {
        let value = case.value();
        let proof = value.pointer(&format!("{entry}/inclusionProof/hashes")).unwrap();
        for hash in 0..proof.as_array().unwrap().len() {
            let pointer = format!("{entry}/inclusionProof/hashes/{hash}");
            assert_eq!(tolerated(case, &case.policy(), &pointer), Some(vec![]), "{pointer}");
            hashes += 1;
        }
    }
    assert!(hashes >= 20, "{hashes} hashes");
}

#[test]
fn a_changed_body_is_refused() {
    no_flip_is_tolerated(&[("/verificationMaterial/tlogEntries/0/canonicalizedBody", 6)]);
}

#[test]
fn a_changed_checkpoint_is_refused() {
    let pointer = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
    for case in ALL {
        let mut value = case.value();
        let note = value.pointer(pointer).unwrap().as_str().unwrap().as_bytes().to_vec();
        let mut refused = |changed: Vec<u8>, what: &str| match String::from_utf8(changed) {
            Ok(changed) => {
                *value.pointer_mut(pointer).unwrap() = json!(changed);
                let judged = case.judge(value.to_string().as_bytes(), &case.policy());
                assert!(judged.is_err(), "{} {what}", case.bundle);
                1
            }
            // JSON cannot hold it.
            Err(_) => 0,
        };
        let (mut flipped, mut cut) = (0, 0);
        for at in 0..note.len() {
            for flip in [1 << (at % 7), 1 << ((at + 3) % 7)] {
                let mut changed = note.clone();
                changed[at] ^= flip;
                flipped += refused(changed, &format!("byte {at} ^ {flip:#x}"));
            }
            if at % 7 == 0 || at + 8 >= note.len() {
                cut += refused(note[..at].to_vec(), &format!("cut at {at}"));
            }
        }
        // All but those in the em dashes, of three bytes each.
        let dashes = note.iter().filter(|byte| **byte == 0xe2).count();
        assert!(flipped >= 2 * (note.len() - 3 * dashes), "{flipped} of {}", note.len());
        assert!(cut >= note.len() / 7 - 3 * dashes, "{cut} of {}", note.len());
    }
}

#[test]
fn a_changed_number_is_refused() {
    let entry = "/verificationMaterial/tlogEntries/0";
    for (name, bundles) in [
        ("logIndex", 6),
        ("inclusionProof/logIndex", 6),
        ("inclusionProof/treeSize", 6),
        ("integratedTime", 1),
    ] {
        let mut tried = 0;
        for case in ALL {
            let pointer = format!("{entry}/{name}");
            let mut value = case.value();
            let Some(number) = field(&mut value, &pointer) else { continue };
            let number: i64 = number.as_str().unwrap().parse().unwrap();
            let bits = (0..63).map(|bit| number ^ (1 << bit));
            let others = bits.chain([number + 1, number - 1, 0, i64::MAX]);
            for changed in others.filter(|changed| *changed != number) {
                *field(&mut value, &pointer).unwrap() = json!(changed.to_string());
                let judged = case.judge(value.to_string().as_bytes(), &case.policy());
                assert!(judged.is_err(), "{} {pointer} {changed}", case.bundle);
            }
            tried += 1;
        }
        assert_eq!(tried, bundles, "{name}");
    }
}

#[test]
fn another_payload_type_is_refused() {
    for case in [ATTESTATION, IMAGE] {
        let mut value = case.value();
        let payload_type = field(&mut value, "/dsseEnvelope/payloadType").unwrap();
        *payload_type = json!("application/vnd.in-toto+jsoN");
        assert!(case.judge(value.to_string().as_bytes(), &case.policy()).is_err());
    }
}
