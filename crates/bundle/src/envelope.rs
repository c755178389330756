//! The DSSE envelope.

use bytes::Bytes;

use crate::pieces::Pieces;

/// A DSSE envelope: a payload, its type, and the signature over both.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// The bytes signed (inside the [`pae`]), verbatim.
    pub payload: Pieces,
    /// What the payload is, as [`INTOTO_PAYLOAD_TYPE`](crate::INTOTO_PAYLOAD_TYPE).
    pub payload_type: String,
    /// The signatures. A bundle has exactly one.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an [`Envelope`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvelopeSignature {
    /// The raw signature over the [`pae`].
    pub sig: Vec<u8>,
    /// A hint to the key. It is not signed.
    pub keyid: Option<String>,
}

impl Envelope {
    /// The bytes the signature covers.
    pub fn pae(&self) -> Vec<u8> {
        self.pae_pieces().fold(Vec::new(), |mut all, piece| {
            all.extend_from_slice(&piece);
            all
        })
    }

    /// The same bytes in pieces: for hashing without a copy.
    pub fn pae_pieces(&self) -> impl Iterator<Item = Bytes> {
        let head = pae_head(&self.payload_type, self.payload.len());
        [head.into()].into_iter().chain(self.payload.iter().cloned())
    }
}

/// DSSE's pre-authentication encoding: what is signed for a payload of a type.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    [pae_head(payload_type, payload.len()).as_bytes(), payload].concat()
}

fn pae_head(payload_type: &str, payload_len: usize) -> String {
    format!("DSSEv1 {} {payload_type} {payload_len} ", payload_type.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::INTOTO_PAYLOAD_TYPE;

    #[test]
    fn the_encoding_is_that_of_the_dsse_protocol() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pae("é", b""), "DSSEv1 2 é 0 ".as_bytes());
    }

    #[test]
    fn an_envelope_survives_writing_and_reading() {
        let envelope = Envelope {
            payload: b"{}".to_vec().into(),
            payload_type: INTOTO_PAYLOAD_TYPE.into(),
            signatures: vec![EnvelopeSignature { sig: vec![1, 2], keyid: Some("k".into()) }],
        };
        let json = envelope.to_json();
        assert_eq!(
            json,
            r#"{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AQI=","keyid":"k"}]}"#
        );
        assert_eq!(Envelope::from_json(json.as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn an_envelope_of_its_own_may_carry_unknown_fields_but_not_two_signatures() {
        let read = |sigs: &str| {
            Envelope::from_json(
                format!(r#"{{"payload":"e30=","payloadType":"t","x":1,"signatures":[{sigs}]}}"#)
                    .as_bytes(),
            )
        };
        assert!(read(r#"{"sig":"AQ==","keyid":"","cert":"x"}"#).is_ok());
        assert!(read("").is_err());
        assert!(read(r#"{"sig":"AQ=="},{"sig":"Ag=="}"#).is_err());
        assert!(read(r#"{"sig":""}"#).is_err());
    }
}
