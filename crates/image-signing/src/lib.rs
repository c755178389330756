//! Sign, verify and inspect container images.
#![doc = include_str!("../README.md")]

mod error;
mod event;
mod identity;
mod image;
mod instance;
mod several;
mod sign;
mod signed;

pub use {
    bundle, futures_util, host, id_token, keys, oci_push, oidc_ambient, signer,
    spiffe_workload_api, trust_root, verify, x509,
};

pub use crate::error::{Action, Error};
pub use crate::event::{Event, Listener};
pub use crate::identity::{IdentitySearch, SpiffeChoice};
pub use crate::image::{Image, Target};
pub use crate::instance::{Instance, sign_image};
pub use crate::sign::ImageSigner;
pub use crate::signed::{SignatureReport, SignedImage, SigningReport};
