//! What is attached to an image: listing, printing, adding and removing it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{Bundle, Content, Limits, SIGN_PREDICATE_TYPE, Statement};
use oci_push::{
    Attachment, AttachmentKind, Digest, LegacyKind, LegacySignature, Registry, Removals, Resolved,
    Store,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::file::bundles_in;
use crate::image::Image;
use crate::moving::error::{Error, Step};

/// Reads and changes what is attached to images, whoever made it. Nothing is verified.
#[derive(Clone, Debug)]
pub struct Attachments {
    registry: Registry,
}

/// Everything that is attached to an image and to its parts.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Tree {
    /// The image as it was named.
    pub image: String,
    /// The image, then each part.
    pub parts: Vec<TreePart>,
}

/// The image, or a part of it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TreePart {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The platform, where it is a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What is attached to it.
    pub attached: Vec<TreeItem>,
}

/// Something that is attached. What it says of itself is not verified.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TreeItem {
    /// What it seems to be.
    pub kind: AttachmentKind,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Its artifact type.
    pub artifact_type: String,
    /// The predicate type that it claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    /// When it was made, as it claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The earlier tag that it is under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The digests of what it consists of.
    pub layers: Vec<Digest>,
}

impl TreeItem {
    fn new(attachment: &Attachment) -> Self {
        let text = |text: &str| host::escape_remote(text);
        Self {
            kind: attachment.kind,
            manifest: attachment.manifest.digest.clone(),
            artifact_type: text(&attachment.artifact_type),
            predicate_type: attachment.predicate_type().map(text),
            created: attachment.annotations.get(CREATED).map(|created| text(created)),
            tag: attachment.tag.clone(),
            layers: attachment.layers.iter().map(|(layer, _)| layer.digest.clone()).collect(),
        }
    }
}

/// What became of a bundle that was to be attached.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AttachReport {
    /// The image as it was named.
    pub image: String,
    /// Its digest.
    pub digest: Digest,
    /// The digest of the bundle.
    pub bundle_digest: Digest,
    /// The digest of the manifest that refers to the image.
    pub manifest: Digest,
    /// How the registry lists it; `present` if it was there before.
    pub attached: &'static str,
}

impl fmt::Display for AttachReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, digest, .. } = self;
        match self.attached {
            "present" => write!(f, "attached to {image} ({digest}) before"),
            how => write!(f, "attached to {image} ({digest}) by {how}"),
        }
    }
}

/// What is to be removed of an image, and what was.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Cleaning {
    /// The image as it was named.
    pub image: String,
    /// Its digest.
    pub digest: Digest,
    /// Each manifest.
    pub removals: Vec<oci_push::Removal>,
    #[serde(skip)]
    plan: Removals,
}

impl Cleaning {
    /// Each manifest as a line for people.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.removals.iter().map(|removal| {
            let what = removal.kind.map_or("entry of what is gone:", AttachmentKind::as_str);
            let predicate_type = removal.predicate_type.as_deref().map(host::escape_remote);
            let predicate_type = predicate_type.map(|it| format!(" {it}")).unwrap_or_default();
            format!("{what} {}{predicate_type}", removal.manifest)
        })
    }
}

impl Attachments {
    /// Reads and changes by way of `registry`.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Lists everything that is attached to `image` and to its parts.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn tree(&self, image: &Image) -> Result<Tree, Error> {
        let failed = || Error::store(image.as_str(), Step::Read);
        let resolved = self.resolve(image, Step::Read).await?;
        let store = Store::Repository(resolved.repository().clone());
        let mut open = vec![(resolved.digest().clone(), None)];
        let mut parts: Vec<TreePart> = Vec::new();
        while let Some((digest, platform)) = open.pop() {
            if parts.iter().any(|part| part.digest == digest) || parts.len() >= MOST_PARTS {
                continue;
            }
            let members = self.registry.members(&store, &digest).await.map_err(failed())?;
            let attached = self.registry.attachments(&store, &digest).await.map_err(failed())?;
            let attached = attached.iter().map(TreeItem::new).collect();
            parts.push(TreePart { digest, platform, attached });
            let members = members.into_iter().rev();
            open.extend(members.map(|member| (member.manifest.digest, member.platform)));
        }
        Ok(Tree { image: image.to_string(), parts })
    }

    /// The signatures of `image`, each as JSON of one line: bundles as they are, and where there are
    /// none, earlier formats as cosign prints them.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn signatures(&self, image: &Image) -> Result<Vec<String>, Error> {
        self.download(
            image,
            |predicate_type| predicate_type == SIGN_PREDICATE_TYPE,
            |legacy| {
                (legacy.kind == LegacyKind::Signature)
                    .then(|| earlier_signature(legacy).to_string())
            },
        )
        .await
    }

    /// The attestations of `image`, of one predicate type when that is given, each as JSON of one
    /// line: bundles as they are, and where there are none, envelopes.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn attestations(
        &self,
        image: &Image,
        predicate_type: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let wanted = |found: &str| match predicate_type {
            Some(wanted) => found == wanted,
            None => found != SIGN_PREDICATE_TYPE,
        };
        self.download(image, wanted, |legacy| {
            let claimed = legacy.annotations.get("predicateType").map(String::as_str);
            let wanted = legacy.kind == LegacyKind::Attestation
                && predicate_type.is_none_or(|wanted| claimed == Some(wanted));
            wanted.then(|| one_line(&legacy.bytes))
        })
        .await
    }

    async fn download(
        &self,
        image: &Image,
        wanted: impl Fn(&str) -> bool,
        earlier: impl Fn(&LegacySignature) -> Option<String>,
    ) -> Result<Vec<String>, Error> {
        let failed = || Error::store(image.as_str(), Step::Read);
        let resolved = self.resolve(image, Step::Read).await?;
        let found = self.registry.find(&resolved).await.map_err(failed())?;
        let more = self.registry.find_more(&resolved, &found).await;
        let mut lines = Vec::new();
        for bundle in found.bundles.iter().chain(&more.bundles) {
            let stated = statement(&bundle.bytes).map(|it| it.predicate_type().to_owned());
            if stated.as_deref().or_else(|| bundle.predicate_type()).is_some_and(&wanted) {
                lines.push(one_line(&bundle.bytes));
            }
        }
        if let Some(unreachable) = found.unreachable.into_iter().chain(more.unreachable).next() {
            return Err(failed()(unreachable.error));
        }
        if lines.is_empty() {
            let legacy = self.registry.find_legacy(&resolved).await.map_err(failed())?;
            lines.extend(legacy.legacy.iter().chain(&found.legacy).filter_map(earlier));
            lines.dedup();
        }
        Ok(lines)
    }

    /// [Attaches](Self::attach) the bundles in the content of the file `name`: one, or many as JSON
    /// Lines, as a download of several signatures is. `each` gets what became of each, with its name,
    /// which tells the line where there are many.
    pub async fn attach_all(
        &self,
        name: &str,
        content: &[u8],
        image: &Image,
        mut each: impl FnMut(&str, Result<AttachReport, Error>),
    ) {
        let refused = |reason: String| Error::Bundle {
            bundle: name.to_owned(),
            image: image.to_string(),
            reason,
        };
        match bundles_in(name, content) {
            Err(reason) => each(name, Err(refused(reason))),
            Ok(bundles) => {
                for (name, range) in bundles {
                    let bytes = content.get(range).unwrap_or_default();
                    each(&name, self.attach(&name, bytes, image).await);
                }
            }
        }
    }

    /// Attaches the bundle `bytes`, which people know as `name`, to `image`: what a run saved that
    /// could not attach it, say. That it is about the image is checked; its signature is not.
    ///
    /// # Errors
    /// [`Error::Bundle`] and [`Error::Store`].
    pub async fn attach(
        &self,
        name: &str,
        bytes: &[u8],
        image: &Image,
    ) -> Result<AttachReport, Error> {
        // A file has a line end where what was downloaded has none.
        let bytes = bytes.trim_ascii();
        let resolved = self.resolve(image, Step::Attach).await?;
        let refuse = |reason: String| Error::Bundle {
            bundle: name.to_owned(),
            image: image.to_string(),
            reason,
        };
        is_about(&resolved, bytes).map_err(refuse)?;
        let failed = || Error::store(image.as_str(), Step::Attach);
        let bundle_digest = Digest::sha256(bytes);
        let report = |manifest, attached| AttachReport {
            image: image.to_string(),
            digest: resolved.digest().clone(),
            bundle_digest: bundle_digest.clone(),
            manifest,
            attached,
        };
        let store = Store::Repository(resolved.repository().clone());
        let there = self.registry.attachments(&store, resolved.digest()).await.map_err(failed())?;
        let holds = |attachment: &&Attachment| {
            attachment.holds_bundles()
                && attachment.layers.iter().any(|(layer, _)| layer.digest == bundle_digest)
        };
        if let Some(there) = there.iter().find(holds) {
            return Ok(report(there.manifest.digest.clone(), "present"));
        }
        let none = BTreeMap::new();
        let attached = self.registry.attach(&resolved, bytes, &none).await.map_err(failed())?;
        Ok(report(attached.digest, attached.how.as_str()))
    }

    /// What [`clean`](Self::clean) would remove: attachments of `kinds`, and entries of the list of
    /// signatures whose manifests are gone.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn plan_cleaning(
        &self,
        image: &Image,
        kinds: &[AttachmentKind],
    ) -> Result<Cleaning, Error> {
        let resolved = self.resolve(image, Step::Clean).await?;
        let plan = self.registry.removals(&resolved, kinds).await;
        let plan = plan.map_err(Error::store(image.as_str(), Step::Clean))?;
        Ok(Cleaning {
            image: image.to_string(),
            digest: resolved.digest().clone(),
            removals: plan.removals.clone(),
            plan,
        })
    }

    /// Removes what `cleaning` names.
    ///
    /// # Errors
    /// [`Error::Store`]. Another run removes what is left.
    pub async fn clean(&self, cleaning: &Cleaning) -> Result<(), Error> {
        let removed = self.registry.remove(&cleaning.plan).await;
        removed.map_err(Error::store(&cleaning.image, Step::Clean))
    }

    async fn resolve(&self, image: &Image, step: Step) -> Result<Resolved, Error> {
        let resolved = self.registry.resolve(image.reference()).await;
        resolved.map_err(Error::store(image.as_str(), step))
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.parts.iter().enumerate() {
            match (number, &part.platform) {
                (0, _) => writeln!(f, "{} ({})", self.image, part.digest)?,
                (_, Some(platform)) => writeln!(f, "{platform} ({})", part.digest)?,
                (_, None) => writeln!(f, "{}", part.digest)?,
            }
            for item in &part.attached {
                writeln!(f, "  {item}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for TreeItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} {}", self.kind.as_str(), self.manifest)?;
        let what = match &self.predicate_type {
            Some(predicate_type) => predicate_type,
            None => &self.artifact_type,
        };
        write!(f, " {what}")?;
        if let Some(created) = &self.created {
            write!(f, " {created}")?;
        }
        match &self.tag {
            Some(tag) => write!(f, " ({} under the tag {tag})", self.layers.len()),
            None => Ok(()),
        }
    }
}

/// The statement in a bundle.
fn statement(bundle: &[u8]) -> Option<Statement> {
    match Bundle::from_json_within(bundle, &Limits::large()).ok()?.content() {
        Content::Envelope(envelope) => envelope.statement().ok(),
        Content::Message { .. } => None,
    }
}

/// Whether the bundle is about the image; if not, what it is about.
fn is_about(image: &Resolved, bytes: &[u8]) -> Result<(), String> {
    let bundle = Bundle::from_json_within(bytes, &Limits::large())
        .map_err(|error| format!("it is not a Sigstore bundle: {}", host::with_causes(&error)))?;
    let Content::Envelope(envelope) = bundle.content() else {
        return Err("it is the signature of a file, not of an image".to_owned());
    };
    let statement = envelope
        .statement()
        .map_err(|error| format!("it has no statement: {}", host::with_causes(&error)))?;
    let (algorithm, hex) = (image.digest().algorithm(), image.digest().hex());
    let subjects = statement.subjects();
    if subjects.iter().any(|it| it.digests.get(algorithm).is_some_and(|digest| digest == hex)) {
        return Ok(());
    }
    let digest = subjects.first().and_then(|subject| subject.digests.get(algorithm));
    let found = digest.map_or_else(
        || "no digest of that kind".to_owned(),
        |digest| host::escape_remote(&format!("{algorithm}:{digest}")),
    );
    Err(format!("it is about another image: expected {}, found {found}", image.digest()))
}

/// A signature in the earlier format, as `cosign download signature` prints it.
fn earlier_signature(signature: &LegacySignature) -> Value {
    let text = |name: &str| signature.annotations.get(name).cloned().unwrap_or_default();
    let parsed = |name: &str| -> Value {
        let value = signature.annotations.get(name);
        value.and_then(|value| serde_json::from_str(value).ok()).unwrap_or(Value::Null)
    };
    json!({
        "Base64Signature": text("dev.cosignproject.cosign/signature"),
        "Payload": STANDARD.encode(&signature.bytes),
        "Cert": text("dev.sigstore.cosign/certificate"),
        "Chain": text("dev.sigstore.cosign/chain"),
        "Bundle": parsed("dev.sigstore.cosign/bundle"),
        "RFC3161Timestamp": parsed("dev.sigstore.cosign/rfc3161timestamp"),
    })
}

/// JSON without white space between its tokens, and otherwise byte for byte.
fn one_line(json: &[u8]) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let kept = json.iter().copied().filter(|byte| {
        let kept = in_text || !byte.is_ascii_whitespace();
        match *byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ => {}
        }
        kept
    });
    String::from_utf8_lossy(&kept.collect::<Vec<u8>>()).into_owned()
}

const CREATED: &str = "org.opencontainers.image.created";
const MOST_PARTS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_brought_to_one_line_and_its_texts_stay() {
        let json = b"{ \"a b\\\" \" :\n [ 1.50, \"x\\\\\" , \"\\n\" ] }\n";
        assert_eq!(one_line(json), r#"{"a b\" ":[1.50,"x\\","\n"]}"#);
    }
}
