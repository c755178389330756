#![doc = include_str!("../README.md")]
//!
//! What it deliberately is not: a key store. A private key lives in memory and is wiped when it is
//! dropped; nothing here reads a file, a clock or the environment.

mod digest;
mod error;
mod jws;
mod mac;
mod pair;
mod prehashed;
mod public;
mod random;
mod rsa;
mod scheme;

pub use crate::digest::{Digest, HashAlgorithm, Hasher, sha256};
pub use crate::error::Error;
pub use crate::mac::{hmac_sha256, sign_rs256};
pub use crate::pair::{KeyPair, Sign};
pub use crate::public::{KeyAlgorithm, PublicKey};
pub use crate::random::random;
pub use crate::scheme::{Payload, Scheme};
