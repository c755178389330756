//! The certificate that a token will become: whose name will stand in it, and every extension.
//!
//! It predicts what is, not what should be: a run of CircleCI has two slashes in its address
//! because Fulcio writes two.

use id_token::Claims;
use serde_json::Value;
use x509::{SubjectName, oid};

use crate::claims::text;
use crate::provider::Rendered;
use crate::{CiProvider, Issuer, IssuerType};

/// How a Fulcio makes a certificate from an issuer's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// How the identity is made.
    pub issuer_type: IssuerType,
    /// Which template, where it is made by one.
    pub ci_provider: Option<CiProvider>,
    /// Where the platform is, as the template says it: `https://github.acme.example`. Without it,
    /// in its public place.
    pub ci_url: Option<String>,
    /// The JSONPath of the claim that stands for the issuer, of an e-mail issuer that passes on
    /// other issuers' identities. Only member names are understood (`$.a.b`).
    pub issuer_claim: Option<String>,
    /// The domain of user names.
    pub subject_domain: Option<String>,
}

/// What a certificate will say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prediction {
    /// Whose it is.
    pub subject: SubjectName,
    /// On whose word: the value of the two issuer extensions.
    pub issuer: String,
    /// The text whose signature proves possession of a key that comes without a certificate
    /// request.
    pub proof: String,
    /// The extensions of Fulcio's arc in the certificate's order: object identifier and value.
    pub extensions: Vec<(&'static str, String)>,
}

impl Profile {
    /// A profile of that type, with nothing else said of it.
    pub fn new(issuer_type: IssuerType) -> Self {
        Self {
            issuer_type,
            ci_provider: None,
            ci_url: None,
            issuer_claim: None,
            subject_domain: None,
        }
    }

    /// The profile of a configured issuer. Where neither the configuration nor
    /// [`Profiles`](crate::Profiles) tells the template, its URL or the issuer claim, they are
    /// guessed from the claims.
    pub fn of(issuer: &Issuer, claims: &Claims) -> Self {
        let mut profile = Self::new(issuer.issuer_type.clone());
        profile.subject_domain.clone_from(&issuer.subject_domain);
        match issuer.issuer_type {
            IssuerType::CiProvider => {
                profile.ci_provider = issuer.ci_provider.or_else(|| CiProvider::guess(claims));
                let guess = || profile.ci_provider?.guess_url(claims);
                profile.ci_url = issuer.ci_url.clone().or_else(guess);
            }
            IssuerType::Email if issuer.issuer_claim.is_some() => {
                profile.issuer_claim.clone_from(&issuer.issuer_claim);
            }
            IssuerType::Email if member(claims, DEX).is_some() => {
                profile.issuer_claim = Some(DEX.to_owned());
            }
            _ => {}
        }
        profile
    }

    /// The certificate that Fulcio will make of `claims`, or `None` where it will make none or it
    /// cannot be told.
    pub fn predict(&self, claims: &Claims) -> Option<Prediction> {
        let sub = claims.subject().unwrap_or_default();
        let mut issuer = claims.issuer()?.to_owned();
        let mut between = Vec::new();
        let subject = match &self.issuer_type {
            IssuerType::Email => {
                if let Some(path) = &self.issuer_claim {
                    issuer = member(claims, path)?.to_owned();
                }
                SubjectName::Email(claims.email()?.to_owned())
            }
            IssuerType::Spiffe | IssuerType::Uri => SubjectName::Uri(set(sub)?),
            IssuerType::Username => {
                let domain = self.subject_domain.as_deref()?;
                SubjectName::OtherName(format!("{sub}!{domain}"))
            }
            IssuerType::Kubernetes => {
                let claim = claims.get("kubernetes.io");
                let text = |value: Option<&Value>| {
                    value.and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let namespace = text(claim.and_then(|claim| claim.get("namespace")));
                let account = claim.and_then(|claim| claim.get("serviceaccount"));
                let account = text(account.and_then(|account| account.get("name")));
                SubjectName::Uri(format!(
                    "https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{account}"
                ))
            }
            IssuerType::ChainguardIdentity => SubjectName::Uri(format!("{issuer}/{}", set(sub)?)),
            IssuerType::CiProvider => {
                let Rendered { subject, extensions } =
                    self.ci_provider?.render(self.ci_url.as_deref(), claims).ok()?;
                between = extensions;
                SubjectName::Uri(subject)
            }
            IssuerType::GithubWorkflow => {
                let Rendered { subject, extensions } =
                    CiProvider::GitHub.render(None, claims).ok()?;
                between = without_environment(extensions);
                SubjectName::Uri(subject)
            }
            IssuerType::GitlabPipeline => {
                let Rendered { subject, extensions } =
                    CiProvider::GitLab.render(None, claims).ok()?;
                between = without_environment(extensions);
                SubjectName::Uri(on_own_host(subject, &issuer))
            }
            IssuerType::BuildkiteJob => {
                let claim = |name| text(claims, name).filter(|value| !value.is_empty());
                SubjectName::Uri(format!(
                    "https://buildkite.com/{}/{}",
                    claim("organization_slug")?,
                    claim("pipeline_slug")?
                ))
            }
            IssuerType::CodefreshWorkflow => {
                let Rendered { subject, extensions } =
                    CiProvider::Codefresh.render(None, claims).ok()?;
                between = extensions;
                SubjectName::Uri(subject)
            }
            IssuerType::Other(_) => return None,
        };
        let proof = self.proof(claims).to_owned();
        Some(Prediction { extensions: ordered(&issuer, between, sub), subject, issuer, proof })
    }

    /// The e-mail address where it is the identity, else the subject. Chainguard's tokens may have
    /// an address, which counts when it is verified.
    fn proof<'a>(&self, claims: &'a Claims) -> &'a str {
        let sub = claims.subject().unwrap_or_default();
        match self.issuer_type {
            IssuerType::Email => claims.email().unwrap_or_default(),
            IssuerType::ChainguardIdentity if is_verified(claims) => claims.email().unwrap_or(sub),
            _ => sub,
        }
    }
}

/// All extensions in the certificate's order, which is that of their numbers.
fn ordered(
    issuer: &str,
    between: Vec<(&'static str, String)>,
    sub: &str,
) -> Vec<(&'static str, String)> {
    let mut extensions = between;
    extensions.push((oid::ISSUER, issuer.to_owned()));
    extensions.push((oid::ISSUER_V2, issuer.to_owned()));
    if !sub.is_empty() {
        extensions.push((oid::TOKEN_SUBJECT, sub.to_owned()));
    }
    let number = |oid: &str| oid.rsplit('.').next().and_then(|last| last.parse::<u32>().ok());
    extensions.sort_by_key(|(oid, _)| number(oid));
    extensions
}

/// The types of their own are older than this extension, and have never got it.
fn without_environment(mut extensions: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    extensions.retain(|(oid, _)| *oid != oid::DEPLOYMENT_ENVIRONMENT);
    extensions
}

/// GitLab's own type writes the issuer's scheme where the configuration lies on the issuer's host.
fn on_own_host(subject: String, issuer: &str) -> String {
    match (scheme_and_host(&subject), scheme_and_host(issuer)) {
        (Some((scheme, host)), Some((own, issuer))) if host == issuer && scheme != own => {
            let rest = subject.split_once("://").map_or(subject.as_str(), |(_, rest)| rest);
            format!("{own}://{rest}")
        }
        _ => subject,
    }
}

/// Scheme and host of a URI, as Fulcio compares them: the scheme in lower case, the host as it is
/// written and without its port.
pub(crate) fn scheme_and_host(uri: &str) -> Option<(String, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split_once(']')?.0,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then(|| (scheme.to_ascii_lowercase(), host))
}

/// Whether the e-mail address counts as verified.
pub(crate) fn is_verified(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(is_verified)) => *is_verified,
        Some(Value::String(text)) => matches!(text.as_str(), "true" | "True"),
        _ => false,
    }
}

/// The text at a path of member names, `$.a.b`.
fn member<'a>(claims: &'a Claims, path: &str) -> Option<&'a str> {
    let mut names = path.strip_prefix("$.")?.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))?.as_str()
}

fn set(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Where Dex, through which people log in, says who vouched for them.
const DEX: &str = "$.federated_claims.connector_id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_host_are_found_without_port_and_user() {
        let of = |uri| scheme_and_host(uri).map(|(scheme, host)| (scheme, host.to_owned()));
        let is = |scheme: &str, host: &str| Some((scheme.to_owned(), host.to_owned()));
        assert_eq!(of("HTTP://127.0.0.1:8890/users/1"), is("http", "127.0.0.1"));
        assert_eq!(of("https://u:p@Host.example?q"), is("https", "Host.example"));
        assert_eq!(of("https://[::1]:80"), is("https", "::1"));
        assert_eq!(of("no uri"), None);
        assert_eq!(of("1x://host"), None);
    }
}
