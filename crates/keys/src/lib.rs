#![doc = include_str!("../README.md")]
//!
//! It is not a key store. A private key lives in memory and is wiped when it is dropped; nothing here
//! reads a file, a clock or the environment.

mod algorithm;
mod digest;
mod ecdsa;
mod encrypted;
mod error;
mod jwk;
mod jws;
mod mac;
mod pair;
mod payload;
mod prehashed;
mod private_pem;
mod public;
mod random;
mod rsa;

pub use crate::algorithm::{HashAlgorithm, KEY_DETAILS, KeyAlgorithm, Scheme};
pub use crate::digest::{Digest, Hasher, sha256};
pub use crate::error::Error;
pub use crate::mac::{hmac_sha256, sign_rs256};
pub use crate::pair::{KeyPair, Sign};
pub use crate::payload::Payload;
pub use crate::public::{PublicKey, pem_error};
pub use crate::random::random;
pub use pem;
