//! What hostile input can cost. The limits are generous: a mechanism that is not linear exceeds
//! them by far, also on a slow machine.

#![expect(clippy::disallowed_methods, reason = "the real clock measures what it costs")]

use std::time::{Duration, Instant};

use ambisign_verify::{
    AcceptedSigner, Artifact, Check, Error, Policy, PolicyFile, Rule, StringMatch, Verified, verify,
};
use bundle::Bundle;
use trust_root::TrustedRoot;

use crate::forge::{ARTIFACT, ISSUER, Made, Plan, SUBJECT, Signing, seconds, statement, then};
use crate::{KIND, signer};

/// A bundle with as many entries and timestamps as one may have, all of them valid.
fn heavy() -> Made {
    let mut plan = Plan::v1();
    let (entry, stamp) = (plan.entries[0].clone(), Plan::v2().stamps[0].clone());
    plan.entries = (0..32)
        .map(|nth| {
            let mut entry = entry.clone();
            entry.index += nth;
            entry
        })
        .collect();
    plan.stamps = (0..32)
        .map(|nth| {
            let mut stamp = stamp.clone();
            stamp.time += seconds(nth);
            stamp
        })
        .collect();
    plan.make()
}

struct Read {
    bundle: Bundle,
    root: TrustedRoot,
}

impl Read {
    fn of(made: &Made) -> Self {
        Self {
            bundle: Bundle::from_json(made.bundle.to_string().as_bytes()).unwrap(),
            root: TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap(),
        }
    }

    fn judge(&self, policy: &Policy) -> Result<Verified, Error> {
        verify(&self.bundle, &Artifact::Message(ARTIFACT), policy, &self.root, then())
    }
}

fn exact(subject: &str) -> AcceptedSigner {
    AcceptedSigner::identity(StringMatch::exact(subject), StringMatch::exact(ISSUER))
}

fn within(limit: u64, what: &str, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    assert!(start.elapsed() < Duration::from_secs(limit), "{what}: {:?}", start.elapsed());
}

#[test]
fn correct_bundles_of_another_identity_are_refused_before_their_evidence_is_judged() {
    let heavy = Read::of(&heavy());
    heavy.judge(&Policy::file_signature(signer())).unwrap();
    let others = (0..20).map(|nth| exact(&format!("https://other.test/{nth}"))).collect();
    let policy = Policy::file_signature(Rule::new(others, 1).unwrap());
    within(10, "300 bundles of another identity against 20 identities", || {
        for _ in 0..300 {
            let Err(Error::Refused(check)) = heavy.judge(&policy) else { panic!("accepted") };
            assert!(matches!(*check, Check::NoAcceptedSigner { .. }), "{check}");
        }
    });
}

#[test]
fn evidence_is_judged_once_whatever_the_number_of_acceptable_signers() {
    let heavy = Read::of(&heavy());
    let mut others: Vec<_> =
        (0..99_999).map(|nth| exact(&format!("https://other.test/{nth}"))).collect();
    others.push(signer());
    let rule = Rule::new(others, 1).unwrap();
    let policy = Policy::file_signature(rule.clone());
    within(20, "one heavy bundle against 100,000 identities", || {
        let verified = heavy.judge(&policy).unwrap();
        let decision = rule.decide([&verified]);
        assert_eq!(decision.matches[0].signer, 99_999);
    });
    within(20, "one heavy bundle of another identity against 100,000", || {
        let policy =
            Policy::file_signature(Rule::new(rule.signers()[..99_999].to_vec(), 1).unwrap());
        assert!(heavy.judge(&policy).is_err());
    });
}

#[test]
fn long_lists_of_patterns_are_compared_in_moments() {
    let read = Read::of(&Plan::v1().make());
    let pattern = |nth: u32| {
        let subject = StringMatch::regexp(&format!("https://other{nth}\\.test/(a+)+b")).unwrap();
        AcceptedSigner::identity(subject, StringMatch::exact(ISSUER))
    };
    let mut rule = None;
    within(60, "2,000 patterns are compiled", || {
        rule = Some(Rule::new((0..2000).map(pattern).collect(), 1).unwrap());
    });
    let policy = Policy::file_signature(rule.unwrap());
    within(10, "and compared with 100 signatures", || {
        for _ in 0..100 {
            assert!(read.judge(&policy).is_err());
        }
    });
}

#[test]
fn patterns_that_backtrack_elsewhere_are_matched_in_linear_time() {
    let long = format!("{}!", "a".repeat(2000));
    for pattern in ["(a+)+", "(a|a)*", "(a*)*b", "(.*)(.*)(.*)(.*)c", "(a?){50}a{50}"] {
        let regexp = StringMatch::regexp(pattern).unwrap();
        within(20, pattern, || assert!(!regexp.matches(&long)));
    }
    for pattern in ["a{1000}{1000}{1000}", &"(".repeat(100_000), &"a|".repeat(200_000)] {
        within(20, &pattern[..10], || drop(StringMatch::regexp(pattern)));
    }
}

#[test]
fn a_certificate_with_a_long_name_is_compared_in_moments() {
    let long = Box::leak(format!("{SUBJECT}{}", "/".repeat(60_000)).into_boxed_str());
    let mut plan = Plan::v1();
    plan.names = vec![crate::forge::uri(long)];
    let read = Read::of(&plan.make());
    let patterns = (0..1000).map(|nth| {
        let subject = StringMatch::regexp(&format!("(https?)://ci[.]test(/.*)*x{nth}")).unwrap();
        AcceptedSigner::identity(subject, StringMatch::exact(ISSUER))
    });
    let policy = Policy::file_signature(Rule::new(patterns.collect(), 1).unwrap());
    within(60, "a name of 60 kB against 1,000 patterns", || {
        let refused = read.judge(&policy).unwrap_err().to_string();
        assert!(refused.len() < 2000, "{} bytes", refused.len());
    });
}

#[test]
fn a_statement_of_many_subjects_and_a_large_predicate_is_judged_in_moments() {
    let mut stated: serde_json::Value = serde_json::from_str(&statement(KIND)).unwrap();
    let subject = stated["subject"][0].clone();
    stated["subject"] = serde_json::Value::Array(vec![subject; 1024]);
    stated["predicate"] = serde_json::json!({ "a": "x".repeat(4 << 20) });
    let mut plan = Plan::v2();
    plan.signing = Signing::Statement {
        payload_type: "application/vnd.in-toto+json",
        payload: stated.to_string(),
    };
    let read = Read::of(&plan.make());
    within(20, "1,024 subjects and a predicate of 4 MiB", || {
        read.judge(&Policy::attestation(KIND, signer())).unwrap();
    });
}

#[test]
fn large_policy_files_are_read_or_refused_in_moments() {
    let rule =
        |identities: &str| format!("[[images]]\npatterns = ['a']\nidentities = [{identities}]");
    let many: String =
        (0..20_000).map(|nth| format!("{{identity='x{nth}',issuer='y'}},")).collect();
    within(60, "20,000 identities", || {
        let file = PolicyFile::parse(rule(&many).as_bytes()).unwrap();
        assert_eq!(file.rule("a").unwrap().signers().len(), 20_000);
    });
    let patterns = format!(
        "[[images]]\npatterns = [{}'a']\nidentities = [{{identity='x',issuer='y'}}]",
        "'**/*a*/**b',".repeat(10_000)
    );
    within(60, "10,000 patterns", || {
        let file = PolicyFile::parse(patterns.as_bytes()).unwrap();
        assert!(file.rule(&"b/".repeat(100)).is_none());
    });
    for nested in ["[", "{\"a\":", "[[", "a.", "a=[", "x={y="] {
        let text = nested.repeat(100_000);
        within(20, nested, || assert!(PolicyFile::parse(text.as_bytes()).is_err()));
    }
}
