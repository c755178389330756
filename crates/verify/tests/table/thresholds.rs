//! Group 10: how many logs and authorities prove the time.

use std::time::SystemTime;

use ambisign_verify::danger;
use serde_json::{Value, json};

use crate::forge::{Plan, SctPlan, at, seconds, then};
use crate::{Case, passes, refused, unreadable};

/// Which case, and what becomes of it.
pub(crate) fn cases() -> Vec<Case> {
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
        Case::v2(
            "timestamps of two authorities of one operator where two are wanted",
            |p| {
                let mut second = p.stamps[0].clone();
                second.authority = 1;
                p.stamps.push(second);
                p.root = of_one_operator;
            },
            refused("Threshold", "timestamp authorities, found 1"),
        )
        .policy(|policy| policy.timestamp_threshold(2)),
        Case::v1(
            "entries of two logs of one operator where two are wanted",
            |p| {
                p.entries.extend(Plan::v2().entries);
                p.root = of_one_operator;
            },
            refused("Threshold", "transparency logs, found 1"),
        )
        .policy(|policy| policy.log_threshold(2)),
        Case::v2(
            "an entry of a log that was retired before every verified time",
            |p| p.root = |root| retire_logs(root, then() - seconds(1)),
            refused("IntegratedTime", "outside the log's window"),
        ),
        Case::v2(
            "an entry of a log that was retired at the verified time",
            |p| p.root = |root| retire_logs(root, then()),
            passes(),
        ),
        Case::v2(
            "an entry of a log that was retired between two verified times",
            |p| {
                let mut second = p.stamps[0].clone();
                second.time += seconds(2);
                p.stamps.insert(0, second);
                p.root = |root| retire_logs(root, then() + seconds(1));
            },
            passes(),
        ),
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
            refused("NoLogEntry", "https://rekor-v1.test, https://rekor-v2.test"),
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
        // An instance that keeps no log, as the one for private attestations: its timestamps are all
        // there is.
        Case::v2("no log and no entry, by a timestamp alone", logless, passes())
            .policy(danger::ignore_tlog),
        Case::v2(
            "no log and no entry where one is wanted",
            logless,
            refused("NoLogEntry", "the trusted root has none"),
        ),
        Case::v2(
            "no log and no entry, by a timestamp after the certificate's life",
            |p| {
                logless(p);
                p.stamps[0].time = then() + seconds(3600);
            },
            refused("Chain", "leaf"),
        )
        .policy(danger::ignore_tlog),
        Case::v2(
            "no log and no entry, by no timestamp where one is wanted",
            |p| {
                logless(p);
                p.stamps.clear();
            },
            refused("NoTime", "found no timestamp"),
        )
        .policy(|policy| danger::ignore_tlog(policy.use_signed_timestamps())),
    ]
}

fn of_one_operator(root: &mut Value) {
    for list in ["tlogs", "timestampAuthorities"] {
        for listed in root[list].as_array_mut().unwrap() {
            listed["operator"] = json!("operator.test");
        }
    }
}

fn retire_logs(root: &mut Value, end: SystemTime) {
    for log in root["tlogs"].as_array_mut().unwrap() {
        log["publicKey"]["validFor"]["end"] = at(end).into();
    }
}

fn logless(plan: &mut Plan) {
    plan.entries.clear();
    plan.root = |root| root["tlogs"] = json!([]);
}
