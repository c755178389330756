//! The in-toto statement.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::constants::{MAX_DIGESTS, MAX_SUBJECTS, STATEMENT_TYPE_V0_1, STATEMENT_TYPE_V1};
use crate::encode::to_json;
use crate::envelope::Envelope;
use crate::error::{Error, quote};
use crate::json::{Json, Limits, check_predicate, parse_without, without_bom};
use crate::message::Message;
use crate::pieces::Pieces;

/// An in-toto statement (v1 or v0.1): a predicate about subjects known by their digests.
#[derive(Clone, Debug, Eq)]
pub struct Statement {
    subjects: Vec<Subject>,
    predicate_type: String,
    // The bytes are kept as they were read, because they are what was signed. The predicate is only
    // in here: as a tree it can be thirty times as large.
    json: Pieces,
    /// The predicate, in a statement that was made of one: checked, and the middle one of three pieces.
    made_of: Option<Bytes>,
}

/// What a statement is about.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Subject {
    /// Its name; cosign leaves it out for images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Digests by algorithm name (`sha256`), as the statement spells them.
    #[serde(rename = "digest")]
    pub digests: BTreeMap<String, String>,
    /// Annotations that are strings. Others are left out: nothing can be compared with them.
    pub annotations: BTreeMap<String, String>,
}

impl Statement {
    /// A v1 statement about `subjects`.
    pub fn new(subjects: Vec<Subject>, predicate_type: &str, predicate: &Value) -> Self {
        let header =
            HeaderJson { statement_type: STATEMENT_TYPE_V1, subject: &subjects, predicate_type };
        let json = to_json(&StatementJson { header, predicate }).into();
        Self { subjects, predicate_type: predicate_type.to_owned(), json, made_of: None }
    }

    /// A v1 statement about `subjects` whose predicate is the JSON object `predicate`, byte for byte:
    /// numbers, spaces and members that are unknown here stay as they are. The predicate is shared,
    /// not copied.
    ///
    /// # Errors
    /// The predicate is not one JSON object, has a key twice in one object, or exceeds one of the
    /// `limits`; the statement has no subject, or more than [`MAX_SUBJECTS`].
    pub fn with_predicate(
        subjects: Vec<Subject>,
        predicate_type: &str,
        predicate: impl Into<Bytes>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let bytes = predicate.into();
        let predicate = bytes.slice_ref(without_bom(&bytes).trim_ascii());
        check_predicate(&predicate, limits)?;
        count(subjects.len())?;
        Ok(Self::of_checked(subjects, predicate_type, predicate))
    }

    /// A v1 statement about `subjects`, as [`with_predicate`](Self::with_predicate) makes it.
    pub fn of_predicate(subjects: Vec<Subject>, predicate_type: &str, predicate: &Value) -> Self {
        Self::of_checked(subjects, predicate_type, to_json(predicate).into())
    }

    /// The same claim about other subjects. Only of a statement that was made
    /// [of a predicate](Self::with_predicate): one that was read is signed as it is.
    ///
    /// # Errors
    /// `subjects` is empty or has more than [`MAX_SUBJECTS`]; or the statement was read, not made.
    pub fn about(&self, subjects: Vec<Subject>) -> Result<Self, Error> {
        count(subjects.len())?;
        let whole = || Error::rule("subject", "a statement that was read has its own subjects");
        let predicate = self.made_of.clone().ok_or_else(whole)?;
        Ok(Self::of_checked(subjects, &self.predicate_type, predicate))
    }

    fn of_checked(subjects: Vec<Subject>, predicate_type: &str, predicate: Bytes) -> Self {
        let mut head = to_json(&HeaderJson {
            statement_type: STATEMENT_TYPE_V1,
            subject: &subjects,
            predicate_type,
        });
        // Before the brace that ends the header.
        head.pop();
        head.push_str(",\"predicate\":");
        let json = Pieces::of([head.into(), predicate.clone(), Bytes::from_static(b"}")]);
        let predicate_type = predicate_type.to_owned();
        Self { subjects, predicate_type, json, made_of: Some(predicate) }
    }

    /// Reads a statement, v1 or v0.1, within the default [`Limits`]. As in-toto requires,
    /// unknown fields are ignored; a key that is there twice, no subject, or more than [`MAX_SUBJECTS`] are errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse_within(bytes, &Limits::default())
    }

    /// Reads a statement as [`Statement::parse`] does, within other limits.
    pub fn parse_within(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        Self::read(Bytes::copy_from_slice(bytes), limits)
    }

    /// Reads a statement as [`Statement::parse`] does, within other limits and without a copy.
    ///
    /// # Errors
    /// The same.
    pub fn read(bytes: Bytes, limits: &Limits) -> Result<Self, Error> {
        let mut fields = Message::new(parse_without(&bytes, limits, PREDICATE)?, String::new())?;
        let statement_type = fields.string("_type")?.unwrap_or_default();
        if statement_type != STATEMENT_TYPE_V1 && statement_type != STATEMENT_TYPE_V0_1 {
            return Err(Error::StatementType { found: quote(&statement_type) });
        }
        let subjects = subjects(fields.messages("subject")?)?;
        let predicate_type = fields.string("predicateType")?.unwrap_or_default();
        if predicate_type.is_empty() {
            return Err(Error::field("predicateType", "missing"));
        }
        Ok(Self { subjects, predicate_type, json: bytes.into(), made_of: None })
    }

    /// Reads the statement that is in a payload. One that was made here of a predicate, which was
    /// checked then, is read without it.
    fn of_payload(payload: &Pieces, limits: &Limits) -> Result<Self, Error> {
        match payload.iter().collect::<Vec<_>>().as_slice() {
            [head, predicate, tail] => {
                let rest = [head.as_ref(), b"null", tail.as_ref()].concat();
                let (json, made_of) = (payload.clone(), Some((*predicate).clone()));
                Ok(Self { json, made_of, ..Self::read(rest.into(), limits)? })
            }
            _ => Self::read(payload.to_bytes(), limits),
        }
    }

    /// The statement's bytes: those it was read from, or compact JSON of a new one.
    pub fn to_json(&self) -> Vec<u8> {
        self.json.to_bytes().into()
    }

    /// The same bytes, shared.
    pub fn bytes(&self) -> &Pieces {
        &self.json
    }

    /// What it is about, never empty in a statement that was read.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// What kind of claim it makes, a URI.
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// The claim itself, read anew from the statement's bytes: keep it if it is needed twice. Null
    /// when the statement has none.
    pub fn predicate(&self) -> Value {
        // A document that was read or written before; the predicate counts as any value here.
        let limits = Limits::default().with_size(usize::MAX).with_values(usize::MAX);
        if let Some(predicate) = &self.made_of {
            return Json::parse(predicate, &limits).map_or(Value::Null, Value::from);
        }
        let json = self.json.to_bytes();
        let message = Message::parse_within(&json, &limits);
        let predicate = message.and_then(|mut message| message.any(PREDICATE));
        predicate.ok().flatten().map_or(Value::Null, Value::from)
    }
}

impl Envelope {
    /// The statement in it, without a copy, within [`Limits::large`].
    ///
    /// # Errors
    /// As [`Statement::parse`].
    pub fn statement(&self) -> Result<Statement, Error> {
        Statement::of_payload(&self.payload, &Limits::large())
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

fn subjects(messages: Vec<Message<'_>>) -> Result<Vec<Subject>, Error> {
    count(messages.len())?;
    messages.into_iter().map(subject).collect()
}

/// Whether a statement may have so many subjects.
fn count(subjects: usize) -> Result<(), Error> {
    match subjects {
        // Nothing would bind the artifact: such a statement is about anything.
        0 => Err(Error::rule("subject", "a statement needs at least one subject")),
        1..=MAX_SUBJECTS => Ok(()),
        found => Err(Error::Limit { what: "subjects", limit: MAX_SUBJECTS, found }),
    }
}

fn subject(mut message: Message<'_>) -> Result<Subject, Error> {
    let name = message.string("name")?.filter(|name| !name.is_empty());
    let mut digests = BTreeMap::new();
    if let Some(digest) = message.message("digest")? {
        let path = digest.path().to_owned();
        let fields = digest.into_rest();
        if fields.len() > MAX_DIGESTS {
            return Err(Error::Limit {
                what: "digests of one subject",
                limit: MAX_DIGESTS,
                found: fields.len(),
            });
        }
        for (algorithm, value) in fields {
            let Json::String(value) = value else {
                return Err(Error::field(&path, "a digest is not a string"));
            };
            digests.insert(algorithm.into_owned(), value.into_owned());
        }
    }
    let mut annotations = BTreeMap::new();
    if let Some(fields) = message.message("annotations")? {
        for (key, value) in fields.into_rest() {
            if let Json::String(value) = value {
                annotations.insert(key.into_owned(), value.into_owned());
            }
        }
    }
    Ok(Subject { name, digests, annotations })
}

/// A statement without its predicate.
#[derive(Serialize)]
struct HeaderJson<'a> {
    #[serde(rename = "_type")]
    statement_type: &'a str,
    subject: &'a [Subject],
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
}

#[derive(Serialize)]
struct StatementJson<'a> {
    #[serde(flatten)]
    header: HeaderJson<'a>,
    predicate: &'a Value,
}

const PREDICATE: &str = "predicate";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SIGN_PREDICATE_TYPE;

    #[test]
    fn an_image_signature_is_written_as_cosign_reads_it() {
        let subject = Subject {
            name: Some("registry.example/app".into()),
            digests: [("sha256".to_owned(), "00ff".to_owned())].into(),
            annotations: [("env".to_owned(), "prod".to_owned())].into(),
        };
        let statement =
            Statement::new(vec![subject], SIGN_PREDICATE_TYPE, &Value::Object(Default::default()));
        assert_eq!(
            String::from_utf8(statement.to_json()).unwrap(),
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"registry.example/app","digest":{"sha256":"00ff"},"annotations":{"env":"prod"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#
        );
        assert_eq!(Statement::parse(&statement.to_json()).unwrap(), statement);
    }

    #[test]
    fn the_bytes_read_are_the_bytes_given_back() {
        let bytes =
            br#"{ "predicate": {"b":1, "a":1e5}, "_type":"https://in-toto.io/Statement/v0.1","x":0,
            "subject":[{"digest":{}}],"predicateType":"p" }"#;
        assert_eq!(Statement::parse(bytes).unwrap().to_json(), bytes);
    }

    #[test]
    fn a_predicate_stays_as_it_was_written() {
        let subjects = vec![Subject {
            name: Some("app".into()),
            digests: [("sha256".to_owned(), "00ff".to_owned())].into(),
            annotations: BTreeMap::new(),
        }];
        let predicate = br#"{ "b": 1.50, "a": 1e30, "u": "\u00e9" }"#;
        let file = [b"\xef\xbb\xbf".as_slice(), predicate, b"\n"].concat();
        let limits = Limits::default();
        let statement = Statement::with_predicate(subjects.clone(), "p:q", file, &limits).unwrap();
        let json = String::from_utf8(statement.to_json()).unwrap();
        assert!(json.ends_with(&format!(
            r#""predicateType":"p:q","predicate":{}}}"#,
            std::str::from_utf8(predicate).unwrap()
        )));
        assert_eq!(Statement::parse(json.as_bytes()).unwrap(), statement);
        for wrong in ["", "[]", "1", r#"{"a":1,"a":2}"#, "{},\"subject\":[]", "{}}"] {
            let made = Statement::with_predicate(subjects.clone(), "p", wrong, &limits);
            assert!(matches!(made, Err(Error::Json(_))), "{wrong}");
        }
        assert!(Statement::with_predicate(Vec::new(), "p", "{}", &limits).is_err());
    }

    #[test]
    fn what_is_made_of_a_predicate_is_what_a_verifier_reads() {
        let subject = || vec![Subject { name: Some("app".into()), ..Subject::default() }];
        let nested =
            |depth: usize| format!("{}{{}}{}", r#"{"a":"#.repeat(depth - 1), "}".repeat(depth - 1));
        let limits = Limits::large();
        for predicate in [nested(1), nested(126), r#" {"b":[1e400,-0,"\ud83d\ude00"]} "#.into()] {
            let made = Statement::with_predicate(subject(), "p:q", predicate, &limits);
            let Ok(made) = made else { continue };
            let of = |payload: Pieces| {
                let payload_type = crate::INTOTO_PAYLOAD_TYPE.to_owned();
                Envelope { payload, payload_type, signatures: Vec::new() }.statement().unwrap()
            };
            let (pieces, whole) = (of(made.bytes().clone()), of(made.to_json().into()));
            assert_eq!((pieces.subjects(), &pieces), (whole.subjects(), &whole));
            assert_eq!(pieces.predicate_type(), whole.predicate_type());
            assert_eq!(pieces.predicate(), whole.predicate());
            assert_eq!(pieces.about(subject()).unwrap(), whole);
            assert!(whole.about(subject()).is_err(), "it is signed as it is");
        }
        // In the statement it would be nested deeper than a verifier reads.
        assert!(Statement::with_predicate(subject(), "p:q", nested(126), &limits).is_ok());
        assert!(Statement::with_predicate(subject(), "p:q", nested(127), &limits).is_err());
    }

    #[test]
    fn no_subject_too_many_subjects_and_foreign_types_are_refused() {
        let with = |kind: &str, subjects: &str| {
            Statement::parse(
                format!(r#"{{"_type":"{kind}","subject":[{subjects}],"predicateType":"p"}}"#)
                    .as_bytes(),
            )
        };
        assert!(matches!(with(STATEMENT_TYPE_V1, ""), Err(Error::Rule { .. })));
        assert!(matches!(with("x", "{}"), Err(Error::StatementType { .. })));
        let many = vec!["{}"; MAX_SUBJECTS + 1].join(",");
        assert!(matches!(with(STATEMENT_TYPE_V1, &many), Err(Error::Limit { .. })));
        let most = vec!["{}"; MAX_SUBJECTS].join(",");
        assert!(with(STATEMENT_TYPE_V1, &most).is_ok());
    }

    #[test]
    fn a_statement_with_a_key_given_twice_is_refused() {
        let text = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"a","sha256":"b"}}],"predicateType":"p"}"#;
        assert!(matches!(Statement::parse(text.as_bytes()), Err(Error::Json(_))));
    }
}
