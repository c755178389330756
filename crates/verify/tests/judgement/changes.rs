//! No bundle verifies after any one byte of what it proves with is flipped.

use ambisign_verify::Policy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{ALL, Case};

/// How the byte at an offset is changed: every bit has its turn, and short fields are changed in
/// every way. (All ways for all bytes take minutes and find no more.)
fn flips(at: usize, len: usize) -> Vec<u8> {
    if len < 40 { vec![0x01, 0x80, 0xff] } else { vec![1 << (at % 8)] }
}

fn field<'a>(value: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    value.pointer_mut(pointer).filter(|found| found.is_string())
}

/// Flips each byte of the field in turn; the offsets at which the bundle still verified.
fn tolerated(case: Case, policy: &Policy, pointer: &str) -> Option<Vec<usize>> {
    let mut value = case.value();
    let text = field(&mut value, pointer)?.as_str()?.to_owned();
    let bytes = STANDARD.decode(&text).expect(pointer);
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

fn no_flip_is_tolerated(pointers: &[&str]) {
    for case in ALL {
        let mut tried = 0;
        for pointer in pointers {
            let Some(tolerated) = tolerated(case, &case.policy(), pointer) else { continue };
            assert!(tolerated.is_empty(), "{} {pointer}: {tolerated:?}", case.bundle);
            tried += 1;
        }
        assert!(tried > 0, "{}", case.bundle);
    }
}

#[test]
fn a_changed_signature_is_refused() {
    no_flip_is_tolerated(&["/messageSignature/signature", "/dsseEnvelope/signatures/0/sig"]);
}

#[test]
fn a_changed_certificate_is_refused() {
    no_flip_is_tolerated(&["/verificationMaterial/certificate/rawBytes"]);
}

#[test]
fn a_changed_payload_or_digest_is_refused() {
    no_flip_is_tolerated(&["/dsseEnvelope/payload", "/messageSignature/messageDigest/digest"]);
}

#[test]
fn a_changed_proof_is_refused() {
    let entry = "/verificationMaterial/tlogEntries/0";
    let mut pointers = vec![
        format!("{entry}/inclusionProof/rootHash"),
        format!("{entry}/logId/keyId"),
        format!("{entry}/inclusionPromise/signedEntryTimestamp"),
    ];
    pointers.extend((0..12).map(|i| format!("{entry}/inclusionProof/hashes/{i}")));
    let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
    no_flip_is_tolerated(&pointers);
}

#[test]
fn a_changed_body_is_refused() {
    no_flip_is_tolerated(&["/verificationMaterial/tlogEntries/0/canonicalizedBody"]);
}

#[test]
fn a_changed_checkpoint_is_refused() {
    let pointer = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
    for case in ALL {
        let mut value = case.value();
        let note = value.pointer(pointer).unwrap().as_str().unwrap().as_bytes().to_vec();
        for at in 0..note.len() {
            for flip in [1 << (at % 7), 1 << ((at + 3) % 7)] {
                let mut changed = note.clone();
                changed[at] ^= flip;
                // What is no UTF-8 cannot even be written in JSON.
                let Ok(changed) = String::from_utf8(changed) else { continue };
                *value.pointer_mut(pointer).unwrap() = json!(changed);
                let judged = case.judge(value.to_string().as_bytes(), &case.policy());
                assert!(judged.is_err(), "{} byte {at} ^ {flip:#x}", case.bundle);
            }
            if at % 7 != 0 && at + 8 < note.len() {
                continue;
            }
            let mut cut = note.clone();
            cut.truncate(at);
            let Ok(cut) = String::from_utf8(cut) else { continue };
            *value.pointer_mut(pointer).unwrap() = json!(cut);
            assert!(case.judge(value.to_string().as_bytes(), &case.policy()).is_err());
        }
    }
}

#[test]
fn a_changed_number_is_refused() {
    let entry = "/verificationMaterial/tlogEntries/0";
    for case in ALL {
        for name in
            ["logIndex", "inclusionProof/logIndex", "inclusionProof/treeSize", "integratedTime"]
        {
            let pointer = format!("{entry}/{name}");
            let mut value = case.value();
            let Some(number) = field(&mut value, &pointer) else { continue };
            let number: i64 = number.as_str().unwrap().parse().unwrap();
            let bits = (0..63).map(|bit| number ^ (1 << bit));
            for changed in bits.chain([number + 1, number - 1, 0, i64::MAX]) {
                if changed == number {
                    continue;
                }
                *field(&mut value, &pointer).unwrap() = json!(changed.to_string());
                let judged = case.judge(value.to_string().as_bytes(), &case.policy());
                assert!(judged.is_err(), "{} {pointer} {changed}", case.bundle);
            }
        }
    }
}

#[test]
fn another_payload_type_is_refused() {
    for case in ALL {
        let mut value = case.value();
        let Some(payload_type) = field(&mut value, "/dsseEnvelope/payloadType") else { continue };
        *payload_type = json!("application/vnd.in-toto+jsoN");
        assert!(case.judge(value.to_string().as_bytes(), &case.policy()).is_err());
    }
}
