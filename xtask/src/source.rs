//! A small reader of Rust sources: what is code, what is text, and what is only compiled for tests.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

use anyhow::Result;

/// A part of a source file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A name, a keyword or a number.
    Word(String),
    /// `::`.
    PathSeparator,
    /// Any other character of code.
    Punctuation(char),
    /// The content of a string literal, and its line.
    Text(String, usize),
    /// A line of a doc comment, and its line number.
    Doc(String, usize),
}

/// The Rust files below a directory, sorted.
pub(crate) fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The tokens of a file outside of `#[cfg(test)]` items, and the names of the modules that such
/// items declare as files of their own.
pub(crate) fn read(text: &str) -> (Vec<Token>, Vec<String>) {
    let tokens = tokens(text);
    let mut kept = Vec::new();
    let mut test_modules = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((first, after)) = rest.split_first() {
        if let Some(item) = after_test_attribute(rest) {
            let (name, after) = skip_item(item);
            test_modules.extend(name);
            rest = after;
        } else {
            kept.push(first.clone());
            rest = after;
        }
    }
    (kept, test_modules)
}

/// What follows `#[cfg(test)]`, if `tokens` begin with it.
fn after_test_attribute(tokens: &[Token]) -> Option<&[Token]> {
    let is = |at: usize, expected: char| tokens.get(at) == Some(&Token::Punctuation(expected));
    let word = |at: usize, expected: &str| matches!(tokens.get(at), Some(Token::Word(word)) if word == expected);
    let found = is(0, '#')
        && is(1, '[')
        && word(2, "cfg")
        && is(3, '(')
        && word(4, "test")
        && is(5, ')')
        && is(6, ']');
    found.then(|| &tokens[7..])
}

/// Skips an item: to its semicolon, or over its block. Gives the name of `mod name;`.
fn skip_item(item: &[Token]) -> (Option<String>, &[Token]) {
    let mut depth = 0_i32;
    let mut module = None;
    for (at, token) in item.iter().enumerate() {
        match token {
            Token::Word(word) if word == "mod" && depth == 0 => {
                if let Some(Token::Word(name)) = item.get(at + 1) {
                    module = Some(name.clone());
                }
            }
            Token::Punctuation('{' | '(' | '[') => depth += 1,
            Token::Punctuation('}') => {
                depth -= 1;
                if depth == 0 {
                    return (None, &item[at + 1..]);
                }
            }
            Token::Punctuation(')' | ']') => depth -= 1,
            Token::Punctuation(';') if depth == 0 => return (module, &item[at + 1..]),
            _ => {}
        }
    }
    (None, &[])
}

fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { rest: text.chars().peekable(), line: 1 };
    let mut tokens = Vec::new();
    while let Some(first) = reader.next() {
        match first {
            '/' if reader.rest.peek() == Some(&'/') => tokens.extend(reader.line_comment()),
            '/' if reader.rest.peek() == Some(&'*') => reader.block_comment(),
            '"' => tokens.push(reader.string()),
            '\'' => reader.character_or_lifetime(),
            ':' if reader.rest.peek() == Some(&':') => {
                reader.next();
                tokens.push(Token::PathSeparator);
            }
            _ if first.is_alphanumeric() || first == '_' => {
                let mut word = String::from(first);
                while let Some(next) =
                    reader.rest.next_if(|next| next.is_alphanumeric() || *next == '_')
                {
                    word.push(next);
                }
                let raw = ["r", "br", "cr"].contains(&word.as_str());
                match reader.rest.peek().copied() {
                    Some('"' | '#') if raw => tokens.extend(reader.raw_string()),
                    // A byte or a C string: the quote comes next.
                    Some('"' | '\'') if ["b", "c"].contains(&word.as_str()) => {}
                    _ => tokens.push(Token::Word(word)),
                }
            }
            _ if first.is_whitespace() => {}
            other => tokens.push(Token::Punctuation(other)),
        }
    }
    tokens
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// A doc comment is a token; `////` and `//` are not.
    fn line_comment(&mut self) -> Option<Token> {
        let line = self.line;
        let mut comment = String::from('/');
        while let Some(next) = self.rest.next_if(|next| *next != '\n') {
            comment.push(next);
        }
        let doc = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"))?;
        (!doc.starts_with('/')).then(|| Token::Doc(doc.trim().to_owned(), line))
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        let mut before = '/';
        while let Some(next) = self.next() {
            match (before, next) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    before = next;
                    continue;
                }
            }
            if depth == 0 {
                return;
            }
            // `*/` must not open a comment with the `*` that follows.
            before = ' ';
        }
    }

    fn string(&mut self) -> Token {
        let line = self.line;
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '"' => break,
                '\\' => match self.next() {
                    // The line goes on below.
                    Some('\n') => {
                        while self.rest.peek().is_some_and(|next| next.is_whitespace()) {
                            self.next();
                        }
                    }
                    Some('n') => text.push('\n'),
                    Some(escaped) => text.push(escaped),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Token::Text(text, line)
    }

    fn raw_string(&mut self) -> Option<Token> {
        let line = self.line;
        let mut hashes = 0;
        while self.rest.next_if_eq(&'#').is_some() {
            hashes += 1;
        }
        // A raw identifier.
        self.rest.next_if_eq(&'"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let mut text = String::new();
        while let Some(next) = self.next() {
            text.push(next);
            if text.ends_with(&end) {
                text.truncate(text.len() - end.len());
                break;
            }
        }
        Some(Token::Text(text, line))
    }

    fn character_or_lifetime(&mut self) {
        match self.next() {
            // `'\n'`, `'\u{7f}'`, `'\''`
            Some('\\') => {
                self.next();
                while self.rest.next_if(|next| *next != '\'').is_some() {}
                self.next();
            }
            // `'a'`; a lifetime has no quote after its first letter.
            Some(_) => drop(self.rest.next_if_eq(&'\'')),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let word = |token| match token {
            Token::Word(word) => Some(word),
            _ => None,
        };
        read(text).0.into_iter().filter_map(word).collect()
    }

    #[test]
    fn comments_literals_and_lifetimes_are_no_code() {
        let text =
            "a /* b /* c */ d */ e // f\n'g' '\\'' 'h \"i \\\" j\" r#\"k \" l\"# b\"m\" b'n' o";
        assert_eq!(words(text), ["a", "e", "o"]);
    }

    #[test]
    fn items_for_tests_are_left_out_wherever_they_stand() {
        let text = "a #[cfg(test)] mod b; c #[cfg(test)] #[x(y)] fn d(e: [u8; 1]) { { } } f \
                    #[cfg(test)] mod g { h } i";
        let (_, modules) = read(text);
        assert_eq!(words(text), ["a", "c", "f", "i"]);
        assert_eq!(modules, ["b"]);
    }

    #[test]
    fn texts_are_joined_over_lines_and_know_where_they_begin() {
        let (tokens, _) = read("\n \"a \\\n     b\" /// c\n");
        assert_eq!(tokens, [Token::Text("a b".to_owned(), 2), Token::Doc("c".to_owned(), 3)]);
    }
}
