use std::time::SystemTime;

use x509::{Anchors, Certificate, Usage};

use crate::Error;

/// The certificates of a trusted timestamp authority.
#[derive(Clone, Debug)]
pub struct Authority {
    leaf: Option<Certificate>,
    anchors: Anchors,
}

impl Authority {
    /// An authority by its certificates as a trusted root lists them: the one that stamps first,
    /// then intermediates, and the trust anchor last.
    ///
    /// Where the first is already a certificate authority, no stamping certificate is pinned, and
    /// a timestamp must bring its own.
    ///
    /// # Errors
    /// There is no certificate, or none above the one that stamps.
    pub fn new(chain: Vec<Certificate>) -> Result<Self, Error> {
        let first = chain.first().ok_or(Error::Authority { reason: "there are none" })?;
        if first.is_ca() {
            return Ok(Self { leaf: None, anchors: Anchors::new(chain) });
        }
        let mut certificates = chain.into_iter();
        let leaf = certificates.next();
        let above: Vec<Certificate> = certificates.collect();
        if above.is_empty() {
            let reason = "there is no root above the one that stamps";
            return Err(Error::Authority { reason });
        }
        Ok(Self { leaf, anchors: Anchors::new(above) })
    }

    /// The certificate that stamps, if the authority pins one.
    pub fn leaf(&self) -> Option<&Certificate> {
        self.leaf.as_ref()
    }

    /// Whether one of its certificates has the name that `leaf` gives as its issuer's.
    pub(crate) fn is_named_as_issuer_of(&self, leaf: &Certificate) -> bool {
        self.anchors.certificates().iter().any(|above| above.subject_der() == leaf.issuer_der())
    }

    /// Checks that `leaf` led to the root at `time`, and that it may stamp: no certificate
    /// authority, for timestamps only, and saying so critically (RFC 3161 2.3).
    pub(crate) fn verify_chain(
        &self,
        leaf: &Certificate,
        embedded: &[Certificate],
        time: SystemTime,
    ) -> Result<(), Error> {
        self.anchors
            .verify(leaf, embedded, time, Usage::TimeStamping)
            .map(|_| ())
            .map_err(Error::Chain)
    }
}
