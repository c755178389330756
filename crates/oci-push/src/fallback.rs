//! The list of referrers that clients keep under a tag, where a registry keeps none.
//!
//! Most registries ignore conditions on a PUT, so two writers that read the same list overwrite
//! each other. Conditions are sent all the same. Then the list is read back after a pause that is
//! long enough for a writer who read the old list to write it, until nothing changes any more and
//! our entry is in it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use host::CallPolicy;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{Method, StatusCode};
use serde_json::value::RawValue;

use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::document::own_media_type;
use crate::error::{Access, Error, not_json};
use crate::index::Index;
use crate::locks::jittered;
use crate::manifest::{Descriptor, INDEX_MEDIA_TYPE, WrittenDescriptor, essence};
use crate::reference::Reference;
use crate::repository::Repository;
use crate::resolved::{MANIFEST_CAP, manifest_call};

/// What a fallback tag holds.
#[derive(Debug)]
pub(crate) enum Tagged {
    /// Nothing, or the image itself: some registries resolve the tag as if it were the digest,
    /// and an old way to copy images put them there.
    Absent,
    /// The list.
    Index {
        index: Index,
        /// To make a replacement conditional.
        etag: Option<String>,
        digest: Digest,
    },
    /// Something that is not a list.
    Other { media_type: String },
}

impl Client {
    /// Reads the list under the fallback tag of `subject`.
    pub(crate) async fn tagged(
        &self,
        repository: &Repository,
        subject: &Digest,
        access: Access,
    ) -> Result<Tagged, Error> {
        let reference: Reference = tag_reference(repository, subject)?;
        let answer = self.call(&manifest_call(Method::GET, &reference, access)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Tagged::Absent);
        }
        if !answer.status.is_success() {
            return Err(answer.into_error(repository, access, || reference.to_string()));
        }
        if subject.matches(&answer.body) {
            return Ok(Tagged::Absent);
        }
        let invalid = |reason: String| Error::Invalid {
            what: format!("the manifest of {reference}"),
            reason,
        };
        let digest = Digest::sha256(&answer.body);
        let inside = own_media_type(&answer.body)
            .map_err(|error| invalid(not_json("the JSON of a manifest", &error)))?;
        let inside = inside.as_deref().map(essence);
        let media_type = inside.unwrap_or_else(|| answer.media_type());
        if media_type != INDEX_MEDIA_TYPE {
            return Ok(Tagged::Other { media_type: host::escape_remote(media_type) });
        }
        let index = Index::parse(answer.body.clone())
            .map_err(|error| invalid(not_json("an image index", &error)))?;
        // A weak one matches nothing in a condition (RFC 9110 section 13.1.1).
        let etag = answer.header(&ETAG).filter(|etag| !etag.starts_with("W/")).map(str::to_owned);
        Ok(Tagged::Index { index, etag, digest })
    }

    /// Adds `referrer` to the list under the fallback tag of `subject`, and makes sure that it
    /// stays there.
    pub(crate) async fn list_under_tag(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrer: &Descriptor,
        layer: &Descriptor,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let _alone = self.writers.hold(format!("{repository}@{subject}")).await;
        let reference = tag_reference(repository, subject)?;
        let entry = WrittenDescriptor::of_referrer(referrer, &layer.media_type, annotations);
        let entry =
            serde_json::value::to_raw_value(&entry).map_err(|error| not_serialised(&error))?;
        let mut writes = 0;
        let mut failures = 0;
        let mut vanished = 0;
        let mut present = false;
        let mut written: Option<Digest> = None;
        let mut settle = SHORTEST_SETTLE;
        let mut started = self.host.clock.now();
        for _ in 0..MOST_READS {
            let tagged = self.tagged(repository, subject, Access::Push).await?;
            present =
                matches!(&tagged, Tagged::Index { index, .. } if index.contains(&referrer.digest));
            if let Tagged::Index { digest, .. } = &tagged
                && present
            {
                if written.as_ref() == Some(digest) {
                    return Ok(());
                }
                // Ours is in it, and another writer wrote after us: wait until nothing changes.
                written = Some(digest.clone());
                settle = settle.saturating_mul(2).min(LONGEST_SETTLE);
                self.host.clock.sleep(jittered(settle)).await;
                continue;
            }
            if written.is_some() && matches!(tagged, Tagged::Absent) {
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
            if writes >= MOST_WRITES {
                break;
            }
            if writes > 0 {
                // We were overwritten: writers who met once should not meet again.
                settle = settle.saturating_mul(2).min(LONGEST_SETTLE);
            }
            writes += 1;
            written = match self.replace(&reference, tagged, &entry).await? {
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
            let took = since(started, self.host.clock.now());
            settle = settle.max(took.saturating_mul(2)).min(LONGEST_SETTLE);
            self.host.clock.sleep(jittered(settle)).await;
            started = self.host.clock.now();
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

    /// Writes `tagged` with `entry` appended.
    async fn replace(
        &self,
        reference: &Reference,
        tagged: Tagged,
        entry: &RawValue,
    ) -> Result<Put, Error> {
        let repository = reference.repository();
        let (index, etag, existed) = match tagged {
            Tagged::Absent => {
                (Index::empty().map_err(|error| not_serialised(&error))?, None, false)
            }
            Tagged::Index { index, etag, .. } => (index, etag, true),
            Tagged::Other { media_type } => {
                return Err(Error::Invalid {
                    what: format!("{reference}"),
                    reason: format!(
                        "expected the index that lists the image's signatures, found \
                         {media_type:?}; move that tag away so that signatures can be listed"
                    ),
                });
            }
        };
        let bytes = index.with(entry);
        if bytes.len() > MANIFEST_CAP {
            return Err(Error::Invalid {
                what: format!("{reference}"),
                reason: format!(
                    "the list of signatures has {} bytes and would grow beyond {MANIFEST_CAP}",
                    index.len()
                ),
            });
        }
        let digest = Digest::sha256(&bytes);
        let path = format!("manifests/{}", reference.manifest_name());
        let mut call = Call::new(Method::PUT, repository, Access::Push, path)
            .header(CONTENT_TYPE, INDEX_MEDIA_TYPE)
            .body(Bytes::from(bytes))
            // Sent twice, it might undo what another wrote in between.
            .policy(CallPolicy::new().with_idempotent(false));
        call = match (&etag, existed) {
            (Some(etag), _) => call.header(IF_MATCH, etag),
            (None, false) => call.header(IF_NONE_MATCH, "*"),
            (None, true) => call,
        };
        let answer = match self.call(&call).await {
            Ok(answer) => answer,
            // Reading it again shows whether it was written.
            Err(error @ Error::Transport { .. }) => return Ok(Put::Failed(error)),
            Err(error) => return Err(error),
        };
        if answer.status.is_success() {
            return Ok(Put::Written(digest));
        }
        if [StatusCode::PRECONDITION_FAILED, StatusCode::CONFLICT].contains(&answer.status) {
            return Ok(Put::Contended);
        }
        let (transient, asked) = (answer.is_transient(), answer.retry_after());
        let error = answer.into_error(repository, Access::Push, || reference.to_string());
        if !transient {
            return Err(error);
        }
        if let Some(asked) = asked {
            self.host.clock.sleep(asked.min(LONGEST_WAIT)).await;
        }
        Ok(Put::Failed(error))
    }
}

/// The outcome of writing the list.
enum Put {
    Written(Digest),
    /// Another writer wrote in between, and the registry refused.
    Contended,
    /// It may have been written or not; another attempt may help.
    Failed(Error),
}

fn tag_reference(repository: &Repository, subject: &Digest) -> Result<Reference, Error> {
    format!("{repository}:{}", subject.fallback_tag()).parse()
}

fn since(start: SystemTime, end: SystemTime) -> Duration {
    end.duration_since(start).unwrap_or_default()
}

fn not_serialised(error: &serde_json::Error) -> Error {
    Error::Invalid { what: "the list of signatures".to_owned(), reason: error.to_string() }
}

const LONGEST_SETTLE: Duration = Duration::from_millis(1500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const MOST_FAILURES: u32 = 3;
const MOST_READS: u32 = 60;
/// Other writers replace a list by a list; if there is never one, the registry is the cause.
const MOST_VANISHED: u32 = 3;
const MOST_WRITES: u32 = 20;
const SHORTEST_SETTLE: Duration = Duration::from_millis(60);
