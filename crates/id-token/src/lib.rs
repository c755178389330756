//! An OIDC identity token: held, read, and never trusted.
//!
//! An ambient token is Fulcio's to verify, so nothing here checks a signature. The claims serve to
//! predict the certificate, and to explain early what Fulcio would only call "an error". The
//! secret itself leaves through one method, [`IdToken::reveal`].
#![doc = include_str!("../README.md")]

mod claims;
mod error;
mod secrets;
mod shape;
mod source;
mod spiffe;
mod token;

pub use crate::claims::Claims;
pub use crate::error::{Error, TOKEN_CAP};
pub use crate::secrets::{SECRET_VARIABLES, secret_variables_but};
pub use crate::source::{Absence, Broken, Distrust, Found, Outcome, TokenSource};
pub use crate::spiffe::{SpiffeId, TrustDomain};
pub use crate::token::{Audience, IdToken};
pub use host;
