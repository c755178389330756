//! What happens on the way that a person should know, and that is no failure.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::repository::Repository;

/// Something to tell. Its text is fit for a terminal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A credential helper did not run; the registry is asked without credentials.
    HelperNotUsed {
        /// The program, and the file that names it.
        helper: &'a str,
        /// Why it did not run.
        reason: &'a str,
    },
    /// The file that names mirrors cannot be used; the registries themselves are asked.
    MirrorsNotUsed {
        /// The file.
        file: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The signature is stored under a tag of its own, and the list of signatures could not be
    /// changed: tools that read only the list do not find it.
    NotListed {
        /// The tag of the list.
        tag: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The repository cannot keep a tag for each signature; the list alone serves. Told once.
    OwnTagsUnusable {
        /// The repository.
        repository: &'a Repository,
        /// Why.
        reason: &'a str,
    },
    /// The registry, or its token service, limits requests or is overloaded; the request is sent
    /// again after a pause.
    Waiting {
        /// The host that answered.
        registry: &'a str,
        /// The HTTP status.
        status: u16,
        /// The pause.
        pause: Duration,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HelperNotUsed { helper, reason } => {
                write!(f, "the credential helper {helper} is not used: {reason}")
            }
            Self::MirrorsNotUsed { file, reason } => {
                write!(f, "no mirrors are used: {file} cannot be used: {reason}")
            }
            Self::NotListed { tag, reason } => write!(
                f,
                "the signature has a tag of its own and is not in the list under {tag}, so that \
                 tools that read only the list do not find it: {reason}"
            ),
            Self::OwnTagsUnusable { repository, reason } => write!(
                f,
                "signatures in {repository} get no tag of their own, only an entry in the list \
                 that a slow writer may overwrite: {reason}"
            ),
            Self::Waiting { registry, status, pause } => write!(
                f,
                "waiting {} s for {registry}, which answered {status}",
                pause.as_millis().div_ceil(1000)
            ),
        }
    }
}

/// Is called with every [`Event`]. It must not block.
#[derive(Clone)]
pub(crate) struct Listener(Arc<dyn Fn(&Event<'_>) + Send + Sync>);

impl Listener {
    pub(crate) fn new(listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        tracing::debug!("{event}");
        (self.0)(event);
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self::new(|_| ())
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
