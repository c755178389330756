//! Google's metadata service and IAM Credentials API: what they give over plain HTTP, for the
//! sources of this crate and for those that have other credentials to begin with.

mod iam;
mod metadata;

pub(crate) use self::iam::account_url;
pub use self::iam::{SCOPE, action, generate_access_token, generate_id_token, with_email};
pub use self::metadata::{Access, MetadataAccess, access_token, machine};
pub(crate) use self::metadata::{Presence, ask, hint_for, presence};
