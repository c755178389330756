//! The bundle that is attached, and what its manifest says of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::BufReader;

use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;
use bytes::Bytes;
use host::Body;
use serde::Deserialize;

use crate::digest::Digest;
use crate::error::{Error, not_json};
use crate::manifest::{BUNDLE_MEDIA_TYPE_PREFIX, PREDICATE_TYPE_ANNOTATION};

/// A Sigstore bundle that is to be attached. It may be large, and need not be in memory.
#[derive(Clone, Debug)]
pub struct BundleContent {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) content: Body,
    is_envelope: bool,
    predicate_type: Option<String>,
}

impl BundleContent {
    /// The bundle of the type `media_type` whose text is `content` and has the SHA-256 digest
    /// `digest`. In a DSSE envelope it has a statement of the type `predicate_type`; without one it is
    /// a message signature.
    pub fn new(
        media_type: impl Into<String>,
        predicate_type: Option<String>,
        digest: Digest,
        content: Body,
    ) -> Self {
        let is_envelope = predicate_type.is_some();
        Self { media_type: media_type.into(), digest, content, is_envelope, predicate_type }
    }

    /// The bundle with this text.
    ///
    /// # Errors
    /// [`Error::Invalid`]: it is not a bundle.
    pub fn parse(json: &Bytes) -> Result<Self, Error> {
        let invalid =
            |reason: String| Error::Invalid { what: "the bundle to attach".to_owned(), reason };
        let bundle: WireBundle<'_> = serde_json::from_slice(json)
            .map_err(|error| invalid(not_json("the JSON of a Sigstore bundle", &error)))?;
        if !bundle.media_type.starts_with(BUNDLE_MEDIA_TYPE_PREFIX) {
            return Err(invalid(format!("its media type is {:?}", bundle.media_type)));
        }
        // Decoded in pieces: a payload may be large.
        let read = |envelope: &WireEnvelope<'_>| {
            let payload = DecoderReader::new(envelope.payload.as_bytes(), &STANDARD);
            let payload = BufReader::with_capacity(PIECE, payload);
            serde_json::from_reader::<_, WireStatement>(payload).ok()?.predicate_type
        };
        Ok(Self {
            digest: Digest::sha256(json),
            is_envelope: bundle.dsse_envelope.is_some(),
            predicate_type: bundle.dsse_envelope.as_ref().and_then(read),
            media_type: bundle.media_type,
            content: json.clone().into(),
        })
    }

    /// The annotations that describe it.
    pub(crate) fn annotations(&self) -> BTreeMap<String, String> {
        let content = if self.is_envelope { "dsse-envelope" } else { "message-signature" };
        let content = ("dev.sigstore.bundle.content".to_owned(), content.to_owned());
        let predicate_type = self.predicate_type.iter();
        let typed = predicate_type.map(|it| (PREDICATE_TYPE_ANNOTATION.to_owned(), it.clone()));
        [content].into_iter().chain(typed).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBundle<'a> {
    media_type: String,
    #[serde(borrow)]
    dsse_envelope: Option<WireEnvelope<'a>>,
}

#[derive(Deserialize)]
struct WireEnvelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatement {
    predicate_type: Option<String>,
}

/// What is decoded at once, in bytes.
const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn parse(json: impl Into<Bytes>) -> Result<BundleContent, Error> {
        BundleContent::parse(&json.into())
    }

    #[test]
    fn a_bundle_is_described_as_cosign_does() {
        let payload = STANDARD.encode(r#"{"predicateType":"https://sigstore.dev/cosign/sign/v1"}"#);
        let bundle = format!(
            r#"{{"mediaType":"{}","dsseEnvelope":{{"payload":"{payload}"}}}}"#,
            crate::BUNDLE_MEDIA_TYPE
        );
        let bundle = parse(bundle).unwrap();
        assert_eq!(bundle.media_type, crate::BUNDLE_MEDIA_TYPE);
        let expected = [
            ("dev.sigstore.bundle.content", "dsse-envelope"),
            ("dev.sigstore.bundle.predicateType", "https://sigstore.dev/cosign/sign/v1"),
        ];
        assert_eq!(
            bundle.annotations(),
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
    }

    #[test]
    fn what_is_not_a_bundle_is_not_attached() {
        assert!(parse("{}").is_err());
        assert!(parse("not json").is_err());
        assert!(parse(r#"{"mediaType":"text/plain"}"#).is_err());
    }
}
