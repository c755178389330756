//! Identities as the Workload API hands them out.

use std::collections::BTreeMap;
use std::fmt;

use id_token::{Audience, IdToken, SpiffeId, TrustDomain};
use keys::{KeyPair, Sign as _};
use x509::Certificate;
use zeroize::Zeroizing;

use crate::bundle::{JwtBundle, MOST_AUTHORITIES, X509Bundle, domain_of};
use crate::der::certificates;
use crate::endpoint::Endpoint;
use crate::error::{Error, Offer};
use crate::proto;
use crate::validate::id_in;

/// The most SVIDs read from one answer, far more than a process is registered for.
const MOST_SVIDS: usize = 1024;

/// The most certificates in a chain.
const LONGEST_CHAIN: usize = 16;

/// The longest hint, in bytes: the standard recommends it and SPIRE enforces it.
const LONGEST_HINT: usize = 1024;

/// A JWT that names a workload.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JwtSvid {
    /// The SPIFFE ID, equal to the token's subject.
    pub spiffe_id: SpiffeId,
    /// The token. Its signature has not been verified.
    pub token: IdToken,
    /// What the operator says this identity is for, as it was sent; may be empty. Escape it before
    /// it is shown.
    pub hint: String,
}

/// A certificate and its key that name a workload.
#[derive(Clone)]
#[non_exhaustive]
pub struct X509Svid {
    /// The SPIFFE ID, which the leaf names as well.
    pub spiffe_id: SpiffeId,
    /// The first certificate of the chain. It names the SPIFFE ID, and the private key is its own.
    pub leaf: Certificate,
    /// Certificates in DER, leaf first. No signature has been verified.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's private key, PKCS#8 in DER.
    pub private_key: Zeroizing<Vec<u8>>,
    /// The CA certificates of the trust domain, in DER.
    pub bundle: Vec<Vec<u8>>,
    /// What the operator says this identity is for, as it was sent; may be empty. Escape it before
    /// it is shown.
    pub hint: String,
}

/// All that the Workload API states about X.509-SVIDs at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct X509State {
    /// One per identity of this process, in an order that means nothing.
    pub svids: Vec<X509Svid>,
    /// The bundles of other trust domains that this one knows.
    pub federated: BTreeMap<TrustDomain, X509Bundle>,
    /// Revocation lists in DER.
    pub revocation_lists: Vec<Vec<u8>>,
}

impl X509State {
    /// The bundles of all trust domains in this state: those of the SVIDs and the federated ones.
    ///
    /// # Errors
    /// [`Error::Malformed`]: a certificate of an SVID's bundle cannot be read.
    pub fn bundles(&self) -> Result<BTreeMap<TrustDomain, X509Bundle>, Error> {
        let mut bundles = self.federated.clone();
        for svid in &self.svids {
            let domain = svid.spiffe_id.trust_domain();
            bundles.insert(domain, X509Bundle::from_der(&svid.bundle.concat())?);
        }
        Ok(bundles)
    }
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Svid")
            .field("spiffe_id", &self.spiffe_id)
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

/// Both kinds of SVID.
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

/// Which of several identities to use. By default there must be only one.
///
/// ```
/// use spiffe_workload_api::{Selection, SpiffeId};
///
/// let builder = SpiffeId::parse("spiffe://example.org/builder")?;
/// let by_name = Selection::default().with_spiffe_id(builder);
/// let by_purpose = Selection::default().with_hint("signing");
/// # Ok::<(), spiffe_workload_api::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub(crate) spiffe_id: Option<SpiffeId>,
    pub(crate) hint: Option<String>,
}

impl Selection {
    /// The identity of this name.
    #[must_use]
    pub fn with_spiffe_id(self, spiffe_id: SpiffeId) -> Self {
        Self { spiffe_id: Some(spiffe_id), ..self }
    }

    /// The identity that the operator gave this hint. Hints are unique; of several, the first is
    /// taken.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn admits(&self, offer: &Offer) -> bool {
        self.spiffe_id.as_ref().is_none_or(|wanted| *wanted == offer.spiffe_id)
            && self.hint.as_ref().is_none_or(|wanted| *wanted == offer.hint)
    }
}

impl From<Option<&SpiffeId>> for Selection {
    fn from(spiffe_id: Option<&SpiffeId>) -> Self {
        Self { spiffe_id: spiffe_id.cloned(), hint: None }
    }
}

/// The SVID that `selection` chooses.
pub(crate) fn choose<'a, S: Svid>(
    endpoint: &Endpoint,
    svids: &'a [S],
    selection: &Selection,
) -> Result<&'a S, Error> {
    let offered: Vec<Offer> = svids.iter().map(Svid::offer).collect();
    if *selection == Selection::default() && offered.len() > 1 {
        return Err(Error::Several { offered });
    }
    let position = offered.iter().position(|offer| selection.admits(offer));
    if let Some(svid) = position.and_then(|position| svids.get(position)) {
        return Ok(svid);
    }
    let message = match &selection.hint {
        Some(hint) => format!("none has the hint \"{}\"", host::escape_remote(hint)),
        None => String::new(),
    };
    let (endpoint, asked) = (endpoint.clone(), selection.spiffe_id.clone());
    Err(Error::NoIdentity { endpoint, asked, offered, message })
}

/// Reads the answer to a request for `audiences`.
pub(crate) fn jwt_svids(
    endpoint: &Endpoint,
    audiences: &[Audience],
    response: proto::JwtsvidResponse,
) -> Result<Vec<JwtSvid>, Error> {
    counted(endpoint, response.svids.len())?;
    let read = |svid: proto::Jwtsvid| {
        let spiffe_id = named(&svid.spiffe_id)?;
        let token = IdToken::parse(&svid.svid)
            .map_err(|error| format!("the JWT-SVID of {spiffe_id} is malformed: {error}"))?;
        let subject = token.claims().subject().unwrap_or_default();
        if SpiffeId::parse(subject).ok().as_ref() != Some(&spiffe_id) {
            let subject = host::escape_remote(subject);
            return Err(format!("expected a JWT-SVID of {spiffe_id}, found one of {subject:?}"));
        }
        let found = token.claims().audiences();
        if let Some(missing) = audiences.iter().find(|asked| !found.contains(&asked.as_str())) {
            let found = host::escape_remote(&found.join(", "));
            return Err(format!("expected a JWT-SVID for {missing}, found one for {found:?}"));
        }
        let hint = hint(&spiffe_id, svid.hint)?;
        Ok(JwtSvid { spiffe_id, token, hint })
    };
    let svids: Result<Vec<JwtSvid>, String> = response.svids.into_iter().map(read).collect();
    svids.map_err(|reason| invalid(endpoint, reason))
}

/// Reads one message of the stream, which is a complete state.
pub(crate) fn x509_state(
    endpoint: &Endpoint,
    mut response: proto::X509svidResponse,
) -> Result<X509State, Error> {
    let federated = std::mem::take(&mut response.federated_bundles);
    let revocation_lists = std::mem::take(&mut response.crl);
    let federated = by_domain(endpoint, federated, |bytes| X509Bundle::from_der(&bytes))?;
    Ok(X509State { svids: x509_svids(endpoint, response)?, federated, revocation_lists })
}

/// Reads one message of the stream of X.509 bundles, which is a complete state.
pub(crate) fn x509_bundles(
    endpoint: &Endpoint,
    response: proto::X509BundlesResponse,
) -> Result<BTreeMap<TrustDomain, X509Bundle>, Error> {
    by_domain(endpoint, response.bundles, |bytes| X509Bundle::from_der(&bytes))
}

/// Reads one message of the stream of JWT bundles, which is a complete state.
pub(crate) fn jwt_bundles(
    endpoint: &Endpoint,
    response: proto::JwtBundlesResponse,
) -> Result<BTreeMap<TrustDomain, JwtBundle>, Error> {
    by_domain(endpoint, response.bundles, |bytes| JwtBundle::from_jwks(&bytes))
}

fn by_domain<B>(
    endpoint: &Endpoint,
    bundles: impl IntoIterator<Item = (String, Vec<u8>)>,
    read: impl Fn(Vec<u8>) -> Result<B, Error>,
) -> Result<BTreeMap<TrustDomain, B>, Error> {
    let read = |(key, bytes): (String, Vec<u8>)| {
        let domain = domain_of(&key)?;
        let bundle = read(bytes).map_err(|error| format!("the bundle of {domain}: {error}"))?;
        Ok((domain, bundle))
    };
    let bundles: Result<_, String> = bundles.into_iter().map(read).collect();
    bundles.map_err(|reason| invalid(endpoint, reason))
}

fn x509_svids(
    endpoint: &Endpoint,
    response: proto::X509svidResponse,
) -> Result<Vec<X509Svid>, Error> {
    counted(endpoint, response.svids.len())?;
    let read = |mut svid: proto::X509svid| {
        // Moved first, so that the key is wiped on every way out.
        let private_key = Zeroizing::new(std::mem::take(&mut svid.x509_svid_key));
        let spiffe_id = named(&svid.spiffe_id)?;
        let part = |what: &str, bytes: &[u8], most: usize| match certificates(bytes, most) {
            Some(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(format!(
                "the {what} of {spiffe_id} is not a sequence of 1 to {most} DER certificates"
            )),
        };
        let chain = part("X.509-SVID", &svid.x509_svid, LONGEST_CHAIN)?;
        let bundle = part("bundle", &svid.bundle, MOST_AUTHORITIES)?;
        if private_key.is_empty() {
            return Err(format!("the private key of {spiffe_id} is missing"));
        }
        let leaf = matching_leaf(&spiffe_id, chain.first(), &private_key)?;
        let hint = hint(&spiffe_id, svid.hint)?;
        Ok(X509Svid { spiffe_id, leaf, chain, private_key, bundle, hint })
    };
    let svids: Result<Vec<X509Svid>, String> = response.svids.into_iter().map(read).collect();
    svids.map_err(|reason| invalid(endpoint, reason))
}

fn counted(endpoint: &Endpoint, found: usize) -> Result<(), Error> {
    match found {
        0 => Err(invalid(endpoint, "it contains no SVID".to_owned())),
        1..=MOST_SVIDS => Ok(()),
        _ => {
            Err(invalid(endpoint, format!("it contains {found} SVIDs, the limit is {MOST_SVIDS}")))
        }
    }
}

fn named(text: &str) -> Result<SpiffeId, String> {
    SpiffeId::parse(text).map_err(|error| error.to_string())
}

/// The leaf, if it names `spiffe_id` and `private_key` is its own. A program that used another
/// pair would fail in every handshake, or present another identity than expected.
fn matching_leaf(
    spiffe_id: &SpiffeId,
    leaf: Option<&Vec<u8>>,
    private_key: &[u8],
) -> Result<Certificate, String> {
    let wrong = |why: String| format!("the X.509-SVID of {spiffe_id} {why}");
    let leaf = leaf.ok_or_else(|| wrong("has no certificate".to_owned()))?;
    let leaf = Certificate::from_der(leaf)
        .map_err(|error| wrong(format!("cannot be read: {}", host::with_causes(&error))))?;
    let named = id_in(&leaf).map_err(|reason| wrong(format!("names no workload: {reason}")))?;
    if named != *spiffe_id {
        return Err(format!("expected the certificate of {spiffe_id}, found that of {named}"));
    }
    let pair = KeyPair::from_pkcs8_der(private_key)
        .map_err(|error| format!("the private key of {spiffe_id} cannot be read: {error}"))?;
    let public = pair.public_key();
    if public != leaf.public_key() {
        return Err(format!(
            "the private key of {spiffe_id} is not that of its certificate: expected the key \
             {:?}, found {public:?}",
            leaf.public_key()
        ));
    }
    Ok(leaf)
}

/// Kept as it is, because selections are compared with it.
fn hint(spiffe_id: &SpiffeId, text: String) -> Result<String, String> {
    if text.len() > LONGEST_HINT {
        let found = text.len();
        return Err(format!(
            "the hint of {spiffe_id} has {found} bytes, the limit is {LONGEST_HINT}"
        ));
    }
    Ok(text)
}

fn invalid(endpoint: &Endpoint, reason: String) -> Error {
    Error::InvalidAnswer { endpoint: endpoint.clone(), reason }
}
