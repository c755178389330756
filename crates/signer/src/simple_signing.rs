//! Recognizes a simple-signing document while a file is hashed, in constant memory.
//!
//! It is a JSON object with `critical.image.docker-manifest-digest`. Readers differ in what else
//! they accept, so that this accepts more than any of them: names in upper or lower case
//! (of all letters that a reader may take for the same), written with escapes, after a byte order mark, with values of any kind, in a document that need not be
//! well-formed anywhere else.

/// Follows the structure of a JSON document without keeping it.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    state: State,
    /// How many objects and arrays are open.
    depth: usize,
    /// Of the first [`PATH`] levels: whether it is an object.
    objects: [bool; PATH.len() + 1],
    /// Whether the next string at this level is a name.
    name_next: bool,
    /// How many names of [`PATH`] the way to the current level has.
    matched: usize,
    /// The name that was just read is the next of [`PATH`].
    pending: bool,
    name: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but a byte order mark (of which so many bytes) and blanks so far.
    Start(usize),
    #[default]
    Begin,
    Structure,
    Text,
    Escape,
    /// So many hexadecimal digits of `\u` are missing; the value so far.
    Unicode(u8, u32),
    /// It is a simple-signing document.
    Found,
    /// It is not.
    Other,
}

impl Scanner {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.state {
                State::Found | State::Other => return,
                _ => self.step(*byte),
            }
        }
    }

    pub(crate) fn found(&self) -> bool {
        self.state == State::Found
    }

    fn step(&mut self, byte: u8) {
        match self.state {
            State::Begin => self.start(0, byte),
            State::Start(seen) => self.start(seen, byte),
            State::Structure => self.structure(byte),
            State::Text => match byte {
                b'"' => self.end_of_text(),
                b'\\' => self.state = State::Escape,
                other => self.push(other),
            },
            State::Escape => {
                self.state = State::Text;
                match byte {
                    b'u' => self.state = State::Unicode(4, 0),
                    other => self.push(other),
                }
            }
            State::Unicode(missing, value) => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let value = value << 4 | digit;
                self.state = match missing {
                    1 => {
                        let letter = char::from_u32(value).unwrap_or('\0');
                        for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                            self.push(byte);
                        }
                        State::Text
                    }
                    missing => State::Unicode(missing - 1, value),
                };
            }
            State::Found | State::Other => {}
        }
    }

    fn start(&mut self, seen: usize, byte: u8) {
        self.state = match byte {
            byte if BYTE_ORDER_MARK.get(seen) == Some(&byte) => State::Start(seen + 1),
            b' ' | b'\t' | b'\r' | b'\n' => State::Start(BYTE_ORDER_MARK.len()),
            b'{' => {
                self.open(true);
                State::Structure
            }
            _ => State::Other,
        };
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.name.clear();
                self.state = State::Text;
            }
            b'{' => self.open(true),
            b'[' => self.open(false),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.matched = self.matched.min(self.depth.saturating_sub(1));
                self.name_next = false;
                self.pending = false;
                if self.depth == 0 {
                    self.state = State::Other;
                }
            }
            b',' => {
                self.name_next = self.objects.get(self.depth).copied().unwrap_or(false);
                self.pending = false;
            }
            b':' => {
                self.name_next = false;
                if self.pending && self.matched + 1 == PATH.len() {
                    self.state = State::Found;
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, object: bool) {
        if std::mem::take(&mut self.pending) && object {
            self.matched += 1;
        }
        self.depth += 1;
        if let Some(kind) = self.objects.get_mut(self.depth) {
            *kind = object;
        }
        self.name_next = object;
    }

    fn end_of_text(&mut self) {
        self.state = State::Structure;
        if !self.name_next {
            return;
        }
        // Only the members of what the path has led to so far.
        let here = self.depth == self.matched + 1;
        let expected = PATH.get(self.matched).filter(|_| here);
        self.pending = expected.is_some_and(|expected| is_named(&self.name, expected));
    }

    fn push(&mut self, byte: u8) {
        if self.name.len() <= LONGEST_NAME {
            self.name.push(byte);
        }
    }
}

/// Whether a reader may take `name` for `expected`. Readers written in Go compare names by Unicode's
/// simple case folding, to which two letters outside of ASCII belong.
fn is_named(name: &[u8], expected: &str) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let folded = name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(expected.chars())
}

const PATH: [&str; 3] = ["critical", "image", "docker-manifest-digest"];
/// The last name of the path, each letter in its longest spelling.
const LONGEST_NAME: usize = 26;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests {
    use super::*;

    fn is_simple_signing(text: &str) -> bool {
        let found = |size| {
            let mut scanner = Scanner::default();
            text.as_bytes().chunks(size).for_each(|piece| scanner.update(piece));
            scanner.found()
        };
        assert_eq!(found(1), found(1 << 20), "{text}");
        found(1)
    }

    #[test]
    fn a_document_that_names_an_image_is_recognized_however_it_is_written() {
        for text in [
            r#"{"critical":{"image":{"docker-manifest-digest":"sha256:0"}}}"#,
            "\u{feff} \n{\"Critical\" : {\"IMAGE\":{\"Docker-Manifest-Digest\" : 1",
            r#"{"\u0063ritical":{"im\u0061ge":{"docker-manifest-digest":null}}}"#,
            r#"{"optional":{"a":[{"}":"]"}]},"critical":{"identity":{},"image":{"x":[1,2],"docker-manifest-digest":"s"}}}"#,
            r#"{"critical":1,"critical":{"image":[],"image":{"docker-manifest-digest":"s"}}}"#,
            r#"{"critical":{"image":{"doc\u212aer-manife\u017ft-dige\u017Ft":"s"}}}"#,
            "{\"critical\":{\"image\":{\"doc\u{212a}er-manife\u{17f}t-dige\u{17f}t\":\"s\"}}}",
            r#"{"a\"b":"c\\","critical":{"image":{"docker-manifest-digest":"s"}}}"#,
        ] {
            assert!(is_simple_signing(text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_not() {
        for text in [
            "",
            "[]",
            "critical",
            r#"{"critical":{"image":{"docker-manifest-diges\u0442":"s"}}}"#,
            r#"{"critical":{"image":{"\ud800docker-manifest-digest":"s"}}}"#,
            r#"{"critical":{"image":"docker-manifest-digest"}}"#,
            r#"{"critical":{"images":{"docker-manifest-digest":"s"}}}"#,
            r#"{"critical":[{"image":{"docker-manifest-digest":"s"}}]}"#,
            r#"{"critical":{},"image":{"docker-manifest-digest":"s"}}"#,
            r#"{"critical":{"x":{"image":{"docker-manifest-digest":"s"}}}}"#,
            r#"{"a":"critical","image":{"docker-manifest-digest":"s"}}"#,
            r#"{"x":{"critical":{"image":{"docker-manifest-digest":"s"}}}}"#,
            r#"{} {"critical":{"image":{"docker-manifest-digest":"s"}}}"#,
        ] {
            assert!(!is_simple_signing(text), "{text}");
        }
    }

    #[test]
    fn no_document_costs_memory() {
        let mut scanner = Scanner::default();
        scanner.update(b"{\"");
        (0..1000).for_each(|_| scanner.update(&[b'x'; 1000]));
        assert!(scanner.name.len() < 100);
        (0..1000).for_each(|_| scanner.update(b"\":[[[[[[[[[["));
        assert!(!scanner.found());
    }
}
