//! Errors as one line.

use std::error::Error;

/// `error` and its causes, each once, without secrets.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    causes(Some(error)).join(": ")
}

/// The texts of `error` and of its causes.
pub(crate) fn causes(mut error: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    while let Some(cause) = error.filter(|_| texts.len() < MOST) {
        let text = host::scrub(&cause.to_string());
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        error = cause.source();
    }
    texts
}

const MOST: usize = 12;
