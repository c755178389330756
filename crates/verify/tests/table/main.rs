//! One table of what must be refused, by which check, and of what must not: each case is an
//! otherwise perfect bundle with one thing wrong, and everything that depends on it signed anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod advisories;
mod certificates;
mod content;
mod costs;
mod der;
mod earlier;
mod evidence;
mod forge;
mod spellings;
mod stamps;
mod statements;
mod thresholds;

use std::time::SystemTime;

use ambisign_verify::{
    AcceptedSigner, Artifact, Error, Finding, Policy, Purpose, StringMatch, Warning, examine,
    verify,
};
use bundle::Bundle;
use trust_root::TrustedRoot;

use crate::forge::{ARTIFACT, ISSUER, Made, Plan, SUBJECT, Signing, then};

/// One row of the table.
pub(crate) struct Case {
    name: &'static str,
    plan: Plan,
    change: fn(&mut Plan),
    policy: fn(Policy) -> Policy,
    by_key: bool,
    expected: Expected,
}

pub(crate) enum Expected {
    Passes,
    /// By this check, and the error says this.
    Refused(&'static str, &'static str),
    /// The bundle cannot even be read, and the error says this.
    Unreadable(&'static str),
}

pub(crate) fn passes() -> Expected {
    Expected::Passes
}

pub(crate) fn refused(check: &'static str, says: &'static str) -> Expected {
    Expected::Refused(check, says)
}

pub(crate) fn unreadable(says: &'static str) -> Expected {
    Expected::Unreadable(says)
}

impl Case {
    pub(crate) fn v1(name: &'static str, change: fn(&mut Plan), expected: Expected) -> Self {
        Self { name, plan: Plan::v1(), change, policy: |policy| policy, by_key: false, expected }
    }

    pub(crate) fn v2(name: &'static str, change: fn(&mut Plan), expected: Expected) -> Self {
        Self { plan: Plan::v2(), ..Self::v1(name, change, expected) }
    }

    pub(crate) fn policy(self, policy: fn(Policy) -> Policy) -> Self {
        Self { policy, ..self }
    }

    /// The policy asks for the key that signed.
    pub(crate) fn by_key(self) -> Self {
        Self { by_key: true, ..self }
    }

    /// The certificate was published at this time.
    pub(crate) fn at_sct(mut self, time: SystemTime) -> Self {
        self.plan.scts[0].time = time;
        self
    }

    /// What is wrong with the outcome, if anything.
    fn run(&self) -> Result<(), String> {
        if let Expected::Refused(_, "") | Expected::Unreadable("") = self.expected {
            let mut plan = self.plan.clone();
            (self.change)(&mut plan);
            return Err(format!(
                "{}: name a text that the error must contain: {:?}",
                self.name,
                self.judge(&plan.make())
            ));
        }
        let mut plan = self.plan.clone();
        (self.change)(&mut plan);
        let made = plan.make();
        let found = self.judge(&made);
        let as_expected = match (&self.expected, &found) {
            (Expected::Passes, Found::Passes) => true,
            (Expected::Refused(check, says), Found::Refused(found, said)) => {
                check == found && said.contains(says)
            }
            (Expected::Unreadable(says), Found::Unreadable(said)) => said.contains(says),
            _ => false,
        };
        if !as_expected {
            return Err(format!("{}: {found:?}", self.name));
        }
        self.examine(&made, &found)
    }

    /// What shows people the parts must not show all of them as holding where the judgement
    /// refuses one of them.
    fn examine(&self, made: &Made, found: &Found) -> Result<(), String> {
        let Ok(bundle) = Bundle::from_json(made.bundle.to_string().as_bytes()) else {
            return Ok(());
        };
        let root = TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap();
        let shown = examine(&bundle, &Artifact::Message(ARTIFACT), Some(&made.key), &root);
        let of_certificate = shown.chain.holds() && shown.sct.holds();
        let timed = matches!(&shown.times, Finding::Holds(times) if !times.is_empty());
        let all = shown.signature.holds() && shown.log.holds() && timed && of_certificate;
        let wrong = match found {
            // Who ignores logs takes less than is shown.
            Found::Passes => !all && !self.by_key && !bundle.log_entries().is_empty(),
            Found::Refused(check, _) => all && !OF_THE_POLICY.contains(&check.as_str()),
            Found::Unreadable(_) => false,
        };
        if wrong {
            Err(format!("{}: {found:?}, and shown is {shown:?}", self.name))
        } else {
            Ok(())
        }
    }

    fn judge(&self, made: &Made) -> Found {
        let bundle = match Bundle::from_json(made.bundle.to_string().as_bytes()) {
            Ok(bundle) => bundle,
            Err(error) => return Found::Unreadable(chain(&error)),
        };
        let root = TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap();
        let signer = match self.by_key {
            true => AcceptedSigner::key(made.key.clone()),
            false => signer(),
        };
        // A payload that is not a statement is judged as if it should be one.
        let purpose = Purpose::claimed_by(&bundle)
            .unwrap_or_else(|_| Purpose::Attestation { predicate_type: KIND.to_owned() });
        let policy = (self.policy)(Policy::new(purpose, signer));
        match verify(&bundle, &Artifact::Message(ARTIFACT), &policy, &root, then()) {
            Ok(_) => Found::Passes,
            Err(Error::Refused(check)) => {
                let name = format!("{check:?}");
                let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
                Found::Refused(name[..end].to_owned(), chain(&*check))
            }
            Err(other) => panic!("{}: {other:?}", self.name),
        }
    }
}

/// The signer of every bundle of the table.
pub(crate) fn signer() -> AcceptedSigner {
    AcceptedSigner::identity(StringMatch::exact(SUBJECT), StringMatch::exact(ISSUER))
}

/// The predicate type of the statements in the table.
pub(crate) const KIND: &str = "https://example.test/predicate/v1";

/// Checks of the policy, which `examine` does not make.
const OF_THE_POLICY: [&str; 12] = [
    "Annotation",
    "Extension",
    "Identity",
    "IdentityMalformed",
    "Issuer",
    "Material",
    "PayloadType",
    "PredicateType",
    "Purpose",
    "Statement",
    "Subject",
    "Threshold",
];

#[derive(Debug)]
enum Found {
    Passes,
    Refused(String, String),
    Unreadable(String),
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// Runs every case before it complains of any.
fn run(cases: &[Case]) {
    let wrong: Vec<_> = cases.iter().filter_map(|case| case.run().err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn what_is_not_tampered_with_verifies() {
    run(&[Case::v1("v1", |_| (), passes()), Case::v2("v2", |_| (), passes())]);
}

#[test]
fn the_index_over_all_shards_is_verified_by_a_signed_entry_timestamp_only() {
    let index = |change: fn(&mut Plan)| {
        let mut plan = Plan::v1();
        plan.stamps = Plan::v2().stamps;
        change(&mut plan);
        let made = plan.make();
        let bundle = Bundle::from_json(made.bundle.to_string().as_bytes()).unwrap();
        let root = TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap();
        let policy = Policy::file_signature(signer());
        let verified = verify(&bundle, &Artifact::Message(ARTIFACT), &policy, &root, then());
        let entry = verified.unwrap().log_entries()[0].clone();
        (entry.log_index, entry.claimed_log_index)
    };
    let (verified, claimed) = index(|_| ());
    assert_eq!(verified, Some(claimed));
    let (verified, claimed_without) = index(|plan| {
        plan.bundle = |bundle| {
            let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
            entry.as_object_mut().unwrap().remove("inclusionPromise");
            entry.as_object_mut().unwrap().remove("integratedTime");
        };
    });
    assert_eq!((verified, claimed_without), (None, claimed));
}

#[test]
fn a_key_id_of_another_convention_is_a_warning() {
    let mut plan = Plan::v1();
    plan.signing = Signing::Statement {
        payload_type: "application/vnd.in-toto+json",
        payload: forge::statement(KIND),
    };
    plan.entries[0].kind = ("dsse", "0.0.1");
    plan.bundle = |bundle| bundle["dsseEnvelope"]["signatures"][0]["keyid"] = "SHA1:abc".into();
    let made = plan.make();
    let bundle = Bundle::from_json(made.bundle.to_string().as_bytes()).unwrap();
    let root = TrustedRoot::from_json(made.root.to_string().as_bytes()).unwrap();
    let policy = Policy::attestation(KIND, signer());
    let verified = verify(&bundle, &Artifact::Message(ARTIFACT), &policy, &root, then()).unwrap();
    let [Warning::KeyId { found, .. }] = verified.warnings() else { panic!("{verified:?}") };
    assert_eq!(found, "SHA1:abc");
}

#[test]
fn certificates_are_held_to_their_rules() {
    run(&certificates::cases());
}

#[test]
fn log_entries_and_timestamps_are_held_to_their_rules() {
    run(&evidence::cases());
}

#[test]
fn what_was_signed_and_how_it_is_written_is_held_to_the_rules() {
    run(&content::cases());
}
