//! An OIDC identity token: held, read, and never trusted.
//!
//! An ambient token is Fulcio's to verify, so nothing here checks a signature. What is read from
//! the claims serves to predict the certificate and to explain early what Fulcio would only call
//! "an error". The secret itself leaves through one method, [`IdToken::reveal`].
#![doc = include_str!("../README.md")]

mod claims;
mod source;
mod token;

pub use crate::claims::Claims;
pub use crate::source::{Absence, Broken, Found, Outcome, TokenSource};
pub use crate::token::{Audience, Error, IdToken, TOKEN_CAP};
