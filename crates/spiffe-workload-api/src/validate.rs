//! Verifying SVIDs (standards JWT-SVID and X509-SVID).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use id_token::{Audience, IdToken, SpiffeId, TrustDomain};
use serde_json::{Map, Value};
use x509::{Anchors, Certificate, Usage};

use crate::bundle::{JwtBundle, X509Bundle};
use crate::der;
use crate::error::Error;

/// How far two clocks may be apart (JWT-SVID section 3.3).
const LEEWAY: Duration = Duration::from_secs(60);

/// The algorithms of JWT-SVID section 2.1. `EdDSA`, `none` and the symmetric ones are not there.
const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"];

/// Verifies `token` as a JWT-SVID for `audience` at the time `now`, with the bundle of its own
/// trust domain and no other. Returns its SPIFFE ID.
///
/// # Errors
/// [`Error::Untrusted`] names what was expected and what was found.
pub fn verify_jwt_svid(
    token: &IdToken,
    audience: &Audience,
    bundles: &BTreeMap<TrustDomain, JwtBundle>,
    now: SystemTime,
) -> Result<SpiffeId, Error> {
    jwt(token, audience, bundles, now)
        .map_err(|reason| Error::Untrusted { kind: "JWT-SVID", reason })
}

/// Verifies `chain`, certificates in DER and the leaf first, as an X.509-SVID at the time `now`,
/// with the bundle of its own trust domain and no other. Returns its SPIFFE ID.
///
/// Revocation lists are not looked at.
///
/// # Errors
/// [`Error::Untrusted`] names what was expected and what was found.
pub fn verify_x509_svid(
    chain: &[Vec<u8>],
    bundles: &BTreeMap<TrustDomain, X509Bundle>,
    now: SystemTime,
) -> Result<SpiffeId, Error> {
    certificates(chain, bundles, now)
        .map_err(|reason| Error::Untrusted { kind: "X.509-SVID", reason })
}

fn jwt(
    token: &IdToken,
    audience: &Audience,
    bundles: &BTreeMap<TrustDomain, JwtBundle>,
    now: SystemTime,
) -> Result<SpiffeId, String> {
    let (signed, signature) = token.reveal().rsplit_once('.').ok_or("it has no signature")?;
    let key_id = header(signed)?;
    let algorithm = token.algorithm();
    if !ALGORITHMS.contains(&algorithm) {
        let found = host::escape_remote(algorithm);
        return Err(format!("expected one of {}, found {found:?}", ALGORITHMS.join(", ")));
    }
    let claims = token.claims();
    let subject = claims.subject().ok_or("it has no `sub`")?;
    let id = SpiffeId::parse(subject).map_err(|error| error.to_string())?;
    let audiences = claims.audiences();
    if !audiences.contains(&audience.as_str()) {
        let found = host::escape_remote(&audiences.join(", "));
        return Err(format!("expected the audience {audience}, found {found:?}"));
    }
    let end = claims.expires_at().ok_or("it has no `exp`")?;
    if end.checked_add(LEEWAY).is_some_and(|end| end <= now) {
        let ago = now.duration_since(end).unwrap_or_default().as_secs();
        return Err(format!("it expired {ago} s ago"));
    }
    let start = claims.not_before().unwrap_or(now);
    if start.checked_sub(LEEWAY).is_some_and(|start| start > now) {
        let left = start.duration_since(now).unwrap_or_default().as_secs();
        return Err(format!("it is not valid until {left} s from now"));
    }
    let domain = id.trust_domain();
    let bundle =
        bundles.get(&domain).ok_or_else(|| format!("the bundle of {domain} is not known"))?;
    let key = bundle.key(&key_id).ok_or_else(|| {
        let shown = host::escape_remote(&key_id);
        format!("the bundle of {domain} has no key {shown:?}")
    })?;
    let signature =
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is not base64url")?;
    key.verify_jws(algorithm, signed.as_bytes(), &signature)
        .map_err(|error| format!("its signature does not verify: {error}"))?;
    Ok(id)
}

/// The key ID. Whatever else stands in the header may change what the token means, so that nothing
/// else may (JWT-SVID section 2).
fn header(signed: &str) -> Result<String, String> {
    let part = signed.split('.').next().unwrap_or_default();
    let header: Map<String, Value> = URL_SAFE_NO_PAD
        .decode(part)
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or("its header is not a JSON object")?;
    if let Some(name) = header.keys().find(|name| !["alg", "kid", "typ"].contains(&name.as_str())) {
        let name = host::escape_remote(name);
        return Err(format!("its header may contain only `alg`, `kid` and `typ`, found {name:?}"));
    }
    if let Some(kind) = header.get("typ").filter(|kind| *kind != "JWT" && *kind != "JOSE") {
        let kind = host::escape_remote(&kind.to_string());
        return Err(format!("expected the type JWT or JOSE, found {kind}"));
    }
    match header.get("kid").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        Some(id) => Ok(id.to_owned()),
        None => Err("its header names no key: `kid` is missing".to_owned()),
    }
}

fn certificates(
    chain: &[Vec<u8>],
    bundles: &BTreeMap<TrustDomain, X509Bundle>,
    now: SystemTime,
) -> Result<SpiffeId, String> {
    let read = |der: &Vec<u8>| Certificate::from_der(der).map_err(|error| error.to_string());
    let chain: Vec<Certificate> = chain.iter().map(read).collect::<Result<_, _>>()?;
    let (leaf, others) = chain.split_first().ok_or("it contains no certificate")?;
    let id = leaf_id(leaf)?;
    let domain = id.trust_domain();
    let bundle =
        bundles.get(&domain).ok_or_else(|| format!("the bundle of {domain} is not known"))?;
    let mut failure = format!("the bundle of {domain} has no authority");
    for authority in bundle.authorities() {
        let anchors = Anchors::new(vec![authority.clone()]);
        match anchors.verify(leaf, others, now, Usage::Workload) {
            Ok(path) => {
                path.iter().skip(1).try_for_each(|authority| signs_for(authority, &domain))?;
                return Ok(id);
            }
            Err(error) => {
                failure = error.to_string();
                if let Some(cause) = std::error::Error::source(&error) {
                    failure = format!("{failure}: {cause}");
                }
            }
        }
    }
    Err(failure)
}

/// The ID in a leaf that keeps the rules of X509-SVID sections 2 to 4 that a path does not check.
fn leaf_id(leaf: &Certificate) -> Result<SpiffeId, String> {
    let id = id_in(leaf)?;
    let is_critical = leaf.extension(SUBJECT_ALT_NAME).is_some_and(|names| names.critical);
    if id.path().is_empty() {
        return Err(format!("{id} names a trust domain and not a workload"));
    }
    const EMPTY_NAME: &[u8] = &[0x30, 0x00];
    if leaf.subject_der() == EMPTY_NAME && !is_critical {
        return Err("its subject is empty and its alternative name not critical".to_owned());
    }
    let usage = leaf.extension(KEY_USAGE).ok_or("it has no key usage")?;
    if !usage.critical {
        return Err("its key usage is not critical".to_owned());
    }
    // A BIT STRING: tag, length, unused bits, and then the bits of RFC 5280 4.2.1.3.
    const SIGNS_LISTS: u8 = 0x02;
    if usage.value.get(3).is_some_and(|bits| bits & SIGNS_LISTS != 0) {
        return Err("its key usage permits signing revocation lists, which a workload's must not"
            .to_owned());
    }
    Ok(id)
}

/// The ID that a certificate names: its one URI.
pub(crate) fn id_in(leaf: &Certificate) -> Result<SpiffeId, String> {
    let names = leaf.extension(SUBJECT_ALT_NAME).ok_or("it has no subject alternative name")?;
    let uris = der::uris(&names.value).ok_or("its subject alternative name is malformed")?;
    match uris.as_slice() {
        &[uri] => SpiffeId::parse(uri).map_err(|error| error.to_string()),
        uris => Err(format!("expected one URI among its names, found {}", uris.len())),
    }
}

/// An authority need not have an ID; where it has one it is that of the trust domain.
fn signs_for(authority: &Certificate, domain: &TrustDomain) -> Result<(), String> {
    let Some(names) = authority.extension(SUBJECT_ALT_NAME) else { return Ok(()) };
    let uris = der::uris(&names.value).ok_or("an authority's alternative name is malformed")?;
    for uri in uris.into_iter().filter(|uri| uri.starts_with("spiffe://")) {
        let id = SpiffeId::parse(uri).map_err(|error| error.to_string())?;
        if id != domain.id() {
            return Err(format!("expected an authority of {}, found {id}", domain.id()));
        }
    }
    Ok(())
}

const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
