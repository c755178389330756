//! Checkpoints (C2SP tlog-checkpoint): a log's statement of its size and root.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::hash::Hash;
use crate::note::Note;

/// The text of a checkpoint. Unsigned until a [`NoteKey`](crate::NoteKey) has verified its note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: for Rekor v2 its host name, for v1 `<host> - <tree id>`.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Further lines.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads a whole envelope: the checkpoint and the note that signs it.
    ///
    /// # Errors
    /// It is not a signed note, or one of the first three lines is missing or malformed.
    pub fn parse(envelope: &str) -> Result<(Self, Note), Error> {
        let note = Note::parse(envelope)?;
        let checkpoint = Self::from_text(note.text())?;
        Ok((checkpoint, note))
    }

    /// The text to sign.
    pub fn to_text(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        let mut text = format!("{}\n{}\n{root}\n", self.origin, self.size);
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn from_text(text: &str) -> Result<Self, Error> {
        let malformed = |reason| Error::Checkpoint { reason };
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let origin = lines
            .next()
            .filter(|origin| !origin.is_empty())
            .ok_or_else(|| malformed("the origin (line 1) is missing"))?;
        let size = lines
            .next()
            .and_then(parse_size)
            .ok_or_else(|| malformed("the tree size (line 2) is not a decimal number"))?;
        let root = lines
            .next()
            .and_then(|line| Hash::from_slice(&STANDARD.decode(line).ok()?))
            .ok_or_else(|| malformed("the root hash (line 3) is not 32 bytes of base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("an extension line is empty"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions })
    }
}

/// ASCII digits without leading zeros; `u64::from_str` would also take a plus sign.
fn parse_size(line: &str) -> Option<u64> {
    let canonical = line == "0" || !line.starts_with('0');
    (canonical && line.bytes().all(|byte| byte.is_ascii_digit())).then(|| line.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::empty_root;

    fn envelope(text: &str) -> String {
        format!("{text}\n\u{2014} log.example AAAAAAAA\n")
    }

    #[test]
    fn a_checkpoint_survives_the_round_trip() {
        let checkpoint = Checkpoint {
            origin: "rekor.example - 1193050959916656506".to_owned(),
            size: 106,
            root: empty_root(),
            extensions: vec!["Timestamp: 1700000000".to_owned()],
        };
        let (parsed, _) = Checkpoint::parse(&envelope(&checkpoint.to_text())).unwrap();
        assert_eq!(parsed, checkpoint);
    }

    #[test]
    fn each_missing_line_is_named() {
        let root = STANDARD.encode(empty_root().as_bytes());
        let reason = |text: &str| match Checkpoint::parse(&envelope(text)) {
            Err(Error::Checkpoint { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert!(reason(&format!("\n5\n{root}\n")).contains("line 1"));
        assert!(reason(&format!("origin\n{root}\n")).contains("line 2"));
        assert!(reason("origin\n5\n").contains("line 3"));
        assert!(reason("origin\n5\nAAAA\n").contains("line 3"));
        for size in ["05", "+5", "-5", "", "18446744073709551616"] {
            assert!(reason(&format!("origin\n{size}\n{root}\n")).contains("line 2"), "{size}");
        }
    }
}
