//! Names and limits of the formats.

/// The media type of the version that is written.
pub const MEDIA_TYPE_V0_3: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The payload type of an in-toto statement.
pub const INTOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The `_type` of a v1 statement.
pub const STATEMENT_TYPE_V1: &str = "https://in-toto.io/Statement/v1";
/// The `_type` of a v0.1 statement, which `cosign attest` still writes.
pub const STATEMENT_TYPE_V0_1: &str = "https://in-toto.io/Statement/v0.1";
/// The predicate type of an image signature.
pub const SIGN_PREDICATE_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";

/// The largest bundle, envelope or statement that is read, in bytes.
pub const SIZE_CAP: usize = 32 << 20;
/// The largest predicate that is attested and verified, in bytes, where the reader asks for
/// [`Limits::large`](crate::Limits::large).
pub const PREDICATE_CAP: usize = 128 << 20;
/// The largest bundle with such a predicate, in bytes: what base64 makes of it, and 1 MiB.
pub const LARGE_SIZE_CAP: usize = PREDICATE_CAP / 3 * 4 + (1 << 20);
/// The most log entries a bundle may have.
pub const MAX_LOG_ENTRIES: usize = 32;
/// The most timestamps a bundle may have.
pub const MAX_TIMESTAMPS: usize = 32;
/// The most subjects a statement may have.
pub const MAX_SUBJECTS: usize = 1024;
/// The most digests one subject may have.
pub const MAX_DIGESTS: usize = 32;
