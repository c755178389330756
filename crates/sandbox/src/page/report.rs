//! What the page and its API tell.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::fault::{Fault, Faults};
use crate::fulcio::Fulcio;
use crate::log::Entry;
use crate::registry::Registry;
use crate::registry::contents::HeldManifest;
use crate::rekor_v1::RekorV1;
use crate::rekor_v2::RekorV2;

/// The most certificates, entries of each log, and manifests that are told of.
const MOST: usize = 200;

/// The services that are looked into.
pub(crate) struct Observed {
    /// Name and address of each service.
    pub(crate) services: Vec<(&'static str, String)>,
    pub(crate) fulcio: Arc<Fulcio>,
    pub(crate) rekor_v1: Arc<RekorV1>,
    pub(crate) rekor_v2: Arc<RekorV2>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) faults: Faults,
}

/// A certificate that Fulcio issued.
#[derive(Serialize)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_before: String,
}

/// An entry of a log.
#[derive(Serialize)]
pub(super) struct LogEntry {
    pub(super) log: &'static str,
    pub(super) index: usize,
    /// When it was taken; Rekor v2 does not tell.
    pub(super) time: Option<String>,
    pub(super) kind: String,
    /// The digest of what was signed.
    pub(super) digest: Option<String>,
}

/// A fault and its state.
#[derive(Serialize)]
pub(super) struct FaultState {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) on: bool,
    pub(super) fixed_at_start: bool,
}

impl Observed {
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        let issued = self.fulcio.issued().into_iter().take(MOST);
        issued
            .map(|issued| Certificate {
                subject: issued.subject,
                issuer: issued.issuer,
                not_before: readable(issued.not_before),
            })
            .collect()
    }

    pub(super) fn log_entries(&self) -> Vec<LogEntry> {
        let first = self.rekor_v1.latest(MOST).into_iter().map(|it| describe("rekor v1", it));
        let second = self.rekor_v2.latest(MOST).into_iter().map(|it| describe("rekor v2", it));
        first.chain(second).collect()
    }

    pub(super) fn faults(&self) -> Vec<FaultState> {
        let state = |fault: Fault| FaultState {
            name: fault.name(),
            description: fault.description(),
            on: self.faults.contains(&fault),
            fixed_at_start: fault.is_fixed_at_start(),
        };
        Fault::ALL.into_iter().map(state).collect()
    }

    pub(super) fn manifests(&self) -> Vec<HeldManifest> {
        self.registry.contents(MOST)
    }

    /// All of it, for programs.
    pub(super) fn to_json(&self) -> Value {
        let services = self.services.iter().map(|(name, url)| ((*name).to_owned(), url.clone()));
        let services: serde_json::Map<String, Value> =
            services.map(|(name, url)| (name, url.into())).collect();
        serde_json::json!({
            "services": services,
            "faults": self.faults(),
            "certificates": self.certificates(),
            "log_entries": self.log_entries(),
            "manifests": self.manifests(),
        })
    }
}

fn describe(log: &'static str, (index, entry): (usize, Entry)) -> LogEntry {
    let body: Value = serde_json::from_slice(&entry.body).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let hexadecimal = ["/spec/data/hash/value", "/spec/payloadHash/value"];
    let hexadecimal = hexadecimal.into_iter().find_map(text).map(str::to_owned);
    let base64 = ["/spec/hashedRekordV002/data/digest", "/spec/dsseV002/payloadHash/digest"];
    let base64 = base64.into_iter().find_map(text).and_then(|text| STANDARD.decode(text).ok());
    let digest = hexadecimal.or_else(|| base64.map(|it| base16ct::lower::encode_string(&it)));
    let kind = [text("/kind"), text("/apiVersion")];
    LogEntry {
        log,
        index,
        time: (entry.time > 0).then(|| readable(UNIX_EPOCH + Duration::from_secs(entry.time))),
        kind: kind.into_iter().flatten().collect::<Vec<_>>().join(" "),
        digest,
    }
}

/// RFC 3339 in UTC, in whole seconds.
fn readable(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
