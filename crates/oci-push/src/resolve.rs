//! From what people type to the exact manifest that is meant.

use std::fmt;

use bytes::Bytes;
use host::CallPolicy;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Method};

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::error::not_json;
use crate::manifest::{ACCEPT_MANIFESTS, WireManifest, essence};
use crate::{Access, Descriptor, Digest, Error, Reference, Registry, Repository};

/// A manifest that is in a registry, known by its digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resolved {
    repository: Repository,
    descriptor: Descriptor,
}

impl Resolved {
    /// A manifest that the caller knows to be in `repository`.
    pub fn new(repository: Repository, descriptor: Descriptor) -> Self {
        Self { repository, descriptor }
    }

    /// The repository that it was found in.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Media type, size and digest.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }

    /// The reference that means this manifest for ever.
    pub fn reference(&self) -> Reference {
        Reference::by_digest(self.repository.clone(), self.descriptor.digest.clone())
    }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.descriptor.digest)
    }
}

impl Registry {
    /// Finds the manifest that `reference` means. Usually one HEAD request; the manifest itself is
    /// fetched, and its digest computed, where a registry leaves out the headers that matter.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the registry says that there is no such image; every other refusal
    /// or failure is told apart from that.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, Error> {
        self.client.resolve(reference).await
    }

    /// Fetches the manifest that `reference` means, at most 4 MiB, and checks its digest.
    ///
    /// # Errors
    /// As [`Registry::resolve`]; [`Error::Invalid`] when digest, media type and content disagree.
    pub async fn manifest(&self, reference: &Reference) -> Result<(Resolved, Bytes), Error> {
        self.client.manifest(reference, Access::Pull).await
    }
}

impl Client {
    async fn resolve(&self, reference: &Reference) -> Result<Resolved, Error> {
        let call = manifest_call(Method::HEAD, reference, Access::Pull);
        let answer = self.call(&call).await?;
        if answer.status.is_success() {
            if let Some(descriptor) = described(&answer, reference)? {
                return Ok(Resolved::new(reference.repository().clone(), descriptor));
            }
        } else if answer.is_transient() {
            return Err(refusal(answer, reference, Access::Pull));
        }
        // An answer to HEAD has no body and so cannot explain itself.
        self.manifest(reference, Access::Pull).await.map(|(resolved, _)| resolved)
    }

    pub(crate) async fn manifest(
        &self,
        reference: &Reference,
        access: Access,
    ) -> Result<(Resolved, Bytes), Error> {
        let answer = self.call(&manifest_call(Method::GET, reference, access)).await?;
        if !answer.status.is_success() {
            return Err(refusal(answer, reference, access));
        }
        let invalid = |reason: String| Error::Invalid {
            what: format!("the manifest of {reference}"),
            reason,
        };
        let digest = computed_digest(&answer, reference.digest()).map_err(invalid)?;
        let media_type = checked_media_type(&answer).map_err(invalid)?;
        let size = answer.body.len() as u64;
        let descriptor = Descriptor { media_type, size, digest };
        Ok((Resolved::new(reference.repository().clone(), descriptor), answer.body))
    }
}

/// A request for the manifest that `reference` means.
pub(crate) fn manifest_call(method: Method, reference: &Reference, access: Access) -> Call<'_> {
    let path = format!("manifests/{}", reference.manifest_name());
    Call::new(method, reference.repository(), access, path)
        .header(ACCEPT, ACCEPT_MANIFESTS)
        .policy(CallPolicy::new().with_body_cap(MANIFEST_CAP))
}

/// The digest of what was answered, compared with `expected` or with what the registry says.
pub(crate) fn computed_digest(
    answer: &Answer,
    expected: Option<&Digest>,
) -> Result<Digest, String> {
    if let Some(expected) = expected {
        if expected.matches(&answer.body) {
            return Ok(expected.clone());
        }
        let found = Digest::sha256(&answer.body);
        return Err(format!("expected the content of {expected}, found that of {found}"));
    }
    let computed = Digest::sha256(&answer.body);
    match answer.content_digest().map(str::parse::<Digest>) {
        Some(Ok(stated)) if !stated.matches(&answer.body) => {
            Err(format!("the registry calls it {stated}, and its content has {computed}"))
        }
        Some(Ok(stated)) => Ok(stated),
        _ => Ok(computed),
    }
}

/// The media type, from the header and the document, which must agree.
fn checked_media_type(answer: &Answer) -> Result<String, String> {
    let manifest: WireManifest = serde_json::from_slice(&answer.body)
        .map_err(|error| not_json("the JSON of a manifest", &error))?;
    let stated = answer.media_type();
    let inside = manifest.media_type.as_deref().map(essence).unwrap_or_default();
    let media_type = match (is_manifest(stated), is_manifest(inside)) {
        (true, true) if stated != inside => {
            return Err(format!("the registry calls it {stated}, and it calls itself {inside}"));
        }
        (true, _) if inside.is_empty() || stated == inside => stated,
        (false, true) => inside,
        _ => {
            let found = if inside.is_empty() { stated } else { inside };
            let found = host::escape_remote(found);
            return Err(format!("expected an image manifest or index, found {found:?}"));
        }
    };
    Ok(media_type.to_owned())
}

/// What the headers of a HEAD say, if they say everything.
fn described(answer: &Answer, reference: &Reference) -> Result<Option<Descriptor>, Error> {
    let media_type = answer.media_type();
    let Some(size) = length(&answer.headers) else {
        return Ok(None);
    };
    if !is_manifest(media_type) || answer.headers.contains_key(CONTENT_ENCODING) {
        return Ok(None);
    }
    let stated = answer.content_digest().and_then(|digest| digest.parse::<Digest>().ok());
    let digest = match (reference.digest(), stated) {
        (Some(asked), Some(stated))
            if stated != *asked && stated.algorithm() == asked.algorithm() =>
        {
            return Err(Error::Invalid {
                what: format!("the manifest of {reference}"),
                reason: format!("expected the digest {asked}, and the registry says {stated}"),
            });
        }
        (Some(asked), _) => asked.clone(),
        (None, Some(stated)) => stated,
        (None, None) => return Ok(None),
    };
    Ok(Some(Descriptor { media_type: media_type.to_owned(), size, digest }))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    let length: u64 = headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
    (1..=MANIFEST_CAP as u64).contains(&length).then_some(length)
}

fn refusal(answer: Answer, reference: &Reference, access: Access) -> Error {
    let repository = reference.repository();
    answer.into_error(repository, access, || match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("the manifest {digest} in {repository}"),
        (None, tag) => format!("the tag {} in {repository}", tag.unwrap_or_default()),
    })
}

pub(crate) fn is_manifest(media_type: &str) -> bool {
    !media_type.is_empty()
        && ACCEPT_MANIFESTS.split(',').any(|accepted| accepted.trim() == media_type)
}

/// The floor of the specification, and room for an index of ten thousand entries.
pub(crate) const MANIFEST_CAP: usize = 4 << 20;
