//! How values are spelled in the JSON that is written.

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// Serialises one of this crate's own structs, which have string keys and no fallible parts.
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Bytes, written as standard base64 with padding.
pub(crate) struct Base64<'a>(pub(crate) &'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // In pieces: a payload may be large.
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// Bytes, written as base64 of their base64, as `intoto` 0.0.2 has signatures.
pub(crate) struct Base64Twice<'a>(pub(crate) &'a [u8]);

impl Serialize for Base64Twice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Base64(STANDARD.encode(self.0).as_bytes()).serialize(serializer)
    }
}

/// A 64-bit integer, written as a string. Zero is written too: not every reader knows defaults.
pub(crate) struct Int64(pub(crate) u64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
