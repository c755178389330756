//! The sources together, through the crate's public face.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod audiences;
mod declared;
mod errors;
mod fake;
mod hostile;
mod order;
mod pairings;
mod silence;
