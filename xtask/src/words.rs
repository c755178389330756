//! Words that user-visible texts do not use: the list is in `words.txt`.
//!
//! Checked are the string literals of the crates apart from tests, and the help texts of the program
//! (its doc comments).

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::source::{self, Token};

const LIST: &str = include_str!("words.txt");

/// A line of the list.
struct Entry<'a> {
    words: String,
    instead: &'a str,
    fine_in: Vec<&'a str>,
}

/// The texts below `source` that hold words of the list; `docs` counts doc comments as texts.
pub(crate) fn find(source: &Path, docs: bool) -> Result<Vec<String>> {
    let entries = entries()?;
    let mut findings = Vec::new();
    for path in source::rust_files(source)? {
        if path.ends_with("proto.rs") || path.ends_with("tests.rs") {
            continue;
        }
        for token in source::read(&std::fs::read_to_string(&path)?).0 {
            let (text, line) = match &token {
                Token::Text(text, line) => (text, line),
                Token::Doc(text, line) if docs => (text, line),
                _ => continue,
            };
            for entry in entries.iter().filter(|entry| entry.is_in(text)) {
                let (file, words) = (path.strip_prefix(source)?.display(), &entry.words);
                findings.push(format!("{file}:{line} holds {words:?}: write {}", entry.instead));
            }
        }
    }
    Ok(findings)
}

fn entries() -> Result<Vec<Entry<'static>>> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut columns = line.split('|').map(str::trim);
            let words = columns.next().context("a line of words.txt without words")?;
            let instead = columns.next().with_context(|| format!("{words}: nothing instead"))?;
            let fine_in = columns.next().into_iter().flat_map(|texts| texts.split(','));
            let fine_in = fine_in.map(str::trim).collect();
            Ok(Entry { words: words.to_lowercase(), instead, fine_in })
        })
        .collect()
}

impl Entry<'_> {
    fn is_in(&self, text: &str) -> bool {
        let mut text = text.to_lowercase();
        for fine in &self.fine_in {
            text = text.replace(fine, "");
        }
        let is_letter = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
        text.match_indices(&self.words).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !is_letter(before) && !is_letter(after)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.rs"), text).unwrap();
        let findings = find(directory.path(), true).unwrap();
        let shown = |finding: String| finding.split_once(" holds ").unwrap().1.to_owned();
        findings.into_iter().map(shown).collect()
    }

    #[test]
    fn words_of_the_list_are_found_in_texts_and_not_in_names_or_tests() {
        let text = "fn mend() { \"the Mend\"; \"mending\"; \"x is no\\n bundle\" } /// Whom it is\n \
                    #[cfg(test)] mod tests { \"whom\" } // whom";
        let found = found(text);
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].starts_with("\"mend\": write \"fix\""), "{found:#?}");
        assert!(found[2].starts_with("\"whom\""), "{found:#?}");
    }

    #[test]
    fn phrases_that_are_fine_are_not_found() {
        assert_eq!(found("\"there is no file\"; \"it is no longer valid\""), [""; 0]);
        assert_eq!(found("\"this is no file\"").len(), 1);
    }
}
