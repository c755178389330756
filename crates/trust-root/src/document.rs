//! Helpers for reading and writing the documents of this crate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;

/// Names the document in an error of the reader.
pub(crate) fn in_document(what: &'static str) -> impl Fn(bundle::Error) -> Error {
    move |source| Error::Document { what, source }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// At most 64 bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes.get(..64).unwrap_or(bytes))
}

/// Text of the document, escaped and cut.
pub(crate) fn quote(text: &str) -> String {
    format!("{:?}", text.chars().take(100).collect::<String>())
}

/// The largest document read, in bytes.
pub(crate) const SIZE_CAP: usize = 16 << 20;
