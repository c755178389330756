//! Everything that is attached to an image, of whatever kind, to list it, copy it or remove it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use serde::Serialize;

use crate::blobs::Store;
use crate::client::Client;
use crate::contents::{Content, Contents};
use crate::digest::Digest;
use crate::error::{Access, Error};
use crate::fallback::Tagged;
use crate::manifest::{
    ARTIFACT_MEDIA_TYPE_PREFIX, BUNDLE_MEDIA_TYPE_PREFIX, DSSE_MEDIA_TYPE, Descriptor,
    PREDICATE_TYPE_ANNOTATION, SIMPLE_SIGNING_MEDIA_TYPE, essence,
};
use crate::own_tags::OwnTag;
use crate::reference::Reference;
use crate::repository::Repository;

/// A manifest that is attached to an image. What it holds has not been verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attachment {
    /// What it seems to be.
    pub kind: AttachmentKind,
    /// The manifest.
    pub manifest: Descriptor,
    /// The tag that makes it an attachment, where that is not its subject: `sha256-<hex>.sig`.
    pub tag: Option<String>,
    /// Its artifact type, or that of its configuration.
    pub artifact_type: String,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// What it consists of, with the annotations of each.
    pub layers: Vec<(Descriptor, BTreeMap<String, String>)>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) bytes: Bytes,
}

/// What an attachment seems to be.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttachmentKind {
    /// A signature of the image.
    Signature,
    /// An attestation.
    Attestation,
    /// A bill of materials as cosign attached it.
    Sbom,
    /// Anything else.
    Other,
}

impl AttachmentKind {
    /// The kinds that cosign calls `name`: all that it knows for `all`, one for another name, none for an
    /// unknown name. `sig` and `att` are short for `signature` and `attestation`.
    pub fn named(name: &str) -> &'static [Self] {
        match name {
            "all" => &[Self::Signature, Self::Attestation, Self::Sbom],
            "att" | "attestation" => &[Self::Attestation],
            "sbom" => &[Self::Sbom],
            "sig" | "signature" => &[Self::Signature],
            _ => &[],
        }
    }

    /// `signature`, `attestation`, `sbom` or `other`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attestation => "attestation",
            Self::Other => "other",
            Self::Sbom => "sbom",
            Self::Signature => "signature",
        }
    }
}

impl fmt::Display for AttachmentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Attachment {
    /// The predicate type that the manifest claims.
    pub fn predicate_type(&self) -> Option<&str> {
        let annotations = self.annotations.get(PREDICATE_TYPE_ANNOTATION);
        let of_layers = || self.layers.iter().find_map(|(_, own)| own.get("predicateType"));
        annotations.or_else(of_layers).map(String::as_str)
    }

    /// Whether it holds Sigstore bundles.
    pub fn holds_bundles(&self) -> bool {
        self.layers.iter().any(|(layer, _)| layer.media_type.starts_with(BUNDLE_MEDIA_TYPE_PREFIX))
    }
}

/// Where the referrers of an image are listed in one repository.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// By the referrers API; `None` where there is no such API.
    pub(crate) api: Option<BTreeSet<Digest>>,
    /// Under the fallback tag.
    pub(crate) list: BTreeSet<Digest>,
    /// By tags of their own.
    pub(crate) own: BTreeSet<OwnTag>,
}

impl Listed {
    /// Whether `manifest` is found from its image by whatever the repository offers.
    pub(crate) fn has(&self, manifest: &Digest, own_tags: bool) -> bool {
        let by_api = self.api.as_ref().is_some_and(|api| api.contains(manifest));
        let own = || !own_tags || self.own.iter().any(|tag| tag.is_of(manifest));
        by_api || self.list.contains(manifest) && own()
    }

    fn digests(&self) -> BTreeSet<Digest> {
        self.api.iter().flatten().chain(&self.list).cloned().collect()
    }
}

/// Something that may be attached to an image.
#[derive(Clone, Debug)]
pub(crate) enum Candidate {
    Referrer(Digest),
    OwnTag(OwnTag),
    /// One of cosign's earlier tags.
    Tag(String),
}

impl Client {
    /// Where `repository` lists what refers to `subject`.
    pub(crate) async fn listed(
        &self,
        repository: &Repository,
        subject: &Digest,
        access: Access,
    ) -> Result<Listed, Error> {
        let mut api = BTreeSet::new();
        let referrers = self.referrers(repository, subject, access, |entry| {
            api.extend(entry.and_then(|entry| entry.digest.parse::<Digest>().ok()));
        });
        let tags = async { Ok(self.own_tags(repository, subject, access).await) };
        let tagged = self.tagged(repository, subject, access);
        let (has_api, (tagged, tags)) = try_join(referrers, try_join(tagged, tags)).await?;
        let own = match tags {
            Ok(own) => own,
            Err(Error::NotFound { .. }) => BTreeSet::new(),
            // Own tags are for registries without the API.
            Err(error) if has_api => {
                tracing::debug!(%error, "the tags could not be listed");
                BTreeSet::new()
            }
            Err(error) => return Err(error),
        };
        let list = match tagged {
            Tagged::Index { index, .. } => index.digests(),
            Tagged::Absent | Tagged::Subject | Tagged::Other { .. } => BTreeSet::new(),
        };
        let listed = Listed { api: has_api.then_some(api), list, own };
        if listed.digests().len() > MOST_ATTACHED {
            return Err(Error::Invalid {
                what: format!("the referrers of {subject} in {repository}"),
                reason: format!("there are more than {MOST_ATTACHED}"),
            });
        }
        Ok(listed)
    }

    /// Everything attached to `subject`. An attachment that is listed and does not exist is left out,
    /// and so is one of something else.
    pub(crate) async fn attachments(
        &self,
        store: &Store,
        subject: &Digest,
    ) -> Result<Vec<Attachment>, Error> {
        let candidates = self.candidates_of(store, subject).await?;
        let read = iter(candidates).map(|candidate| self.attachment(store, subject, candidate));
        let read: Vec<Option<Attachment>> = read.buffered(AT_ONCE).try_collect().await?;
        let mut attachments: Vec<Attachment> = Vec::new();
        let mut held = 0;
        for attachment in read.into_iter().flatten() {
            held += attachment.bytes.len();
            let known = attachments.iter().any(|known| {
                known.manifest.digest == attachment.manifest.digest && known.tag == attachment.tag
            });
            if !known {
                attachments.push(attachment);
            }
        }
        if held > MOST_HELD {
            return Err(Error::Invalid {
                what: format!("what is attached to {subject}"),
                reason: format!("its manifests have more than {MOST_HELD} bytes"),
            });
        }
        Ok(attachments)
    }

    async fn candidates_of(
        &self,
        store: &Store,
        subject: &Digest,
    ) -> Result<Vec<Candidate>, Error> {
        let tags = EARLIER_TAGS.into_iter().filter_map(|suffix| subject.legacy_tag(suffix));
        let tags = tags.map(Candidate::Tag);
        let repository = match store {
            Store::Repository(repository) => repository,
            Store::Layout(layout) => {
                let referrers = layout.referrers(subject).into_iter().map(Candidate::Referrer);
                return Ok(referrers.chain(tags).collect());
            }
        };
        let listed = self.listed(repository, subject, Access::Pull).await?;
        let digests = listed.digests();
        let unlisted = listed.own.into_iter().filter(|tag| !tag.is_of_any(&digests));
        let unlisted: Vec<Candidate> = unlisted.map(Candidate::OwnTag).collect();
        let referrers = digests.into_iter().map(Candidate::Referrer);
        Ok(referrers.chain(unlisted).chain(tags).collect())
    }

    /// Reads one candidate; `None` if there is none, or it is not attached to `subject`.
    async fn attachment(
        &self,
        store: &Store,
        subject: &Digest,
        candidate: Candidate,
    ) -> Result<Option<Attachment>, Error> {
        let read = match (store, &candidate) {
            (Store::Layout(layout), Candidate::Referrer(digest)) => layout.manifest(digest).await,
            (Store::Layout(layout), Candidate::Tag(tag)) => match layout.tagged(tag, subject) {
                Some(digest) => layout.manifest(&digest).await,
                None => return Ok(None),
            },
            (Store::Layout(_), Candidate::OwnTag(_)) => return Ok(None),
            (Store::Repository(repository), candidate) => {
                let reference = match candidate {
                    Candidate::Referrer(digest) => {
                        Reference::by_digest(repository.clone(), digest.clone())
                    }
                    Candidate::OwnTag(OwnTag { name, .. }) | Candidate::Tag(name) => {
                        format!("{repository}:{name}").parse()?
                    }
                };
                let read = self.manifest(&reference, Access::Pull).await;
                read.map(|(resolved, bytes)| (resolved.descriptor().clone(), bytes))
            }
        };
        let (manifest, bytes) = match read {
            Ok(read) => read,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let contents = Contents::parse(&manifest.digest.to_string(), &bytes)?;
        let tag = match candidate {
            Candidate::Tag(tag) => Some(tag),
            // Some registries list under the tag what is part of the image, and anyone may list
            // anything.
            _ if contents.subject() != Some(subject.as_str()) => return Ok(None),
            _ => None,
        };
        // GitLab and GHCR answer for such a tag with the image itself.
        if tag.is_some() && manifest.digest == *subject {
            return Ok(None);
        }
        let layers = contents
            .layers()
            .iter()
            .map(|layer| Ok((layer.descriptor()?, layer.annotations.clone().unwrap_or_default())));
        Ok(Some(Attachment {
            kind: kind_of(&contents, tag.as_deref()),
            manifest,
            tag,
            artifact_type: contents.artifact_type().to_owned(),
            annotations: contents.annotations(),
            layers: layers.collect::<Result<_, Error>>()?,
            contents: Arc::new(contents),
            bytes,
        }))
    }
}

fn kind_of(contents: &Contents, tag: Option<&str>) -> AttachmentKind {
    let suffix = tag.and_then(|tag| tag.rsplit_once('.')).map(|(_, suffix)| suffix);
    match suffix {
        Some("sig") => return AttachmentKind::Signature,
        Some("att") => return AttachmentKind::Attestation,
        Some("sbom") => return AttachmentKind::Sbom,
        _ => {}
    }
    let layer_is = |is: fn(&str) -> bool| {
        contents.layers().iter().any(|layer: &Content| is(essence(&layer.media_type)))
    };
    if layer_is(|layer| layer.starts_with(BUNDLE_MEDIA_TYPE_PREFIX)) {
        let predicate_type = contents.annotations().remove(PREDICATE_TYPE_ANNOTATION);
        return match predicate_type.as_deref() {
            None | Some(SIGN_PREDICATE_TYPE) => AttachmentKind::Signature,
            Some(_) => AttachmentKind::Attestation,
        };
    }
    if layer_is(|layer| layer == SIMPLE_SIGNING_MEDIA_TYPE) {
        return AttachmentKind::Signature;
    }
    if layer_is(|layer| layer == DSSE_MEDIA_TYPE) {
        return AttachmentKind::Attestation;
    }
    match contents.artifact_type().strip_prefix(ARTIFACT_MEDIA_TYPE_PREFIX) {
        Some(rest) if rest.starts_with("sbom.") => AttachmentKind::Sbom,
        _ => AttachmentKind::Other,
    }
}

const AT_ONCE: usize = 8;
pub(crate) const EARLIER_TAGS: [&str; 3] = ["sig", "att", "sbom"];
const MOST_ATTACHED: usize = 10_000;
/// The manifests of all attachments of one image together.
const MOST_HELD: usize = 64 << 20;
const SIGN_PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";
