//! What a Fulcio does not tell of its issuers: which template makes the certificates of a CI
//! platform and where that platform is, and which claim stands for the issuer.

use serde::Deserialize;

use crate::{CiProvider, Configuration, Issuer, IssuerUrl};

/// Issuers whose certificates are known beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiles {
    /// The first that fits counts.
    issuers: Vec<Issuer>,
}

/// Why a file of profiles cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfilesError {
    /// It is not of the form that [`Profiles::from_json`] describes.
    #[error("expected a JSON object with a list `issuers`")]
    Malformed(#[source] serde_json::Error),
    /// It names a template that this crate does not have.
    #[error("the issuer {issuer} has the unknown ci_provider {found}: expected {expected}")]
    UnknownProvider {
        /// Its URL, escaped.
        issuer: String,
        /// What it has, escaped.
        found: String,
        /// What there is.
        expected: String,
    },
    /// It gives a template a URL that this template cannot have.
    #[error("the issuer {issuer} has the url {found}: expected {expected}")]
    Url {
        /// Its URL, escaped.
        issuer: String,
        /// What it has, escaped.
        found: String,
        /// What there may be.
        expected: &'static str,
    },
}

impl Profiles {
    /// The issuers that the public Fulcio accepts.
    pub fn known() -> Self {
        let issuers = KNOWN.iter().map(|(url, kind, provider)| {
            let mut issuer = Issuer::new(issuer_url(url), (*kind).into());
            issuer.ci_provider = *provider;
            // The public instance has one template for all GitLabs that it accepts.
            issuer.ci_url = provider.and_then(|provider| match provider {
                CiProvider::GitHub => Some("https://github.com".to_owned()),
                CiProvider::GitLab => Some("https://gitlab.com".to_owned()),
                _ => None,
            });
            issuer
        });
        Self { issuers: issuers.collect() }
    }

    /// These issuers, and behind them the known ones.
    ///
    /// The form is `{"issuers": [{"issuer_url": "https://ci.example/*", "type": "ci-provider",
    /// "ci_provider": "github-workflow", "url": "https://github.example"}]}`. A `*` in the issuer's
    /// URL stands for a word. `url` is that of the template's default values: where the platform is,
    /// for a GitHub Enterprise Server, a GitHub with data residency, a GitLab of one's own.
    /// `issuer_claim` is the JSONPath of an e-mail issuer's claim (`$.federated_claims.connector_id`),
    /// `subject_domain` the domain of user names, `spiffe_trust_domain` that of SPIFFE IDs; all but
    /// the URL and the type may be left out.
    ///
    /// # Errors
    /// It is not of that form, names an unknown template, or has a `url` that is none or that the
    /// template does not have.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ProfilesError> {
        let file: File = serde_json::from_slice(bytes).map_err(ProfilesError::Malformed)?;
        let mut issuers =
            file.issuers.into_iter().map(Entry::into_issuer).collect::<Result<Vec<_>, _>>()?;
        issuers.append(&mut Self::known().issuers);
        Ok(Self { issuers })
    }

    /// What is known of the issuer whose tokens carry `iss`.
    pub fn issuer_for(&self, iss: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.url.matches(iss))
    }
}

impl Configuration {
    /// The configuration of `iss`'s issuer, with what it does not tell from `profiles`.
    ///
    /// The configuration counts wherever it says anything: an issuer that it does not list stays
    /// unlisted, and one of another type than its profile keeps that type.
    pub fn issuer_with(&self, profiles: &Profiles, iss: &str) -> Option<Issuer> {
        let mut issuer = self.issuer_for(iss)?.clone();
        if let Some(profile) = profiles.issuer_for(iss) {
            issuer.ci_provider = issuer.ci_provider.or(profile.ci_provider);
            // The URL belongs to the template that the profile means.
            if issuer.ci_provider == profile.ci_provider {
                issuer.ci_url = issuer.ci_url.or_else(|| profile.ci_url.clone());
            }
            issuer.issuer_claim = issuer.issuer_claim.or_else(|| profile.issuer_claim.clone());
            issuer.subject_domain =
                issuer.subject_domain.or_else(|| profile.subject_domain.clone());
        }
        Some(issuer)
    }

    /// The same configuration, with what it does not tell of `iss`'s issuer from `profiles`.
    pub fn completed(mut self, profiles: &Profiles, iss: &str) -> Self {
        if let Some(issuer) = self.issuer_with(profiles, iss) {
            self.put(issuer);
        }
        self
    }
}

#[derive(Deserialize)]
struct File {
    issuers: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    issuer_url: String,
    r#type: String,
    ci_provider: Option<String>,
    url: Option<String>,
    issuer_claim: Option<String>,
    spiffe_trust_domain: Option<String>,
    subject_domain: Option<String>,
}

impl Entry {
    fn into_issuer(self) -> Result<Issuer, ProfilesError> {
        let mut issuer = Issuer::new(issuer_url(&self.issuer_url), self.r#type.as_str().into());
        if let Some(name) = self.ci_provider {
            let provider = CiProvider::from_name(&name);
            issuer.ci_provider = Some(provider.ok_or_else(|| ProfilesError::UnknownProvider {
                issuer: host::escape_remote(&self.issuer_url),
                found: host::escape_remote(&name),
                expected: CiProvider::ALL.map(CiProvider::as_str).join(", "),
            })?);
        }
        if let Some(url) = self.url {
            let has_url = issuer.ci_provider.is_some_and(CiProvider::has_url);
            let is_url = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
            let expected = match has_url {
                true => "https://HOST without a slash at the end",
                false => "none without a ci_provider whose template has one",
            };
            if !has_url || !is_url || url.ends_with('/') {
                let [issuer, found] =
                    [&self.issuer_url, &url].map(|text| host::escape_remote(text));
                return Err(ProfilesError::Url { issuer, found, expected });
            }
            issuer.ci_url = Some(url);
        }
        issuer.issuer_claim = self.issuer_claim;
        issuer.spiffe_trust_domain = self.spiffe_trust_domain;
        issuer.subject_domain = self.subject_domain;
        Ok(issuer)
    }
}

fn issuer_url(text: &str) -> IssuerUrl {
    match text.contains('*') {
        true => IssuerUrl::Wildcard(text.to_owned()),
        false => IssuerUrl::Exact(text.to_owned()),
    }
}

/// Issuer, type, template.
type Known = (&'static str, &'static str, Option<CiProvider>);

const CI: &str = "ci-provider";
const EMAIL: &str = "email";
const KUBERNETES: &str = "kubernetes";

/// What the configuration of the public instance lists. Dex's claim is not among it: a token that
/// has it is known by it.
const KNOWN: [Known; 33] = [
    ("https://token.actions.githubusercontent.com", CI, Some(CiProvider::GitHub)),
    ("https://token.actions.githubusercontent.com/*", CI, Some(CiProvider::GitHub)),
    ("https://gitlab.com", CI, Some(CiProvider::GitLab)),
    ("https://dev.gitlab.org", CI, Some(CiProvider::GitLab)),
    ("https://gitlab.archlinux.org", CI, Some(CiProvider::GitLab)),
    ("https://ops.gitlab.net", CI, Some(CiProvider::GitLab)),
    ("https://agent.buildkite.com", CI, Some(CiProvider::Buildkite)),
    ("https://oidc.circleci.com", CI, Some(CiProvider::CircleCi)),
    ("https://oidc.circleci.com/org/*", CI, Some(CiProvider::CircleCi)),
    ("https://oidc.codefresh.io", CI, Some(CiProvider::Codefresh)),
    ("https://oidc.buddyusercontent.com", CI, Some(CiProvider::Buddy)),
    ("https://eu-oidc.buddyusercontent.com", CI, Some(CiProvider::Buddy)),
    ("https://asia-oidc.buddyusercontent.com", CI, Some(CiProvider::Buddy)),
    ("https://dev-oidc.buddyusercontent.com", CI, Some(CiProvider::Buddy)),
    ("https://psd-oidc.buddyusercontent.com", CI, Some(CiProvider::Buddy)),
    ("https://stage-oidc.buddyusercontent.com", CI, Some(CiProvider::Buddy)),
    ("https://accounts.google.com", EMAIL, None),
    ("https://oauth2.sigstore.dev/auth", EMAIL, None),
    ("https://oauth2.sigstage.dev/auth", EMAIL, None),
    ("https://issuer.hello.coop", EMAIL, None),
    ("https://sigstore.verify.ibm.com/oauth2", EMAIL, None),
    ("https://auth.eclipse.org/auth/realms/foundation-service-accounts", EMAIL, None),
    ("https://www.kaggle.com/api/v1/models/signing", EMAIL, None),
    ("https://issuer.enforce.dev", "chainguard-identity", None),
    ("https://container.googleapis.com/v1/projects/*/locations/*/clusters/*", KUBERNETES, None),
    ("https://oidc.eks.*.amazonaws.com/id/*", KUBERNETES, None),
    ("https://oidc.prod-aks.azure.com/*", KUBERNETES, None),
    ("https://oidc.prod-aks.azure.com/*/", KUBERNETES, None),
    ("https://oidc.prod-aks.azure.com/*/*", KUBERNETES, None),
    ("https://oidc.prod-aks.azure.com/*/*/", KUBERNETES, None),
    ("https://*.oic.prod-aks.azure.com/*/*", KUBERNETES, None),
    ("https://*.oic.prod-aks.azure.com/*/*/", KUBERNETES, None),
    // Not of the public instance: what a cluster calls itself inside.
    ("https://kubernetes.default.svc", KUBERNETES, None),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IssuerType;

    #[test]
    fn every_known_issuer_is_of_a_type_that_is_known_too() {
        for issuer in Profiles::known().issuers {
            let is_ci = issuer.issuer_type == IssuerType::CiProvider;
            assert_eq!(is_ci, issuer.ci_provider.is_some(), "{issuer:?}");
            assert!(!matches!(issuer.issuer_type, IssuerType::Other(_)), "{issuer:?}");
        }
    }

    #[test]
    fn a_file_comes_before_what_is_known_and_a_typing_error_is_named() {
        let of = |entry: &str| Profiles::from_json(format!("{{\"issuers\":[{entry}]}}").as_bytes());
        let own = of(r#"{"issuer_url":"https://gitlab.com","type":"email"}"#).unwrap();
        let kind = |iss| own.issuer_for(iss).map(|issuer| issuer.issuer_type.to_string());
        assert_eq!(kind("https://gitlab.com").as_deref(), Some("email"));
        assert_eq!(kind("https://agent.buildkite.com").as_deref(), Some("ci-provider"));
        assert_eq!(kind("https://elsewhere.example"), None);
        let wrong = of(r#"{"issuer_url":"https://x","type":"ci-provider","ci_provider":"github"}"#);
        let said = wrong.unwrap_err().to_string();
        assert!(said.contains("found github") || said.contains("ci_provider github"), "{said}");
        assert!(said.contains("github-workflow"), "{said}");
        let url = |rest: &str| {
            let entry = format!(r#"{{"issuer_url":"https://x","type":"ci-provider",{rest}}}"#);
            of(&entry).unwrap_err().to_string()
        };
        let said = url(r#""ci_provider":"github-workflow","url":"github.example""#);
        assert!(said.contains("url github.example: expected https://HOST"), "{said}");
        let said = url(r#""ci_provider":"gitlab-pipeline","url":"https://gitlab.example/""#);
        assert!(said.contains("without a slash"), "{said}");
        for no_template in
            [r#""url":"https://x""#, r#""ci_provider":"buddy-pipeline","url":"https://x""#]
        {
            assert!(url(no_template).contains("template has one"), "{no_template}");
        }
        for malformed in [r#"{"issuer_url":"https://x"}"#, r#"{"issuer_url":"x","kind":"email"}"#] {
            assert!(matches!(of(malformed), Err(ProfilesError::Malformed(_))), "{malformed}");
        }
    }
}
