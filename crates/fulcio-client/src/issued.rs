//! Whether a certificate is the one that was asked for.

use std::time::{Duration, SystemTime};

use id_token::Claims;
use x509::{Certificate, SubjectName};

use crate::configuration::Configuration;
use crate::predict::{Prediction, Profile};
use crate::profiles::Profiles;

/// What in a certificate differs from what its token must give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// Another subject, or another kind of subject.
    #[error("expected the subject {expected}, found {found}")]
    Subject {
        /// What the token gives, escaped.
        expected: String,
        /// What the certificate has, escaped.
        found: String,
    },
    /// Another issuer.
    #[error("expected the issuer {expected}, found {found}")]
    Issuer {
        /// What the token gives, escaped.
        expected: String,
        /// What the certificate has, escaped.
        found: String,
    },
    /// It was not valid when it was issued.
    #[error("it was not valid at the time of the answer")]
    NotValid,
    /// It is valid for longer than a day, where Fulcio's are for ten minutes.
    #[error("it is valid for {} hours, expected at most 24", lifetime.as_secs() / 3600)]
    Lifetime {
        /// For how long.
        lifetime: Duration,
    },
}

/// What of the subject and the issuer of `leaf` differs from what a token with `claims` must give.
///
/// `None` where that cannot be told: nothing is known of the issuer. `configuration` is that of the
/// Fulcio which issued it; without one, only the issuers in [`Profiles::known`] are known.
pub fn compare(
    leaf: &Certificate,
    claims: &Claims,
    configuration: Option<&Configuration>,
) -> Option<Result<(), Difference>> {
    let known = Profiles::known();
    let iss = claims.issuer()?;
    let issuer = match configuration {
        Some(configuration) => configuration.issuer_with(&known, iss)?,
        None => known.issuer_for(iss)?.clone(),
    };
    let prediction = Profile::of(&issuer, claims).predict(claims)?;
    Some(compare_with(leaf, &prediction))
}

/// What of the subject and the issuer of `leaf` differs from `prediction`.
///
/// # Errors
/// The first difference.
pub fn compare_with(leaf: &Certificate, prediction: &Prediction) -> Result<(), Difference> {
    let shown =
        |name: &SubjectName| host::escape_remote(&format!("{} {}", name.kind(), name.as_str()));
    match leaf.subject_name() {
        Ok(found) if found == prediction.subject => {}
        found => {
            return Err(Difference::Subject {
                expected: shown(&prediction.subject),
                found: found.as_ref().map_or_else(|_| "none".to_owned(), shown),
            });
        }
    }
    match leaf.oidc_issuer() {
        Ok(Some(found)) if found == prediction.issuer => Ok(()),
        found => Err(Difference::Issuer {
            expected: host::escape_remote(&prediction.issuer),
            found: match found {
                Ok(Some(found)) => host::escape_remote(&found),
                _ => "none".to_owned(),
            },
        }),
    }
}

/// Checks the validity of `leaf`, which was issued at `now` by the clock of its authority.
///
/// # Errors
/// [`Difference::NotValid`] or [`Difference::Lifetime`].
pub(crate) fn check_validity(
    leaf: &Certificate,
    now: Option<SystemTime>,
) -> Result<(), Difference> {
    let (start, end) = (leaf.not_before(), leaf.not_after());
    let lifetime = end.duration_since(start).map_err(|_| Difference::NotValid)?;
    if lifetime > LONGEST_LIFE {
        return Err(Difference::Lifetime { lifetime });
    }
    // Without a `Date` in the answer, its time is not known.
    let Some(now) = now else { return Ok(()) };
    let soon = now.checked_add(SKEW).unwrap_or(now);
    if start > soon || end <= now { Err(Difference::NotValid) } else { Ok(()) }
}

/// Fulcio's certificates live for ten minutes. Longer ones are the choice of who runs it, within
/// reason.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The clocks of an authority's own machines may differ by this much.
const SKEW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// The roots of the recorded authority are valid for ten years.
    #[test]
    fn a_certificate_of_ten_years_is_refused_whatever_the_time() {
        let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures");
        let pem = std::fs::read_to_string(format!("{captures}/ct/fulcio-chain.pem")).unwrap();
        let root = Certificate::chain_from_pem(&pem).unwrap().pop().unwrap();
        for now in [None, Some(root.not_before())] {
            let error = check_validity(&root, now).unwrap_err();
            assert!(matches!(error, Difference::Lifetime { .. }), "{error}");
        }
    }
}
