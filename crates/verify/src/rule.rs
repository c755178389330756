//! The acceptable signers, and the decision whether enough of them signed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use keys::PublicKey;

use crate::accepted::{AcceptedSigner, Identity};
use crate::check::Check;
use crate::policy_error::PolicyError;
use crate::purpose::Formats;
use crate::text::{quote, quoted};
use crate::verified::Verified;

/// The acceptable signers of an artifact, and how many of them must have signed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rule(Arc<Entries>);

#[derive(Clone, Debug)]
struct Entries {
    signers: Vec<AcceptedSigner>,
    threshold: usize,
    /// The extensions that any entry asks for.
    extensions: BTreeSet<String>,
    annotations: Vec<(String, String)>,
    formats: Formats,
}

/// Whether enough acceptable signers signed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// How many different entries of the rule must be satisfied.
    pub required: usize,
    /// The entries that are satisfied, each by a signature that serves no other entry. At most as
    /// many as are required; when they are fewer, no other choice satisfies more.
    pub matches: Vec<Match>,
}

/// An entry of a rule and the signature that satisfies it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Match {
    /// The position of the entry in [`Rule::signers`].
    pub signer: usize,
    /// The position of the signature among the candidates.
    pub candidate: usize,
}

impl Decision {
    /// Whether as many entries are satisfied as the rule requires.
    pub fn is_enough(&self) -> bool {
        self.matches.len() >= self.required
    }
}

impl From<AcceptedSigner> for Rule {
    fn from(signer: AcceptedSigner) -> Self {
        Self::of(vec![signer], 1)
    }
}

impl Rule {
    /// `threshold` different entries of `signers` must be satisfied, each by a signature of its
    /// own.
    ///
    /// # Errors
    ///
    /// When there is no signer, the threshold is 0 or more than the number of signers, or there
    /// are more than 1,000 keys (each of them is tried on every signature that names none).
    pub fn new(signers: Vec<AcceptedSigner>, threshold: usize) -> Result<Self, PolicyError> {
        let bad = |reason: String| Err(PolicyError::Rule { reason });
        if signers.is_empty() {
            return bad("expected at least one acceptable signer".to_owned());
        }
        if threshold == 0 {
            return bad("the threshold must be at least 1, found 0".to_owned());
        }
        if threshold > signers.len() {
            return bad(format!(
                "the threshold {threshold} can never be reached: {} listed, and each counts once",
                match signers.len() {
                    1 => "1 signer is".to_owned(),
                    many => format!("{many} signers are"),
                }
            ));
        }
        let keys = signers.iter().filter(|signer| signer.public_key().is_some()).count();
        if keys > MOST_KEYS {
            return bad(format!("expected at most {MOST_KEYS} keys, found {keys}"));
        }
        Ok(Self::of(signers, threshold))
    }

    fn of(signers: Vec<AcceptedSigner>, threshold: usize) -> Self {
        let named = signers.iter().flat_map(|signer| &signer.extensions);
        let extensions = named.map(|(oid, _)| oid.clone()).collect();
        let (annotations, formats) = (Vec::new(), Formats::Any);
        Self(Arc::new(Entries { signers, threshold, extensions, annotations, formats }))
    }

    /// Every signature must carry this annotation. May be called several times.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).annotations.push((key.into(), value.into()));
        self
    }

    /// Only signatures in these formats count.
    #[must_use]
    pub fn formats(mut self, formats: Formats) -> Self {
        Arc::make_mut(&mut self.0).formats = formats;
        self
    }

    /// The acceptable signers.
    pub fn signers(&self) -> &[AcceptedSigner] {
        &self.0.signers
    }

    /// How many different entries must be satisfied.
    pub fn threshold(&self) -> usize {
        self.0.threshold
    }

    /// Decides whether enough acceptable signers signed, over signatures that
    /// [`verify()`](crate::verify()) accepted.
    ///
    /// Each entry counts once, and each signature serves one entry. Several signatures of one
    /// signer count as one: the same subject and issuer with the same values of the extensions
    /// that this rule asks for, or the same key. Otherwise one signer could satisfy two entries
    /// that overlap, and a copied signature would count twice.
    pub fn decide<'a>(&self, candidates: impl IntoIterator<Item = &'a Verified>) -> Decision {
        self.decide_among(candidates.into_iter().map(|verified| match verified.identity() {
            Some(identity) => SignerRef::Identity(identity),
            None => SignerRef::Key(verified.public_key()),
        }))
    }

    fn decide_among<'a>(&self, candidates: impl Iterator<Item = SignerRef<'a>>) -> Decision {
        let mut signers = BTreeMap::new();
        for (position, who) in candidates.enumerate() {
            signers.entry(self.distinct(who)).or_insert((position, who));
        }
        let mut matching = Matching::default();
        for (position, who) in signers.into_values() {
            if matching.size() == self.0.threshold {
                break;
            }
            matching.add(position, self.satisfied_by(who));
        }
        Decision { required: self.0.threshold, matches: matching.matches() }
    }

    /// The first entries that a signer satisfies, at most as many as the threshold: of more than
    /// these one is always left, whatever the other signatures take.
    fn satisfied_by(&self, who: SignerRef<'_>) -> Vec<usize> {
        let entries = self.0.signers.iter().enumerate();
        let satisfied = entries.filter(|(_, entry)| match who {
            SignerRef::Identity(identity) => entry.accepts_identity(identity),
            SignerRef::Key(key) => entry.accepts_key(key),
        });
        satisfied.map(|(index, _)| index).take(self.0.threshold).collect()
    }

    /// What tells one signer from another.
    fn distinct(&self, who: SignerRef<'_>) -> Vec<Option<String>> {
        match who {
            SignerRef::Key(key) => vec![Some(key.to_pem())],
            SignerRef::Identity(identity) => {
                let subject = format!("{:?}", identity.subject);
                let extensions = self.0.extensions.iter();
                let values = extensions.map(|oid| identity.value(oid).map(str::to_owned));
                [Some(subject), identity.issuer.clone()].into_iter().chain(values).collect()
            }
        }
    }

    pub(crate) fn annotations(&self) -> &[(String, String)] {
        &self.0.annotations
    }

    pub(crate) fn accepted_formats(&self) -> Formats {
        self.0.formats
    }

    /// Whether any entry accepts `identity`; if not, why the entry that comes closest does not.
    pub(crate) fn accepts_identity(&self, identity: &Identity) -> Result<(), Check> {
        if self.0.signers.iter().any(|signer| signer.accepts_identity(identity)) {
            return Ok(());
        }
        let mut closest: Option<(u8, &AcceptedSigner, Check)> = None;
        for signer in self.0.signers.iter().take(MOST_EXPLAINED) {
            let Some(check) = signer.refusal(identity) else { continue };
            let distance = match &check {
                Check::Extension { .. } => 0,
                Check::Issuer { .. } => 1,
                Check::Identity { issuer: None, .. } => 2,
                _ => 3,
            };
            if closest.as_ref().is_none_or(|(nearest, ..)| distance < *nearest) {
                closest = Some((distance, signer, check));
            }
        }
        match closest {
            Some((2.., ..)) if self.0.signers.len() > 1 => Err(Check::NoAcceptedSigner {
                expected: self.describe(),
                found: format!(
                    "{} by the issuer {}",
                    quote(identity.subject.as_str()),
                    quoted(identity.issuer.as_deref())
                ),
            }),
            Some((_, _, check)) => Err(check),
            None => Err(Check::Material { expected: "a public key", found: "a certificate" }),
        }
    }

    /// The first identities of the list, in words.
    fn describe(&self) -> String {
        const SHOWN: usize = 3;
        let identities = self.0.signers.iter().filter_map(|s| Some((s.subject()?, s.issuer()?)));
        let mut shown: Vec<String> = identities
            .take(SHOWN)
            .map(|(subject, issuer)| format!("{subject} by the issuer {issuer}"))
            .collect();
        if self.0.signers.len() > shown.len() {
            shown.push(format!("{} more", self.0.signers.len() - shown.len()));
        }
        shown.join(", or ")
    }

    /// The known keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        let signers = self.0.signers.iter().filter(|signer| signer.extensions.is_empty());
        signers.filter_map(AcceptedSigner::public_key)
    }

    /// Whether any entry is an identity, which takes a certificate.
    pub(crate) fn has_identities(&self) -> bool {
        self.0.signers.iter().any(|signer| signer.public_key().is_none())
    }
}

/// The signer of a verified signature.
#[derive(Clone, Copy)]
enum SignerRef<'a> {
    Identity(&'a Identity),
    Key(&'a PublicKey),
}

/// A matching between signatures and entries that grows along augmenting paths: when a new
/// signature finds its entries taken, those that took them may move to others.
#[derive(Default)]
struct Matching {
    /// Of each signature: its position among the candidates, and the entries it satisfies.
    signatures: Vec<(usize, Vec<usize>)>,
    /// Of each taken entry: the signature (an index of `signatures`) that serves it.
    taken: BTreeMap<usize, usize>,
    /// Entries from which no free entry can be reached, now or later: those that a search without
    /// success passed.
    closed: BTreeSet<usize>,
}

impl Matching {
    fn size(&self) -> usize {
        self.taken.len()
    }

    fn add(&mut self, position: usize, entries: Vec<usize>) {
        let new = self.signatures.len();
        self.signatures.push((position, entries));
        // Breadth first; of each entry reached, the signature from which it was.
        let mut from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut queue = VecDeque::from([new]);
        while let Some(signature) = queue.pop_front() {
            let entries = self.signatures.get(signature).map_or(&[][..], |(_, e)| e.as_slice());
            for entry in entries {
                if self.closed.contains(entry) || from.contains_key(entry) {
                    continue;
                }
                from.insert(*entry, signature);
                match self.taken.get(entry) {
                    Some(holder) => queue.push_back(*holder),
                    None => return self.reassign(*entry, new, &from),
                }
            }
        }
        self.closed.extend(from.into_keys());
        self.signatures.pop();
    }

    /// Takes the free `entry` and moves the signatures on the way to it by one each.
    fn reassign(&mut self, entry: usize, new: usize, from: &BTreeMap<usize, usize>) {
        let mut entry = entry;
        while let Some(signature) = from.get(&entry).copied() {
            let held = self.taken.iter().find(|(_, holder)| **holder == signature);
            let held = held.map(|(held, _)| *held);
            self.taken.insert(entry, signature);
            match held {
                Some(held) if signature != new => entry = held,
                _ => return,
            }
        }
    }

    fn matches(&self) -> Vec<Match> {
        let position = |signature: usize| self.signatures.get(signature).map(|(at, _)| *at);
        let taken = self.taken.iter();
        taken
            .filter_map(|(signer, signature)| {
                Some(Match { signer: *signer, candidate: position(*signature)? })
            })
            .collect()
    }
}

/// Each is tried on a signature without a certificate.
const MOST_KEYS: usize = 1000;
/// Of more entries than these, none is looked at to explain a refusal.
const MOST_EXPLAINED: usize = 1000;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use keys::{KeyPair, Sign as _};
    use x509::{FulcioExtension, SubjectName};

    use super::*;
    use crate::string_match::StringMatch;

    const ISSUER: &str = "https://issuer.test";
    const ENVIRONMENT: &str = "1.3.6.1.4.1.57264.1.11";

    fn identity(subject: &str) -> Identity {
        Identity {
            subject: SubjectName::Uri(subject.to_owned()),
            issuer: Some(ISSUER.to_owned()),
            extensions: Vec::new(),
        }
    }

    fn accepted(pattern: &str) -> AcceptedSigner {
        let subject = StringMatch::regexp(pattern).unwrap();
        AcceptedSigner::identity(subject, StringMatch::exact(ISSUER))
    }

    fn rule(patterns: &[&str], threshold: usize) -> Rule {
        Rule::new(patterns.iter().map(|pattern| accepted(pattern)).collect(), threshold).unwrap()
    }

    fn decide(rule: &Rule, signers: &[Identity]) -> Vec<(usize, usize)> {
        let decision = rule.decide_among(signers.iter().map(SignerRef::Identity));
        assert_eq!(decision.required, rule.threshold());
        assert_eq!(decision.is_enough(), decision.matches.len() == rule.threshold());
        decision.matches.iter().map(|found| (found.signer, found.candidate)).collect()
    }

    #[test]
    fn two_signers_that_match_the_same_entry_satisfy_one_entry() {
        let rule = rule(&["https://ci/release", "spiffe://acme/.*"], 2);
        let signers = [identity("spiffe://acme/a"), identity("spiffe://acme/b")];
        assert_eq!(decide(&rule, &signers).len(), 1);
        let signers = [identity("spiffe://acme/a"), identity("https://ci/release")];
        assert_eq!(decide(&rule, &signers), [(0, 1), (1, 0)]);
    }

    #[test]
    fn one_workflow_at_a_branch_and_at_a_tag_satisfies_one_entry() {
        let rule = rule(&["https://ci/build@.*", "https://ci/review@.*"], 2);
        let signers = [
            identity("https://ci/build@refs/heads/main"),
            identity("https://ci/build@refs/tags/v1"),
        ];
        assert_eq!(decide(&rule, &signers).len(), 1);
    }

    #[test]
    fn a_signature_gives_way_when_it_satisfies_another_entry_too() {
        // Taken one after the other, the first signature would take the only entry of the second.
        let rule = rule(&["a|b", "a|c", "c|d"], 3);
        let signers = [identity("a"), identity("b"), identity("c")];
        assert_eq!(decide(&rule, &signers).len(), 3);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let signers: Vec<_> = order.iter().map(|i| signers[*i].clone()).collect();
            assert_eq!(decide(&rule, &signers).len(), 3, "{order:?}");
        }
    }

    #[test]
    fn every_small_matching_is_as_large_as_one_found_by_trying_all() {
        // Each of 4 signers satisfies any subset of 3 entries.
        for bits in 0..1_u32 << 12 {
            let satisfies = |signer: u32, entry: u32| bits >> (signer * 3 + entry) & 1 == 1;
            let patterns: Vec<String> = (0..3)
                .map(|entry| {
                    let names = (0..4).filter(|signer| satisfies(*signer, entry));
                    let names: Vec<_> = names.map(|signer| format!("s{signer}")).collect();
                    if names.is_empty() { "none".to_owned() } else { names.join("|") }
                })
                .collect();
            let signers: Vec<_> = (0..4).map(|signer| identity(&format!("s{signer}"))).collect();
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let largest = (0..125_u32)
                .filter_map(|choice| {
                    // Of each entry: the signer that serves it, or none (4).
                    let chosen = [choice % 5, choice / 5 % 5, choice / 25];
                    let served: Vec<_> =
                        (0..3).zip(chosen).filter(|(_, signer)| *signer < 4).collect();
                    let different: BTreeSet<_> = served.iter().map(|(_, signer)| signer).collect();
                    let holds = served.iter().all(|(entry, signer)| satisfies(*signer, *entry));
                    (holds && different.len() == served.len()).then_some(served.len())
                })
                .max();
            assert_eq!(Some(decide(&rule(&patterns, 3), &signers).len()), largest, "{bits:012b}");
        }
    }

    #[test]
    fn signatures_of_one_signer_count_as_one_even_where_entries_overlap() {
        let overlapping = rule(&["spiffe://acme/.*", "spiffe://acme/release"], 2);
        let release = identity("spiffe://acme/release");
        assert_eq!(decide(&overlapping, &[release.clone(), release.clone()]).len(), 1);
        assert_eq!(decide(&overlapping, &[release, identity("spiffe://acme/test")]).len(), 2);
    }

    #[test]
    fn signers_that_differ_in_an_extension_that_is_asked_for_are_different() {
        let in_environment = |value: &str| Identity {
            extensions: vec![FulcioExtension {
                oid: ENVIRONMENT.to_owned(),
                name: "RunnerEnvironment",
                value: value.to_owned(),
            }],
            ..identity("https://ci/build")
        };
        let entry =
            |value| accepted("https://ci/build").extension(ENVIRONMENT, StringMatch::exact(value));
        let rule = Rule::new(vec![entry("hosted"), entry("own")], 2).unwrap();
        assert_eq!(decide(&rule, &[in_environment("own"), in_environment("hosted")]).len(), 2);
        assert_eq!(decide(&rule, &[in_environment("own"), in_environment("own")]).len(), 1);
    }

    #[test]
    fn keys_count_once_each() {
        let (one, two) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let accepted = |key: &KeyPair| AcceptedSigner::key(key.public_key().clone());
        let rule = Rule::new(vec![accepted(&one), accepted(&two)], 2).unwrap();
        let decide = |keys: &[&KeyPair]| {
            rule.decide_among(keys.iter().map(|key| SignerRef::Key(key.public_key()))).matches.len()
        };
        assert_eq!(decide(&[&one, &one]), 1);
        assert_eq!(decide(&[&one, &two]), 2);
    }

    #[test]
    fn thresholds_that_cannot_be_reached_are_refused() {
        for (signers, threshold) in [(0, 1), (1, 0), (1, 2), (1001, 1)] {
            let key = AcceptedSigner::key(KeyPair::generate().unwrap().public_key().clone());
            assert!(Rule::new(vec![key; signers], threshold).is_err(), "{signers} {threshold}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the real clock measures what it costs")]
    fn long_lists_and_many_signatures_are_decided_in_moments() {
        let start = Instant::now();
        let exact = |name: String| {
            AcceptedSigner::identity(StringMatch::exact(name), StringMatch::exact(ISSUER))
        };
        let list = (0..100_000).map(|i| exact(format!("https://ci/{i}"))).collect();
        let long = Rule::new(list, 2).unwrap();
        let signers: Vec<_> =
            (0..300).map(|i| identity(&format!("https://ci/{}", 99_999 - i))).collect();
        assert_eq!(decide(&long, &signers).len(), 2);
        // The worst case of the matching: every signer satisfies every entry but the last.
        let mut list: Vec<_> = vec![".*"; 200];
        list.push("absent");
        let signers: Vec<_> = (0..1000).map(|i| identity(&format!("s{i}"))).collect();
        let many = rule(&list, 201);
        assert_eq!(decide(&many, &signers).len(), 200);
        assert!(start.elapsed() < Duration::from_secs(100), "{:?}", start.elapsed());
    }
}
