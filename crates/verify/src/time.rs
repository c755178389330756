use std::time::SystemTime;

use trust_root::{CertificateAuthority, TrustedRoot};
use tsa_client::{Authority, Timestamp};

use crate::check::Check;

/// A verified timestamp.
#[derive(Clone, Copy)]
pub(crate) struct Stamped<'a> {
    pub(crate) authority: &'a CertificateAuthority,
    pub(crate) time: SystemTime,
}

/// An authority of the trusted root, ready to verify with.
struct Known<'a> {
    listed: &'a CertificateAuthority,
    authority: Authority,
}

/// Verifies every timestamp over `signature`. All of them must come from authorities in the trusted
/// root. In the order of the bundle.
pub(crate) fn check_all<'a>(
    timestamps: &[Vec<u8>],
    signature: &[u8],
    root: &'a TrustedRoot,
) -> Result<Vec<Stamped<'a>>, Check> {
    // Each authority's certificates go with its own window: pooled, the certificate of one would
    // be accepted in the window of another.
    let known: Vec<Known<'a>> = match timestamps {
        [] => Vec::new(),
        _ => root.timestamp_authorities().iter().filter_map(Known::new).collect(),
    };
    let mut times = Vec::new();
    for (index, der) in timestamps.iter().enumerate() {
        let timestamp = Timestamp::from_der(der)
            .map_err(|source| Check::Timestamp { timestamp: index, source })?;
        let candidates = known.iter().filter(|known| timestamp.is_by(&known.authority));
        match check(index, &timestamp, signature, candidates)? {
            Some(time) => times.push(time),
            None => return Err(unknown(index, root)),
        }
    }
    Ok(times)
}

impl<'a> Known<'a> {
    fn new(listed: &'a CertificateAuthority) -> Option<Self> {
        let authority = Authority::new(listed.chain.clone()).ok()?;
        Some(Self { listed, authority })
    }
}

fn unknown(timestamp: usize, root: &TrustedRoot) -> Check {
    let known: Vec<_> =
        root.timestamp_authorities().iter().map(|authority| authority.uri.as_str()).collect();
    let expected =
        if known.is_empty() { "the trusted root has none".to_owned() } else { known.join(", ") };
    Check::UnknownAuthority { timestamp, expected }
}

fn check<'a: 'k, 'k>(
    index: usize,
    timestamp: &Timestamp,
    signature: &[u8],
    known: impl Iterator<Item = &'k Known<'a>>,
) -> Result<Option<Stamped<'a>>, Check> {
    let mut wrong = None;
    for Known { listed, authority } in known {
        match timestamp.verify(signature, authority) {
            Ok(time) if listed.valid_for.contains(time) => {
                return Ok(Some(Stamped { authority: listed, time }));
            }
            Ok(time) => {
                wrong = Some(Check::TimestampWindow {
                    timestamp: index,
                    expected: listed.valid_for.to_string(),
                    found: time,
                });
            }
            // A timestamp that is valid outside a window says more than one that is not valid.
            Err(source) => {
                wrong.get_or_insert(Check::Timestamp { timestamp: index, source });
            }
        }
    }
    wrong.map_or(Ok(None), Err)
}
