//! From a reference to the manifest that it means.

use std::fmt;

use bytes::Bytes;
use host::CallPolicy;
use http::Method;
use http::header::{ACCEPT, CONTENT_LENGTH};

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::document::own_media_type;
use crate::error::{Access, Error, not_json};
use crate::manifest::{ACCEPT_MANIFESTS, Descriptor, essence, is_manifest};
use crate::reference::Reference;
use crate::repository::Repository;

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

    /// The reference by digest, which always means this manifest.
    pub fn reference(&self) -> Reference {
        Reference::by_digest(self.repository.clone(), self.descriptor.digest.clone())
    }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.descriptor.digest)
    }
}

impl Client {
    /// The image that `reference` means by its digest, if the registry says that it has it. `None`
    /// says nothing: a registry may not answer `HEAD`.
    pub(crate) async fn existing(&self, reference: &Reference) -> Result<Option<Resolved>, Error> {
        let Some(digest) = reference.digest() else { return Ok(None) };
        let call = manifest_call(Method::HEAD, reference, Access::Pull);
        let answer = self.call(&call).await?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        let size = answer.header(&CONTENT_LENGTH).and_then(|size| size.parse().ok());
        let descriptor = Descriptor {
            media_type: answer.media_type().to_owned(),
            size: size.unwrap_or_default(),
            digest: digest.clone(),
        };
        Ok(Some(Resolved::new(reference.repository().clone(), descriptor)))
    }

    /// Fetches the manifest that `reference` means, and checks its digest.
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
fn computed_digest(answer: &Answer, expected: Option<&Digest>) -> Result<Digest, String> {
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
    let inside =
        own_media_type(&answer.body).map_err(|error| not_json("the JSON of a manifest", &error))?;
    let stated = answer.media_type();
    let inside = inside.as_deref().map(essence).unwrap_or_default();
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

fn refusal(answer: Answer, reference: &Reference, access: Access) -> Error {
    let repository = reference.repository();
    answer.into_error(repository, access, || match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("the manifest {digest} in {repository}"),
        (None, tag) => format!("the tag {} in {repository}", tag.unwrap_or_default()),
    })
}

/// The floor of the specification, and room for an index of ten thousand entries.
pub(crate) const MANIFEST_CAP: usize = 4 << 20;
