//! Sign, verify and inspect container images.
#![doc = include_str!("../README.md")]

mod error;
mod event;
mod image;
mod several;
mod sign;
mod signed;

pub use {
    bundle, host, id_token, keys, oci_push, oidc_ambient, signer, spiffe_workload_api, trust_root,
    verify, x509,
};

pub use crate::error::{Action, Error};
pub use crate::event::{Event, Listener};
pub use crate::image::{Image, Target};
pub use crate::sign::ImageSigner;
pub use crate::signed::{SignatureReport, SignedImage, SigningReport};
