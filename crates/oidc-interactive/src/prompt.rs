//! What the user is shown and asked.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use host::BoxFuture;

/// The person who logs in. The texts of every [`Notice`] are fit for a terminal.
pub trait Prompt: Send + Sync {
    /// Shows `notice`. Must not wait.
    fn tell(&self, notice: &Notice<'_>);

    /// Called when a login begins. The value is dropped when the login ends: a program whose time
    /// is limited can stop its clock in between.
    fn waiting(&self) -> Box<dyn Any + Send> {
        Box::new(())
    }

    /// Whether a code can be typed in at all.
    fn takes_codes(&self) -> bool {
        false
    }

    /// Asks for the code that the issuer shows at the URL of [`Notice::OutOfBand`]. The future may
    /// be dropped before there is an answer: a browser was quicker, or the time is up.
    ///
    /// # Errors
    /// Why there is no code.
    fn ask_code(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(std::future::ready(Err("codes cannot be typed in here".to_owned())))
    }
}

/// What the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A browser of this machine is opened.
    Browser {
        /// Where it goes.
        url: &'a str,
    },
    /// Any browser on any device can be used.
    Device {
        /// What to enter there.
        user_code: &'a str,
        /// Where to enter it.
        url: &'a str,
        /// The same page with the code filled in, if the issuer has that.
        complete_url: Option<&'a str>,
        /// How long there is time for it.
        expires_in: Duration,
    },
    /// No browser could be opened. The user can open the URL by hand on this machine.
    NoBrowser {
        /// Why.
        reason: &'a str,
        /// Where to go.
        url: &'a str,
    },
    /// Any browser can be used; the code that the issuer shows at the end is asked for next.
    OutOfBand {
        /// Where to go.
        url: &'a str,
    },
    /// The issuer did not answer while we wait for the other device. It is asked again.
    Unsteady {
        /// What happened.
        reason: &'a str,
    },
}

impl Notice<'_> {
    /// What is waited for after this notice.
    pub fn waits_for(&self) -> Option<&'static str> {
        match self {
            Self::Browser { .. } => Some("the login in the browser"),
            Self::Device { .. } => Some("the login on another device"),
            Self::OutOfBand { .. } => Some("the code to be typed"),
            _ => None,
        }
    }
}

/// Lines for a terminal.
impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Browser { url } => write!(
                f,
                "Log in with the browser that opens now. If it does not open, use:\n\n    {url}\n"
            ),
            Self::Device { user_code, url, complete_url, expires_in } => write!(
                f,
                "Within {} s, open this page in any browser and log in with the code \
                 {user_code}:\n\n    {}\n",
                expires_in.as_secs(),
                complete_url.unwrap_or(url)
            ),
            Self::NoBrowser { reason, .. } => write!(f, "Cannot open a browser: {reason}."),
            Self::OutOfBand { url } => write!(
                f,
                "Open this page in any browser, log in, and type the code that it shows:\n\n    \
                 {url}\n"
            ),
            Self::Unsteady { reason } => write!(f, "{reason}; trying again"),
        }
    }
}
