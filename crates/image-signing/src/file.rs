//! Files and their bundles: sign a file, find the bundle of a file, verify a file.
//!
//! Files are hashed as streams, off the thread of the async runtime, and bundles are written whole
//! or not at all. The bundle of `FILE` is `FILE.sigstore.json`, or `FILE.sigstore` as older clients
//! call it.

mod argument;
mod artifact;
mod convert;
mod error;
mod lookup;
pub(crate) mod offered;
mod outputs;
mod pairs;
mod paths;
mod sign;
pub(crate) mod signature;
mod source;
mod verify;
pub(crate) mod write;

pub use self::argument::FileArgument;
pub use self::artifact::Artifact;
pub use self::convert::{ConvertError, Converter};
pub use self::error::{Error, Missing};
pub use self::lookup::{LogSearch, Lookup};
pub use self::offered::{Signatures, bundles_in};
pub use self::outputs::Outputs;
pub use self::pairs::{PairError, Pairs, check_overwrites, pairs};
pub use self::paths::{bundle_path, is_same_file, older_bundle_path};
pub use self::sign::{FileSigningReport, FileToSign, SignedFile, danger};
pub use self::signature::FileSignature;
pub use self::source::SignatureSource;
pub use self::verify::{FileVerificationReport, FileVerifier, VerifiedFile};
pub use self::write::{
    check_writable, print_line, write_atomically, write_or_keep, write_parts_atomically,
};
