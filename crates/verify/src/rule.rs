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
        let mut signers = BTreeMap::new();
        for (position, verified) in candidates.into_iter().enumerate() {
            signers.entry(self.distinct(verified)).or_insert((position, verified));
        }
        let mut matching = Matching::default();
        for (position, verified) in signers.into_values() {
            if matching.size() == self.0.threshold {
                break;
            }
            matching.add(position, self.satisfied_by(verified));
        }
        Decision { required: self.0.threshold, matches: matching.matches() }
    }

    /// The first entries that `verified` satisfies, at most as many as the threshold: of more than
    /// these one is always left, whatever the other signatures take.
    fn satisfied_by(&self, verified: &Verified) -> Vec<usize> {
        let entries = self.0.signers.iter().enumerate();
        let satisfied = entries.filter(|(_, entry)| match verified.identity() {
            Some(identity) => entry.accepts_identity(identity),
            None => entry.accepts_key(verified.public_key()),
        });
        satisfied.map(|(index, _)| index).take(self.0.threshold).collect()
    }

    /// What tells one signer from another.
    fn distinct(&self, verified: &Verified) -> Vec<Option<String>> {
        match verified.identity() {
            None => vec![Some(verified.public_key().to_pem())],
            Some(identity) => {
                let kind = format!("{:?}", identity.subject);
                let extensions = self.0.extensions.iter();
                let values = extensions.map(|oid| identity.value(oid).map(str::to_owned));
                [Some(kind), identity.issuer.clone()].into_iter().chain(values).collect()
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

/// A matching between signatures and entries that grows along augmenting paths: when a new
/// signature finds its entries taken, those that took them may move to others.
#[derive(Default)]
struct Matching {
    /// Of each signature: its position among the candidates, and the entries it satisfies.
    signatures: Vec<(usize, Vec<usize>)>,
    /// Of each taken entry: the signature (an index of `signatures`) that serves it.
    taken: BTreeMap<usize, usize>,
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
                if from.contains_key(entry) {
                    continue;
                }
                from.insert(*entry, signature);
                match self.taken.get(entry) {
                    Some(holder) => queue.push_back(*holder),
                    None => return self.reassign(*entry, new, &from),
                }
            }
        }
        // It serves none, now or later: it is no part of the matching.
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
