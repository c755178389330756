use host::TransportError;
use keys::Scheme;

use crate::preflight::Refusal;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificate is for another key than ours: nothing signed with it would verify.
    #[error(
        "the certificate authority at {url} issued a certificate for another key than the one in the request"
    )]
    AnotherKey {
        /// The Fulcio.
        url: String,
    },
    /// The certificate is for another identity than the token's, or was issued for a time that no
    /// certificate is issued for.
    #[error("the certificate authority at {url} issued another certificate than the token gives")]
    AnotherCertificate {
        /// The Fulcio.
        url: String,
        /// What differs.
        source: crate::issued::Difference,
    },
    /// It answered with an error and a message.
    #[error("the certificate authority at {url} answered {status}: {message}")]
    Http {
        /// The Fulcio.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said, cut and escaped.
        message: String,
    },
    /// The key could not sign the request.
    #[error("the certificate request could not be signed")]
    Key(#[source] keys::Error),
    /// The answer does not have the expected form.
    #[error("the answer of the certificate authority at {url} cannot be read: {reason}")]
    Malformed {
        /// The Fulcio.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It refused the token with the one answer that it has for every problem of a token. The
    /// source says what is wrong, as far as the token, the authority's list of issuers and its
    /// clock show it.
    #[error(
        "the certificate authority at {url} refused the identity token of {issuer} for the audience \
         {audience}{}",
        if source.is_none() { UNEXPLAINED } else { "" }
    )]
    Token {
        /// The Fulcio.
        url: String,
        /// The token's issuer, escaped.
        issuer: String,
        /// The token's audience, escaped.
        audience: String,
        /// What is wrong with it.
        source: Option<Box<Refusal>>,
    },
    /// The authority did not answer.
    #[error("the request to the certificate authority failed")]
    Transport(#[source] TransportError),
    /// Fulcio does not accept requests signed this way.
    #[error("certificate requests cannot be signed with {scheme}")]
    UnsupportedScheme {
        /// The key's scheme.
        scheme: Scheme,
    },
}

const UNEXPLAINED: &str = " without a reason, and its claims are in order: check the token's \
                           signature and audience, and that the authority can read the issuer's \
                           keys";
