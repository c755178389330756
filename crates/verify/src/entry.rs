use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::log_body::LogKind;
use bundle::{LogEntry, LogProof};
use keys::{Payload, Scheme};
use tlog::{Checkpoint, Hash, InclusionProof, NoteKey};
use trust_root::{Log, TrustedRoot};

use crate::body::{self, is_v2, kind_version};
use crate::check::Check;
use crate::signature::Signed;
use crate::text::{hex, rfc3339};
use crate::verified::{VerifiedEntry, VerifiedTime, Warning};

/// A verified entry and its log: several of the trusted root when it has several windows.
pub(crate) struct Checked<'a> {
    pub(crate) entry: VerifiedEntry,
    pub(crate) logs: Vec<&'a Log>,
    index: usize,
}

/// Verifies every entry of a known log, in every part. Entries of unknown logs are ignored.
/// `digest_entries`: an entry of version 1 with a digest serves for an envelope.
pub(crate) fn check_all<'a>(
    entries: &[LogEntry],
    signed: &Signed<'_>,
    scheme: Scheme,
    digest_entries: bool,
    root: &'a TrustedRoot,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Checked<'a>>, Check> {
    let mut verified = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let logs: Vec<&Log> =
            root.tlogs().iter().filter(|log| log.log_id() == entry.log_id).collect();
        if logs.is_empty() {
            warnings.push(Warning::UnknownLog { entry: index, log_id: hex(&entry.log_id) });
            continue;
        }
        let entry = check(index, entry, signed, scheme, digest_entries, &logs)?;
        verified.push(Checked { entry, logs, index });
    }
    if verified.is_empty() {
        let known = root.tlogs().iter().map(Log::base_url).collect::<Vec<_>>();
        let found = entries.iter().map(|entry| hex(&entry.log_id)).collect::<Vec<_>>();
        return Err(Check::NoLogEntry {
            expected: match known.as_slice() {
                [] => "the trusted root has none".to_owned(),
                known => known.join(", "),
            },
            found: if found.is_empty() { "no entry".to_owned() } else { found.join(", ") },
        });
    }
    Ok(verified)
}

/// Requires that each log was in use at one of the verified times at least. When every one of them
/// is after its window, the entry can only come from whoever holds the key of a retired log.
pub(crate) fn check_windows(checked: &[Checked<'_>], times: &[VerifiedTime]) -> Result<(), Check> {
    let Some(earliest) = times.iter().map(|time| time.time).min() else { return Ok(()) };
    for Checked { logs, index, .. } in checked {
        let retired = |log: &&Log| log.valid_for().end.is_some_and(|end| earliest > end);
        if let (true, Some(log)) = (logs.iter().all(retired), logs.first()) {
            let outside = format!("the log's window, {}", log.valid_for());
            return Err(Check::IntegratedTime { entry: *index, found: earliest, outside });
        }
    }
    Ok(())
}

fn check(
    index: usize,
    entry: &LogEntry,
    signed: &Signed<'_>,
    scheme: Scheme,
    digest_entries: bool,
    logs: &[&Log],
) -> Result<VerifiedEntry, Check> {
    let kind = body::kind(index, entry)?;
    body::check(index, entry, kind, signed, scheme, digest_entries)?;
    // They have the same id and the same key, and differ in their windows.
    let Some(log) = logs.first() else {
        return Err(Check::EntryMalformed { entry: index, reason: "no log".to_owned() });
    };
    let claimed = claimed_time(index, entry)?;
    if let (Some(time), Some(certificate)) = (claimed, signed.certificate) {
        let (start, end) = (certificate.not_before(), certificate.not_after());
        if time < start || time > end {
            let outside =
                format!("the certificate's validity, {} to {}", rfc3339(start), rfc3339(end));
            return Err(Check::IntegratedTime { entry: index, found: time, outside });
        }
    }
    if let Some(found) = claimed {
        let expected = match (is_v2(kind), &entry.signed_entry_timestamp) {
            (true, _) => Some("none, because Rekor v2 signs no times"),
            (false, None) => Some("a signed entry timestamp beside it"),
            (false, Some(_)) => None,
        };
        if let Some(expected) = expected {
            return Err(Check::UnvouchedTime { entry: index, expected, found });
        }
    }
    let mut integrated_time = None;
    if let Some(set) = &entry.signed_entry_timestamp {
        let time = signed_time(index, entry, claimed, set, log)?;
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
        // A signed entry timestamp is enough for Rekor v1: bundles of v0.1 need no more.
        None if is_v2(kind) || entry.signed_entry_timestamp.is_none() => {
            return Err(Check::InclusionMissing { entry: index, found: kind_version(entry) });
        }
        None => {}
    }
    Ok(VerifiedEntry {
        log_url: log.base_url().to_owned(),
        log_id: entry.log_id.clone(),
        log_index: (is_v2(kind) || integrated_time.is_some()).then_some(entry.log_index),
        claimed_log_index: entry.log_index,
        integrated_time,
    })
}

/// The time that the entry claims, not verified yet.
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

/// Rekor v1's signed entry timestamp (SET): nothing else proves the entry's time.
fn signed_time(
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
        return Err(wrong("the entry has no time", None));
    };
    // Keys sorted, no white space, nothing to escape: the canonical form (RFC 8785). The index is
    // the one over all shards.
    let signed = format!(
        r#"{{"body":"{}","integratedTime":{seconds},"logID":"{}","logIndex":{}}}"#,
        STANDARD.encode(&entry.canonicalized_body),
        hex(&entry.log_id),
        entry.log_index,
    );
    log.key()
        .verify(log.scheme(), Payload::Message(signed.as_bytes()), set)
        .map_err(|error| wrong("the log did not sign it for this entry", Some(error)))?;
    Ok(time)
}

fn inclusion(
    index: usize,
    entry: &LogEntry,
    kind: LogKind,
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
    if is_v2(kind) {
        copies("log index", entry.log_index.to_string(), proof.log_index.to_string())?;
    } else if entry.log_index < proof.log_index {
        // The index of the entry also counts the entries of all earlier shards.
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

/// The checkpoint, signed by the same log that the entry names.
fn checkpoint(index: usize, kind: LogKind, envelope: &str, log: &Log) -> Result<Checkpoint, Check> {
    let wrong = |source| Check::Checkpoint { entry: index, source };
    let (checkpoint, note) = Checkpoint::parse(envelope).map_err(wrong)?;
    let other_origin = |expected: String| Check::CheckpointOrigin {
        entry: index,
        expected,
        found: checkpoint.origin.chars().take(200).collect(),
    };
    let name = if is_v2(kind) {
        // The name of the log is the host name of its URL.
        let name = log.host_name().unwrap_or_default();
        if name != checkpoint.origin {
            return Err(other_origin(name));
        }
        name
    } else {
        // The name is followed by the tree id, and need not be the host name of the URL.
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
