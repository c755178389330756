//! Why there is no identity.

/// Why there is no identity to sign with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The interactive login failed.
    #[error("the login failed")]
    Login(#[source] Box<oidc_interactive::Error>),
    /// The text that was given is neither an identity token nor a file.
    #[error("the text is neither an identity token nor an existing file")]
    NotAToken(#[source] id_token::Error),
    /// No source has a token, or the source that must have one is broken.
    #[error(transparent)]
    Search(#[from] oidc_ambient::Error),
    /// The file that was given has no token.
    #[error("cannot use the identity token in {file}: {reason}")]
    TokenFile {
        /// The file, or `stdin`.
        file: String,
        /// Why.
        reason: String,
    },
}
