//! Identities as the Workload API hands them out.

use std::fmt;

use id_token::{Audience, IdToken};
use zeroize::Zeroizing;

use crate::error::Offer;
use crate::proto;
use crate::{Endpoint, Error, SpiffeId};

/// The most SVIDs read from one answer. Nobody registers a process more often.
const MOST_SVIDS: usize = 1024;

/// A JWT that names a workload.
#[derive(Clone, Debug)]
pub struct JwtSvid {
    /// Whose it is, equal to the token's subject.
    pub spiffe_id: SpiffeId,
    /// The token. Its signature has not been verified.
    pub token: IdToken,
    /// What the operator says this identity is for; may be empty.
    pub hint: String,
}

/// A certificate and its key that name a workload.
#[derive(Clone)]
pub struct X509Svid {
    /// Whose it is, as the Workload API says.
    pub spiffe_id: SpiffeId,
    /// Certificates in DER, leaf first. Nothing has been verified.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's private key, PKCS#8 in DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// The CA certificates of the trust domain, in DER.
    pub bundle: Vec<Vec<u8>>,
    /// What the operator says this identity is for; may be empty.
    pub hint: String,
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Svid")
            .field("spiffe_id", &self.spiffe_id)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

/// What both kinds have.
pub(crate) trait Svid {
    fn offer(&self) -> Offer;
}

impl Svid for JwtSvid {
    fn offer(&self) -> Offer {
        Offer { spiffe_id: self.spiffe_id.clone(), hint: self.hint.clone() }
    }
}

impl Svid for X509Svid {
    fn offer(&self) -> Offer {
        Offer { spiffe_id: self.spiffe_id.clone(), hint: self.hint.clone() }
    }
}

/// The only one of `svids`, or the one of `wanted`.
pub(crate) fn choose<S: Svid>(
    endpoint: &Endpoint,
    mut svids: Vec<S>,
    wanted: Option<&SpiffeId>,
) -> Result<S, Error> {
    let offered: Vec<Offer> = svids.iter().map(Svid::offer).collect();
    if let Some(wanted) = wanted {
        let position = offered.iter().position(|offer| offer.spiffe_id == *wanted);
        return match position {
            Some(position) => Ok(svids.swap_remove(position)),
            None => Err(Error::NoIdentity {
                endpoint: endpoint.clone(),
                asked: Some(wanted.clone()),
                message: format!("offered are {}", list(&offered)),
            }),
        };
    }
    match (svids.pop(), svids.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Error::Several { offered }),
        (None, _) => Err(invalid(endpoint, "it holds no SVID".to_owned())),
    }
}

/// Reads the answer to a request for `audience`.
pub(crate) fn jwt_svids(
    endpoint: &Endpoint,
    audience: &Audience,
    response: proto::JwtsvidResponse,
) -> Result<Vec<JwtSvid>, Error> {
    counted(endpoint, response.svids.len())?;
    let read = |svid: proto::Jwtsvid| {
        let spiffe_id = named(&svid.spiffe_id)?;
        let token = IdToken::parse(&svid.svid)
            .map_err(|error| format!("the JWT-SVID of {spiffe_id} is none: {error}"))?;
        let subject = token.claims().subject().unwrap_or_default();
        if SpiffeId::parse(subject).ok().as_ref() != Some(&spiffe_id) {
            let subject = host::escape_remote(subject);
            return Err(format!("expected a JWT-SVID of {spiffe_id}, found one of {subject:?}"));
        }
        let audiences = token.claims().audiences();
        if !audiences.contains(&audience.as_str()) {
            let found = host::escape_remote(&audiences.join(", "));
            return Err(format!("expected a JWT-SVID for {audience}, found one for {found:?}"));
        }
        Ok(JwtSvid { spiffe_id, token, hint: hint(&svid.hint) })
    };
    let svids: Result<Vec<JwtSvid>, String> = response.svids.into_iter().map(read).collect();
    svids.map_err(|reason| invalid(endpoint, reason))
}

/// Reads one message of the stream, which is a complete state.
pub(crate) fn x509_svids(
    endpoint: &Endpoint,
    response: proto::X509svidResponse,
) -> Result<Vec<X509Svid>, Error> {
    counted(endpoint, response.svids.len())?;
    let read = |mut svid: proto::X509svid| {
        // Moved first, so that the key is wiped on every way out.
        let private_key = Zeroizing::new(std::mem::take(&mut svid.x509_svid_key));
        let spiffe_id = named(&svid.spiffe_id)?;
        let part = |what: &str, bytes: &[u8]| match certificates(bytes) {
            Some(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(format!("the {what} of {spiffe_id} is no sequence of DER certificates")),
        };
        let chain = part("X.509-SVID", &svid.x509_svid)?;
        let bundle = part("bundle", &svid.bundle)?;
        if private_key.is_empty() {
            return Err(format!("the private key of {spiffe_id} is missing"));
        }
        Ok(X509Svid { spiffe_id, chain, private_key, bundle, hint: hint(&svid.hint) })
    };
    let svids: Result<Vec<X509Svid>, String> = response.svids.into_iter().map(read).collect();
    svids.map_err(|reason| invalid(endpoint, reason))
}

fn counted(endpoint: &Endpoint, found: usize) -> Result<(), Error> {
    match found {
        0 => Err(invalid(endpoint, "it holds no SVID".to_owned())),
        1..=MOST_SVIDS => Ok(()),
        _ => Err(invalid(endpoint, format!("it holds {found} SVIDs, the limit is {MOST_SVIDS}"))),
    }
}

fn named(text: &str) -> Result<SpiffeId, String> {
    SpiffeId::parse(text).map_err(|error| error.to_string())
}

/// Shown to people; the standard recommends 1024 bytes at most.
fn hint(text: &str) -> String {
    host::escape_remote(text)
}

fn list(offers: &[Offer]) -> String {
    let texts: Vec<String> = offers.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

fn invalid(endpoint: &Endpoint, reason: String) -> Error {
    Error::InvalidAnswer { endpoint: endpoint.clone(), reason }
}

/// Splits certificates that follow one another in DER: each is a SEQUENCE with its length.
fn certificates(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    const SEQUENCE: u8 = 0x30;
    let mut certificates = Vec::new();
    while !bytes.is_empty() {
        let (&tag, after) = bytes.split_first()?;
        let (&first, after) = after.split_first()?;
        let (header, length) = match first {
            0..=0x7f => (2_usize, usize::from(first)),
            0x81..=0x83 => {
                let octets = after.get(..usize::from(first & 0x7f))?;
                let length = octets.iter().fold(0, |sum, &octet| sum << 8 | usize::from(octet));
                (octets.len().checked_add(2)?, length)
            }
            // Indefinite is not DER, and four octets are more than any answer holds.
            _ => return None,
        };
        let (certificate, rest) = bytes.split_at_checked(header.checked_add(length)?)?;
        if tag != SEQUENCE {
            return None;
        }
        certificates.push(certificate.to_vec());
        bytes = rest;
    }
    Some(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concatenated_der_is_split_at_its_lengths() {
        let long = [&[0x30, 0x81, 0x80][..], &[7; 128]].concat();
        let both = [&[0x30, 0x01, 0x05][..], &long].concat();
        assert_eq!(certificates(&both).unwrap(), [vec![0x30, 0x01, 0x05], long.clone()]);
        assert_eq!(certificates(&[]).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_is_not_whole_der_is_refused() {
        for bytes in [&[0x30][..], &[0x30, 0x02, 0x05], &[0x31, 0x00], &[0x30, 0x80, 0, 0]] {
            assert_eq!(certificates(bytes), None, "{bytes:?}");
        }
        assert_eq!(certificates(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(certificates(&[0x30, 0x82, 0xff]), None);
    }
}
