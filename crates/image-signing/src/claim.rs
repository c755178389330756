//! What will be attested.

use host::Env;
use serde_json::{Map, Value};
use x509::Certificate;

use crate::attestation::Attestation;
use crate::error::Error;
use crate::provenance::provenance;

/// What will be attested once there is a certificate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Claim {
    /// This.
    Attestation(Attestation),
    /// SLSA provenance of the job that signs, with more external parameters.
    Provenance(Map<String, Value>),
}

impl Claim {
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
