//! Messages of the Workload API taken apart and put together again, byte by byte: the tests share no
//! encoder with the crate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The number of a field and its bytes. All fields of these messages are texts, bytes or messages.
pub(crate) type Field = (u8, Vec<u8>);

pub(crate) const SPIFFE_ID: u8 = 1;
pub(crate) const KEY: u8 = 3;
pub(crate) const JWT_HINT: u8 = 3;
pub(crate) const X509_HINT: u8 = 5;

pub(crate) fn encode(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, content) in fields {
        bytes.push(number << 3 | 2);
        let mut length = content.len();
        while length > 0x7f {
            bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes.extend(content);
    }
    bytes
}

pub(crate) fn decode(mut bytes: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some((tag, rest)) = bytes.split_first() {
        assert_eq!(tag & 7, 2, "a field with a length");
        let (mut length, mut shift, mut rest) = (0, 0, rest);
        while let Some((byte, after)) = rest.split_first() {
            length |= usize::from(byte & 0x7f) << shift;
            (shift, rest) = (shift + 7, after);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (content, after) = rest.split_at(length);
        fields.push((tag >> 3, content.to_vec()));
        bytes = after;
    }
    fields
}

/// The one message of a recorded answer.
pub(crate) fn message(recording: &Value) -> Vec<u8> {
    let single = recording["response_b64"].as_str();
    let text = single.or_else(|| recording["responses_b64"][0].as_str()).unwrap();
    STANDARD.decode(text).unwrap()
}

/// The SVIDs of a message, each taken apart.
pub(crate) fn svids(message: &[u8]) -> Vec<Vec<Field>> {
    let fields = decode(message).into_iter().filter(|(number, _)| *number == 1);
    fields.map(|(_, svid)| decode(&svid)).collect()
}

/// A message of these SVIDs.
pub(crate) fn of_svids(svids: &[Vec<Field>]) -> Vec<u8> {
    encode(&svids.iter().map(|svid| (1, encode(svid))).collect::<Vec<_>>())
}

/// `svid` with another value in a field.
pub(crate) fn with(mut svid: Vec<Field>, number: u8, content: impl Into<Vec<u8>>) -> Vec<Field> {
    svid.retain(|(known, _)| *known != number);
    svid.push((number, content.into()));
    svid
}

/// A message as a recorded answer.
pub(crate) fn answer(message: &[u8]) -> Value {
    json!({ "status": "OK", "response_b64": STANDARD.encode(message) })
}
