//! Text for error messages.

use std::time::SystemTime;

use keys::Digest;

/// Text from outside in one line: control and bidirectional characters escaped, cut where it is
/// long.
pub(crate) fn plain(text: &str) -> String {
    const SHOWN: usize = 136;
    let mut shown = String::new();
    let mut length = 0;
    for character in text.chars() {
        let escaped = character.escape_debug();
        length += escaped.len();
        if length > SHOWN {
            shown.push_str("...");
            break;
        }
        shown.extend(escaped);
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidirectional_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(plain("a\u{1b}[2J\n"), "a\\u{1b}[2J\\n");
        assert_eq!(plain("a\u{202e}b\u{85}"), "a\\u{202e}b\\u{85}");
        let long = plain(&"x".repeat(1000));
        assert_eq!(long.len(), 139);
        assert!(long.ends_with("x..."));
    }
}
