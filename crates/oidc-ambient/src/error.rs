//! Errors.

use std::path::PathBuf;

use id_token::{Absence, Broken};

/// Why there is no token, or the table of sources could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file in which a user declares sources cannot be used.
    #[error("{}{}: {reason}", path.display(), at(*line))]
    Declaration {
        /// The file.
        path: PathBuf,
        /// Where in it, if that is known; the first line is 1.
        line: Option<usize>,
        /// What is wrong. Never holds a line of the file.
        reason: String,
    },
    /// A source that is certainly here, or was asked for by name, gives no token.
    #[error("the identity of `{provider}` cannot be used: {}", broken.reason)]
    Broken {
        /// The source's name.
        provider: String,
        /// What is wrong, and what to do about it.
        broken: Broken,
    },
    /// No source has a token.
    #[error("no ambient identity found")]
    Nothing {
        /// What was looked for where, in order.
        absent: Vec<(String, Absence)>,
        /// Sources that may be here and gave no token.
        broken: Vec<(String, Broken)>,
    },
    /// The source that was asked for by name is not here.
    #[error("no identity from `{provider}` here: {}", absence.evidence)]
    Absent {
        /// The source's name.
        provider: String,
        /// What it looked for.
        absence: Absence,
    },
    /// There is no source of that name.
    #[error(
        "there is no identity provider `{}`{}",
        host::escape_remote(name),
        instead(name, known)
    )]
    UnknownProvider {
        /// What was asked for.
        name: String,
        /// The names there are, in order of precedence.
        known: Vec<String>,
    },
}

impl Error {
    /// What the sources found, one sentence each, beyond what the error says.
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::Broken { broken, .. } => vec![format!("detected because {}", broken.evidence)],
            Self::Nothing { absent, broken } => {
                let reason =
                    |(name, broken): &(String, Broken)| format!("{name}: {}", broken.reason);
                let mut details: Vec<_> = broken.iter().map(reason).collect();
                let others = if details.is_empty() { "" } else { "other " };
                let searched = absent.len();
                details.push(format!("none of {searched} {others}identity sources is here"));
                details
            }
            _ => Vec::new(),
        }
    }
}

/// The one that was probably meant, or all of them.
fn instead(name: &str, known: &[String]) -> String {
    let wanted = name.to_ascii_lowercase().replace('_', "-");
    let near =
        |one: &&String| !wanted.is_empty() && (one.contains(&wanted) || wanted.contains(*one));
    let near: Vec<&str> = known.iter().filter(near).map(String::as_str).collect();
    match near.as_slice() {
        [] => format!(", expected one of: {}", known.join(", ")),
        near => format!(", did you mean `{}`?", near.join("` or `")),
    }
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
        let known = ["github-actions", "gitlab", "google-adc"].map(str::to_owned).to_vec();
        let told = |name: &str| {
            Error::UnknownProvider { name: name.to_owned(), known: known.clone() }.to_string()
        };
        assert_eq!(
            told("github"),
            "there is no identity provider `github`, did you mean `github-actions`?"
        );
        assert!(told("GitHub_Actions").ends_with("did you mean `github-actions`?"));
        assert!(told("jenkins").ends_with("expected one of: github-actions, gitlab, google-adc"));
    }
}
