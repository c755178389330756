//! Which of the listed referrers are read.
//!
//! Anyone who may push can list any number of referrers. So the list is reduced while it is read:
//! the likeliest candidates are kept, the others counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::SystemTime;

use host::escape_remote;
use jiff::Timestamp;

use crate::digest::Digest;
use crate::found::{Found, Unusable};
use crate::index::Entry;
use crate::manifest::{
    ARTIFACT_MEDIA_TYPE_PREFIX, BUNDLE_MEDIA_TYPE_PREFIX, DOCKER_MANIFEST_MEDIA_TYPE,
    EMPTY_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, essence,
};

/// The likeliest candidates for a signature among any number of listed referrers.
#[derive(Debug)]
pub(crate) struct Shortlist {
    predicate_type: String,
    /// Nothing was made later than this, whatever it says.
    latest: i64,
    most: usize,
    /// The least likely is on top.
    kept: BinaryHeap<Candidate>,
    known: HashSet<Digest>,
    /// How many were listed after `most`.
    left_out: usize,
    without_digest: Option<(usize, String)>,
    listed: usize,
}

/// A referrer that may be a signature.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Candidate {
    likelihood: Likelihood,
    /// In seconds. Newer ones come first.
    created: Reverse<i64>,
    /// As listed where nothing else tells them apart.
    position: usize,
    pub(crate) digest: Digest,
}

impl Candidate {
    /// Whether its artifact type says that it is something else.
    pub(crate) fn claims_otherwise(&self) -> bool {
        self.likelihood == Likelihood::AnotherType
    }
}

/// What an entry says of itself, the likeliest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Likelihood {
    /// The predicate type that is looked for.
    Wanted,
    /// Nothing: cosign's fallback index has no annotations.
    Unknown,
    /// Another predicate type.
    AnotherPredicate,
    /// A type that is not a signature's.
    AnotherType,
}

/// Who wrote an entry's artifact type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TypedBy {
    /// A client, under the fallback tag. Often wrong, so it only decides the order.
    Client,
    /// The registry, from the manifest.
    Registry,
}

impl Shortlist {
    pub(crate) fn new(predicate_type: &str, now: SystemTime, most: usize) -> Self {
        let now = Timestamp::try_from(now).map_or(i64::MAX, Timestamp::as_second);
        Self {
            predicate_type: predicate_type.to_owned(),
            latest: now.saturating_add(CLOCK_DIFFERENCE),
            most,
            kept: BinaryHeap::new(),
            known: HashSet::new(),
            left_out: 0,
            without_digest: None,
            listed: 0,
        }
    }

    /// Takes note of an entry; `None` stands for one that is not a descriptor.
    pub(crate) fn add(&mut self, entry: Option<&Entry<'_>>, typed_by: TypedBy) {
        let Some(entry) = entry else { return };
        let stated = entry.artifact_type.as_deref().unwrap_or_default();
        let may_be_signature = may_be_signature(stated);
        if !may_be_manifest(&entry.media_type) || !may_be_signature && typed_by == TypedBy::Registry
        {
            return;
        }
        let Ok(digest) = entry.digest.parse::<Digest>() else {
            let first = || (0, escape_remote(&entry.digest));
            self.without_digest.get_or_insert_with(first).0 += 1;
            return;
        };
        if self.known.contains(&digest) {
            return;
        }
        let annotations = entry.annotations.as_ref();
        let predicate_type = annotations.and_then(|known| known.predicate_type.as_deref());
        let likelihood = match predicate_type {
            _ if !may_be_signature => Likelihood::AnotherType,
            None => Likelihood::Unknown,
            Some(predicate_type) if predicate_type == self.predicate_type => Likelihood::Wanted,
            Some(_) => Likelihood::AnotherPredicate,
        };
        let created = annotations.and_then(|known| known.created.as_deref());
        let created = created
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map(Timestamp::as_second)
            .filter(|created| *created <= self.latest);
        let created = Reverse(created.unwrap_or(i64::MIN));
        self.listed += 1;
        self.known.insert(digest.clone());
        self.kept.push(Candidate { likelihood, created, position: self.listed, digest });
        if self.kept.len() > self.most
            && let Some(least) = self.kept.pop()
        {
            self.known.remove(&least.digest);
            self.left_out += 1;
        }
    }

    /// The candidates, the likeliest first; what is not among them is told in `found`.
    pub(crate) fn finish(self, found: &mut Found) -> (Vec<Candidate>, usize) {
        if let Some((count, first)) = self.without_digest {
            found.unusable.push(Unusable {
                what: match count {
                    1 => format!("the listed referrer {first:?}"),
                    _ => format!("{count} listed referrers, the first {first:?}"),
                },
                reason: "not listed by a digest".to_owned(),
            });
        }
        (self.kept.into_sorted_vec(), self.left_out)
    }
}

/// Whether the stated artifact type leaves open that this is a signature. cosign writes that of the
/// empty configuration by mistake.
fn may_be_signature(stated: &str) -> bool {
    stated.is_empty()
        || stated == EMPTY_MEDIA_TYPE
        || stated.starts_with(BUNDLE_MEDIA_TYPE_PREFIX)
        || stated.starts_with(ARTIFACT_MEDIA_TYPE_PREFIX)
}

/// An index, or a manifest of another format, holds no signature.
fn may_be_manifest(media_type: &str) -> bool {
    matches!(essence(media_type), "" | MANIFEST_MEDIA_TYPE | DOCKER_MANIFEST_MEDIA_TYPE)
}

/// How far the clocks of others may be ahead of ours.
const CLOCK_DIFFERENCE: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::index::Annotations;

    const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

    fn digest(number: u32) -> Digest {
        Digest::sha256(&number.to_be_bytes())
    }

    fn add(list: &mut Shortlist, number: u32, about: [&'static str; 3]) {
        let [artifact_type, predicate_type, created] = about;
        let given = |text: &'static str| (!text.is_empty()).then(|| text.into());
        let entry = Entry {
            digest: digest(number).to_string().into(),
            media_type: "".into(),
            artifact_type: Some(artifact_type.into()),
            annotations: Some(Annotations {
                predicate_type: given(predicate_type),
                created: given(created),
                reference_type: None,
            }),
        };
        list.add(Some(&entry), TypedBy::Client);
    }

    fn list(most: usize) -> Shortlist {
        // 2026-11-22T11:11:19Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_345_879);
        Shortlist::new("wanted", now, most)
    }

    fn kept(list: Shortlist) -> (Vec<Digest>, usize) {
        let (kept, left_out) = list.finish(&mut Found::default());
        (kept.into_iter().map(|candidate| candidate.digest).collect(), left_out)
    }

    #[test]
    fn the_wanted_predicate_comes_first_and_the_newest_before_older_ones() {
        let mut list = list(10);
        add(&mut list, 1, ["text/spdx", "wanted", "2026-11-22T11:11:19Z"]);
        add(&mut list, 2, [BUNDLE, "another", "2026-11-22T11:11:19Z"]);
        add(&mut list, 3, [BUNDLE, "", ""]);
        add(&mut list, 4, [BUNDLE, "wanted", "2025-01-01T00:00:00Z"]);
        add(&mut list, 5, [BUNDLE, "wanted", "2099-01-01T00:00:00Z"]);
        add(&mut list, 6, [BUNDLE, "wanted", "2026-01-01T00:00:00.5+01:00"]);
        add(&mut list, 7, [BUNDLE, "wanted", "yesterday"]);
        assert_eq!(kept(list).0, [6, 4, 5, 7, 3, 2, 1].map(digest));
    }

    #[test]
    fn the_likeliest_stay_whatever_the_order_and_the_others_are_counted() {
        let mut list = list(2);
        for number in 0..5000 {
            add(&mut list, number, ["text/spdx", "", ""]);
        }
        add(&mut list, 9001, [BUNDLE, "wanted", ""]);
        for number in 5000..9000 {
            add(&mut list, number, [BUNDLE, "", ""]);
        }
        assert!(list.kept.len() == 2 && list.known.len() == 2);
        assert_eq!(kept(list), (vec![digest(9001), digest(5000)], 8999));
    }

    #[test]
    fn the_same_digest_is_read_once() {
        let mut list = list(9);
        for _ in 0..3 {
            add(&mut list, 1, [BUNDLE, "", ""]);
        }
        assert_eq!(kept(list), (vec![digest(1)], 0));
    }

    #[test]
    fn entries_without_a_digest_are_told_together() {
        let mut list = list(9);
        for number in 0..200_000 {
            let entry = Entry {
                digest: format!("\u{1b}{number}").into(),
                media_type: "".into(),
                artifact_type: None,
                annotations: None,
            };
            list.add(Some(&entry), TypedBy::Registry);
        }
        let mut found = Found::default();
        assert!(list.finish(&mut found).0.is_empty());
        assert_eq!(found.unusable.len(), 1);
        assert_eq!(found.unusable[0].what, r#"200000 listed referrers, the first "\\u{1b}0""#);
    }

    #[test]
    fn what_the_registry_says_is_something_else_is_not_a_candidate() {
        let mut list = list(9);
        let entry = |artifact_type: &'static str, media_type: &'static str| Entry {
            digest: digest(1).to_string().into(),
            media_type: media_type.into(),
            artifact_type: Some(artifact_type.into()),
            annotations: None,
        };
        list.add(Some(&entry("text/spdx", "")), TypedBy::Registry);
        list.add(Some(&entry("", "application/vnd.oci.image.index.v1+json")), TypedBy::Client);
        list.add(None, TypedBy::Client);
        assert_eq!(kept(list), (vec![], 0));
    }
}
