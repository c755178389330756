//! A timestamp token after one byte of it was flipped: refused, except in the parts that no reader
//! signs and that decide nothing. Those are listed here by name.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::{ATTESTATION, Case, EMAIL, GITHUB, IMAGE, SPIFFE};

const POINTER: &str =
    "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";

/// The fields of a `TimeStampResp` in which a changed byte may go unnoticed, with the way to them
/// (which child of which child), and why that does no harm.
const TOLERATED: [(&str, &[usize], &str); 5] = [
    ("PKIStatusInfo.status", &[0, 0], "granted (0) may become granted with modifications (1)"),
    ("SignedData.version", &[1, 1, 0, 0], "says which optional fields to expect"),
    ("SignedData.digestAlgorithms", &[1, 1, 0, 1], "a hint; the signer names its own"),
    ("SignedData.certificates", &[1, 1, 0, 3], "empty here; so is the list of CRLs it may become"),
    ("SignerInfo.version", &[1, 1, 0, 4, 0, 0], "says how the signer is named"),
];

/// Where a field begins and ends, its tag and length included.
fn field(der: &[u8], way: &[usize]) -> Range<usize> {
    let mut here = element(der, 0);
    for nth in way {
        let mut child = here.content.start;
        for _ in 0..*nth {
            child = element(der, child).content.end;
        }
        assert!(child < here.content.end, "no such field");
        here = element(der, child);
    }
    here.start..here.content.end
}

struct Element {
    start: usize,
    content: Range<usize>,
}

fn element(der: &[u8], start: usize) -> Element {
    let first = usize::from(der[start + 1]);
    let (length, header) = if first < 0x80 {
        (first, 2)
    } else {
        let octets = &der[start + 2..start + 2 + (first - 0x80)];
        (octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), 2 + octets.len())
    };
    Element { start, content: start + header..start + header + length }
}

fn unnoticed(case: Case, flips: impl Fn(usize) -> Vec<u8>) -> (Vec<u8>, Vec<usize>) {
    let mut value = case.value();
    let der = STANDARD.decode(value.pointer(POINTER).unwrap().as_str().unwrap()).unwrap();
    let mut unnoticed = Vec::new();
    for at in 0..der.len() {
        for flip in flips(at) {
            let mut changed = der.clone();
            changed[at] ^= flip;
            *value.pointer_mut(POINTER).unwrap() = json!(STANDARD.encode(changed));
            if case.judge(value.to_string().as_bytes(), &case.policy()).is_ok() {
                unnoticed.push(at);
            }
        }
    }
    (der, unnoticed)
}

fn only_listed_fields(case: Case, flips: impl Fn(usize) -> Vec<u8>) {
    let (der, unnoticed) = unnoticed(case, flips);
    let listed: Vec<Range<usize>> = TOLERATED.iter().map(|(_, way, _)| field(&der, way)).collect();
    for at in unnoticed {
        let found = listed.iter().any(|range| range.contains(&at));
        assert!(found, "{}: a flip at {at} went unnoticed", case.bundle);
    }
}

#[test]
fn a_changed_timestamp_is_refused_except_in_the_listed_fields() {
    for case in [SPIFFE, EMAIL, ATTESTATION, IMAGE] {
        only_listed_fields(case, |at| vec![1 << (at % 8)]);
    }
}

#[test]
fn several_bits_of_each_byte_of_a_timestamp_count() {
    only_listed_fields(GITHUB, |at| vec![0x01, 0xff, 1 << ((at + 4) % 8)]);
}

#[test]
fn each_listed_field_is_really_one_that_tolerates() {
    let (der, unnoticed) =
        unnoticed(
            GITHUB,
            |at| {
                if at < 260 { (0..8).map(|bit| 1 << bit).collect() } else { Vec::new() }
            },
        );
    for (name, way, why) in TOLERATED {
        let range = field(&der, way);
        assert!(unnoticed.iter().any(|at| range.contains(at)), "{name} ({why}) tolerates nothing");
    }
}
