use std::time::SystemTime;

use trust_root::{CertificateAuthority, TrustedRoot};
use tsa_client::{Authority, Timestamp};

use crate::check::Check;

/// Verifies every timestamp over `signature`, all of which must be of authorities in the trusted
/// root. The times stamped, in the order of the bundle, each with the place of its authority there.
pub(crate) fn check_all(
    timestamps: &[Vec<u8>],
    signature: &[u8],
    root: &TrustedRoot,
) -> Result<Vec<(usize, SystemTime)>, Check> {
    // One authority's certificates and its window belong together: pooled, the certificate of one
    // would do in the window of another.
    let authorities: Vec<(usize, &CertificateAuthority, Authority)> = root
        .timestamp_authorities()
        .iter()
        .enumerate()
        .filter_map(|(at, listed)| Some((at, listed, Authority::new(listed.chain.clone()).ok()?)))
        .collect();
    let mut times = Vec::new();
    for (index, der) in timestamps.iter().enumerate() {
        let timestamp = Timestamp::from_der(der)
            .map_err(|source| Check::Timestamp { timestamp: index, source })?;
        let known = authorities.iter().filter(|(_, _, authority)| timestamp.is_by(authority));
        match check(index, &timestamp, signature, known)? {
            Some(time) => times.push(time),
            None => return Err(unknown(index, root)),
        }
    }
    Ok(times)
}

fn unknown(timestamp: usize, root: &TrustedRoot) -> Check {
    let known: Vec<_> =
        root.timestamp_authorities().iter().map(|authority| authority.uri.as_str()).collect();
    let expected = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
    Check::UnknownAuthority { timestamp, expected }
}

fn check<'a>(
    index: usize,
    timestamp: &Timestamp,
    signature: &[u8],
    known: impl Iterator<Item = &'a (usize, &'a CertificateAuthority, Authority)>,
) -> Result<Option<(usize, SystemTime)>, Check> {
    let mut wrong = None;
    for (at, listed, authority) in known {
        match timestamp.verify(signature, authority) {
            Ok(time) if listed.valid_for.contains(time) => return Ok(Some((*at, time))),
            Ok(time) => {
                wrong = Some(Check::TimestampWindow {
                    timestamp: index,
                    expected: listed.valid_for.to_string(),
                    found: time,
                });
            }
            // That it verified outside of a window says more than that it did not elsewhere.
            Err(source) => {
                wrong.get_or_insert(Check::Timestamp { timestamp: index, source });
            }
        }
    }
    wrong.map_or(Ok(None), Err)
}
