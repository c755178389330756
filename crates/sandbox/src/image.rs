//! A small image for two platforms, to have something to sign.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::{CallPolicy, Redirects, Transport};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{Method, Request, Response, StatusCode};
use keys::Digest;
use serde_json::{Value, json};
use url::Url;

use crate::Error;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image index with one manifest for amd64 and one for arm64, and what they refer to.
#[derive(Clone, Debug)]
pub struct SampleImage {
    /// Blobs, in the order of upload.
    pub blobs: Vec<Bytes>,
    /// The manifests of the platforms, as media type and content.
    pub manifests: Vec<(&'static str, Bytes)>,
    /// The index over them.
    pub index: (&'static str, Bytes),
}

impl SampleImage {
    /// An image that says `greeting`; another greeting is another image.
    pub fn new(greeting: &str) -> Self {
        let layer = Bytes::from(tar("greeting.txt", greeting.as_bytes()));
        let mut blobs = vec![layer.clone()];
        let mut manifests = Vec::new();
        let mut entries = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let config = to_bytes(&json!({
                "architecture": architecture,
                "os": "linux",
                "config": { "Cmd": ["cat", "/greeting.txt"] },
                "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
            }));
            let manifest = to_bytes(&json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(CONFIG, &config),
                "layers": [descriptor(LAYER, &layer)],
            }));
            let mut entry = descriptor(MANIFEST, &manifest);
            entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
            entries.push(entry);
            blobs.push(config);
            manifests.push((MANIFEST, manifest));
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        Self { blobs, manifests, index: (INDEX, to_bytes(&index)) }
    }

    /// The digest of the index, `sha256:` and hex.
    pub fn digest(&self) -> String {
        digest(&self.index.1)
    }

    /// Pushes the image to `repository` at the registry `base` under `tag`, without credentials.
    ///
    /// # Errors
    /// The registry does not answer, or refuses a blob or a manifest.
    pub async fn push(
        &self,
        http: &Arc<dyn Transport>,
        base: &Url,
        repository: &str,
        tag: &str,
    ) -> Result<(), Error> {
        let root = format!("{}/v2/{repository}", base.as_str().trim_end_matches('/'));
        for blob in &self.blobs {
            let started = send(http, Method::POST, &format!("{root}/blobs/uploads/"), None).await?;
            let location = started
                .headers()
                .get(LOCATION)
                .and_then(|location| location.to_str().ok())
                .and_then(|location| base.join(location).ok())
                .ok_or_else(|| push_error("the registry names no place for an upload"))?;
            let mut location = location;
            location.query_pairs_mut().append_pair("digest", &digest(blob));
            let body = ("application/octet-stream", blob.clone());
            send(http, Method::PUT, location.as_str(), Some(body)).await?;
        }
        for (media_type, manifest) in &self.manifests {
            let target = format!("{root}/manifests/{}", digest(manifest));
            send(http, Method::PUT, &target, Some((*media_type, manifest.clone()))).await?;
        }
        let (media_type, index) = &self.index;
        let target = format!("{root}/manifests/{tag}");
        send(http, Method::PUT, &target, Some((*media_type, index.clone()))).await?;
        Ok(())
    }
}

async fn send(
    http: &Arc<dyn Transport>,
    method: Method,
    url: &str,
    body: Option<(&'static str, Bytes)>,
) -> Result<Response<Bytes>, Error> {
    let policy =
        CallPolicy::new().with_attempt(Duration::from_secs(10)).with_redirects(Redirects::Never);
    let mut request = Request::builder().method(method).uri(url);
    let body = match body {
        Some((media_type, bytes)) => {
            request = request.header(CONTENT_TYPE, media_type);
            bytes
        }
        None => {
            request = request.header(CONTENT_LENGTH, 0);
            Bytes::new()
        }
    };
    let request = request.body(body).map_err(Error::make("a request"))?;
    let response = http.send(request, &policy).await.map_err(Error::make("a pushed image"))?;
    match response.status() {
        StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::OK => Ok(response),
        status => {
            let text = host::escape_remote(&String::from_utf8_lossy(response.body()));
            Err(push_error(&format!("the registry answers {status}: {text}")))
        }
    }
}

fn push_error(reason: &str) -> Error {
    Error::Make { what: "a pushed image", source: reason.into() }
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", Digest::sha256(content).to_hex())
}

fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// A tar archive (POSIX ustar) of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, name);
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = content.len().next_multiple_of(512) - content.len();
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len() + padding + 1024, 0);
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_greeting_is_the_same_image_and_another_is_not() {
        assert_eq!(SampleImage::new("hello").digest(), SampleImage::new("hello").digest());
        assert_ne!(SampleImage::new("hello").digest(), SampleImage::new("goodbye").digest());
    }

    #[test]
    fn the_layer_is_an_archive_that_tar_would_read() {
        let archive = tar("greeting.txt", b"hello");
        assert_eq!(archive.len(), 512 + 512 + 1024);
        let sum: u32 = archive[..148].iter().chain(&archive[156..512]).map(|b| u32::from(*b)).sum();
        let stored = std::str::from_utf8(&archive[148..154]).unwrap();
        assert_eq!(u32::from_str_radix(stored, 8).unwrap(), sum + 8 * u32::from(b' '));
    }
}
