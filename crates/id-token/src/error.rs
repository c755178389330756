//! Why something is not what it should be.

/// The largest token accepted, in bytes. Fulcio reads far less.
pub const TOKEN_CAP: usize = 64 << 10;

/// Why a text is not an identity token, an audience or a SPIFFE ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing but white space.
    #[error("the identity token is empty")]
    Empty,
    /// Larger than [`TOKEN_CAP`].
    #[error("the identity token has {found} bytes, more than the limit of {TOKEN_CAP}")]
    TooLarge {
        /// Its length in bytes.
        found: usize,
    },
    /// The token stands inside something else: quotation marks, a JSON object.
    #[error("the identity token stands {wrapping}")]
    Wrapped {
        /// What is around it, and how to remove it.
        wrapping: &'static str,
    },
    /// Not three parts with dots between, or another kind of secret. The text is not shown.
    #[error(
        "expected a JWT of three parts with dots between, found {parts} part(s): {kind} of \
         {length} bytes"
    )]
    NotAToken {
        /// How many parts there are; more than five count as six.
        parts: usize,
        /// What the text looks like, for example `a GitHub token`.
        kind: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A part is not base64url.
    #[error("the {part} of the identity token is not base64url")]
    Base64 {
        /// Which one.
        part: &'static str,
    },
    /// Header or payload is not a JSON object.
    #[error("the {part} of the identity token is not a JSON object")]
    Json {
        /// Which one.
        part: &'static str,
    },
    /// An empty audience was asked for.
    #[error("the audience of an identity token must not be empty")]
    EmptyAudience,
    /// A text is not a SPIFFE ID, or not the name of a trust domain.
    #[error("expected a {expected}, found {found:?}: {reason}")]
    Spiffe {
        /// What was expected.
        expected: &'static str,
        /// The text, escaped and cut to what can be shown.
        found: String,
        /// The rule that is broken.
        reason: &'static str,
    },
}
