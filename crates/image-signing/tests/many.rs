//! Many images, services that fail, and the requests that images cost: a whole Sigstore in process,
//! behind a network whose answers take their time by a clock that jumps.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do, and the clock starts at the real time"
)]

#[path = "many/batches.rs"]
mod batches;
#[path = "many/indexes.rs"]
mod indexes;
#[path = "many/lab.rs"]
mod lab;
#[path = "many/outages.rs"]
mod outages;
#[path = "many/requests.rs"]
mod requests;
#[path = "many/signed_before.rs"]
mod signed_before;
