//! What Fulcio would say about a token, said before it is sent, and with the reason.
//!
//! Real Fulcio is the measure: what it takes is never refused here, however odd; then there is a
//! [`Warning`]. The token's signature is not looked at. It is Fulcio's to check.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use id_token::{Audience, Claims, IdToken};
use serde_json::Value;

use crate::claims::{
    BUILDKITE_CLAIMS, CODEFRESH_CLAIMS, GITHUB_CLAIMS, GITLAB_CLAIMS, shown, whole,
};
use crate::predict::{Profile, is_verified, scheme_and_host};
use crate::{CiProvider, Configuration, Issuer, IssuerType};

/// Checks `token` as Fulcio will at `now`.
///
/// `audience` is what the token was asked for. Where the `configuration` is known and lists the
/// issuer, the audience that it names counts instead.
///
/// # Errors
/// Fulcio will refuse the token, and why.
pub fn check(
    token: &IdToken,
    audience: &Audience,
    configuration: Option<&Configuration>,
    now: SystemTime,
) -> Result<Vec<Warning>, Refusal> {
    if !ALGORITHMS.contains(&token.algorithm()) {
        return Err(Refusal::Algorithm { found: host::escape_remote(token.algorithm()) });
    }
    let claims = token.claims();
    let iss = required(claims, "iss", "the issuer's URL")?;
    let issuer = match configuration {
        None => None,
        Some(configuration) => Some(accepted(configuration, iss)?),
    };
    let audience = issuer
        .map(|issuer| issuer.audience.as_str())
        .filter(|text| !text.is_empty())
        .unwrap_or(audience.as_str());
    let mut warnings = Vec::new();
    // Both at once: correcting one must not lead to the next error.
    match (check_audience(claims, audience), check_times(claims, now, &mut warnings)) {
        (Ok(()), Ok(())) => {}
        (Err(one), Ok(())) | (Ok(()), Err(one)) => return Err(one),
        (Err(one), Err(other)) => return Err(Refusal::Several(Box::new([one, other]))),
    }
    if let Some(sub) = claims.get("sub").filter(|sub| !sub.is_string() && !sub.is_null()) {
        return Err(Refusal::claim("sub", "a text", Some(sub)));
    }
    if claims.subject().unwrap_or_default().is_empty() {
        warnings.push(Warning::NoSubject);
    }
    if let Some(issuer) = issuer {
        check_identity(claims, issuer, &mut warnings)?;
    }
    Ok(warnings)
}

/// Why Fulcio will refuse a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is signed in a way that Fulcio takes from no issuer.
    #[error("the token is signed with {found}: expected one of {}", ALGORITHMS.join(", "))]
    Algorithm {
        /// The header's `alg`, escaped.
        found: String,
    },
    /// It is for another audience.
    #[error("the token is for another audience: expected {expected}, found {}", list(found))]
    Audience {
        /// What Fulcio wants.
        expected: String,
        /// What the token has, escaped.
        found: Vec<String>,
    },
    /// A claim is missing, or has not the value that a certificate can be made from.
    #[error("the token's claim {claim}: expected {expected}, found {found}")]
    Claim {
        /// Its name.
        claim: String,
        /// What Fulcio wants, and what for.
        expected: String,
        /// What the token has, escaped; `none` if it is absent.
        found: String,
    },
    /// It has expired. Fulcio allows not a second of grace.
    #[error("the token expired {} ago", seconds(*ago))]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// Fulcio does not know its issuer.
    #[error(
        "this certificate authority does not accept the issuer {issuer}{}",
        but(nearest, accepted)
    )]
    Issuer {
        /// The token's issuer, escaped.
        issuer: String,
        /// One that it accepts and that differs by a slash or by capitals only.
        nearest: Option<String>,
        /// A few of those that it accepts, the most alike first, escaped.
        accepted: Box<[String]>,
    },
    /// It becomes valid in more than the five minutes that Fulcio overlooks.
    #[error("the token is not valid before {} from now", seconds(*wait))]
    NotYetValid {
        /// In how long.
        wait: Duration,
    },
    /// More than one of these.
    #[error("{}", all(_0))]
    Several(Box<[Self]>),
}

/// What Fulcio takes all the same, and a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A claim that Fulcio may stumble over.
    Doubtful {
        /// Its name.
        claim: String,
        /// Why.
        reason: String,
    },
    /// It was issued in the future: one of two clocks is wrong.
    IssuedInFuture {
        /// By how much.
        ahead: Duration,
    },
    /// A Kubernetes token that does not name its service account. The certificate will have no
    /// identity.
    NoServiceAccount,
    /// There is no `sub`.
    NoSubject,
    /// It is not valid yet, by less than Fulcio overlooks.
    NotYetValid {
        /// In how long.
        wait: Duration,
    },
    /// It expires in so short a time that it may be too late on arrival.
    ShortLived {
        /// How long it lives.
        left: Duration,
    },
    /// The issuer is of a type that is newer than this crate, so nothing more was checked.
    UnknownType {
        /// The type.
        issuer_type: String,
    },
}

impl Refusal {
    fn claim(claim: &str, expected: impl Into<String>, found: Option<&Value>) -> Self {
        Self::Claim { claim: claim.to_owned(), expected: expected.into(), found: shown(found) }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubtful { claim, reason } => write!(f, "the token's claim {claim}: {reason}"),
            Self::IssuedInFuture { ahead } => {
                write!(
                    f,
                    "the token was issued {} in the future: is a clock wrong?",
                    seconds(*ahead)
                )
            }
            Self::NoServiceAccount => f.write_str(
                "the token names no Kubernetes service account: the certificate will be for an \
                 empty one",
            ),
            Self::NoSubject => f.write_str("the token has no subject"),
            Self::NotYetValid { wait } => {
                write!(f, "the token is not valid before {} from now", seconds(*wait))
            }
            Self::ShortLived { left } => write!(f, "the token expires in {}", seconds(*left)),
            Self::UnknownType { issuer_type } => {
                write!(
                    f,
                    "the issuer is of the unknown type {issuer_type}: its claims were not checked"
                )
            }
        }
    }
}

/// What go-oidc verifies, whatever an issuer's discovery document lists beside.
const ALGORITHMS: [&str; 10] =
    ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"];

/// How far in the future `nbf` may be.
const LEEWAY: i64 = 5 * 60;

/// How many issuers are named instead of one that is not accepted.
const SHOWN_ISSUERS: usize = 3;

/// Less life than this is too little for comfort.
const COMFORT: u64 = 30;

fn required<'a>(claims: &'a Claims, name: &str, expected: &str) -> Result<&'a str, Refusal> {
    claims
        .text(name)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::claim(name, expected, claims.get(name)))
}

fn accepted<'a>(configuration: &'a Configuration, iss: &str) -> Result<&'a Issuer, Refusal> {
    configuration.issuer_for(iss).ok_or_else(|| {
        let plain = |url: &str| url.trim_end_matches('/').to_ascii_lowercase();
        let alike = |known: &&Issuer| plain(known.url.as_str()) == plain(iss);
        let nearest = configuration.issuers().iter().find(alike);
        Refusal::Issuer {
            issuer: host::escape_remote(iss),
            nearest: nearest.map(|issuer| host::escape_remote(issuer.url.as_str())),
            accepted: most_alike(configuration, iss),
        }
    })
}

/// The issuers that have most of their beginning and their end in common with `iss`.
fn most_alike(configuration: &Configuration, iss: &str) -> Box<[String]> {
    let common = |url: &str| {
        let count = |pairs: &mut dyn Iterator<Item = (char, char)>| {
            pairs.take_while(|(one, other)| one == other).count()
        };
        let start = count(&mut url.chars().zip(iss.chars()));
        start + count(&mut url.chars().rev().zip(iss.chars().rev()))
    };
    let mut urls: Vec<&str> =
        configuration.issuers().iter().map(|issuer| issuer.url.as_str()).collect();
    urls.sort_by_key(|url| (std::cmp::Reverse(common(url)), *url));
    urls.into_iter().take(SHOWN_ISSUERS).map(host::escape_remote).collect()
}

fn check_audience(claims: &Claims, expected: &str) -> Result<(), Refusal> {
    let is_list_of_texts = match claims.get("aud") {
        Some(Value::Array(items)) => items.iter().all(Value::is_string),
        _ => true,
    };
    let found = claims.audiences();
    if is_list_of_texts && found.contains(&expected) {
        return Ok(());
    }
    Err(Refusal::Audience {
        expected: expected.to_owned(),
        found: found.into_iter().map(host::escape_remote).collect(),
    })
}

fn check_times(
    claims: &Claims,
    now: SystemTime,
    warnings: &mut Vec<Warning>,
) -> Result<(), Refusal> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = (i64::try_from(now.as_secs()).unwrap_or(i64::MAX), now.subsec_nanos());
    let between = |from: i64, to: i64| Duration::from_secs(to.abs_diff(from));
    let time = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let time = whole(value).ok_or_else(|| Refusal::claim(name, "a time", Some(value)))?;
            Ok(Some(time))
        }
    };
    let exp = time("exp")?.ok_or_else(|| Refusal::claim("exp", "a time", claims.get("exp")))?;
    if (exp, 0) < now {
        return Err(Refusal::Expired { ago: between(exp, now.0) });
    }
    if between(now.0, exp).as_secs() < COMFORT {
        warnings.push(Warning::ShortLived { left: between(now.0, exp) });
    }
    match time("nbf")? {
        Some(nbf) if (nbf, 0) > (now.0.saturating_add(LEEWAY), now.1) => {
            return Err(Refusal::NotYetValid { wait: between(now.0, nbf) });
        }
        Some(nbf) if (nbf, 0) > now => {
            warnings.push(Warning::NotYetValid { wait: between(now.0, nbf) });
        }
        _ => {}
    }
    if let Some(iat) = claims.get("iat").and_then(whole).filter(|iat| (*iat, 0) > now) {
        warnings.push(Warning::IssuedInFuture { ahead: between(now.0, iat) });
    }
    Ok(())
}

/// What an identity of the issuer's type is made from.
fn check_identity(
    claims: &Claims,
    issuer: &Issuer,
    warnings: &mut Vec<Warning>,
) -> Result<(), Refusal> {
    match &issuer.issuer_type {
        IssuerType::Email => check_email(claims, issuer, warnings),
        IssuerType::Spiffe => check_spiffe(claims, issuer),
        IssuerType::Uri => check_uri(claims, issuer),
        IssuerType::Username => check_username(claims, warnings),
        IssuerType::Kubernetes => check_kubernetes(claims, warnings),
        IssuerType::ChainguardIdentity => {
            required(claims, "sub", "the identity that is to be certified").map(|_| ())
        }
        IssuerType::GithubWorkflow => check_claims(claims, CiProvider::GitHub, &GITHUB_CLAIMS),
        IssuerType::GitlabPipeline => check_claims(claims, CiProvider::GitLab, &GITLAB_CLAIMS),
        IssuerType::BuildkiteJob => check_claims(claims, CiProvider::Buildkite, &BUILDKITE_CLAIMS),
        IssuerType::CodefreshWorkflow => {
            check_claims(claims, CiProvider::Codefresh, &CODEFRESH_CLAIMS)
        }
        IssuerType::CiProvider => check_template(claims, issuer, warnings),
        IssuerType::Other(name) => {
            warnings.push(Warning::UnknownType { issuer_type: name.clone() });
            Ok(())
        }
    }
}

fn check_email(
    claims: &Claims,
    issuer: &Issuer,
    warnings: &mut Vec<Warning>,
) -> Result<(), Refusal> {
    let email = required(claims, "email", "the e-mail address that is to be certified")?;
    if !is_verified(claims) && !issuer.skip_email_verification {
        let found = claims.get("email_verified");
        return Err(Refusal::claim("email_verified", "true", found));
    }
    let malformed = || Refusal::claim("email", "an e-mail address", claims.get("email"));
    let (name, domain) = email.rsplit_once('@').ok_or_else(malformed)?;
    let is_quoted = name.starts_with('"') && name.ends_with('"');
    let has_space = |text: &str| text.chars().any(|c| c.is_whitespace() || c.is_control());
    if name.is_empty() || domain.is_empty() || has_space(domain) || has_space(name) && !is_quoted {
        return Err(malformed());
    }
    if !domain.contains('.') {
        warnings.push(Warning::Doubtful {
            claim: "email".into(),
            reason: "its domain has no dot, which a certificate authority may refuse".into(),
        });
    }
    Ok(())
}

fn check_spiffe(claims: &Claims, issuer: &Issuer) -> Result<(), Refusal> {
    let id = required(claims, "sub", "the SPIFFE ID that is to be certified")?;
    let trust_domain = spiffe_trust_domain(id)
        .ok_or_else(|| Refusal::claim("sub", "a SPIFFE ID", claims.get("sub")))?;
    match issuer.spiffe_trust_domain.as_deref() {
        Some(expected) if expected != trust_domain => {
            let expected = format!("a SPIFFE ID of the trust domain {expected}");
            Err(Refusal::claim("sub", expected, claims.get("sub")))
        }
        _ => Ok(()),
    }
}

/// The trust domain of a well-formed SPIFFE ID.
fn spiffe_trust_domain(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("spiffe://")?;
    let (domain, path) = rest.split_once('/').map_or((rest, None), |(d, p)| (d, Some(p)));
    let in_domain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    let in_path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let is_segment = |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(in_path);
    let is_domain = !domain.is_empty() && domain.bytes().all(in_domain);
    let is_path = path.is_none_or(|path| path.split('/').all(is_segment));
    (is_domain && is_path).then_some(domain)
}

fn check_uri(claims: &Claims, issuer: &Issuer) -> Result<(), Refusal> {
    let sub = required(claims, "sub", "the URI that is to be certified")?;
    let Some(domain) = issuer.subject_domain.as_deref() else { return Ok(()) };
    if scheme_and_host(sub) == scheme_and_host(domain) {
        return Ok(());
    }
    Err(Refusal::claim("sub", format!("a URI under {domain}"), claims.get("sub")))
}

fn check_username(claims: &Claims, warnings: &mut Vec<Warning>) -> Result<(), Refusal> {
    let sub = claims.subject().unwrap_or_default();
    if sub.contains('!') {
        let expected = "a user name without an exclamation mark";
        return Err(Refusal::claim("sub", expected, claims.get("sub")));
    }
    if sub.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && domain.contains('.')) {
        warnings.push(Warning::Doubtful {
            claim: "sub".into(),
            reason: "a user name that is an e-mail address, which a certificate authority may \
                     refuse"
                .into(),
        });
    }
    Ok(())
}

/// A token without the claim is accepted, and its certificate has no identity. A claim of another
/// shape is refused.
fn check_kubernetes(claims: &Claims, warnings: &mut Vec<Warning>) -> Result<(), Refusal> {
    let claim = claims.get("kubernetes.io");
    let is_text = |value: Option<&Value>| value.is_none_or(|v| v.is_string() || v.is_null());
    let is_object = |value: Option<&Value>| value.is_none_or(|v| v.is_object() || v.is_null());
    let namespace = claim.and_then(|claim| claim.get("namespace"));
    let account = claim.and_then(|claim| claim.get("serviceaccount"));
    let name = account.and_then(|account| account.get("name"));
    if !is_object(claim) || !is_text(namespace) || !is_object(account) || !is_text(name) {
        let expected = "an object with a namespace and a service account";
        return Err(Refusal::claim("kubernetes.io", expected, claim));
    }
    let is_empty =
        |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().is_empty();
    if is_empty(namespace) || is_empty(name) {
        warnings.push(Warning::NoServiceAccount);
    }
    Ok(())
}

/// The types from before there were templates want every claim, and none of them empty.
fn check_claims(claims: &Claims, provider: CiProvider, names: &[&str]) -> Result<(), Refusal> {
    for name in names {
        let value = crate::claims::text(claims, name).unwrap_or_default();
        if value.is_empty() {
            return Err(Refusal::claim(name, needed_by(provider), claims.get(name)));
        }
    }
    Ok(())
}

/// A template fails over a claim that is missing, and takes an empty one.
fn check_template(
    claims: &Claims,
    issuer: &Issuer,
    warnings: &mut Vec<Warning>,
) -> Result<(), Refusal> {
    let Some(provider) = Profile::of(issuer, claims).ci_provider else {
        warnings.push(Warning::UnknownType {
            issuer_type: format!("{} of a platform that is not known here", issuer.issuer_type),
        });
        return Ok(());
    };
    match provider.render(None, claims) {
        Ok(_) => Ok(()),
        Err(name) => Err(Refusal::claim(&name, needed_by(provider), claims.get(&name))),
    }
}

fn needed_by(provider: CiProvider) -> String {
    format!("a text, which certificates of {} are made from", provider.as_str())
}

fn all(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn list(found: &[String]) -> String {
    if found.is_empty() { "none".into() } else { found.join(", ") }
}

fn but(nearest: &Option<String>, accepted: &[String]) -> String {
    match (nearest, accepted) {
        (Some(nearest), _) => format!(", but {nearest}"),
        (None, []) => ": it accepts none".to_owned(),
        (None, accepted) => {
            format!(": of those it accepts the most alike are {}", accepted.join(", "))
        }
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".into(),
        n @ ..=119 => format!("{n} seconds"),
        n @ 120..=7199 => format!("{} minutes", n / 60),
        n @ 7200..=172_799 => format!("{} hours", n / 3600),
        n => format!("{} days", n / 86_400),
    }
}
