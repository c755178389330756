//! The program in the places that it finds its identity in.
//!
//! The sandbox stands for each platform: the variables, files, sockets and programs of a job are
//! as the platform has them, and what answers behind them is what the platform documents. Who the
//! program says it is, what certificate it expects and which one it gets must be the same.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod audiences;
mod certificates;
mod clouds;
mod faults;
mod golden;
mod odd;
mod places;
mod report;
mod spiffe;
