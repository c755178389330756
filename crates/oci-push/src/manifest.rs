//! Media types, descriptors, and the manifest that we write around a bundle.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Digest;

/// The media type of the bundles we attach, and the artifact type of the manifest around them.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

pub(crate) const ARTIFACT_MEDIA_TYPE_PREFIX: &str = "application/vnd.dev.cosign.artifact.";
pub(crate) const BUNDLE_MEDIA_TYPE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
pub(crate) const DSSE_MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
pub(crate) const DOCKER_LIST_MEDIA_TYPE: &str =
    "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const DOCKER_MANIFEST_MEDIA_TYPE: &str =
    "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const EMPTY_BLOB: &[u8] = b"{}";
pub(crate) const EMPTY_MEDIA_TYPE: &str = "application/vnd.oci.empty.v1+json";
pub(crate) const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The annotation that repeats the predicate type of the bundle.
pub(crate) const PREDICATE_TYPE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";
/// The annotation that says when a manifest was made.
pub(crate) const CREATED_ANNOTATION: &str = "org.opencontainers.image.created";
pub(crate) const SIMPLE_SIGNING_MEDIA_TYPE: &str =
    "application/vnd.dev.cosign.simplesigning.v1+json";

/// Sent with every request for a manifest. Without it registries answer 404 for manifests that
/// they have.
pub(crate) const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// Media type, size in bytes and digest of something in a registry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// The manifest around one bundle, serialised in the order in which cosign's library writes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleManifest<'a> {
    schema_version: u8,
    media_type: &'static str,
    config: WrittenDescriptor<'a>,
    layers: [WrittenDescriptor<'a>; 1],
    annotations: &'a BTreeMap<String, String>,
    subject: WrittenDescriptor<'a>,
    artifact_type: &'a str,
}

/// A descriptor as we write it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WrittenDescriptor<'a> {
    media_type: &'a str,
    size: u64,
    digest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a BTreeMap<String, String>>,
}

impl<'a> WrittenDescriptor<'a> {
    fn plain(descriptor: &'a Descriptor) -> Self {
        Self {
            media_type: &descriptor.media_type,
            size: descriptor.size,
            digest: descriptor.digest.as_str(),
            artifact_type: None,
            annotations: None,
        }
    }

    /// An entry of an index, with what the specification wants copied from the manifest.
    pub(crate) fn of_referrer(
        descriptor: &'a Descriptor,
        artifact_type: &'a str,
        annotations: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            artifact_type: Some(artifact_type),
            annotations: Some(annotations),
            ..Self::plain(descriptor)
        }
    }
}

/// The exact bytes of the manifest that ties the bundle `layer` to `subject`.
pub(crate) fn bundle_manifest(
    subject: &Descriptor,
    layer: &Descriptor,
    annotations: &BTreeMap<String, String>,
) -> Result<Vec<u8>, serde_json::Error> {
    let config = empty_descriptor();
    serde_json::to_vec(&BundleManifest {
        schema_version: 2,
        media_type: MANIFEST_MEDIA_TYPE,
        config: WrittenDescriptor::plain(&config),
        layers: [WrittenDescriptor::plain(layer)],
        annotations,
        subject: WrittenDescriptor::plain(subject),
        artifact_type: &layer.media_type,
    })
}

/// The descriptor of the two bytes `{}`.
pub(crate) fn empty_descriptor() -> Descriptor {
    Descriptor {
        media_type: EMPTY_MEDIA_TYPE.to_owned(),
        size: EMPTY_BLOB.len() as u64,
        digest: Digest::sha256(EMPTY_BLOB),
    }
}

/// Whether `media_type` is that of an image manifest or an index.
pub(crate) fn is_manifest(media_type: &str) -> bool {
    [INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, DOCKER_LIST_MEDIA_TYPE, DOCKER_MANIFEST_MEDIA_TYPE]
        .contains(&media_type)
}

/// A media type without its parameters.
pub(crate) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_exactly_the_documented_keys_in_their_order() {
        let descriptor = |media_type: &str, bytes: &[u8]| Descriptor {
            media_type: media_type.to_owned(),
            size: bytes.len() as u64,
            digest: Digest::sha256(bytes),
        };
        let subject = descriptor(MANIFEST_MEDIA_TYPE, b"subject");
        let layer = descriptor(BUNDLE_MEDIA_TYPE, b"bundle");
        let annotations = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        let bytes = bundle_manifest(&subject, &layer, &annotations).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            format!(
                concat!(
                    r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                    r#""config":{{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"#,
                    r#""digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}},"#,
                    r#""layers":[{{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":6,"digest":"{}"}}],"#,
                    r#""annotations":{{"k":"v"}},"#,
                    r#""subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,"digest":"{}"}},"#,
                    r#""artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}}"#,
                ),
                layer.digest, subject.digest
            )
        );
    }

    #[test]
    fn parameters_of_a_media_type_do_not_matter() {
        assert_eq!(essence("application/json; charset=utf-8"), "application/json");
        assert_eq!(essence(""), "");
    }
}
