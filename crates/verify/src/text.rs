//! Text for error messages.

use std::time::SystemTime;

use keys::Digest;

/// Text from outside in one line: control and bidirectional characters escaped, cut where it is
/// long.
pub(crate) fn plain(text: &str) -> String {
    host::escape_remote(text)
}

/// Text from outside, quoted, or `none`.
pub(crate) fn quoted(found: Option<&str>) -> String {
    found.map_or_else(|| "none".to_owned(), quote)
}

/// Text from outside, quoted.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", plain(text))
}

/// `sha256:...`
pub(crate) fn digest_name(digest: &Digest) -> String {
    format!("{}:{}", digest.algorithm().name(), digest.to_hex())
}

/// At most 64 bytes, in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes.get(..64).unwrap_or(bytes))
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .map_or_else(|_| "a time out of range".to_owned(), |time| time.to_string())
}
