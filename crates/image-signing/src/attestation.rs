//! What an attestation claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use bundle::bytes::Bytes;
use bundle::proto_json::without_bom;
use bundle::{Limits, PREDICATE_CAP, SIGN_PREDICATE_TYPE, Statement, Subject, predicate_type};
use serde_json::json;

use crate::error::Error;

/// A claim about artifacts, to be signed as an attestation: a predicate type and a JSON object, or a
/// whole in-toto statement.
#[derive(Clone, Debug)]
pub struct Attestation(Claim);

#[derive(Clone, Debug)]
enum Claim {
    /// The subjects are those that are attested. Statements share the predicate, which may be large.
    Predicate(Statement),
    /// The statement names its subjects.
    Statement(Arc<Statement>),
}

impl Attestation {
    /// A predicate of the type `predicate_type`, a URI. `json` is kept byte for byte: numbers and
    /// members that are unknown here stay as they are.
    ///
    /// # Errors
    /// [`Error::Statement`]: `json` is not one JSON object, or is larger than a verifier takes, or
    /// the type is that of image signatures.
    pub fn predicate(
        predicate_type: impl Into<String>,
        json: impl Into<Bytes>,
    ) -> Result<Self, Error> {
        let predicate_type = predicate_type.into();
        refuse_signature(&predicate_type)?;
        let (json, limits) = (json.into(), Limits::large());
        if json.len() > PREDICATE_CAP {
            let (what, found) = (PREDICATE.to_owned(), json.len());
            let reason = format!("it has {found} bytes, at most {PREDICATE_CAP} are attested");
            return Err(Error::Statement { what, reason });
        }
        if let Some(found) = no_object(&json) {
            let (what, reason) = (PREDICATE.to_owned(), format!("expected a JSON object, {found}"));
            return Err(Error::Statement { what, reason });
        }
        // Any subject serves to check the predicate.
        let subjects = vec![Subject::default()];
        let statement = Statement::with_predicate(subjects, &predicate_type, json, &limits);
        let statement = statement.map_err(|error| wrong(PREDICATE, &error))?;
        Ok(Self(Claim::Predicate(statement)))
    }

    /// A text of any kind under cosign's type `custom`: the predicate has it as the string `Data`,
    /// beside `timestamp` (RFC 3339).
    pub fn custom(text: &str, timestamp: &str) -> Self {
        let predicate = json!({ "Data": text, "Timestamp": timestamp });
        let predicate_type = predicate_type::resolve("custom").unwrap_or_default().to_owned();
        let subjects = vec![Subject::default()];
        Self(Claim::Predicate(Statement::of_predicate(subjects, &predicate_type, &predicate)))
    }

    /// A whole in-toto statement, signed byte for byte.
    ///
    /// # Errors
    /// [`Error::Statement`]: it is not one, has no subject, or has the type of image
    /// signatures.
    pub fn parse_statement(json: impl Into<Bytes>) -> Result<Self, Error> {
        let statement = Statement::read(json.into(), &Limits::large())
            .map_err(|error| wrong(STATEMENT, &error))?;
        refuse_signature(statement.predicate_type())?;
        Ok(Self(Claim::Statement(Arc::new(statement))))
    }

    /// The type of the claim, a URI.
    pub fn predicate_type(&self) -> &str {
        match &self.0 {
            Claim::Predicate(statement) => statement.predicate_type(),
            Claim::Statement(statement) => statement.predicate_type(),
        }
    }

    /// About how many bytes its statements have.
    pub fn size(&self) -> usize {
        match &self.0 {
            Claim::Predicate(statement) => statement.bytes().len(),
            Claim::Statement(statement) => statement.bytes().len(),
        }
    }

    /// The statement that is signed when this is attested of `subjects`.
    ///
    /// # Errors
    /// [`Error::Statement`]: this is a whole statement, and one of `subjects` is not in it.
    pub fn statement(&self, subjects: Vec<Subject>) -> Result<Statement, Error> {
        match &self.0 {
            Claim::Predicate(statement) => {
                statement.about(subjects).map_err(|error| wrong(PREDICATE, &error))
            }
            Claim::Statement(statement) => {
                let missing = subjects.iter().find(|subject| !is_about(statement, subject));
                match missing {
                    None => Ok((**statement).clone()),
                    Some(missing) => {
                        let digest = missing.digests.values().next().cloned().unwrap_or_default();
                        let reason = format!("none of its subjects has the digest {digest}");
                        Err(Error::Statement { what: STATEMENT.to_owned(), reason })
                    }
                }
            }
        }
    }
}

/// What `predicate` is that cannot be a JSON object: people have SBOMs in XML, or as tags with values.
fn no_object(predicate: &[u8]) -> Option<String> {
    let text = without_bom(predicate).trim_ascii_start();
    Some(match text.first() {
        Some(b'{') => return None,
        None => "found an empty file".to_owned(),
        Some(b'[') => "found an array".to_owned(),
        Some(b'<') => "found XML: have the tool that wrote it write JSON".to_owned(),
        Some(_) => {
            let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let shown: String = String::from_utf8_lossy(line).chars().take(SHOWN).collect();
            let shown = host::escape_remote(&shown);
            format!("found text that begins with {shown:?}: have the tool that wrote it write JSON")
        }
    })
}

/// A statement of the type of image signatures would be one, whoever wrote it.
fn refuse_signature(predicate_type: &str) -> Result<(), Error> {
    match predicate_type == SIGN_PREDICATE_TYPE {
        true => Err(Error::Statement {
            what: format!("an attestation of the type {SIGN_PREDICATE_TYPE}"),
            reason: "it would be a signature of the image; use `ambisign sign`".to_owned(),
        }),
        false => Ok(()),
    }
}

/// Whether one of the statement's subjects has a digest of `subject`.
fn is_about(statement: &Statement, subject: &Subject) -> bool {
    let has = |digests: &BTreeMap<String, String>| {
        subject.digests.iter().any(|(algorithm, hex)| digests.get(algorithm) == Some(hex))
    };
    statement.subjects().iter().any(|subject| has(&subject.digests))
}

fn wrong(what: &str, error: &bundle::Error) -> Error {
    Error::Statement { what: what.to_owned(), reason: host::with_causes(error) }
}

/// So many characters show what a text is.
const SHOWN: usize = 30;
const PREDICATE: &str = "the predicate";
const STATEMENT: &str = "the statement";

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(hex: &str) -> Subject {
        let digests = [("sha256".to_owned(), hex.to_owned())].into();
        Subject { name: Some("app".into()), digests, annotations: BTreeMap::new() }
    }

    #[test]
    fn a_predicate_is_about_what_is_attested() {
        let attestation = Attestation::predicate("p:q", b"{\"a\":1.0}".as_slice()).unwrap();
        let statement = attestation.statement(vec![subject("00"), subject("01")]).unwrap();
        assert_eq!(statement.subjects().len(), 2);
        assert!(
            String::from_utf8(statement.to_json()).unwrap().contains(r#""predicate":{"a":1.0}"#)
        );
        let error = Attestation::predicate("p:q", b"[1]".as_slice()).unwrap_err().to_string();
        assert_eq!(error, "the predicate cannot be signed: expected a JSON object, found an array");
        for (wrong, said) in [
            ("", "found an empty file"),
            ("\u{feff}\n<?xml version='1.0'?>", "found XML: have the tool"),
            ("SPDXVersion: SPDX-2.3\nDataLicense", "begins with \"SPDXVersion: SPDX-2.3\": have"),
        ] {
            let error = Attestation::predicate("p:q", wrong).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_whole_statement_must_be_about_what_is_attested() {
        let json = br#"{ "_type":"https://in-toto.io/Statement/v1","predicateType":"p",
            "subject":[{"name":"x","digest":{"sha256":"00","sha512":"aa"}}],"predicate":null}"#;
        let attestation = Attestation::parse_statement(json.as_slice()).unwrap();
        assert_eq!(attestation.statement(vec![subject("00")]).unwrap().to_json(), json);
        let error = attestation.statement(vec![subject("01")]).unwrap_err().to_string();
        assert_eq!(error, "the statement cannot be signed: none of its subjects has the digest 01");
    }
}
