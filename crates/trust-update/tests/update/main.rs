//! Refreshing against a repository that rotates, lies, breaks down and grows old; the cache; the
//! embedded roots; and cosign as a peer.

#![expect(clippy::disallowed_methods, reason = "a skipped test fails in CI")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are not in #[test] functions")]

mod cache;
mod current;
mod embedded;
mod peers;
mod refreshing;
mod roles;
mod roots;
mod setup;

use trust_update::Error;

/// The error and its causes.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[track_caller]
fn assert_untrusted(result: Result<trust_update::Trust, Error>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    assert!(text(&error).contains(words), "{}", text(&error));
}
