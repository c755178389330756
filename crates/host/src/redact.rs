//! Text from elsewhere, made fit to show.

/// The most of a remote text that reaches an error, in bytes.
const REMOTE_TEXT_LIMIT: usize = 200;

/// Cuts a text from a server to 200 bytes, escapes control characters and takes out anything
/// shaped like a token, so that it can stand in an error message.
pub fn escape_remote(text: &str) -> String {
    let text = scrub(text.trim());
    let mut shown = String::new();
    for character in text.chars() {
        let escaped: String = if character.is_control() || is_bidi_control(character) {
            character.escape_default().collect()
        } else {
            character.to_string()
        };
        if shown.len() + escaped.len() > REMOTE_TEXT_LIMIT {
            shown.push('…');
            break;
        }
        shown.push_str(&escaped);
    }
    shown
}

/// Replaces everything in `text` that is shaped like a JWT by `[token]`.
///
/// A JWT's header and payload are JSON objects, so their base64url starts with `ey`.
pub fn scrub(text: &str) -> String {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("ey") {
        let (before, candidate) = rest.split_at(start);
        clean.push_str(before);
        let end = candidate.find(|c| !in_token(c)).unwrap_or(candidate.len());
        let (word, after) = candidate.split_at(end);
        let parts = word.split('.').count();
        if parts >= 2 && word.contains(".ey") || parts == 1 && word.len() > 60 {
            clean.push_str("[token]");
        } else {
            clean.push_str(word);
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// Characters that reorder a line on a terminal.
fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_inside_a_text_is_taken_out() {
        let text = "bad token eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln, try again";
        assert_eq!(scrub(text), "bad token [token], try again");
    }

    #[test]
    fn a_half_token_without_its_signature_is_taken_out_too() {
        assert_eq!(scrub("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0"), "[token]");
    }

    #[test]
    fn ordinary_words_stay() {
        assert_eq!(scrub("they keyed honey.example eye"), "they keyed honey.example eye");
    }

    #[test]
    fn remote_text_is_cut_and_cannot_move_the_cursor() {
        let shown = escape_remote(&format!("\u{1b}[2J{}", "x".repeat(500)));
        assert!(shown.starts_with("\\u{1b}[2Jxx"), "{shown}");
        assert!(shown.len() <= REMOTE_TEXT_LIMIT + '…'.len_utf8(), "{}", shown.len());
    }
}
