//! What others had to fix once: one test for each advisory that is about judging. The others are
//! held by tests of the crates that do such things:
//!
//! | advisory | crate | test |
//! |---|---|---|
//! | CVE-2023-46737 | oci-push | `more_referrers_than_the_limit_are_counted_and_bundles_come_first` |
//! | CVE-2024-29902, CVE-2024-29903 | oci-push | `a_bundle_over_the_limit_is_not_fetched` |
//! | CVE-2026-24137, CVE-2026-24686 | trust-update | `names_that_lead_elsewhere_are_not_asked_for` |
//! | Trail of Bits 10 | trust-update | `whatever_is_done_to_the_cache_it_is_fetched_anew_and_offline_refused` |
//! | GHSA-hm8f-75xx-w2vr | oidc-interactive | those of its `state` |
//!
//! A key's window (GHSA-wqqc-jjcq-vfxm) there is not: a policy names a key, and no time with it.

use ambisign_verify::{AcceptedSigner, Policy, StringMatch, danger};
use serde_json::json;

use crate::forge::{ISSUER, Plan, SctPlan, Signing, extension, seconds, statement, then, uri};
use crate::{Case, KIND, passes, refused, signer, unreadable};

#[track_caller]
fn holds(case: &Case) {
    if let Err(wrong) = case.run() {
        panic!("{wrong}");
    }
}

fn attested(plan: &mut Plan) {
    plan.signing = Signing::Statement {
        payload_type: "application/vnd.in-toto+json",
        payload: statement(KIND),
    };
}

/// The entry of another signature: nothing of it may be taken for this one's.
fn of_another(plan: &mut Plan) {
    plan.entries[0].body = |body| {
        body["spec"]["data"]["hash"]["value"] = json!("ab".repeat(32));
        body["spec"]["signature"]["content"] = json!("MAYCAQECAQE=");
    };
}

#[test]
fn cve_2022_23649_the_entry_of_another_signature() {
    holds(&Case::v1("", of_another, refused("EntryBody", "sha256:abababab")));
}

#[test]
fn cve_2022_35929_an_attestation_of_another_type() {
    let case = Case::v2("", attested, refused("PredicateType", KIND));
    holds(&case.policy(|_| Policy::attestation("https://slsa.dev/provenance/v1", signer())));
}

#[test]
fn cve_2022_36056_a_log_entry_that_cannot_be_read_is_no_success() {
    let change = |plan: &mut Plan| plan.entries[0].body_bytes = |_| b"{".to_vec();
    holds(&Case::v1("", change, refused("EntryMalformed", "EOF")));
}

#[test]
fn cve_2024_45395_more_entries_than_any_honest_bundle_has() {
    let change = |plan: &mut Plan| {
        plan.bundle = |bundle| {
            let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
            *entries = vec![entries[0].clone(); 1000];
        };
    };
    holds(&Case::v1("", change, unreadable("at most")));
}

#[test]
fn cve_2024_53267_an_envelope_that_was_not_the_one_logged() {
    let change = |plan: &mut Plan| {
        attested(plan);
        plan.entries[0].kind = ("dsse", "0.0.1");
        plan.entries[0].body = |body| {
            body["spec"]["payloadHash"]["value"] = json!("ab".repeat(32));
        };
    };
    holds(&Case::v1("", change, refused("EntryBody", "payload hash")));
}

#[test]
fn cve_2026_22703_the_entry_of_another_signature_with_a_trusted_root() {
    let change = |plan: &mut Plan| {
        plan.entries[0].body = |body| {
            body["spec"]["hashedRekordV002"]["signature"]["content"] = json!("MAYCAQECAQE=");
        };
    };
    holds(&Case::v2("", change, refused("EntryBody", "signature")));
}

#[test]
fn cve_2026_24122_an_authority_that_expired_before_the_signature() {
    let change = |plan: &mut Plan| plan.intermediates[0].life.1 = then() - seconds(1);
    holds(&Case::v1("", change, refused("Chain", "intermediate")));
}

#[test]
fn cve_2026_31830_a_statement_about_something_else() {
    let change = |plan: &mut Plan| {
        let mut other: serde_json::Value = serde_json::from_str(&statement(KIND)).unwrap();
        other["subject"][0]["digest"]["sha256"] = json!("ab".repeat(32));
        plan.signing = Signing::Statement {
            payload_type: "application/vnd.in-toto+json",
            payload: other.to_string(),
        };
    };
    holds(&Case::v2("", change, refused("Subject", "sha256:abababab")));
}

#[test]
fn cve_2026_39395_the_type_of_a_files_attestation_counts_too() {
    let case = Case::v1("", |_| (), refused("Purpose", "found a file signature"));
    holds(&case.policy(|_| Policy::attestation(KIND, signer())));
}

#[test]
fn cve_2026_39984_another_certificate_in_the_bag_of_a_timestamp() {
    let change = |plan: &mut Plan| plan.stamps[0].substituted = true;
    holds(&Case::v2("", change, refused("Timestamp", "the authority's")));
}

#[test]
fn cve_2026_48816_and_ghsa_hhfg_a_time_without_its_promise() {
    let change = |plan: &mut Plan| {
        plan.bundle = |bundle| {
            let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
            entry.as_object_mut().unwrap().remove("inclusionPromise");
        };
    };
    holds(&Case::v1("", change, refused("UnvouchedTime", "a signed entry timestamp beside it")));
}

#[test]
fn cve_2026_49834_logs_count_and_not_what_they_issue() {
    let change = |plan: &mut Plan| {
        let second = SctPlan { time: then() - seconds(59), ..plan.scts[0].clone() };
        plan.scts.push(second);
    };
    let case = Case::v1("", change, refused("Threshold", "found 1"));
    holds(&case.policy(|policy| policy.sct_threshold(2)));
}

#[test]
fn sigstore_go_350_an_sct_outside_of_its_logs_window() {
    let change = |plan: &mut Plan| plan.scts[0].time = then() - seconds(10 * 24 * 3600);
    holds(&Case::v1("", change, refused("Sct", "outside the log's window")));
}

#[test]
fn sigstore_go_600_the_digest_in_the_bundle_is_not_the_artifacts() {
    let change = |plan: &mut Plan| {
        plan.bundle = |bundle| {
            bundle["messageSignature"]["messageDigest"]["digest"] =
                json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        };
    };
    holds(&Case::v1("", change, refused("ArtifactDigest", "sha256:0000000000")));
}

#[test]
fn sigstore_go_472_two_timestamps_of_one_authority_are_one() {
    let change = |plan: &mut Plan| {
        let mut second = plan.stamps[0].clone();
        second.time += seconds(1);
        plan.stamps.push(second);
    };
    let case = Case::v2("", change, refused("Threshold", "timestamp authorities, found 1"));
    holds(&case.policy(|policy| policy.timestamp_threshold(2)));
}

#[test]
fn sigstore_go_611_the_digest_of_the_entry_is_compared() {
    let change = |plan: &mut Plan| {
        plan.entries[0].body =
            |body| body["spec"]["data"]["hash"]["value"] = json!("ab".repeat(32));
    };
    holds(&Case::v1("", change, refused("EntryBody", "digest")));
    let change = |plan: &mut Plan| {
        plan.entries[0].body = |body| {
            body["spec"]["hashedRekordV002"]["data"]["digest"] =
                json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        };
    };
    holds(&Case::v2("", change, refused("EntryBody", "digest")));
}

#[test]
fn sigstore_js_an_extension_whose_identifier_only_begins_like_the_issuers() {
    let change = |plan: &mut Plan| {
        let value = crate::der::utf8(ISSUER);
        plan.identity = ["1.3.6.1.4.1.57264.1.80", "1.3.6.1.4.1.57264.1.8.1"]
            .map(|oid| extension(oid, false, &value))
            .to_vec();
    };
    holds(&Case::v1("", change, refused("Issuer", "found none")));
}

#[test]
fn ghsa_59jp_a_pattern_is_anchored_at_both_ends() {
    fn pattern(text: &str) -> Policy {
        let subject = StringMatch::regexp(text).unwrap();
        Policy::file_signature(AcceptedSigner::identity(subject, StringMatch::exact(ISSUER)))
    }
    // A prefix of a URI counts where a part of its path ends.
    holds(&Case::v1("", |_| (), passes()).policy(|_| pattern("https://ci.test/")));
    let within = Case::v1("", |_| (), refused("Identity", "only a part"));
    holds(&within.policy(|_| pattern("https://ci.tes")));
    let before = |plan: &mut Plan| plan.names = vec![uri("https://evil.test/?https://ci.test/")];
    let before = Case::v1("", before, refused("Identity", "only a part"));
    holds(&before.policy(|_| pattern("https://ci.test/")));
}

#[test]
fn ghsa_843x_a_body_that_is_nested_without_end_is_an_error_and_no_crash() {
    let change = |plan: &mut Plan| {
        plan.entries[0].body_bytes = |_| "[".repeat(100_000).into_bytes();
    };
    holds(&Case::v1("", change, refused("EntryMalformed", "recursion limit")));
}

#[test]
fn trail_of_bits_the_signature_counts_where_logs_are_ignored() {
    let change = |plan: &mut Plan| {
        plan.bundle = |bundle| bundle["messageSignature"]["signature"] = json!("MAYCAQECAQE=");
    };
    holds(
        &Case::v1("", change, refused("Signature", "PKIX_ECDSA_P256_SHA_256"))
            .policy(danger::ignore_tlog),
    );
}

#[test]
fn sigstore_js_an_entry_that_stands_there_twice() {
    let change = |plan: &mut Plan| {
        plan.bundle = |bundle| {
            let entries = bundle["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
            entries.push(entries[0].clone());
        };
    };
    holds(&Case::v1("", change, unreadable("twice")));
}

#[test]
fn trail_of_bits_4_every_time_counts_and_not_only_the_earliest() {
    let change = |plan: &mut Plan| {
        plan.stamps = Plan::v2().stamps;
        plan.stamps[0].time = then() + seconds(3600);
    };
    holds(&Case::v1("", change, refused("Chain", "leaf")));
}

#[test]
fn trail_of_bits_11_authorities_and_their_windows_belong_together() {
    let change = |plan: &mut Plan| {
        plan.root = |root| {
            root["timestampAuthorities"][0]["validFor"]["end"] =
                json!(crate::forge::at(then() - seconds(1)));
        };
    };
    holds(&Case::v2("", change, refused("TimestampWindow", "to 2026-09-21T14:13:19Z")));
}
