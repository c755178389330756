//! The parts that are to be made.

use std::time::{Duration, SystemTime};

use keys::{KeyPair, Payload, Sign as _};
use serde_json::Value;

use super::then;
use crate::der::{bits, int, name, octets, oid, seq, tlv, utc_time};

/// Of all certificates but those of the later timestamp authorities.
pub(super) const SERIAL: u64 = 0x1234;
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate to be made.
#[derive(Clone)]
pub(crate) struct CertPlan {
    pub(crate) subject: &'static str,
    pub(crate) serial: u64,
    pub(crate) life: (SystemTime, SystemTime),
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u64>,
    /// Bits of the key usage, most significant first.
    pub(crate) key_usage: u8,
    pub(crate) usages: Vec<&'static str>,
    pub(crate) usages_critical: bool,
    pub(crate) extensions: Vec<Vec<u8>>,
}

pub(crate) const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
pub(crate) const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

impl CertPlan {
    pub(super) fn ca(subject: &'static str) -> Self {
        Self {
            subject,
            serial: SERIAL,
            life: (then() - DAY, then() + DAY),
            ca: true,
            path_len: None,
            key_usage: 0x06,
            usages: Vec::new(),
            usages_critical: false,
            extensions: Vec::new(),
        }
    }

    pub(super) fn tbs(&self, issuer: &str, spki: &[u8], more: &[Vec<u8>]) -> Vec<u8> {
        let mut extensions = vec![extension("2.5.29.15", true, &key_usage(self.key_usage))];
        if self.ca {
            let mut parts = vec![tlv(0x01, &[0xff])];
            parts.extend(self.path_len.map(int));
            extensions.push(extension("2.5.29.19", true, &seq(&parts)));
        }
        if !self.usages.is_empty() {
            let usages: Vec<_> = self.usages.iter().map(|usage| oid(usage)).collect();
            extensions.push(extension("2.5.29.37", self.usages_critical, &seq(&usages)));
        }
        extensions.extend(self.extensions.iter().cloned());
        extensions.extend(more.iter().cloned());
        seq(&[
            tlv(0xa0, &int(2)),
            int(self.serial),
            ecdsa(),
            name(issuer),
            seq(&[utc_time(self.life.0), utc_time(self.life.1)]),
            name(self.subject),
            spki.to_vec(),
            tlv(0xa3, &seq(&extensions)),
        ])
    }
}

fn key_usage(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros()).unwrap().min(7);
    tlv(0x03, &[unused, bits])
}

pub(super) fn ecdsa() -> Vec<u8> {
    seq(&[oid("1.2.840.10045.4.3.2")])
}

pub(crate) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(tlv(0x01, &[0xff]));
    }
    parts.push(octets(value));
    seq(&parts)
}

pub(super) fn signed(tbs: &[u8], key: &KeyPair) -> Vec<u8> {
    let signature = key.sign(Payload::Message(tbs)).unwrap();
    seq(&[tbs.to_vec(), ecdsa(), bits(&signature)])
}

/// A certificate's timestamp to be made.
#[derive(Clone)]
pub(crate) struct SctPlan {
    pub(crate) known: bool,
    pub(crate) time: SystemTime,
    /// Over the intermediate's key; otherwise over another one's.
    pub(crate) right_issuer: bool,
}

/// A log entry to be made.
#[derive(Clone)]
pub(crate) struct EntryPlan {
    pub(crate) v2: bool,
    pub(crate) kind: (&'static str, &'static str),
    /// Changes the body before it is logged.
    pub(crate) body: fn(&mut Value),
    /// Changes the body's bytes before they are logged.
    pub(crate) body_bytes: fn(Vec<u8>) -> Vec<u8>,
    pub(crate) time: SystemTime,
    pub(crate) promise: bool,
    /// The promise is over the index in the shard instead of the global one.
    pub(crate) promise_over_shard_index: bool,
    pub(crate) index: u64,
    /// Of the log, before it is signed.
    pub(crate) checkpoint: fn(String) -> String,
    /// Of the note, after that.
    pub(crate) note: fn(String) -> String,
    /// The checkpoint is signed by the other trusted log.
    pub(crate) by_other_log: bool,
    pub(crate) log_known: bool,
}

impl EntryPlan {
    pub(super) fn new(v2: bool) -> Self {
        Self {
            v2,
            kind: ("hashedrekord", if v2 { "0.0.2" } else { "0.0.1" }),
            body: |_| (),
            body_bytes: |bytes| bytes,
            time: then(),
            promise: !v2,
            promise_over_shard_index: false,
            index: 2,
            checkpoint: |text| text,
            note: |note| note,
            by_other_log: false,
            log_known: true,
        }
    }
}

/// A timestamp to be made.
#[derive(Clone)]
pub(crate) struct StampPlan {
    pub(crate) time: SystemTime,
    /// Which authority of the trusted root; the third is in none.
    pub(crate) authority: usize,
    pub(crate) status: u64,
    /// Over this instead of the signature.
    pub(crate) over: Option<&'static [u8]>,
    /// By name: the imprint's and the digest's.
    pub(crate) imprint: &'static str,
    pub(crate) digest: &'static str,
    pub(crate) right_ess: bool,
    pub(crate) sorted: bool,
    pub(crate) signers: usize,
    /// Signed by another key, whose certificate lies beside the good one.
    pub(crate) substituted: bool,
    pub(crate) embedded: bool,
}

impl StampPlan {
    pub(super) fn new() -> Self {
        Self {
            time: then(),
            authority: 0,
            status: 0,
            over: None,
            imprint: "sha256",
            digest: "sha256",
            right_ess: true,
            sorted: true,
            signers: 1,
            substituted: false,
            embedded: false,
        }
    }
}
