//! The configuration of a sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::Clock;
use http_client::SystemClock;
use spiffe_workload_api::SpiffeId;

use crate::{Fault, GithubJob, LoginPage, Registration};

/// The configuration of a sandbox.
#[derive(Clone)]
pub struct Config {
    /// Where keys and the files for clients are kept. Created if it does not exist.
    pub directory: PathBuf,
    /// The address to listen on. Every process that reaches it gets any identity it asks for.
    pub listen: IpAddr,
    /// The first of ten ports in a row, or 0 for any ten.
    pub port: u16,
    /// Whether the registry has the referrers API.
    pub referrers: bool,
    /// Whether the registry keeps its contents in the directory, too.
    pub keep_images: bool,
    /// Where the Workload API listens; `None` is `spiffe.sock` in the directory.
    pub spiffe_socket: Option<PathBuf>,
    /// The SPIFFE identities of the workloads on this machine, all of one trust domain.
    pub registrations: Vec<Registration>,
    /// The job whose tokens the GitHub-shaped endpoint hands out.
    pub github_job: GithubJob,
    /// The audience that Fulcio wants of an issuer's tokens, by the issuer's name, where it is not
    /// `sigstore`. An issuer that no public Fulcio takes is accepted when it is named here.
    pub audiences: BTreeMap<String, String>,
    /// How the login page behaves.
    pub login: LoginPage,
    /// The interval of Rekor v2's checkpoints; zero makes one for each entry.
    pub checkpoint_interval: Duration,
    /// The faults to inject.
    pub faults: BTreeSet<Fault>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Config {
    /// A sandbox on loopback, on any ports, with one SPIFFE identity
    /// (`spiffe://example.org/ns/ci/sa/builder`) and one GitHub job, that keeps its keys in
    /// `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let builder = SpiffeId::parse("spiffe://example.org/ns/ci/sa/builder").ok();
        let registration = |spiffe_id| Registration { spiffe_id, hint: String::new() };
        Self {
            directory: directory.into(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            referrers: true,
            keep_images: false,
            spiffe_socket: None,
            registrations: builder.into_iter().map(registration).collect(),
            github_job: GithubJob::default(),
            audiences: BTreeMap::new(),
            login: LoginPage::default(),
            checkpoint_interval: Duration::ZERO,
            faults: BTreeSet::new(),
            clock: Arc::new(SystemClock),
        }
    }
}
