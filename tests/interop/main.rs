//! The program beside the other clients of Sigstore.
//!
//! Both directions of every pair: what we sign they verify, what they sign we verify, and each of
//! them refuses a wrong identity, so that its yes means something. `cargo xtask peers` fetches the
//! programs. Plain `cargo test` ignores these tests; `cargo xtask interop` and, where the programs are,
//! `cargo xtask test` run them.
//!
//! Every child has an empty home and a proxy that answers nothing: whoever reaches for the network
//! beyond this machine fails at once.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod ambient;
mod attestations;
mod blobs;
mod clouds;
mod detached;
mod examples;
mod guarded;
mod images;
mod keys;
mod layouts;
mod leniency;
mod lines;
mod lists;
mod moved;
mod moving;
mod node;
mod recipes;
mod record;
mod registries;
mod requests;
mod sandbox_page;
mod slow_writers;
mod together;
mod vendors;
