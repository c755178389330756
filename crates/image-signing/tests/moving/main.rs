//! Images are moved with what is attached to them, between a registry with the referrers API, one
//! without, and a directory.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod attached;
mod copies;
mod layouts;
mod world;
