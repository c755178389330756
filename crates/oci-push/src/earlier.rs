//! Attaching a signature in one of cosign's earlier formats: a layer of the manifest under the tag
//! `sha256-<hex>.sig` or `.att`.
//!
//! Every signer reads, changes and writes back that one manifest, so that a writer that is slow can
//! erase what others wrote. A signature is therefore read back after a pause, until nothing changes,
//! and appended again where it was lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use host::Body;
use http::header::ETAG;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::attach::{Attached, How};
use crate::client::Client;
use crate::digest::Digest;
use crate::document::SignatureManifest;
use crate::error::{Access, Error, not_json};
use crate::fallback::{Condition, Put, not_serialised};
use crate::found::LegacyKind;
use crate::locks::jittered;
use crate::manifest::{DSSE_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, SIMPLE_SIGNING_MEDIA_TYPE};
use crate::reference::Reference;
use crate::repository::Repository;
use crate::resolved::{MANIFEST_CAP, Resolved, manifest_call};

/// What the tag holds.
struct Read {
    manifest: Manifest,
    condition: Condition,
    digest: Option<Digest>,
}

/// The manifest, of which everything stays that is not changed here.
#[derive(Deserialize, Serialize)]
struct Manifest {
    #[serde(rename = "schemaVersion")]
    schema_version: u8,
    #[serde(rename = "mediaType", default = "image_manifest")]
    media_type: String,
    config: Config,
    layers: Vec<Box<RawValue>>,
    #[serde(flatten)]
    others: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Serialize)]
struct Config {
    #[serde(rename = "mediaType")]
    media_type: String,
    size: u64,
    digest: String,
}

/// What is compared of a layer.
#[derive(Deserialize, Eq, PartialEq, Serialize)]
struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
    size: u64,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Client {
    pub(crate) async fn attach_legacy(
        &self,
        subject: &Resolved,
        kind: LegacyKind,
        (digest, payload): (&Digest, Body),
        annotations: &BTreeMap<String, String>,
        older: &BTreeSet<Digest>,
    ) -> Result<Attached, Error> {
        let repository = self.signatures_of(subject.repository());
        let (suffix, media_type) = match kind {
            LegacyKind::Signature => ("sig", SIMPLE_SIGNING_MEDIA_TYPE),
            LegacyKind::Attestation => ("att", DSSE_MEDIA_TYPE),
        };
        let tag = subject.digest().legacy_tag(suffix).ok_or_else(|| Error::Invalid {
            what: format!("the signature of {}", subject.digest()),
            reason: "this format names images by SHA-256 digests only".to_owned(),
        })?;
        let reference: Reference = format!("{repository}:{tag}").parse()?;
        let layer = Layer {
            media_type: media_type.to_owned(),
            size: payload.size(),
            digest: digest.to_string(),
            annotations: annotations.clone(),
        };
        self.put_blob(repository, digest, payload).await?;
        let _alone = self.writers.hold(reference.to_string()).await;
        let manifest = self.keep_layer(&reference, &layer, older).await?;
        Ok(Attached {
            digest: manifest,
            bundle_digest: digest.clone(),
            repository: repository.clone(),
            how: How::EarlierTag,
            own_tag: None,
        })
    }

    /// Adds `layer` to the manifest in place of those with the digests `older`, makes sure that it
    /// stays there, and gives the manifest's digest.
    async fn keep_layer(
        &self,
        reference: &Reference,
        layer: &Layer,
        older: &BTreeSet<Digest>,
    ) -> Result<Digest, Error> {
        let is_older =
            |it: &Layer| it != layer && older.iter().any(|old| it.digest == old.as_str());
        let (mut writes, mut failures, mut settle) = (0, 0, SHORTEST_SETTLE);
        let mut last_seen: Option<Digest> = None;
        for _ in 0..MOST_READS {
            let mut read = self.read_layers(reference).await?;
            let is_done = read.manifest.holds(layer)
                && !read.manifest.parsed_layers().any(|it| is_older(&it));
            match (is_done, read.digest) {
                // Nobody wrote during the pause.
                (true, Some(digest)) if last_seen.as_ref() == Some(&digest) => return Ok(digest),
                (true, digest) => last_seen = digest,
                (false, _) => {
                    if writes >= MOST_WRITES {
                        break;
                    }
                    writes += 1;
                    read.manifest.layers.retain(|raw| {
                        let parsed = serde_json::from_str(raw.get()).ok();
                        parsed.is_none_or(|it: Layer| it != *layer && !is_older(&it))
                    });
                    match self.append(reference, read.manifest, layer, &read.condition).await? {
                        Put::Written(digest) => last_seen = Some(digest),
                        Put::Contended => {}
                        Put::Failed(error) => {
                            failures += 1;
                            if failures >= MOST_FAILURES {
                                return Err(error);
                            }
                        }
                    }
                }
            }
            self.host.clock.sleep(jittered(settle)).await;
            settle = settle.saturating_mul(2).min(LONGEST_SETTLE);
        }
        Err(Error::Overwritten {
            tag: reference.to_string(),
            manifest: layer.digest.clone(),
            attempts: writes,
        })
    }

    async fn read_layers(&self, reference: &Reference) -> Result<Read, Error> {
        let (repository, access) = (reference.repository(), Access::Push);
        let answer = self.call(&manifest_call(Method::GET, reference, access)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let manifest = Manifest::empty();
            return Ok(Read { manifest, condition: Condition::Absent, digest: None });
        }
        if !answer.status.is_success() {
            return Err(answer.into_error(repository, access, || reference.to_string()));
        }
        let invalid = |reason: String| Error::Invalid {
            what: format!("the manifest of {reference}"),
            reason,
        };
        // Bounds what is kept of it.
        SignatureManifest::parse(&answer.body)
            .and_then(|_| serde_json::from_slice::<Manifest>(&answer.body))
            .map_err(|error| invalid(not_json("an image manifest with signatures", &error)))
            .and_then(|manifest| match manifest.layers.len() {
                ..MOST_LAYERS => Ok(manifest),
                found => Err(invalid(format!(
                    "it holds {found} signatures, and readers take at most {MOST_LAYERS}"
                ))),
            })
            .map(|manifest| Read {
                manifest,
                condition: Condition::of(answer.header(&ETAG)),
                digest: Some(Digest::sha256(&answer.body)),
            })
    }

    /// Writes `manifest` with `layer` appended.
    async fn append(
        &self,
        reference: &Reference,
        mut manifest: Manifest,
        layer: &Layer,
        condition: &Condition,
    ) -> Result<Put, Error> {
        let repository: &Repository = reference.repository();
        let layer = serde_json::value::to_raw_value(layer).map_err(|e| not_serialised(&e))?;
        manifest.layers.push(layer);
        let config = manifest.image_config();
        let digest = Digest::sha256(&config);
        manifest.config.size = config.len() as u64;
        manifest.config.digest = digest.to_string();
        self.put_blob(repository, &digest, Bytes::from(config)).await?;
        let bytes = serde_json::to_vec(&manifest).map_err(|error| not_serialised(&error))?;
        if bytes.len() > MANIFEST_CAP {
            return Err(Error::Invalid {
                what: reference.to_string(),
                reason: format!("its signatures would make it larger than {MANIFEST_CAP} bytes"),
            });
        }
        self.put_tag(reference, &manifest.media_type, bytes, condition).await
    }
}

impl Manifest {
    fn empty() -> Self {
        Self {
            schema_version: 2,
            media_type: image_manifest(),
            config: Config {
                media_type: "application/vnd.oci.image.config.v1+json".to_owned(),
                size: 0,
                digest: String::new(),
            },
            layers: Vec::new(),
            others: BTreeMap::new(),
        }
    }

    fn parsed_layers(&self) -> impl Iterator<Item = Layer> {
        self.layers.iter().filter_map(|layer| serde_json::from_str(layer.get()).ok())
    }

    fn holds(&self, layer: &Layer) -> bool {
        self.parsed_layers().any(|other| other == *layer)
    }

    /// What image tools want: a configuration that names every layer once more.
    fn image_config(&self) -> Vec<u8> {
        let layers: Vec<String> = self.parsed_layers().map(|layer| layer.digest).collect();
        json!({
            "architecture": "",
            "created": NEVER,
            "history": layers.iter().map(|_| json!({ "created": NEVER })).collect::<Vec<_>>(),
            "os": "",
            "rootfs": { "type": "layers", "diff_ids": layers },
            "config": {},
        })
        .to_string()
        .into_bytes()
    }
}

fn image_manifest() -> String {
    MANIFEST_MEDIA_TYPE.to_owned()
}

/// The time of creation in the configuration, as cosign writes it.
const NEVER: &str = "0001-01-01T00:00:00Z";

const LONGEST_SETTLE: Duration = Duration::from_millis(1500);
const MOST_FAILURES: u32 = 3;
/// As cosign reads.
const MOST_LAYERS: usize = 1000;
const MOST_READS: u32 = 60;
const MOST_WRITES: u32 = 20;
const SHORTEST_SETTLE: Duration = Duration::from_millis(60);
