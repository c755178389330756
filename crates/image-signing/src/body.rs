//! Texts that may be large, as the bodies of requests.

use bundle::LargeText;
use bundle::bytes::Bytes;
use futures_util::stream::iter;
use host::Body;
use oci_push::Digest;

/// The SHA-256 digest of `text`.
pub(crate) fn digest_of(text: &LargeText) -> Digest {
    Digest::sha256_of(text.parts())
}

/// The body of a request with `text`, which is written while it is sent where it is large.
pub(crate) fn body_of(text: &LargeText) -> Body {
    match text.len() {
        ..=SMALL => Bytes::from(text.to_bytes()).into(),
        size => {
            let text = text.clone();
            Body::new(size as u64, move || Box::pin(iter(text.parts().map(Ok))))
        }
    }
}

/// What is sent as a whole, in bytes.
const SMALL: usize = 1 << 20;
