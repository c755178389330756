//! Keeping a signature in the list under the fallback tag.
//!
//! Two writers that read the same list overwrite each other, and nothing done with that one tag can
//! prevent it. So the list is an index of the own tags of all signatures: a writer adds its entry,
//! and reads the tags meanwhile. Where the list lacks one of them, somebody else is writing. Then it
//! reads the list and the tags back after a pause, and adds what the list lacks. A tag that is
//! lacking for the first time may be that of a writer at work, and is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use futures_util::future::{FutureExt as _, join};
use futures_util::stream::{StreamExt as _, iter};
use serde_json::value::RawValue;

use crate::client::Client;
use crate::digest::Digest;
use crate::document::SignatureManifest;
use crate::error::{Access, Error};
use crate::fallback::{Put, Tagged, not_serialised, tag_reference};
use crate::locks::jittered;
use crate::manifest::{Descriptor, WrittenDescriptor};
use crate::own_tags::OwnTag;
use crate::reference::Reference;
use crate::repository::Repository;

/// A signature that is stored and to be listed.
pub(crate) struct Listing<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) subject: &'a Digest,
    pub(crate) referrer: &'a Descriptor,
    pub(crate) artifact_type: &'a str,
    pub(crate) annotations: &'a BTreeMap<String, String>,
    /// Its own tag, if it is stored under one.
    pub(crate) own: Option<&'a OwnTag>,
    /// The manifests that it replaces: their entries are removed from the list.
    pub(crate) older: &'a BTreeSet<Digest>,
}

/// No manifests: the value of [`Listing::older`] for a signature that replaces nothing.
pub(crate) static NOTHING: BTreeSet<Digest> = BTreeSet::new();

/// The list as it was read, and when it was asked for.
pub(crate) struct Read {
    pub(crate) tagged: Tagged,
    pub(crate) asked: SystemTime,
}

/// What became of the attempt to list a signature.
pub(crate) struct Outcome {
    /// Its own tag was in the list of tags, or the registry is known to list such tags.
    pub(crate) own_tag_seen: bool,
    /// Its entry was in the list after a pause.
    pub(crate) listed: Result<(), Error>,
}

/// The list and the tags beside it, some time after the list was written.
struct LookedBack {
    read: Read,
    tags: BTreeSet<OwnTag>,
    own_tag_seen: bool,
}

/// What was learned of the own tags of other signatures.
#[derive(Default)]
struct Others {
    /// Lacking in the list when it was last read.
    lacking: BTreeSet<OwnTag>,
    /// The manifest of a tag, and its entry; `None` where there is nothing to list.
    entries: BTreeMap<OwnTag, Option<(Digest, Box<RawValue>)>>,
}

impl Client {
    /// Reads the list under the fallback tag of `subject`, to write it.
    pub(crate) async fn read_list(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Read, Error> {
        let asked = self.host.clock.now();
        let tagged = self.tagged(repository, subject, Access::Push).await?;
        Ok(Read { tagged, asked })
    }

    /// Adds `listing` to the list, read as `first`, and makes sure that it stays there.
    pub(crate) async fn list_under_tag(
        &self,
        listing: &Listing<'_>,
        first: Result<Read, Error>,
    ) -> Outcome {
        let mut own_tag_seen = false;
        let listed = match first {
            Ok(first) => self.keep_listed(listing, first, &mut own_tag_seen).await,
            Err(error) => Err(error),
        };
        Outcome { own_tag_seen, listed }
    }

    async fn keep_listed(
        &self,
        listing: &Listing<'_>,
        first: Read,
        own_tag_seen: &mut bool,
    ) -> Result<(), Error> {
        let Listing { repository, subject, referrer, older, .. } = *listing;
        let reference = tag_reference(repository, subject)?;
        let own_entry = entry(referrer, listing.artifact_type, listing.annotations)?;
        // Of two writers that have stored their own tags, and look at the tags then, at least one finds
        // the other's. Who finds none that is not listed is alone, and needs no pause; unless a tool
        // without own tags signs the image as well. Not where a repository has so many tags that the
        // answer is large.
        let can_be_alone = listing.own.is_some()
            && !matches!(first.tagged, Tagged::Subject)
            && !self.habits.with(repository, |habit| habit.has_many_tags);
        let began = first.asked;
        let (mut writes, mut failures, mut vanished, mut stale) = (0, 0, 0, 0);
        let mut present = false;
        let mut others = Others::default();
        let mut written: Option<Digest> = None;
        let mut settle = SHORTEST_SETTLE;
        // Nobody has listed a signature of this image: most likely nobody is about to.
        let mut is_new = matches!(first.tagged, Tagged::Absent);
        let mut first =
            Some(LookedBack { read: first, tags: BTreeSet::new(), own_tag_seen: false });
        for _ in 0..MOST_READS {
            let LookedBack { read: Read { tagged, asked }, tags, own_tag_seen: seen } =
                match first.take() {
                    Some(first) => first,
                    None => self.look_back(listing, is_new && writes == 1).await?,
                };
            *own_tag_seen |= seen;
            is_new &= writes == 0 && matches!(tagged, Tagged::Absent);
            let (listed, digest) = match &tagged {
                Tagged::Index { index, digest, .. } => (index.digests(), Some(digest.clone())),
                _ => (BTreeSet::new(), None),
            };
            let outdated = !listed.is_disjoint(older);
            present = listed.contains(&referrer.digest) && !outdated;
            let lacking: BTreeSet<OwnTag> = tags
                .into_iter()
                .filter(|tag| Some(tag) != listing.own && !tag.is_of_any(&listed))
                .filter(|tag| !tag.is_of_any(older))
                .filter(|tag| !matches!(others.entries.get(tag), Some(None)))
                .collect();
            let late = *own_tag_seen && since(began, self.host.clock.now()) > LONGEST_LISTING;
            let abandoned: Vec<OwnTag> = match present {
                true => lacking.intersection(&others.lacking).cloned().collect(),
                false => lacking.iter().cloned().collect(),
            };
            others.lacking = lacking;
            if present && abandoned.is_empty() {
                if others.lacking.is_empty() && written == digest || late {
                    return Ok(());
                }
                // Another writer wrote after us, or is about to: wait until nothing changes.
                written = digest;
                settle = settle.saturating_mul(2).min(LONGEST_SETTLE);
                self.host.clock.sleep(jittered(settle)).await;
                continue;
            }
            if written.is_some() && matches!(tagged, Tagged::Absent | Tagged::Subject) {
                vanished += 1;
                if vanished >= MOST_VANISHED {
                    return Err(Error::Invalid {
                        what: reference.to_string(),
                        reason: format!(
                            "the list of signatures was stored there {vanished} times and the \
                             registry returns something else; the signature {} is stored but not \
                             listed",
                            referrer.digest
                        ),
                    });
                }
            }
            if writes >= MOST_WRITES || late {
                break;
            }
            self.fetch_entries(listing, &abandoned, &mut others).await;
            // What was read long ago may have changed since, and writing it would undo that.
            if since(asked, self.host.clock.now()) > LONGEST_HELD && stale < MOST_STALE {
                stale += 1;
                continue;
            }
            if writes > 0 {
                // We were overwritten: writers who met once should not meet again.
                settle = settle.saturating_mul(2).min(LONGEST_SETTLE);
            }
            writes += 1;
            let added = abandoned.iter().filter_map(|tag| others.entries.get(tag)?.as_ref());
            let added = added.filter(|(digest, _)| !listed.contains(digest));
            let own_entry = (!listed.contains(&referrer.digest)).then_some(&own_entry);
            let entries = own_entry.into_iter().chain(added.map(|(_, entry)| entry));
            let entries: Vec<&RawValue> = entries.map(|entry| &**entry).collect();
            if entries.is_empty() && !outdated {
                continue;
            }
            let rest = tagged.without(older)?;
            let put = self.replace(&reference, rest, entries);
            let (put, mut beside) = match can_be_alone && writes == 1 {
                true => join(put, self.tags_beside(listing).map(Some)).await,
                false => (put.await, None),
            };
            written = match put? {
                Put::Written(digest) => Some(digest),
                Put::Contended => None,
                Put::Failed(error) => {
                    failures += 1;
                    if failures >= MOST_FAILURES {
                        return Err(error);
                    }
                    None
                }
            };
            // Another writer needs about as long from reading to writing as we did.
            let took = since(asked, self.host.clock.now());
            settle = settle.max(took.saturating_mul(2)).min(LONGEST_SETTLE);
            if took > LONGEST_ALONE && beside.is_some() {
                beside = Some(self.tags_beside(listing).await);
            }
            if let (Some(tags), Some(_)) = (beside, &written) {
                *own_tag_seen |= self.sees_own_tag(listing, &tags);
                if *own_tag_seen && agree(&tags, &listed, listing.own) {
                    return Ok(());
                }
            }
            self.host.clock.sleep(jittered(settle)).await;
        }
        if present {
            // Others go on writing, and our entry stays.
            return Ok(());
        }
        Err(Error::Overwritten {
            tag: reference.to_string(),
            manifest: referrer.digest.to_string(),
            attempts: writes,
        })
    }

    /// Reads the list and the tags back. `is_new`: the image had no list, and this is its first
    /// reading after it was written; then the tags are left out where they are many and the registry
    /// is known to list own tags: whoever comes next finds a list, and looks at the tags.
    async fn look_back(&self, listing: &Listing<'_>, is_new: bool) -> Result<LookedBack, Error> {
        let Listing { repository, subject, own, .. } = *listing;
        let are_many = self.habits.with(repository, |habit| habit.has_many_tags);
        let are_listed = self.habits.with_registry(repository, |habit| habit.lists_own_tags);
        let read = self.read_list(repository, subject);
        if is_new && own.is_some() && are_many && are_listed {
            return Ok(LookedBack { read: read.await?, tags: BTreeSet::new(), own_tag_seen: true });
        }
        let (read, tags) = join(read, self.tags_beside(listing)).await;
        let own_tag_seen = self.sees_own_tag(listing, &tags);
        Ok(LookedBack { read: read?, tags, own_tag_seen })
    }

    fn sees_own_tag(&self, listing: &Listing<'_>, tags: &BTreeSet<OwnTag>) -> bool {
        let seen = listing.own.is_some_and(|own| tags.contains(own));
        self.habits.with_registry(listing.repository, |habit| habit.lists_own_tags |= seen);
        seen
    }

    /// The own tags of all signatures of the image; none where own tags are not used.
    async fn tags_beside(&self, listing: &Listing<'_>) -> BTreeSet<OwnTag> {
        if listing.own.is_none() {
            return BTreeSet::new();
        }
        let tags = self.own_tags(listing.repository, listing.subject, Access::Push).await;
        tags.unwrap_or_else(|error| {
            tracing::debug!(%error, "the tags could not be listed");
            BTreeSet::new()
        })
    }

    async fn fetch_entries(&self, listing: &Listing<'_>, tags: &[OwnTag], others: &mut Others) {
        let unknown = tags.iter().filter(|tag| !others.entries.contains_key(tag));
        let unknown: Vec<OwnTag> = unknown.take(MOST_REPAIRED).cloned().collect();
        let mut fetched = iter(unknown)
            .map(|tag| async move {
                let entry = self.entry_of(listing, &tag).await;
                (tag, entry)
            })
            .buffered(AT_ONCE);
        while let Some((tag, entry)) = fetched.next().await {
            match entry {
                Ok(entry) => _ = others.entries.insert(tag, entry),
                Err(error) => tracing::debug!(%error, tag = tag.name, "cannot be listed"),
            }
        }
    }

    /// The entry for what `tag` holds; `None` if it is not a signature of this image.
    async fn entry_of(
        &self,
        listing: &Listing<'_>,
        tag: &OwnTag,
    ) -> Result<Option<(Digest, Box<RawValue>)>, Error> {
        let reference: Reference = format!("{}:{}", listing.repository, tag.name).parse()?;
        let (manifest, bytes) = match self.manifest(&reference, Access::Push).await {
            Ok(manifest) => manifest,
            Err(Error::NotFound { .. } | Error::Invalid { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(document) = SignatureManifest::parse(&bytes) else { return Ok(None) };
        let of = document.subject.as_ref().map(|subject| subject.digest.as_str());
        let ours = of == Some(listing.subject.as_str()) && tag.is_of(manifest.digest());
        if !ours || bytes.len() > LARGEST_REPAIRED {
            return Ok(None);
        }
        let annotations = document.annotations.clone().unwrap_or_default();
        let entry = entry(manifest.descriptor(), document.listed_type(), &annotations)?;
        Ok(Some((manifest.digest().clone(), entry)))
    }
}

/// Whether all signatures that were listed have tags, and all tags but `own` are of one that was.
fn agree(tags: &BTreeSet<OwnTag>, listed: &BTreeSet<Digest>, own: Option<&OwnTag>) -> bool {
    let mut others = tags.iter().filter(|tag| Some(*tag) != own);
    others.all(|tag| tag.is_of_any(listed))
        && listed.iter().all(|digest| tags.iter().any(|tag| tag.is_of(digest)))
}

fn entry(
    descriptor: &Descriptor,
    artifact_type: &str,
    annotations: &BTreeMap<String, String>,
) -> Result<Box<RawValue>, Error> {
    let entry = WrittenDescriptor::of_referrer(descriptor, artifact_type, annotations);
    serde_json::value::to_raw_value(&entry).map_err(|error| not_serialised(&error))
}

fn since(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

const AT_ONCE: usize = 8;
/// The manifest of a signature of another that is added to the list.
const LARGEST_REPAIRED: usize = 64 << 10;
/// From asking for the list to having written it: after that, the tags are read once more.
const LONGEST_ALONE: Duration = Duration::from_secs(1);
/// From asking for the list to writing it.
const LONGEST_HELD: Duration = Duration::from_secs(2);
/// With an own tag the list is a service to other tools, and ends at some time.
const LONGEST_LISTING: Duration = Duration::from_secs(45);
const LONGEST_SETTLE: Duration = Duration::from_millis(1500);
const MOST_FAILURES: u32 = 3;
const MOST_READS: u32 = 60;
/// Entries of others that are added in one go.
const MOST_REPAIRED: usize = 200;
const MOST_STALE: u32 = 3;
/// Other writers replace a list by a list; if there is never one, the registry is the cause.
const MOST_VANISHED: u32 = 3;
const MOST_WRITES: u32 = 20;
const SHORTEST_SETTLE: Duration = Duration::from_millis(60);
