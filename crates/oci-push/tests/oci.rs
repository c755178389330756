//! Tests through the public API against a registry in memory.

#![expect(clippy::disallowed_methods, reason = "one clock of the tests runs")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "oci/attach.rs"]
mod attach;
#[path = "oci/auth.rs"]
mod auth;
#[path = "oci/credentials.rs"]
mod credentials;
#[path = "oci/earlier.rs"]
mod earlier;
#[path = "oci/fake.rs"]
mod fake;
#[path = "oci/find.rs"]
mod find;
#[path = "oci/helpers.rs"]
mod helpers;
#[path = "oci/legacy.rs"]
mod legacy;
#[path = "oci/limits.rs"]
mod limits;
#[path = "oci/list.rs"]
mod list;
#[path = "oci/own_tags.rs"]
mod own_tags;
#[path = "oci/registries.rs"]
mod registries;
#[path = "oci/resolve.rs"]
mod resolve;
#[path = "oci/retire.rs"]
mod retire;
#[path = "oci/schedules.rs"]
mod schedules;
#[path = "oci/serve.rs"]
mod serve;
#[path = "oci/throttling.rs"]
mod throttling;
#[path = "oci/uploads.rs"]
mod uploads;
