//! Counting the logs and authorities that prove the time of a signature.

use std::collections::BTreeSet;

use crate::check::Check;

/// A log or an authority, as far as thresholds are concerned: several of one operator are one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum TimeAuthority<'a> {
    Operator(&'a str),
    /// Without a named operator: the key or the certificate.
    Key(&'a [u8]),
}

impl<'a> TimeAuthority<'a> {
    pub(crate) fn new(operator: Option<&'a str>, key: &'a [u8]) -> Self {
        operator.map_or(Self::Key(key), Self::Operator)
    }
}

/// Requires as many different vouchers as are `expected`.
pub(crate) fn enough<'a>(
    what: &'static str,
    expected: usize,
    vouchers: impl IntoIterator<Item = TimeAuthority<'a>>,
) -> Result<(), Check> {
    let found = vouchers.into_iter().collect::<BTreeSet<_>>().len();
    if found >= expected { Ok(()) } else { Err(Check::Threshold { what, expected, found }) }
}
