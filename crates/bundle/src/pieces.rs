//! Bytes that may be large: shared, and encoded while they are sent.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

/// Bytes in pieces that are shared rather than copied: statements of one large predicate have it in
/// memory once.
#[derive(Clone, Default)]
pub struct Pieces {
    pieces: Vec<Bytes>,
}

impl Pieces {
    pub(crate) fn of(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self { pieces: pieces.into_iter().collect() }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }

    /// The pieces in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// All of them in one piece: shared where there is one, else copied.
    pub fn to_bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [only] => only.clone(),
            pieces => pieces.concat().into(),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Pieces {
    fn from(bytes: T) -> Self {
        Self::of([bytes.into()])
    }
}

impl PartialEq for Pieces {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().flatten().eq(other.iter().flatten())
    }
}

impl Eq for Pieces {}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pieces({} bytes)", self.len())
    }
}

/// A text with a payload in base64 in it, which is encoded anew each time the text is read: the text
/// of a large payload is never in memory as a whole.
#[derive(Clone, Debug)]
pub struct LargeText {
    head: Vec<u8>,
    payload: Pieces,
    tail: Vec<u8>,
}

impl LargeText {
    /// The document `json`, in which `payload` belongs behind `before`.
    pub(crate) fn new(json: &str, before: &str, payload: Pieces) -> Self {
        let at = json.find(before).map_or(json.len(), |at| at + before.len());
        let (head, tail) = json.split_at(at);
        Self { head: head.into(), payload, tail: tail.into() }
    }

    /// The same as it stands inside a JSON string, with its quotes escaped, between `before` and
    /// `after`.
    #[must_use]
    pub fn quoted(self, before: &str, after: &str) -> Self {
        let mut head = before.as_bytes().to_vec();
        escape(&self.head, &mut head);
        let mut tail = Vec::new();
        escape(&self.tail, &mut tail);
        tail.extend_from_slice(after.as_bytes());
        Self { head, tail, ..self }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        let payload = self.payload.len().div_ceil(3).saturating_mul(4);
        self.head.len().saturating_add(payload).saturating_add(self.tail.len())
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text in parts of at most 64 KiB of the payload, made one after the other.
    pub fn parts(&self) -> impl Iterator<Item = Bytes> + Send + use<> {
        let (head, tail) = (Bytes::from(self.head.clone()), Bytes::from(self.tail.clone()));
        let payload =
            Encoded { left: self.payload.pieces.clone().into_iter(), piece: Bytes::new() };
        [head].into_iter().chain(payload).chain([tail])
    }

    /// The whole text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.len());
        self.parts().for_each(|part| text.extend_from_slice(&part));
        text
    }
}

impl<T: Into<String>> From<T> for LargeText {
    fn from(text: T) -> Self {
        Self { head: text.into().into(), payload: Pieces::default(), tail: Vec::new() }
    }
}

impl fmt::Display for LargeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts()
            .try_for_each(|part| f.write_str(std::str::from_utf8(&part).unwrap_or_default()))
    }
}

/// Pieces in base64, a part at a time.
struct Encoded {
    left: std::vec::IntoIter<Bytes>,
    piece: Bytes,
}

impl Iterator for Encoded {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut raw = BytesMut::new();
        loop {
            let missing = RAW - raw.len();
            if raw.is_empty() && self.piece.len() >= RAW {
                // Straight from where it is.
                let raw = self.piece.split_to(RAW);
                return Some(STANDARD.encode(raw).into());
            }
            raw.extend_from_slice(&self.piece.split_to(missing.min(self.piece.len())));
            if raw.len() == RAW {
                return Some(STANDARD.encode(raw).into());
            }
            match self.left.next() {
                Some(piece) => self.piece = piece,
                None if raw.is_empty() => return None,
                None => return Some(STANDARD.encode(raw).into()),
            }
        }
    }
}

/// Escapes what JSON on its way into a JSON string has to escape.
fn escape(json: &[u8], into: &mut Vec<u8>) {
    for byte in json {
        if matches!(byte, b'"' | b'\\') {
            into.push(b'\\');
        }
        into.push(*byte);
    }
}

/// What is encoded at once: a multiple of three, so that no padding comes before the end.
const RAW: usize = 48 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sizes: &[usize]) -> Pieces {
        let bytes = |size: &usize| (0..*size).map(|it| (it % 251) as u8).collect::<Vec<_>>().into();
        Pieces::of(sizes.iter().map(bytes))
    }

    #[test]
    fn a_payload_is_encoded_as_one_whatever_its_pieces() {
        for sizes in [
            [0, 0, 0],
            [1, 1, 1],
            [5, RAW, 1],
            [RAW, RAW, RAW],
            [RAW - 1, 2 * RAW + 1, 7],
            [70, 3 * RAW + 100, 1],
        ] {
            let payload = pieces(&sizes);
            let encoded = STANDARD.encode(payload.to_bytes());
            let text = LargeText::new(r#"{"a":"","b":1}"#, r#"{"a":""#, payload);
            let expected = format!(r#"{{"a":"{encoded}","b":1}}"#);
            assert!(text.to_string() == expected, "{sizes:?}");
            assert_eq!(text.len(), expected.len(), "{sizes:?}");
            assert!(text.parts().all(|part| part.len() <= RAW / 3 * 4));
            let quoted = text.quoted("<", ">").to_bytes();
            assert!(quoted == format!("<{}>", expected.replace('"', "\\\"")).into_bytes());
        }
    }

    #[test]
    fn pieces_are_equal_by_their_bytes() {
        let whole = Pieces::from(pieces(&[3, 2]).to_bytes());
        assert_eq!(whole, pieces(&[3, 2]));
        assert_ne!(whole, pieces(&[2, 3]));
        assert!(Pieces::default().is_empty());
    }
}
