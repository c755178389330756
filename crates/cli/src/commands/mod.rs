//! The commands: each takes its flags, makes a plan of them, and carries it out.

mod about;
mod attachments;
mod attest;
mod bundle;
mod identity;
mod image_verifier;
mod initialize;
mod inspect;
mod keys;
mod many;
mod moving;
mod sign;
mod sign_blob;
mod signing;
mod signing_config;
mod trusted_root;
mod unattached;
mod verify;
mod verify_blob;

pub(crate) use self::about::about;
pub(crate) use self::attachments::{attach, clean, download, tree};
pub(crate) use self::attest::{attest, attest_blob};
pub(crate) use self::bundle::bundle;
pub(crate) use self::identity::identity;
pub(crate) use self::image_verifier::image_verifier;
pub(crate) use self::initialize::initialize;
pub(crate) use self::inspect::inspect;
pub(crate) use self::keys::{generate_key_pair, import_key_pair, public_key};
pub(crate) use self::many::with_names;
pub(crate) use self::moving::{copy, load, save};
pub(crate) use self::sign::sign;
pub(crate) use self::sign_blob::sign_blob;
pub(crate) use self::signing_config::signing_config;
pub(crate) use self::trusted_root::trusted_root;
pub(crate) use self::verify::{verify, verify_attestation};
pub(crate) use self::verify_blob::{verify_blob, verify_blob_attestation};
