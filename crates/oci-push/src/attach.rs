//! Attaching a bundle to an image, so that it is found from the image.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::try_join;
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method};
use jiff::Timestamp;
use serde::Deserialize;

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error, not_json};
use crate::locks::jittered;
use crate::manifest::{
    BUNDLE_MEDIA_TYPE_PREFIX, CREATED_ANNOTATION, Descriptor, EMPTY_BLOB, MANIFEST_MEDIA_TYPE,
    PREDICATE_TYPE_ANNOTATION, bundle_manifest, empty_descriptor,
};
use crate::repository::Repository;
use crate::resolved::Resolved;

/// A bundle that is in the registry and can be found from its image.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attached {
    /// The digest of the manifest that refers to the image.
    pub digest: Digest,
    /// The digest of the bundle itself.
    pub bundle_digest: Digest,
    /// The repository that holds both.
    pub repository: Repository,
    /// How the image's referrers are listed there.
    pub how: How,
}

/// How a registry lists the referrers of an image.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum How {
    /// An index under the tag `sha256-<hex>`, kept by the clients.
    FallbackTag,
    /// The referrers API of OCI 1.1, kept by the registry.
    Referrers,
}

impl How {
    /// `referrers` or `fallback-tag`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FallbackTag => "fallback-tag",
            Self::Referrers => "referrers",
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Client {
    pub(crate) async fn attach(
        &self,
        subject: &Resolved,
        bundle_json: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Attached, Error> {
        let repository = self.signatures_of(subject.repository());
        let (media_type, mut all_annotations) = describe(bundle_json)?;
        let created = whole_seconds(self.host.clock.now());
        all_annotations.insert(CREATED_ANNOTATION.to_owned(), created);
        all_annotations.extend(annotations.clone());
        let layer = Descriptor {
            media_type,
            size: bundle_json.len() as u64,
            digest: Digest::sha256(bundle_json),
        };

        let empty = empty_descriptor().digest;
        let store_bundle =
            self.put_blob(repository, &layer.digest, Bytes::copy_from_slice(bundle_json));
        let store_empty = async {
            // Usually there already: every artifact without a configuration shares it.
            match self.has_blob(repository, &empty).await? {
                true => Ok(()),
                false => self.put_blob(repository, &empty, Bytes::from_static(EMPTY_BLOB)).await,
            }
        };
        try_join(store_bundle, store_empty).await?;

        let invalid = |error: serde_json::Error| Error::Invalid {
            what: "the manifest of the signature".to_owned(),
            reason: error.to_string(),
        };
        let manifest =
            bundle_manifest(subject.descriptor(), &layer, &all_annotations).map_err(invalid)?;
        let referrer = Descriptor {
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            size: manifest.len() as u64,
            digest: Digest::sha256(&manifest),
        };
        let answer = self.put_manifest(repository, &referrer, manifest).await?;
        let how = if self.lists_referrers(subject, repository, &answer).await? {
            How::Referrers
        } else {
            self.list_under_tag(repository, subject.digest(), &referrer, &layer, &all_annotations)
                .await?;
            How::FallbackTag
        };
        Ok(Attached {
            digest: referrer.digest,
            bundle_digest: layer.digest,
            repository: repository.clone(),
            how,
        })
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        bytes: Vec<u8>,
    ) -> Result<Answer, Error> {
        let path = format!("manifests/{}", descriptor.digest);
        let call = Call::new(Method::PUT, repository, Access::Push, path)
            .header(CONTENT_TYPE, &descriptor.media_type)
            .body(Bytes::from(bytes));
        let mut pause = FIRST_PAUSE;
        let answer = loop {
            let answer = self.call(&call).await?;
            // A blob that several writers store at once may be hidden for a moment: Docker's
            // registry empties the file that says where it is before writing it again.
            let blob_hidden = answer.has_code("MANIFEST_BLOB_UNKNOWN");
            if !blob_hidden || pause > LONGEST_PAUSE {
                break answer;
            }
            tracing::debug!(request = answer.request(), "a blob just stored is not found");
            self.host.clock.sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2);
        };
        if !answer.status.is_success() {
            return Err(answer
                .into_error(repository, Access::Push, || format!("the repository {repository}")));
        }
        match answer.content_digest() {
            Some(stored) if stored != descriptor.digest.as_str() => Err(Error::Invalid {
                what: format!("the answer to {}", answer.request()),
                reason: format!(
                    "expected the manifest to be stored as {}, found {}",
                    descriptor.digest,
                    host::escape_remote(stored)
                ),
            }),
            _ => Ok(answer),
        }
    }

    /// Whether the registry itself lists the referrers of `subject`. It says so when it stores a
    /// manifest; that is checked, because some registries say so and do not have the API.
    async fn lists_referrers(
        &self,
        subject: &Resolved,
        repository: &Repository,
        stored: &Answer,
    ) -> Result<bool, Error> {
        if stored.header(&OCI_SUBJECT) != Some(subject.digest().as_str()) {
            return Ok(false);
        }
        match self.referrers_page(repository, subject.digest(), Access::Push).await {
            Ok(page) => Ok(page.is_some()),
            // Then the list under the tag is kept, too: it is harmless where the API exists.
            Err(error) => {
                tracing::debug!(%error, "the referrers could not be listed");
                Ok(false)
            }
        }
    }
}

/// The media type of a bundle and the annotations that describe it.
fn describe(bundle: &[u8]) -> Result<(String, BTreeMap<String, String>), Error> {
    let invalid =
        |reason: String| Error::Invalid { what: "the bundle to attach".to_owned(), reason };
    let bundle: WireBundle = serde_json::from_slice(bundle)
        .map_err(|error| invalid(not_json("the JSON of a Sigstore bundle", &error)))?;
    if !bundle.media_type.starts_with(BUNDLE_MEDIA_TYPE_PREFIX) {
        return Err(invalid(format!("its media type is {:?}", bundle.media_type)));
    }
    let content = match &bundle.dsse_envelope {
        Some(_) => "dsse-envelope",
        None => "message-signature",
    };
    let mut annotations =
        BTreeMap::from([("dev.sigstore.bundle.content".to_owned(), content.to_owned())]);
    let payload = bundle.dsse_envelope.and_then(|envelope| STANDARD.decode(envelope.payload).ok());
    let statement =
        payload.and_then(|payload| serde_json::from_slice::<WireStatement>(&payload).ok());
    if let Some(predicate_type) = statement.and_then(|statement| statement.predicate_type) {
        annotations.insert(PREDICATE_TYPE_ANNOTATION.to_owned(), predicate_type);
    }
    Ok((bundle.media_type, annotations))
}

/// `time` as RFC 3339 in UTC with whole seconds: `2026-11-22T11:11:19Z`.
fn whole_seconds(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or_default();
    // A clock beyond the calendar is as wrong as one at its beginning.
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBundle {
    media_type: String,
    dsse_envelope: Option<WireEnvelope>,
}

#[derive(Deserialize)]
struct WireEnvelope {
    payload: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatement {
    predicate_type: Option<String>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_described_as_cosign_does() {
        let payload = STANDARD.encode(r#"{"predicateType":"https://sigstore.dev/cosign/sign/v1"}"#);
        let bundle = format!(
            r#"{{"mediaType":"{}","dsseEnvelope":{{"payload":"{payload}"}}}}"#,
            crate::BUNDLE_MEDIA_TYPE
        );
        let (media_type, annotations) = describe(bundle.as_bytes()).unwrap();
        assert_eq!(media_type, crate::BUNDLE_MEDIA_TYPE);
        let expected = [
            ("dev.sigstore.bundle.content", "dsse-envelope"),
            ("dev.sigstore.bundle.predicateType", "https://sigstore.dev/cosign/sign/v1"),
        ];
        assert_eq!(annotations, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn created_is_in_whole_seconds() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_345_879_999);
        assert_eq!(whole_seconds(time), "2026-11-22T11:11:19Z");
        assert_eq!(whole_seconds(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_not_a_bundle_is_not_attached() {
        assert!(describe(b"{}").is_err());
        assert!(describe(b"not json").is_err());
        assert!(describe(br#"{"mediaType":"text/plain"}"#).is_err());
    }
}
