//! The whole real host.

use std::sync::Arc;

use host::Host;

use crate::client::HttpClient;
use crate::clock::SystemClock;
use crate::env::SystemEnv;
use crate::programs::SystemPrograms;
use crate::settings::Settings;

/// The network, the process environment, the clock and the helper programs of this machine.
///
/// Proxies and CA certificates are those that the process environment names. Nothing is sent and no
/// trust store is read before the first request.
pub fn system_host() -> Host {
    system_host_with(&Settings::from_env(&SystemEnv))
}

/// The same with a network as `settings` say.
pub fn system_host_with(settings: &Settings) -> Host {
    Host::new(
        Arc::new(HttpClient::new(settings)),
        Arc::new(SystemEnv),
        Arc::new(SystemClock),
        Arc::new(SystemPrograms),
    )
}
