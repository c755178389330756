/// Why a policy cannot be used. It is about the policy, never about a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A pattern cannot be used.
    #[error("the pattern {pattern:?} cannot be used: {reason}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A policy file cannot be used.
    #[error("{place}: {reason}")]
    File {
        /// Where in the file.
        place: String,
        /// What is wrong: expected and found.
        reason: String,
    },
    /// A rule can never be satisfied, or has no signer.
    #[error("{reason}")]
    Rule {
        /// What is wrong: expected and found.
        reason: String,
    },
}
