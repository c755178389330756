//! Where each service is.

use std::net::SocketAddr;

use crate::trust::Endpoints;

/// How many services have a port.
pub(crate) const SERVICES: usize = 10;

/// The number of the registry among the services.
const REGISTRY: usize = 6;

/// The number of the platforms' endpoints.
const PLATFORMS: usize = 7;

/// The number of the cluster's API server.
const CLUSTER: usize = 8;

/// The number of the TUF repository.
const TUF: usize = 9;

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    pub(crate) ports: [u16; SERVICES],
    pub(crate) endpoints: Endpoints,
    pub(crate) oidc: String,
    pub(crate) github: String,
    pub(crate) registry: String,
    pub(crate) platforms: String,
    pub(crate) cluster: SocketAddr,
    pub(crate) tuf: String,
}

impl Urls {
    /// Services go by `localhost`, which is the origin of both logs. The registry goes by its
    /// address: clients know that loopback addresses speak plain http.
    pub(crate) fn new(address: impl Fn(usize) -> SocketAddr) -> Self {
        let url = |number: usize| format!("http://localhost:{}", address(number).port());
        let oidc = url(0);
        let registry = address(REGISTRY);
        Self {
            ports: std::array::from_fn(|number| address(number).port()),
            endpoints: Endpoints {
                oidc: format!("{oidc}/email"),
                fulcio: url(2),
                rekor_v1: url(3),
                rekor_v2: url(4),
                tsa: url(5),
            },
            oidc,
            github: url(1),
            registry: match registry.ip().is_unspecified() {
                true => format!("localhost:{}", registry.port()),
                false => registry.to_string(),
            },
            platforms: url(PLATFORMS),
            cluster: address(CLUSTER),
            tuf: url(TUF),
        }
    }

    /// What a person is told of.
    pub(crate) fn named(&self) -> Vec<(&'static str, String)> {
        let Endpoints { fulcio, rekor_v1, rekor_v2, tsa, .. } = self.endpoints.clone();
        vec![
            ("fulcio", fulcio),
            ("rekor v1", rekor_v1),
            ("rekor v2", rekor_v2),
            ("timestamps", tsa),
            ("registry", self.registry.clone()),
            ("tuf", self.tuf.clone()),
            ("issuers", self.oidc.clone()),
            ("github", self.github.clone()),
            ("platforms", self.platforms.clone()),
        ]
    }

    pub(crate) fn issuer(&self, name: &str) -> String {
        format!("{}/{name}", self.oidc)
    }
}
