//! Reading and writing the list of referrers that clients keep under a tag, where a registry keeps
//! none.
//!
//! Conditions are sent with a PUT; most registries ignore them.

use std::collections::BTreeSet;
use std::time::Duration;

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
use crate::manifest::{INDEX_MEDIA_TYPE, essence};
use crate::reference::Reference;
use crate::repository::Repository;
use crate::resolved::{MANIFEST_CAP, manifest_call};

/// What a fallback tag holds.
#[derive(Debug)]
pub(crate) enum Tagged {
    /// Nothing.
    Absent,
    /// The image itself: some registries resolve the tag as if it were the digest, and an old way to
    /// copy images put them there.
    Subject,
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

impl Tagged {
    /// The list without the entries of `gone`.
    pub(crate) fn without(self, gone: &BTreeSet<Digest>) -> Result<Self, Error> {
        let Self::Index { index, etag, digest } = self else { return Ok(self) };
        if index.digests().is_disjoint(gone) {
            return Ok(Self::Index { index, etag, digest });
        }
        let (rest, _) = index.without(gone);
        let index = Index::parse(Bytes::from(rest)).map_err(|error| not_serialised(&error))?;
        Ok(Self::Index { index, etag, digest })
    }
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
            return Ok(Tagged::Subject);
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
        let etag = answer.header(&ETAG).map(str::to_owned);
        Ok(Tagged::Index { index, etag, digest })
    }

    /// Writes `tagged` with `entries` appended.
    pub(crate) async fn replace<'e>(
        &self,
        reference: &Reference,
        tagged: Tagged,
        entries: impl IntoIterator<Item = &'e RawValue>,
    ) -> Result<Put, Error> {
        let (index, condition) = match tagged {
            Tagged::Absent | Tagged::Subject => {
                let empty = Index::empty().map_err(|error| not_serialised(&error))?;
                (empty, Condition::Absent)
            }
            Tagged::Index { index, etag, .. } => (index, Condition::of(etag.as_deref())),
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
        let bytes = index.with(entries);
        if bytes.len() > MANIFEST_CAP {
            return Err(Error::Invalid {
                what: format!("{reference}"),
                reason: format!(
                    "the list of signatures has {} bytes and would grow beyond {MANIFEST_CAP}",
                    index.len()
                ),
            });
        }
        self.put_tag(reference, INDEX_MEDIA_TYPE, bytes, &condition).await
    }

    /// Writes the manifest `bytes` under a tag that others write, too.
    pub(crate) async fn put_tag(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Vec<u8>,
        condition: &Condition,
    ) -> Result<Put, Error> {
        let repository = reference.repository();
        let digest = Digest::sha256(&bytes);
        let path = format!("manifests/{}", reference.manifest_name());
        let mut call = Call::new(Method::PUT, repository, Access::Push, path)
            .header(CONTENT_TYPE, media_type)
            .body(Bytes::from(bytes))
            // Sent twice, it might undo what another wrote in between.
            .policy(CallPolicy::new().with_idempotent(false));
        call = match condition {
            Condition::Is(etag) => call.header(IF_MATCH, etag),
            Condition::Absent => call.header(IF_NONE_MATCH, "*"),
            Condition::Unknown => call,
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

/// What a tag must hold to be replaced.
pub(crate) enum Condition {
    Absent,
    /// What has this entity tag.
    Is(String),
    Unknown,
}

impl Condition {
    /// Of what was read. A weak entity tag matches nothing (RFC 9110 section 13.1.1).
    pub(crate) fn of(etag: Option<&str>) -> Self {
        let strong = etag.filter(|etag| !etag.starts_with("W/"));
        strong.map_or(Self::Unknown, |etag| Self::Is(etag.to_owned()))
    }
}

/// The outcome of writing the list.
pub(crate) enum Put {
    Written(Digest),
    /// Another writer wrote in between, and the registry refused.
    Contended,
    /// It may have been written or not; another attempt may help.
    Failed(Error),
}

pub(crate) fn tag_reference(repository: &Repository, subject: &Digest) -> Result<Reference, Error> {
    format!("{repository}:{}", subject.fallback_tag()).parse()
}

pub(crate) fn not_serialised(error: &serde_json::Error) -> Error {
    Error::Invalid { what: "the list of signatures".to_owned(), reason: error.to_string() }
}

const LONGEST_WAIT: Duration = Duration::from_secs(30);
