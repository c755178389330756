//! AWS: the credentials of a workload, and requests signed with them (Signature Version 4).

mod chain;
mod sigv4;
mod sts;

pub use self::chain::{Chain, credentials, region};
pub use self::sigv4::{Credentials, sign};
pub(crate) use self::sts::{call, endpoint};
