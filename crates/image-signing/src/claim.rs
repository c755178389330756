//! What will be attested.

use std::time::SystemTime;

use bundle::Subject;
use bundle::proto_json::{Json, Limits, without_bom};
use host::Env;
use serde_json::{Map, Value};
use signer::Session;
use x509::Certificate;

use crate::attestation::Attestation;
use crate::error::Error;
use crate::provenance::provenance;
use crate::time::rfc3339;

/// What will be attested once there is a certificate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Claim {
    /// This.
    Attestation(Attestation),
    /// SLSA provenance of the job that signs, with more external parameters.
    Provenance(Map<String, Value>),
}

/// What the bytes say of which a claim is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClaimInput {
    /// They are the predicate.
    Predicate,
    /// They are a whole in-toto statement.
    Statement,
    /// They are a JSON object with more parameters of the provenance of this job.
    ProvenanceParameters,
}

impl Claim {
    /// The claim of the type `predicate_type` that `bytes` make, at the time `now`; without bytes, the
    /// provenance of this job. `None` where there is nothing to attest.
    ///
    /// # Errors
    /// As [`Attestation::predicate`] and [`Attestation::parse_statement`]; [`Error::Statement`]: a
    /// text is not UTF-8, or the parameters are not a JSON object.
    pub fn parse(
        predicate_type: &str,
        input: Option<(ClaimInput, Vec<u8>)>,
        now: SystemTime,
    ) -> Result<Option<Self>, Error> {
        let wrong = |what: &str, error: &dyn std::error::Error| Error::Statement {
            what: what.to_owned(),
            reason: host::with_causes(error),
        };
        let attestation = match input {
            None if predicate_type == PROVENANCE => return Ok(Some(Self::Provenance(Map::new()))),
            None => return Ok(None),
            Some((ClaimInput::ProvenanceParameters, bytes)) => {
                let what = "the parameters of the provenance";
                let found = Json::parse(without_bom(&bytes), &Limits::default());
                let found = found.map_err(|error| wrong(what, &error))?;
                let Value::Object(parameters) = found.into() else {
                    let reason = "expected a JSON object, such as {\"name\": \"value\"}".to_owned();
                    return Err(Error::Statement { what: what.to_owned(), reason });
                };
                return Ok(Some(Self::Provenance(parameters)));
            }
            Some((ClaimInput::Statement, bytes)) => Attestation::parse_statement(bytes)?,
            Some((ClaimInput::Predicate, bytes)) if predicate_type == CUSTOM => {
                let text = String::from_utf8(bytes);
                let text = text.map_err(|error| wrong("the predicate", &error))?;
                Attestation::custom(&text, &rfc3339(now))
            }
            Some((ClaimInput::Predicate, bytes)) => Attestation::predicate(predicate_type, bytes)?,
        };
        Ok(Some(Self::Attestation(attestation)))
    }

    /// How many bytes the statement about `subjects` has; 0 where that is not known yet.
    ///
    /// # Errors
    /// As [`Attestation::statement`].
    pub fn size(&self, subjects: &[Subject]) -> Result<usize, Error> {
        match self {
            Self::Attestation(it) => Ok(it.statement(subjects.to_vec())?.bytes().len()),
            Self::Provenance(_) => Ok(0),
        }
    }

    /// About how many bytes its statements have; 0 where that is not known yet.
    pub(crate) fn about_size(&self) -> usize {
        match self {
            Self::Attestation(attestation) => attestation.size(),
            Self::Provenance(_) => 0,
        }
    }

    /// What `session` attests. Its certificate is asked for only where it matters.
    ///
    /// # Errors
    /// As [`Session::certificate`] and [`attestation`](Self::attestation).
    pub async fn attested_by<E: From<signer::Error> + From<Error>>(
        &self,
        session: &Session,
        env: &dyn Env,
    ) -> Result<Attestation, E> {
        let certificate = match self {
            Self::Attestation(_) => None,
            Self::Provenance(_) => session.certificate().await?,
        };
        Ok(self.attestation(certificate.as_ref(), env)?)
    }

    /// What the owner of `certificate`, whose environment is `env`, attests.
    ///
    /// # Errors
    /// As [`provenance`]; [`Error::Statement`]: provenance without a certificate, which proves it.
    pub fn attestation(
        &self,
        certificate: Option<&Certificate>,
        env: &dyn Env,
    ) -> Result<Attestation, Error> {
        match self {
            Self::Attestation(attestation) => Ok(attestation.clone()),
            Self::Provenance(parameters) => match certificate {
                Some(certificate) => provenance(certificate, env, parameters.clone()),
                None => Err(Error::Statement {
                    what: "the provenance of this job".to_owned(),
                    reason: "a key does not prove it; sign with an identity, or give --predicate"
                        .to_owned(),
                }),
            },
        }
    }
}

/// cosign's type `custom`.
const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(
        predicate_type: &str,
        input: Option<(ClaimInput, &str)>,
    ) -> Result<Option<Claim>, Error> {
        let input = input.map(|(kind, text)| (kind, text.as_bytes().to_vec()));
        Claim::parse(predicate_type, input, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn provenance_needs_no_input_and_takes_parameters() {
        let Claim::Provenance(none) = parse(PROVENANCE, None).unwrap().unwrap() else { panic!() };
        assert!(none.is_empty());
        let parameters = (ClaimInput::ProvenanceParameters, r#"{"a":1}"#);
        let claim = parse(PROVENANCE, Some(parameters)).unwrap().unwrap();
        let Claim::Provenance(one) = claim else { panic!() };
        assert_eq!(one["a"], 1);
        let wrong = parse(PROVENANCE, Some((ClaimInput::ProvenanceParameters, "[1]"))).unwrap_err();
        let said =
            "the parameters of the provenance cannot be signed: expected a JSON object, such as";
        assert!(wrong.to_string().starts_with(said), "{wrong}");
        let twice = Some((ClaimInput::ProvenanceParameters, r#"{"a":1,"a":2}"#));
        assert!(parse(PROVENANCE, twice).is_err(), "two readers may take different ones");
        assert!(parse(CUSTOM, None).unwrap().is_none(), "nothing else is attested without input");
    }

    #[test]
    fn any_text_is_a_predicate_of_the_type_custom_only() {
        let text = Some((ClaimInput::Predicate, "tested"));
        let Claim::Attestation(custom) = parse(CUSTOM, text).unwrap().unwrap() else { panic!() };
        assert_eq!(custom.predicate_type(), CUSTOM);
        assert!(parse("https://example.test/claim", text).is_err());
        assert!(parse(CUSTOM, Some((ClaimInput::Statement, "tested"))).is_err());
    }
}
