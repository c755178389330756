//! Access to clouds with the credentials that the machine already has.
//!
//! What a program needs of a cloud is one of three things: [`aws::credentials`] to sign requests
//! with ([`aws::sign`]), [`google::access_token`], [`azure::access_token`]. Where the credentials
//! come from is the search that the clouds' own tools document, without files that belong to
//! people (AWS profiles).
//!
//! [`registry_login`] turns that into what the clouds' registries take.
//!
//! Two of them are also sources of identity tokens, [`sources`]; [`add_to`] puts these into the
//! search of `oidc-ambient`.
#![doc = include_str!("../README.md")]

pub mod aws;
pub mod azure;
mod error;
pub mod google;
mod registry;
pub mod sources;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use host::Host;
use oidc_ambient::sources::GoogleImpersonation;
use oidc_ambient::{Sources, Stage};

pub use crate::error::Error;
pub use crate::registry::{Keychain, RegistryLogin, registry_login};
pub use host;
pub use id_token;
pub use oidc_ambient;
pub use secrecy;

/// Adds the identity sources of this crate to `sources`, each at its place, and lets Google's
/// impersonation use Application Default Credentials.
pub fn add_to(sources: &mut Sources, host: &Host) {
    sources.add(Stage::Aws, Arc::new(sources::Aws::new(host.clone())));
    sources.add(Stage::CredentialFile, Arc::new(sources::GoogleFile::new(host.clone())));
    let access = Arc::new(google::ApplicationDefault::new(host.clone()));
    sources.replace(Arc::new(GoogleImpersonation::on_behalf_of(host.clone(), access)));
}
