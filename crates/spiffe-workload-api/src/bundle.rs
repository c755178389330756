//! The keys and certificate authorities of trust domains (SPIFFE Trust Domain and Bundle).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use id_token::{SpiffeId, TrustDomain};
use keys::PublicKey;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use x509::Certificate;

use crate::der;
use crate::error::Error;

/// The most keys and certificates read from one bundle.
pub(crate) const MOST_AUTHORITIES: usize = 1024;

/// The largest document read, in bytes.
const DOCUMENT_CAP: usize = 4 << 20;

/// The most values in one document: thirty for each key.
const MOST_VALUES: usize = 32 << 10;

/// The certificate authorities of a trust domain. None means that all have been revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct X509Bundle {
    authorities: Vec<Certificate>,
}

impl X509Bundle {
    /// A bundle of these CA certificates.
    pub fn new(authorities: Vec<Certificate>) -> Self {
        Self { authorities }
    }

    /// Reads CA certificates in DER that follow one another, as the Workload API sends them.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Malformed {
            expected: "a bundle of certificates",
            found: format!("{} bytes", bytes.len()),
            reason,
        };
        let parts = der::certificates(bytes, MOST_AUTHORITIES).ok_or_else(|| {
            malformed(format!(
                "it is not a sequence of {MOST_AUTHORITIES} DER certificates at most"
            ))
        })?;
        let read = |part: &Vec<u8>| {
            Certificate::from_der(part).map_err(|error| malformed(error.to_string()))
        };
        parts.iter().map(read).collect::<Result<_, _>>().map(Self::new)
    }

    /// The CA certificates.
    pub fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }
}

/// The keys that a trust domain signs JWT-SVIDs with, by their key IDs. None means that all have
/// been revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtBundle {
    keys: BTreeMap<String, PublicKey>,
}

impl JwtBundle {
    /// A bundle of these keys.
    pub fn new(keys: BTreeMap<String, PublicKey>) -> Self {
        Self { keys }
    }

    /// Reads a JSON Web Key Set (RFC 7517), as the Workload API sends it. Keys without an ID and
    /// keys of unknown kinds are left out.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_jwks(json: &[u8]) -> Result<Self, Error> {
        let document = document(json, "a JSON Web Key Set")?;
        let keys = entries(&document, "a JSON Web Key Set")?;
        // There `use` may be missing, and `sig` is what OIDC calls it.
        let for_jwt =
            |jwk: &&Value| jwk.get("use").is_none_or(|usage| usage == "sig" || usage == JWT_SVID);
        Ok(Self::new(keys.iter().filter(for_jwt).filter_map(jwt_key).collect()))
    }

    /// The key of that ID.
    pub fn key(&self, id: &str) -> Option<&PublicKey> {
        self.keys.get(id)
    }

    /// All keys by their IDs.
    pub fn keys(&self) -> &BTreeMap<String, PublicKey> {
        &self.keys
    }
}

/// Everything a trust domain publishes of itself.
///
/// ```
/// use spiffe_workload_api::SpiffeBundle;
///
/// let json = br#"{"keys": [], "spiffe_sequence": 7, "spiffe_refresh_hint": 600}"#;
/// let bundle = SpiffeBundle::from_json(json)?;
/// assert_eq!(bundle.sequence(), Some(7));
/// assert!(bundle.jwt().keys().is_empty(), "every key has been revoked");
/// # Ok::<(), spiffe_workload_api::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpiffeBundle {
    x509: X509Bundle,
    jwt: JwtBundle,
    sequence: Option<u64>,
    refresh_hint: Option<Duration>,
}

impl SpiffeBundle {
    /// Reads a bundle document (SPIFFE Trust Domain and Bundle section 4). Entries of unknown use
    /// or kind, and those without what their use demands, are left out, as the standard says.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        Self::from_document(&document(json, EXPECTED)?)
    }

    /// Reads a map of bundles, `{"trust_domains": {"example.org": {..}}}`. The refresh hints in it
    /// mean nothing and are not kept.
    ///
    /// # Errors
    /// [`Error::Malformed`], also where a trust domain is there twice.
    pub fn map_from_json(json: &[u8]) -> Result<BTreeMap<TrustDomain, Self>, Error> {
        #[derive(Deserialize)]
        struct Map {
            trust_domains: Pairs,
        }
        capped(json, EXPECTED)?;
        let map: Map = serde_json::from_slice(json)
            .map_err(|error| malformed(json, "a map of SPIFFE bundles", error.to_string()))?;
        let mut bundles = BTreeMap::new();
        for (name, bundle) in map.trust_domains.0 {
            let domain = TrustDomain::parse(&name)?;
            let bundle = Self { refresh_hint: None, ..Self::from_document(&bundle)? };
            if bundles.insert(domain, bundle).is_some() {
                let reason = format!("the trust domain {name} appears twice");
                return Err(malformed(json, "a map of SPIFFE bundles", reason));
            }
        }
        Ok(bundles)
    }

    /// Its certificate authorities.
    pub fn x509(&self) -> &X509Bundle {
        &self.x509
    }

    /// Its keys for JWT-SVIDs.
    pub fn jwt(&self) -> &JwtBundle {
        &self.jwt
    }

    /// A number that grows with every change.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// How often to look again. Without it, every five minutes.
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    fn from_document(document: &Value) -> Result<Self, Error> {
        let number = |name: &str| match document.get(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| {
                let reason = format!("{name} is not a whole number");
                malformed(document.to_string().as_bytes(), EXPECTED, reason)
            }),
        };
        let (sequence, refresh) = (number("spiffe_sequence")?, number("spiffe_refresh_hint")?);
        let keys = entries(document, EXPECTED)?;
        let used = |usage: &'static str| move |jwk: &&Value| jwk.get("use") == Some(&usage.into());
        Ok(Self {
            x509: X509Bundle::new(
                keys.iter().filter(used(X509_SVID)).filter_map(authority).collect(),
            ),
            jwt: JwtBundle::new(keys.iter().filter(used(JWT_SVID)).filter_map(jwt_key).collect()),
            sequence,
            refresh_hint: refresh.map(Duration::from_secs),
        })
    }
}

/// The members of an object in their order, twice the same name included.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a bundle for each trust domain")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() >= MOST_AUTHORITIES {
                        return Err(A::Error::custom("there are too many trust domains"));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// The trust domain of a map's key: the SPIFFE ID of the domain, without a path.
pub(crate) fn domain_of(key: &str) -> Result<TrustDomain, String> {
    let id = SpiffeId::parse(key).map_err(|error| error.to_string())?;
    if !id.path().is_empty() {
        return Err(format!("expected the SPIFFE ID of a trust domain, found {id}"));
    }
    Ok(id.trust_domain())
}

fn document(json: &[u8], expected: &'static str) -> Result<Value, Error> {
    capped(json, expected)?;
    serde_json::from_slice(json).map_err(|error| malformed(json, expected, error.to_string()))
}

fn capped(json: &[u8], expected: &'static str) -> Result<(), Error> {
    if json.len() > DOCUMENT_CAP {
        let reason = format!("it has {} bytes, the limit is {DOCUMENT_CAP}", json.len());
        return Err(malformed(json, expected, reason));
    }
    // Each value follows one of these; so that nothing large is built of what has no use.
    let values = json.iter().filter(|byte| b",[{".contains(byte)).count();
    if values > MOST_VALUES {
        let reason = format!("it has {values} values, the limit is {MOST_VALUES}");
        return Err(malformed(json, expected, reason));
    }
    Ok(())
}

fn entries<'a>(document: &'a Value, expected: &'static str) -> Result<&'a [Value], Error> {
    let wrong = |reason: String| malformed(document.to_string().as_bytes(), expected, reason);
    let keys = document
        .get("keys")
        .and_then(Value::as_array)
        .ok_or_else(|| wrong("it has no array `keys`".to_owned()))?;
    if keys.len() > MOST_AUTHORITIES {
        let reason = format!("it has {} keys, the limit is {MOST_AUTHORITIES}", keys.len());
        return Err(wrong(reason));
    }
    Ok(keys)
}

/// The first certificate of `x5c`; the others are ignored.
fn authority(jwk: &Value) -> Option<Certificate> {
    let der = STANDARD.decode(jwk.get("x5c")?.get(0)?.as_str()?).ok()?;
    Certificate::from_der(&der).ok()
}

fn jwt_key(jwk: &Value) -> Option<(String, PublicKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let id = text("kid").filter(|id| !id.is_empty())?;
    // A JWT-SVID is signed with no other kind.
    let kind = text("kty").filter(|kind| ["EC", "RSA"].contains(kind));
    kind.and_then(|_| Some((id.to_owned(), PublicKey::from_jwk(jwk).ok()?)))
}

fn malformed(found: &[u8], expected: &'static str, reason: String) -> Error {
    // More than is ever shown.
    let start = found.get(..400).unwrap_or(found);
    let found = host::escape_remote(&String::from_utf8_lossy(start));
    Error::Malformed { expected, found, reason }
}

const EXPECTED: &str = "a SPIFFE bundle";
const JWT_SVID: &str = "jwt-svid";
const X509_SVID: &str = "x509-svid";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The key of the standard's own example in RFC 7517 appendix A.1.
    fn ec(usage: Value, id: Value) -> Value {
        let mut jwk = json!({
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        });
        jwk["use"] = usage;
        jwk["kid"] = id;
        jwk
    }

    fn reason(result: Result<impl fmt::Debug, Error>) -> String {
        match result {
            Err(Error::Malformed { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_without_what_their_use_demands_are_left_out() {
        let bundle = json!({ "keys": [
            ec(json!("jwt-svid"), json!("a")),
            ec(json!("jwt-svid"), Value::Null),
            ec(json!("JWT-SVID"), json!("b")),
            ec(json!("wit-svid"), json!("c")),
            ec(Value::Null, json!("d")),
            ec(json!("x509-svid"), json!("e")),
            { "kty": "oct", "use": "jwt-svid", "kid": "f", "k": "AAAA" },
            { "use": "jwt-svid", "kid": "g" },
            7,
        ] });
        let bundle = SpiffeBundle::from_json(bundle.to_string().as_bytes()).unwrap();
        assert_eq!(bundle.jwt().keys().keys().collect::<Vec<_>>(), ["a"]);
        assert!(bundle.x509().authorities().is_empty());
        assert_eq!((bundle.sequence(), bundle.refresh_hint()), (None, None));
    }

    #[test]
    fn a_plain_key_set_needs_no_use() {
        let mut plain = ec(Value::Null, json!("plain"));
        plain.as_object_mut().unwrap().remove("use");
        let set =
            json!({ "keys": [plain, ec(json!("sig"), json!("s")), ec(json!("enc"), json!("e"))] });
        let bundle = JwtBundle::from_jwks(set.to_string().as_bytes()).unwrap();
        assert_eq!(bundle.keys().keys().collect::<Vec<_>>(), ["plain", "s"]);
        assert!(bundle.key("e").is_none());
    }

    #[test]
    fn what_is_not_a_bundle_is_refused_with_the_reason() {
        assert!(reason(SpiffeBundle::from_json(b"{}")).contains("no array `keys`"));
        assert!(reason(SpiffeBundle::from_json(b"[]")).contains("no array `keys`"));
        assert!(reason(SpiffeBundle::from_json(b"{")).contains("EOF"));
        let negative = br#"{"keys": [], "spiffe_sequence": -1}"#;
        assert!(reason(SpiffeBundle::from_json(negative)).contains("spiffe_sequence"));
        assert!(reason(X509Bundle::from_der(b"0")).contains("DER"));
        assert!(X509Bundle::from_der(b"").unwrap().authorities().is_empty());
    }

    #[test]
    fn a_map_of_bundles_names_each_trust_domain_once() {
        let map = br#"{"trust_domains": {"a.org": {"keys": [], "spiffe_refresh_hint": 1},
                                         "b.org": {"keys": []}}}"#;
        let bundles = SpiffeBundle::map_from_json(map).unwrap();
        assert_eq!(bundles.len(), 2);
        assert!(bundles.values().all(|bundle| bundle.refresh_hint().is_none()));
        let twice = br#"{"trust_domains": {"a.org": {"keys": []}, "A.org": {"keys": []}}}"#;
        assert!(reason(SpiffeBundle::map_from_json(twice)).contains("twice"));
        let same = br#"{"trust_domains": {"a.org": {"keys": []}, "a.org": {"keys": []}}}"#;
        assert!(reason(SpiffeBundle::map_from_json(same)).contains("twice"));
    }

    #[test]
    fn the_key_of_a_bundle_map_is_the_id_of_a_trust_domain() {
        assert_eq!(domain_of("spiffe://example.org").unwrap().as_str(), "example.org");
        assert!(domain_of("spiffe://example.org/a").is_err());
        assert!(domain_of("example.org").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = SpiffeBundle::from_json(text.as_bytes());
            let _ = SpiffeBundle::map_from_json(text.as_bytes());
            let _ = JwtBundle::from_jwks(text.as_bytes());
        }

        #[test]
        fn no_key_makes_it_panic(kty in "(EC|RSA|OKP)", crv in "(P-256|P-384|P-521)",
                                 a in "[A-Za-z0-9_-]{0,90}", b in "[A-Za-z0-9_-]{0,90}") {
            let jwk = json!({ "kty": kty, "kid": "k", "use": "jwt-svid", "crv": crv,
                              "x": a, "y": b, "n": a, "e": b });
            let set = json!({ "keys": [jwk] }).to_string();
            prop_assert!(SpiffeBundle::from_json(set.as_bytes()).is_ok());
        }
    }
}
