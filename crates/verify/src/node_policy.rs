use std::time::Duration;

use crate::glob::{Glob, matches};

/// What a policy file says of images at a node, in its table `[node]`. It has no meaning anywhere
/// else.
#[derive(Clone, Debug)]
pub struct NodePolicy {
    pub(crate) exempt: Vec<Glob>,
    pub(crate) admits_unmatched: bool,
    pub(crate) audit: bool,
    pub(crate) lifetime: Duration,
    pub(crate) timeout: Duration,
}

impl NodePolicy {
    /// The pattern that admits the images of `repository` without a check, whatever the rules say.
    pub fn exempts(&self, repository: &str) -> Option<&str> {
        self.exempt.iter().find(|pattern| matches(pattern, repository)).map(Glob::pattern)
    }

    /// Whether an image that no rule matches is admitted. By default it is refused.
    pub fn admits_unmatched(&self) -> bool {
        self.admits_unmatched
    }

    /// Whether every image is admitted, and refusals are only logged.
    pub fn is_audit(&self) -> bool {
        self.audit
    }

    /// How long an image that was verified is admitted without another look at the registry. One
    /// day by default.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// How long a verdict may take. Eight seconds by default: less than the ten that containerd
    /// grants, so that the reason is told in time.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl Default for NodePolicy {
    fn default() -> Self {
        Self {
            exempt: Vec::new(),
            admits_unmatched: false,
            audit: false,
            lifetime: Duration::from_secs(24 * 60 * 60),
            timeout: Duration::from_secs(8),
        }
    }
}
