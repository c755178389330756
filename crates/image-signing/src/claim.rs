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
    /// As [`provenance`].
    pub fn attestation(
        &self,
        certificate: &Certificate,
        env: &dyn Env,
    ) -> Result<Attestation, Error> {
        match self {
            Self::Attestation(attestation) => Ok(attestation.clone()),
            Self::Provenance(parameters) => provenance(certificate, env, parameters.clone()),
        }
    }
}
