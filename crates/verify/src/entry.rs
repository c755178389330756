use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{LogEntry, LogProof};
use keys::{Payload, Scheme};
use tlog::{Checkpoint, Hash, InclusionProof, NoteKey};
use trust_root::{Log, TrustedRoot};

use crate::body::{self, Kind, kind_version};
use crate::check::{Check, rfc3339};
use crate::signature::Signed;
use crate::verified::{VerifiedEntry, Warning};

/// Verifies every entry of a known log, in every part; passes over those of unknown logs.
pub(crate) fn check_all(
    entries: &[LogEntry],
    signed: &Signed<'_>,
    scheme: Scheme,
    root: &TrustedRoot,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<VerifiedEntry>, Check> {
    let mut verified = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let logs: Vec<&Log> =
            root.tlogs().iter().filter(|log| log.log_id() == entry.log_id).collect();
        if logs.is_empty() {
            warnings.push(Warning::UnknownLog { entry: index, log_id: hex(&entry.log_id) });
            continue;
        }
        verified.push(check(index, entry, signed, scheme, &logs)?);
    }
    if verified.is_empty() {
        let known = root.tlogs().iter().map(Log::base_url).collect::<Vec<_>>();
        let found = entries.iter().map(|entry| hex(&entry.log_id)).collect::<Vec<_>>();
        return Err(Check::NoLogEntry {
            expected: if known.is_empty() { "none is".to_owned() } else { known.join(", ") },
            found: if found.is_empty() { "no entry".to_owned() } else { found.join(", ") },
        });
    }
    Ok(verified)
}

fn check(
    index: usize,
    entry: &LogEntry,
    signed: &Signed<'_>,
    scheme: Scheme,
    logs: &[&Log],
) -> Result<VerifiedEntry, Check> {
    let kind = Kind::of(index, entry)?;
    body::check(index, entry, kind, signed, scheme)?;
    // Several are one log with several windows: same id, same key.
    let Some(log) = logs.first() else {
        return Err(Check::EntryMalformed { entry: index, reason: "no log".to_owned() });
    };
    let claimed = claimed_time(index, entry)?;
    if let (Some(time), Some(certificate)) = (claimed, signed.certificate) {
        let (start, end) = (certificate.not_before(), certificate.not_after());
        if time < start || time > end {
            let outside = format!("the certificate's life, {} to {}", rfc3339(start), rfc3339(end));
            return Err(Check::IntegratedTime { entry: index, found: time, outside });
        }
    }
    if let Some(found) = claimed {
        let expected = match (kind.is_v2(), &entry.signed_entry_timestamp) {
            (true, _) => Some("none of Rekor v2, which vouches for no time"),
            (false, None) => Some("a signed entry timestamp that vouches for it"),
            (false, Some(_)) => None,
        };
        if let Some(expected) = expected {
            return Err(Check::UnvouchedTime { entry: index, expected, found });
        }
    }
    let mut integrated_time = None;
    if let Some(set) = &entry.signed_entry_timestamp {
        let time = promise(index, entry, claimed, set, log)?;
        if !logs.iter().any(|log| log.valid_for().contains(time)) {
            return Err(Check::IntegratedTime {
                entry: index,
                found: time,
                outside: format!("the log's window, {}", log.valid_for()),
            });
        }
        integrated_time = Some(time);
    }
    match &entry.inclusion_proof {
        Some(proof) => inclusion(index, entry, kind, proof, log)?,
        // A promise alone is Rekor v1's, and only bundles of v0.1 may leave it at that.
        None if kind.is_v2() || entry.signed_entry_timestamp.is_none() => {
            return Err(Check::InclusionMissing { entry: index, found: kind_version(entry) });
        }
        None => {}
    }
    Ok(VerifiedEntry {
        log_url: log.base_url().to_owned(),
        log_id: entry.log_id.clone(),
        log_index: entry.log_index,
        integrated_time,
    })
}

/// The time the entry claims for itself, believed by nobody yet.
fn claimed_time(index: usize, entry: &LogEntry) -> Result<Option<SystemTime>, Check> {
    let Some(seconds) = entry.integrated_time else { return Ok(None) };
    match SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        Some(time) => Ok(Some(time)),
        None => Err(Check::EntryMalformed {
            entry: index,
            reason: format!("its time {seconds} is out of range"),
        }),
    }
}

/// Rekor v1's promise (SET): the only thing that vouches for the entry's time.
fn promise(
    index: usize,
    entry: &LogEntry,
    claimed: Option<SystemTime>,
    set: &[u8],
    log: &Log,
) -> Result<SystemTime, Check> {
    let wrong = |reason: &str, source| Check::SignedEntryTimestamp {
        entry: index,
        reason: reason.to_owned(),
        source,
    };
    let (Some(time), Some(seconds)) = (claimed, entry.integrated_time) else {
        return Err(wrong("there is no time that it could be of", None));
    };
    // Keys sorted, no white space, nothing to escape: the canonical form (RFC 8785). The index is
    // the one over all shards.
    let promised = format!(
        r#"{{"body":"{}","integratedTime":{seconds},"logID":"{}","logIndex":{}}}"#,
        STANDARD.encode(&entry.canonicalized_body),
        hex(&entry.log_id),
        entry.log_index,
    );
    log.key()
        .verify(log.scheme(), Payload::Message(promised.as_bytes()), set)
        .map_err(|error| wrong("it is not the log's over this entry", Some(error)))?;
    Ok(time)
}

fn inclusion(
    index: usize,
    entry: &LogEntry,
    kind: Kind,
    proof: &LogProof,
    log: &Log,
) -> Result<(), Check> {
    let checkpoint = checkpoint(index, kind, &proof.checkpoint, log)?;
    let copies = |field, expected: String, found: String| {
        if expected == found {
            return Ok(());
        }
        Err(Check::InclusionCopies { entry: index, field, expected, found })
    };
    copies("tree size", checkpoint.size.to_string(), proof.tree_size.to_string())?;
    copies("root hash", hex(checkpoint.root.as_bytes()), hex(&proof.root_hash))?;
    if kind.is_v2() {
        copies("log index", entry.log_index.to_string(), proof.log_index.to_string())?;
    } else if entry.log_index < proof.log_index {
        // The outer one counts the entries of all earlier shards as well.
        return Err(Check::InclusionCopies {
            entry: index,
            field: "log index",
            expected: entry.log_index.to_string(),
            found: proof.log_index.to_string(),
        });
    }
    let hashes: Option<Vec<Hash>> = proof.hashes.iter().map(|h| Hash::from_slice(h)).collect();
    let Some(hashes) = hashes else {
        let reason = "a hash of its proof is not 32 bytes".to_owned();
        return Err(Check::EntryMalformed { entry: index, reason });
    };
    InclusionProof { index: proof.log_index, size: checkpoint.size, hashes }
        .verify(&tlog::leaf_hash(&entry.canonicalized_body), &checkpoint.root)
        .map_err(|source| Check::Inclusion { entry: index, source })
}

/// The checkpoint, signed by the very log the entry says it is of.
fn checkpoint(index: usize, kind: Kind, envelope: &str, log: &Log) -> Result<Checkpoint, Check> {
    let wrong = |source| Check::Checkpoint { entry: index, source };
    let (checkpoint, note) = Checkpoint::parse(envelope).map_err(wrong)?;
    let other_origin = |expected: String| Check::CheckpointOrigin {
        entry: index,
        expected,
        found: checkpoint.origin.chars().take(200).collect(),
    };
    let name = if kind.is_v2() {
        // The host name of the log's URL is its name.
        let name = log.host_name().unwrap_or_default();
        if name != checkpoint.origin {
            return Err(other_origin(name));
        }
        name
    } else {
        // The tree follows the name; the name need not be that of the URL.
        let (name, tree) = checkpoint
            .origin
            .rsplit_once(" - ")
            .ok_or_else(|| other_origin("<name> - <tree id>".to_owned()))?;
        if tree.is_empty() || !tree.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(other_origin("<name> - <tree id>".to_owned()));
        }
        name.to_owned()
    };
    NoteKey::new(name, log.key().clone()).and_then(|key| key.verify(&note)).map_err(wrong)?;
    Ok(checkpoint)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect()
}
