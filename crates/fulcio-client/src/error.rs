use host::TransportError;
use keys::Scheme;

use crate::preflight::Refusal;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificate is for another key than ours: with it we could only sign in vain.
    #[error(
        "the certificate authority at {url} certified another key than the one it was asked for"
    )]
    AnotherKey {
        /// Whom we asked.
        url: String,
    },
    /// It answered with an error of its own explanation.
    #[error("the certificate authority at {url} answered {status}: {message}")]
    Http {
        /// Whom we asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said, cut and escaped.
        message: String,
    },
    /// The key could not sign the request.
    #[error("the certificate request could not be signed")]
    Key(#[source] keys::Error),
    /// The answer is not what the interface promises.
    #[error("the answer of the certificate authority at {url} cannot be read: {reason}")]
    Malformed {
        /// Whom we asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It refused the token with the words that it has for every fault of one. What is wrong is in
    /// the source, as far as it can be told from the token, the authority's list of issuers and its
    /// clock; if nothing can, only what the issuer signed is left.
    #[error(
        "the certificate authority at {url} refused the identity token of {issuer}{}",
        if source.is_none() { UNEXPLAINED } else { "" }
    )]
    Token {
        /// Whom we asked.
        url: String,
        /// The token's issuer, escaped.
        issuer: String,
        /// What is wrong with it.
        source: Option<Refusal>,
    },
    /// No answer.
    #[error("the certificate authority could not be asked")]
    Transport(#[source] TransportError),
    /// No certificate authority of this kind takes requests signed this way.
    #[error("certificate requests cannot be signed with {scheme}")]
    UnsupportedScheme {
        /// The key's scheme.
        scheme: Scheme,
    },
}

const UNEXPLAINED: &str = " without saying why, and nothing is wrong with its claims: left are its \
                           signature, and the keys that the authority reads from the issuer";
