//! Identity tokens of clouds, for the search of `oidc-ambient`.

mod aws;
mod google;

pub use self::aws::Aws;
pub use self::google::GoogleFile;
