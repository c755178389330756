//! The issuers that Fulcio believes, and what it makes of their tokens.

use serde_json::{Map, Value, json};
use url::Url;

use super::template::CiProvider;
use crate::ca::{Identity, San};

/// An issuer whose tokens Fulcio takes.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    url: String,
    kind: IssuerKind,
    audience: String,
}

/// What kind of identity an issuer's tokens hold: Fulcio's issuer types.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerKind {
    /// A CI service, by Fulcio's templates.
    Ci(CiProvider),
    /// Chainguard's identities.
    Chainguard,
    /// A CI service, by the issuer type that Fulcio had for it before templates. CircleCI and
    /// Buddy never had one.
    CiOldType(CiProvider),
    /// Verified e-mail addresses.
    Email {
        /// The claim to certify as issuer instead of `iss`, such as
        /// `$.federated_claims.connector_id` for Dex.
        issuer_claim: Option<String>,
    },
    /// Kubernetes service accounts.
    Kubernetes,
    /// SPIFFE IDs of one trust domain.
    Spiffe {
        /// Which one.
        trust_domain: String,
    },
    /// URIs below one scheme and host.
    Uri {
        /// Such as `https://users.example.com`.
        subject_domain: String,
    },
    /// User names, certified as `name!domain`.
    Username {
        /// A bare host name.
        subject_domain: String,
    },
}

/// The holder of a token that passed the checks.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    /// The text whose signature proves possession of a key.
    pub(super) proof_text: String,
    /// What to certify, or why a CI template has nothing to say.
    pub(super) identity: Result<Identity, String>,
}

impl TrustedIssuer {
    /// The issuer `url`, whose `*` stand for letters, digits, `_` and `-`. Tokens must be for the
    /// audience `sigstore`.
    pub fn new(url: impl Into<String>, kind: IssuerKind) -> Self {
        Self { url: url.into(), kind, audience: "sigstore".to_owned() }
    }

    /// The same issuer, whose tokens must be for `audience`.
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: audience.into(), ..self }
    }

    /// Its URL, or the pattern of its URLs.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What its tokens hold.
    pub fn kind(&self) -> &IssuerKind {
        &self.kind
    }

    pub(super) fn audience(&self) -> &str {
        &self.audience
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.url.contains('*')
    }

    /// Whether it is the issuer of a token whose `iss` is exactly `iss`.
    pub(super) fn matches(&self, iss: &str) -> bool {
        if self.is_wildcard() { matches_pattern(&self.url, iss) } else { self.url == iss }
    }

    /// The issuer as `GET /api/v2/configuration` tells it.
    pub(super) fn to_json(&self) -> Value {
        let (kind, challenge, trust_domain, subject_domain) = match &self.kind {
            IssuerKind::Ci(_) => ("ci-provider", "sub", "", ""),
            IssuerKind::Chainguard => ("chainguard-identity", "sub", "", ""),
            IssuerKind::CiOldType(provider) => (provider.template(), "sub", "", ""),
            IssuerKind::Email { .. } => ("email", "email", "", ""),
            IssuerKind::Kubernetes => ("kubernetes", "sub", "", ""),
            IssuerKind::Spiffe { trust_domain } => ("spiffe", "sub", trust_domain.as_str(), ""),
            IssuerKind::Uri { subject_domain } => ("uri", "sub", "", subject_domain.as_str()),
            IssuerKind::Username { subject_domain } => {
                ("username", "sub", "", subject_domain.as_str())
            }
        };
        let url = if self.is_wildcard() { "wildcardIssuerUrl" } else { "issuerUrl" };
        json!({
            url: self.url,
            "audience": self.audience,
            "challengeClaim": challenge,
            "spiffeTrustDomain": trust_domain,
            "issuerType": kind,
            "subjectDomain": subject_domain,
            "skipEmailVerification": false,
        })
    }

    /// Who holds a token with these claims, which has passed every check of its signature, its
    /// audience and its times. `None` is Fulcio's "error processing the identity token".
    pub(super) fn principal(&self, claims: &Map<String, Value>) -> Option<Principal> {
        let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let (iss, sub) = (claim("iss"), claim("sub"));
        let mut issuer = iss.to_owned();
        let mut proof_text = sub.to_owned();
        let only = |san| Ok(Identity { san, extensions: Vec::new() });
        let identity = match &self.kind {
            IssuerKind::Ci(provider) => provider.render(claims, iss),
            IssuerKind::Chainguard => {
                if sub.is_empty() {
                    return None;
                }
                if claims.contains_key("email") {
                    proof_text = verified_email(claims)?;
                }
                only(San::Uri(format!("{iss}/{sub}")))
            }
            IssuerKind::CiOldType(provider) => Ok(provider.render_as_old_type(claims)?),
            IssuerKind::Email { issuer_claim } => {
                proof_text = verified_email(claims)?;
                if let Some(path) = issuer_claim {
                    issuer = at_path(claims, path)?.to_owned();
                }
                only(San::Email(proof_text.clone()))
            }
            IssuerKind::Kubernetes => {
                // Without the claim Fulcio certifies empty names, and so do we.
                let names = claims.get("kubernetes.io");
                let name = |pointer| {
                    names
                        .and_then(|names| names.pointer(pointer))
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                };
                only(San::Uri(format!(
                    "https://kubernetes.io/namespaces/{}/serviceaccounts/{}",
                    name("/namespace"),
                    name("/serviceaccount/name")
                )))
            }
            IssuerKind::Spiffe { trust_domain } => {
                if spiffe_trust_domain(sub)? != trust_domain {
                    return None;
                }
                only(San::Uri(sub.to_owned()))
            }
            IssuerKind::Uri { subject_domain } => {
                let (wanted, found) = (Url::parse(subject_domain).ok()?, Url::parse(sub).ok()?);
                if (wanted.scheme(), wanted.host()) != (found.scheme(), found.host()) {
                    return None;
                }
                only(San::Uri(sub.to_owned()))
            }
            IssuerKind::Username { subject_domain } => {
                if sub.is_empty() || sub.contains('!') || is_email(sub) {
                    return None;
                }
                only(San::UserName(format!("{sub}!{subject_domain}")))
            }
        };
        let identity = identity.map(|mut identity| {
            let issuers = [(1, issuer.clone()), (8, issuer), (24, sub.to_owned())];
            identity.extensions.extend(issuers);
            identity.extensions.sort_by_key(|(arc, _)| *arc);
            identity
        });
        Some(Principal { proof_text, identity })
    }
}

/// `*` stands for one or more of `[-_a-zA-Z0-9]`; all else for itself, from end to end.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(literal) else { return false };
    let wild = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let longest = text.bytes().take_while(wild).count();
    (1..=longest).any(|length| matches_pattern(rest, &text[length..]))
}

fn verified_email(claims: &Map<String, Value>) -> Option<String> {
    let email = claims.get("email")?.as_str()?;
    let verified = match claims.get("email_verified")? {
        Value::Bool(verified) => *verified,
        Value::String(text) => text == "true" || text == "True",
        _ => false,
    };
    (verified && is_email(email)).then(|| email.to_owned())
}

/// A mailbox at a domain of at least two labels.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    !local.is_empty()
        && !local.chars().any(|c| c.is_whitespace() || c.is_control() || "@<>,;:\"()".contains(c))
        && domain.contains('.')
        && domain.split('.').all(label)
}

/// The text at a path like `$.a.b`.
fn at_path<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a str> {
    let mut names = path.strip_prefix("$.")?.split('.');
    let mut value = claims.get(names.next()?)?;
    for name in names {
        value = value.get(name)?;
    }
    value.as_str()
}

/// The trust domain of a SPIFFE ID, if it is one (SPIFFE-ID 2).
fn spiffe_trust_domain(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("spiffe://")?;
    let (domain, path) = rest.split_once('/').map_or((rest, None), |(d, p)| (d, Some(p)));
    let domain_character =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let path_character = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(path_character);
    let valid = id.len() <= 2048
        && !domain.is_empty()
        && domain.len() <= 255
        && domain.chars().all(domain_character)
        && path.is_none_or(|path| path.split('/').all(segment));
    valid.then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_a_label_and_never_for_a_slash_or_a_dot() {
        let pattern = "https://oidc.eks.*.amazonaws.com/id/*";
        assert!(matches_pattern(pattern, "https://oidc.eks.eu-west-1.amazonaws.com/id/A1_b"));
        for other in [
            "https://oidc.eks..amazonaws.com/id/A",
            "https://oidc.eks.a.b.amazonaws.com/id/A",
            "https://oidc.eks.eu.amazonaws.com/id/",
            "https://oidc.eks.eu.amazonaws.com/id/A/",
            "x https://oidc.eks.eu.amazonaws.com/id/A",
        ] {
            assert!(!matches_pattern(pattern, other), "{other}");
        }
    }

    #[test]
    fn addresses_are_told_from_other_texts() {
        for email in ["ci@proj.iam.gserviceaccount.com", "a+b@example.com", "l@ex-ample.com"] {
            assert!(is_email(email), "{email}");
        }
        for other in ["", "not an address", "a@b", "@example.com", "a b@example.com", "a@.com"] {
            assert!(!is_email(other), "{other}");
        }
    }

    #[test]
    fn only_well_formed_spiffe_ids_have_a_trust_domain() {
        assert_eq!(spiffe_trust_domain("spiffe://example.org/ns/ci"), Some("example.org"));
        assert_eq!(spiffe_trust_domain("spiffe://example.org"), Some("example.org"));
        for other in [
            "https://example.org/a",
            "spiffe://",
            "spiffe:///a",
            "spiffe://Example.org/a",
            "spiffe://example.org/",
            "spiffe://example.org/a//b",
            "spiffe://example.org/../b",
            "spiffe://example.org:80/a",
            "spiffe://example.org/a?b",
        ] {
            assert_eq!(spiffe_trust_domain(other), None, "{other}");
        }
    }

    #[test]
    fn the_issuer_of_another_trust_domain_certifies_no_identity() {
        let kind = IssuerKind::Spiffe { trust_domain: "example.org".to_owned() };
        let issuer = TrustedIssuer::new("https://spire", kind);
        let claims = |sub: &str| match json!({"iss": "https://spire", "sub": sub}) {
            Value::Object(claims) => claims,
            _ => Map::new(),
        };
        assert!(issuer.principal(&claims("spiffe://example.org/a")).is_some());
        assert!(issuer.principal(&claims("spiffe://example.com/a")).is_none());
    }
}
