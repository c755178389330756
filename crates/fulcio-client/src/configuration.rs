use std::fmt;

use serde::Deserialize;

use crate::CiProvider;

/// Which issuers a Fulcio accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    issuers: Vec<Issuer>,
}

/// An issuer, and what Fulcio wants of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Issuer {
    /// Which value of `iss` it is.
    pub url: IssuerUrl,
    /// Which value `aud` must contain.
    pub audience: String,
    /// The claim that a proof of possession without a certificate request is made over.
    pub challenge_claim: String,
    /// The trust domain whose SPIFFE IDs are accepted.
    pub spiffe_trust_domain: Option<String>,
    /// How the identity is made from the claims.
    pub issuer_type: IssuerType,
    /// The domain that URIs and user names belong to.
    pub subject_domain: Option<String>,
    /// Whether an e-mail address counts without `email_verified`.
    pub skip_email_verification: bool,
    /// The template of a CI platform. The interface does not tell it;
    /// [`Profiles`](crate::Profiles) may.
    pub ci_provider: Option<CiProvider>,
    /// Where that platform is, as the template says it. The interface does not tell it either.
    pub ci_url: Option<String>,
    /// The JSONPath of the claim that stands for the issuer. The interface does not tell it either.
    pub issuer_claim: Option<String>,
}

/// The values of `iss` that are an issuer's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerUrl {
    /// This one, byte for byte.
    Exact(String),
    /// Every one of this pattern: a `*` stands for one or more of `-`, `_`, ASCII letters and
    /// digits, so that it never reaches over a dot or a slash.
    Wildcard(String),
}

/// How Fulcio makes an identity from claims.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuerType {
    /// Buildkite's, as before there were templates.
    BuildkiteJob,
    /// Chainguard's.
    ChainguardIdentity,
    /// By a template; which one, the configuration does not tell.
    CiProvider,
    /// Codefresh's, as before there were templates.
    CodefreshWorkflow,
    /// The verified e-mail address.
    Email,
    /// GitHub's, as before there were templates.
    GithubWorkflow,
    /// GitLab's, as before there were templates.
    GitlabPipeline,
    /// The Kubernetes service account.
    Kubernetes,
    /// The SPIFFE ID in `sub`.
    Spiffe,
    /// The URI in `sub`.
    Uri,
    /// The name in `sub`, with a domain.
    Username,
    /// One that is newer than this crate.
    Other(String),
}

impl Configuration {
    /// Reads the answer of `GET /api/v2/configuration`.
    ///
    /// # Errors
    /// It is not such an answer. An issuer with neither a URL nor a pattern is one that this crate
    /// does not know how to match, and is left out.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let answer: Answer = serde_json::from_slice(bytes)?;
        let issuers = answer.issuers.unwrap_or_default();
        Ok(Self { issuers: issuers.into_iter().filter_map(WireIssuer::into_issuer).collect() })
    }

    /// A configuration of these issuers.
    pub fn new(issuers: Vec<Issuer>) -> Self {
        Self { issuers }
    }

    /// Adds `issuer` before all others that its URL may fit.
    pub(crate) fn put(&mut self, issuer: Issuer) {
        self.issuers.retain(|known| known.url != issuer.url);
        self.issuers.insert(0, issuer);
    }

    /// All of them, in no order that means anything.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The issuer whose tokens carry `iss`: the one of that URL, else one whose pattern it fits.
    pub fn issuer_for(&self, iss: &str) -> Option<&Issuer> {
        let exact = |issuer: &&Issuer| matches!(&issuer.url, IssuerUrl::Exact(url) if url == iss);
        self.issuers
            .iter()
            .find(exact)
            .or_else(|| self.issuers.iter().find(|issuer| issuer.url.matches(iss)))
    }
}

impl Issuer {
    /// An issuer of that URL and type for the audience `sigstore`, with nothing else said of it.
    pub fn new(url: IssuerUrl, issuer_type: IssuerType) -> Self {
        let challenge_claim = if issuer_type == IssuerType::Email { "email" } else { "sub" };
        Self {
            url,
            audience: "sigstore".into(),
            challenge_claim: challenge_claim.into(),
            spiffe_trust_domain: None,
            issuer_type,
            subject_domain: None,
            skip_email_verification: false,
            ci_provider: None,
            ci_url: None,
            issuer_claim: None,
        }
    }
}

impl IssuerUrl {
    /// Whether `iss` is one of these.
    pub fn matches(&self, iss: &str) -> bool {
        match self {
            Self::Exact(url) => url == iss,
            Self::Wildcard(pattern) => fits(pattern, iss),
        }
    }

    /// The URL or the pattern.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Wildcard(text) => text,
        }
    }
}

impl IssuerType {
    /// As the configuration writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::BuildkiteJob => "buildkite-job",
            Self::ChainguardIdentity => "chainguard-identity",
            Self::CiProvider => "ci-provider",
            Self::CodefreshWorkflow => "codefresh-workflow",
            Self::Email => "email",
            Self::GithubWorkflow => "github-workflow",
            Self::GitlabPipeline => "gitlab-pipeline",
            Self::Kubernetes => "kubernetes",
            Self::Spiffe => "spiffe",
            Self::Uri => "uri",
            Self::Username => "username",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for IssuerType {
    fn from(name: &str) -> Self {
        const KNOWN: [IssuerType; 11] = [
            IssuerType::BuildkiteJob,
            IssuerType::ChainguardIdentity,
            IssuerType::CiProvider,
            IssuerType::CodefreshWorkflow,
            IssuerType::Email,
            IssuerType::GithubWorkflow,
            IssuerType::GitlabPipeline,
            IssuerType::Kubernetes,
            IssuerType::Spiffe,
            IssuerType::Uri,
            IssuerType::Username,
        ];
        let known = KNOWN.into_iter().find(|known| known.as_str() == name);
        known.unwrap_or_else(|| Self::Other(host::escape_remote(name)))
    }
}

impl fmt::Display for IssuerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `text` is the whole of what `pattern` describes.
///
/// All places that the pattern may have reached are followed at once, so that no pattern takes
/// longer than its length times the text's.
fn fits(pattern: &str, text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // Each byte of a pattern stands for one byte at least.
    if pattern.len() > text.len() || text.len() > LONGEST_ISSUER {
        return false;
    }
    let text = text.as_bytes();
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for expected in pattern.bytes() {
        let mut next = vec![false; text.len() + 1];
        for (at, byte) in text.iter().enumerate() {
            next[at + 1] = match expected {
                b'*' => is_word(*byte) && (reached[at] || next[at]),
                _ => reached[at] && *byte == expected,
            };
        }
        reached = next;
        if !reached.contains(&true) {
            return false;
        }
    }
    reached.last() == Some(&true)
}

/// The longest issuer that is compared with patterns, in bytes.
const LONGEST_ISSUER: usize = 2048;

#[derive(Deserialize)]
struct Answer {
    issuers: Option<Vec<WireIssuer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireIssuer {
    issuer_url: Option<String>,
    wildcard_issuer_url: Option<String>,
    audience: Option<String>,
    challenge_claim: Option<String>,
    spiffe_trust_domain: Option<String>,
    issuer_type: Option<String>,
    subject_domain: Option<String>,
    skip_email_verification: Option<bool>,
}

impl WireIssuer {
    fn into_issuer(self) -> Option<Issuer> {
        // The interface writes what is not set as an empty text.
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        let url = set(self.issuer_url)
            .map(IssuerUrl::Exact)
            .or_else(|| set(self.wildcard_issuer_url).map(IssuerUrl::Wildcard))?;
        Some(Issuer {
            url,
            audience: self.audience.unwrap_or_default(),
            challenge_claim: self.challenge_claim.unwrap_or_default(),
            spiffe_trust_domain: set(self.spiffe_trust_domain),
            issuer_type: self.issuer_type.as_deref().unwrap_or_default().into(),
            subject_domain: set(self.subject_domain),
            skip_email_verification: self.skip_email_verification.unwrap_or_default(),
            ci_provider: None,
            ci_url: None,
            issuer_claim: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_reaches_over_words_only_and_over_one_at_least() {
        let eks = "https://oidc.eks.*.amazonaws.com/id/*";
        assert!(fits(eks, "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC_123"));
        for other in [
            "",
            "https://oidc.eks..amazonaws.com/id/ABC",
            "https://oidc.eks.eu-west-1.amazonaws.com/id/",
            "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC/x",
            "https://oidc.eks.evil.example/x.amazonaws.com/id/ABC",
            "https://oidc.eks.a.amazonaws.com/id/ABC\n",
            "https://oidc.eks.a.amazonaws.com/id/é",
            "xhttps://oidc.eks.a.amazonaws.com/id/ABC",
        ] {
            assert!(!fits(eks, other), "{other}");
        }
        assert!(fits("*-a*", "b-a-ab"), "a star may take what looks like the next literal");
        assert!(!fits("a.c", "abc"), "a dot is a dot");
        assert!(fits("*", &"a".repeat(2048)) && !fits("*", &"a".repeat(2049)));
    }

    #[test]
    fn an_exact_issuer_comes_before_a_pattern() {
        let json = br#"{"issuers":[
            {"wildcardIssuerUrl":"https://x/*","issuerType":"kubernetes","audience":"a"},
            {"issuerUrl":"https://x/y","issuerType":"new","audience":null,"news":1},
            {"issuerType":"email"}]}"#;
        let configuration = Configuration::from_json(json).unwrap();
        assert_eq!(configuration.issuers().len(), 2);
        let of = |iss| configuration.issuer_for(iss).map(|issuer| issuer.issuer_type.clone());
        assert_eq!(of("https://x/y"), Some(IssuerType::Other("new".into())));
        assert_eq!(of("https://x/z"), Some(IssuerType::Kubernetes));
        assert_eq!(of("https://x/"), None);
        assert_eq!(Configuration::from_json(b"{}").unwrap(), Configuration::default());
        assert!(Configuration::from_json(b"[]").is_err());
    }
}
