//! Signed notes (C2SP signed-note), with the key ids that Sigstore gives its keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keys::{KeyAlgorithm, Payload, PublicKey, Scheme, Sign};

use crate::error::Error;

/// The largest note accepted, in bytes. A checkpoint with a dozen witnesses has two thousand.
const NOTE_CAP: usize = 64 << 10;
/// The most signature lines accepted; the specification asks for 16 at least.
const SIGNATURE_CAP: usize = 128;

/// A text with signatures. Only the form of both has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key, as the line claims.
    pub name: String,
    /// The first four bytes of the key's hash: a hint which key to try.
    pub id: [u8; 4],
    /// The signature, after the id.
    pub signature: Vec<u8>,
}

impl Note {
    /// Reads a note: the text up to the last blank line, then signature lines.
    ///
    /// # Errors
    /// There is no blank line or no signature, a line is malformed, the text holds control
    /// characters, or the note is longer than 64 KiB.
    pub fn parse(note: &str) -> Result<Self, Error> {
        let malformed = |reason| Error::Note { reason };
        if note.len() > NOTE_CAP {
            return Err(malformed("it is longer than 64 KiB"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(malformed("it holds a control character"));
        }
        let split =
            note.rfind("\n\n").ok_or_else(|| malformed("no blank line before the signatures"))?;
        let (text, rest) = note.split_at(split + 1);
        let lines =
            rest[1..].strip_suffix('\n').ok_or_else(|| malformed("no newline at the end"))?;
        let signatures =
            lines.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURE_CAP {
            return Err(malformed("more than 128 signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The signed text, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every signature line, verified or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Result<Self, Error> {
        let malformed = |reason| Error::Note { reason };
        let rest = line
            .strip_prefix("\u{2014} ")
            .ok_or_else(|| malformed("a signature line has no em dash"))?;
        let (name, blob) =
            rest.split_once(' ').ok_or_else(|| malformed("a signature line has no signature"))?;
        if !is_key_name(name) {
            return Err(malformed("a signature line has no valid key name"));
        }
        let blob = STANDARD.decode(blob).map_err(|_| malformed("a signature is not base64"))?;
        match blob.split_first_chunk() {
            Some((id, signature)) if !signature.is_empty() => {
                Ok(Self { name: name.to_owned(), id: *id, signature: signature.to_vec() })
            }
            _ => Err(malformed("a signature is too short")),
        }
    }
}

/// A key that signs notes, with the name it signs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    key: PublicKey,
    full_id: [u8; 32],
}

impl NoteKey {
    /// The key `key` under `name`, which for a Rekor log is its host name.
    ///
    /// # Errors
    /// The name is empty or holds white space or `+`, or no id is defined for such a key.
    pub fn new(name: impl Into<String>, key: PublicKey) -> Result<Self, Error> {
        let name = name.into();
        if !is_key_name(&name) {
            return Err(Error::Key { reason: "the name is empty or holds white space or a plus" });
        }
        let full_id = match key.algorithm() {
            KeyAlgorithm::Ed25519 => {
                let raw = key
                    .ed25519_bytes()
                    .ok_or(Error::Key { reason: "the Ed25519 key has an unusual encoding" })?;
                keys::sha256(&[name.as_bytes(), b"\n\x01", raw].concat())
            }
            KeyAlgorithm::Rsa { .. } => {
                let label: &[u8] = b"\n\xffPKIX-RSA-PKCS#1v1.5";
                keys::sha256(&[name.as_bytes(), label, key.spki()].concat())
            }
            _ => key.id(),
        };
        Ok(Self { name, key, full_id })
    }

    /// A key from its text form `name+id+base64` (C2SP signed-note, verifier keys). Ed25519 only.
    ///
    /// # Errors
    /// The text has another form, another algorithm, or an id that is not the key's.
    pub fn from_vkey(vkey: &str) -> Result<Self, Error> {
        let malformed = |reason| Error::Key { reason };
        let parts: Vec<&str> = vkey.splitn(3, '+').collect();
        let &[name, id, key] = parts.as_slice() else {
            return Err(malformed("expected name+id+key"));
        };
        let key = STANDARD.decode(key).map_err(|_| malformed("the key is not base64"))?;
        let raw = key.strip_prefix(&[1]).and_then(|raw| raw.try_into().ok());
        let raw = raw.ok_or_else(|| malformed("not an Ed25519 key"))?;
        let key =
            PublicKey::from_ed25519_bytes(raw).map_err(|_| malformed("not an Ed25519 key"))?;
        let this = Self::new(name, key)?;
        if base16ct::lower::encode_string(&this.id()) == id {
            Ok(this)
        } else {
            Err(malformed("the id is not the key's"))
        }
    }

    /// The name it signs under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The four bytes that mark its signature lines.
    pub fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.full_id;
        [a, b, c, d]
    }

    /// The whole hash, which is the log id of a Rekor v2 log.
    pub fn full_id(&self) -> [u8; 32] {
        self.full_id
    }

    /// Checks that the note is signed by this key.
    ///
    /// Lines of other keys are passed over. Every line that claims to be of this one must verify
    /// (C2SP signed-note, "Verifying"), and there must be at least one.
    ///
    /// # Errors
    /// No line carries this key's name and id, or one does and does not verify.
    pub fn verify(&self, note: &Note) -> Result<(), Error> {
        let id = self.id();
        let mut verified = false;
        for line in note.signatures.iter().filter(|line| line.name == self.name && line.id == id) {
            let payload = Payload::Message(note.text.as_bytes());
            self.key.verify(note_scheme(&self.key), payload, &line.signature).map_err(|_| {
                Error::BadSignature {
                    name: self.name.clone(),
                    id: base16ct::lower::encode_string(&id),
                }
            })?;
            verified = true;
        }
        if verified {
            Ok(())
        } else {
            Err(Error::NoSignature {
                name: self.name.clone(),
                id: base16ct::lower::encode_string(&id),
            })
        }
    }
}

/// Signs `text`, which ends with a newline, as `name` and returns the whole note.
///
/// # Errors
/// The text or the name cannot be part of a note, or the key cannot sign.
pub fn sign_note(text: &str, name: &str, key: &dyn Sign) -> Result<String, Error> {
    if !text.ends_with('\n') {
        return Err(Error::Note { reason: "the text does not end with a newline" });
    }
    let id = NoteKey::new(name, key.public_key().clone())?.id();
    let signature = key
        .sign(Payload::Message(text.as_bytes()))
        .map_err(|_| Error::Key { reason: "the key could not sign" })?;
    let blob = STANDARD.encode([&id, signature.as_slice()].concat());
    let note = format!("{text}\n\u{2014} {name} {blob}\n");
    Note::parse(&note)?;
    Ok(note)
}

/// Notes are signed with the key's ordinary scheme; a log key on P-384 has none other.
fn note_scheme(key: &PublicKey) -> Scheme {
    key.default_scheme()
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

#[cfg(test)]
mod tests {
    use super::*;

    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn the_published_note_verifies_under_the_published_key() {
        let key = NoteKey::from_vkey(VKEY).unwrap();
        key.verify(&Note::parse(NOTE).unwrap()).unwrap();
    }

    #[test]
    fn a_changed_text_does_not_verify() {
        let key = NoteKey::from_vkey(VKEY).unwrap();
        let note = Note::parse(&NOTE.replace("example message", "Example message")).unwrap();
        assert!(matches!(key.verify(&note), Err(Error::BadSignature { .. })));
    }

    #[test]
    fn a_line_of_another_name_counts_for_nothing() {
        let key = NoteKey::from_vkey(VKEY).unwrap();
        let note =
            Note::parse(&NOTE.replace("\u{2014} example.com/foo", "\u{2014} other")).unwrap();
        assert!(matches!(key.verify(&note), Err(Error::NoSignature { .. })));
    }

    #[test]
    fn one_bad_line_of_a_known_key_spoils_the_note() {
        let key = NoteKey::from_vkey(VKEY).unwrap();
        let mut blob = STANDARD
            .decode("Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=")
            .unwrap();
        blob[20] ^= 1;
        let note = format!("{NOTE}\u{2014} example.com/foo {}\n", STANDARD.encode(blob));
        let note = Note::parse(&note).unwrap();
        assert!(matches!(key.verify(&note), Err(Error::BadSignature { .. })));
    }

    #[test]
    fn the_id_of_the_public_rekor_v2_log_is_the_published_one() {
        let spki = STANDARD
            .decode("MCowBQYDK2VwAyEAt8rlp1knGwjfbcXAYPYAkn0XiLz1x8O4t0YkEhie244=")
            .unwrap();
        let key = PublicKey::from_spki(&spki).unwrap();
        let key = NoteKey::new("log2025-1.rekor.sigstore.dev", key).unwrap();
        assert_eq!(STANDARD.encode(key.full_id()), "zxGZFVvd0FEmjR8WrFwMdcAJ9vtaY/QXf44Y1wUeP6A=");
        assert_eq!(base16ct::lower::encode_string(&key.id()), "cf119915");
    }

    #[test]
    fn malformed_notes_are_refused_with_the_reason() {
        let refused = |note: &str| match Note::parse(note) {
            Err(Error::Note { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused("text\n"), "no blank line before the signatures");
        assert_eq!(refused("text\n\n"), "no newline at the end");
        assert_eq!(refused(NOTE.trim_end()), "no newline at the end");
        assert_eq!(refused("t\n\n- name AAAAAAA=\n"), "a signature line has no em dash");
        assert_eq!(
            refused("t\n\n\u{2014} na+me AAAAAAA=\n"),
            "a signature line has no valid key name"
        );
        assert_eq!(refused("t\n\n\u{2014} name !\n"), "a signature is not base64");
        assert_eq!(refused("t\n\n\u{2014} name AAAA\n"), "a signature is too short");
        assert_eq!(refused("t\u{7}\n\n\u{2014} name AAAAAAA=\n"), "it holds a control character");
    }
}
