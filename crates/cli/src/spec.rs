//! Services as cosign's flags describe them: `url=https://rekor.example,start-time=2026-01-01T00:00:00Z`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::Env;
use jiff::Timestamp;
use trust_root::Window;
use url::Url;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;

/// One such description, and the flag it was given to.
pub(crate) struct Spec {
    flag: &'static str,
    pairs: Vec<(String, String)>,
}

impl Spec {
    /// Reads `text`, in which only the keys `known` may stand.
    pub(crate) fn parse(flag: &'static str, text: &str, known: &[&str]) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::usage(format!("{flag}: {what}"));
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split(',') {
            let (key, value) = pair
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
                .filter(|(key, value)| !key.is_empty() && !value.is_empty())
                .ok_or_else(|| wrong(format!("expected KEY=VALUE, found {pair:?}")))?;
            if !known.contains(&key) {
                let known = known.join(", ");
                return Err(wrong(format!("expected one of {known}, found {key:?}")));
            }
            if pairs.iter().any(|(other, _)| other == key) {
                return Err(wrong(format!("{key} is given twice")));
            }
            pairs.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self { flag, pairs })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn require(&self, key: &str) -> Result<&str, Failure> {
        self.get(key).ok_or_else(|| self.wrong(&format!("{key} is missing")))
    }

    /// The URL, as it was written.
    pub(crate) fn url(&self) -> Result<&str, Failure> {
        let text = self.require("url")?;
        let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        url.map(|_| text)
            .ok_or_else(|| self.wrong(&format!("expected an http or https URL, found {text:?}")))
    }

    /// The window, from `start` on if the description does not say.
    pub(crate) fn window(&self, start: Option<SystemTime>) -> Result<Window, Failure> {
        let start = match (self.time("start-time")?, start) {
            (Some(given), _) => given,
            (None, Some(start)) => start,
            (None, None) => return Err(self.wrong("start-time is missing")),
        };
        let end = self.time("end-time")?;
        match end {
            Some(end) if end < start => Err(self.wrong("it ends before it starts")),
            end => Ok(Window { start, end }),
        }
    }

    /// The text of the file that `key` names.
    pub(crate) fn file(&self, key: &str, env: &dyn Env) -> Result<String, Failure> {
        let path = Path::new(self.require(key)?);
        let bytes = files::read_now(env, path, FILE_CAP).map_err(|error| {
            Failure::of(Exit::Failed, format!("{}: {key} cannot be used", self.flag), &error)
        })?;
        // Between blocks of PEM a newline may be missing; what is not UTF-8 is not PEM either.
        Ok(String::from_utf8_lossy(&bytes).replace("----------", "-----\n-----"))
    }

    /// What was given cannot be used because of `error`.
    pub(crate) fn unusable(&self, error: &dyn std::error::Error) -> Failure {
        Failure::of(Exit::Usage, format!("{} cannot be used", self.flag), error)
    }

    pub(crate) fn wrong(&self, what: &str) -> Failure {
        Failure::usage(format!("{}: {what}", self.flag))
    }

    fn time(&self, key: &str) -> Result<Option<SystemTime>, Failure> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let time = text.parse::<Timestamp>().map_err(|_| {
            let what =
                format!("{key}: expected a time such as 2026-01-31T00:00:00Z, found {text:?}");
            self.wrong(&what)
        })?;
        Ok(Some(time.into()))
    }
}

/// Prints `document`, or writes it to the file `out`.
pub(crate) fn hand_out(
    document: &str,
    out: Option<&PathBuf>,
    context: &Context,
) -> Result<(), Failure> {
    if let Some(path) = out {
        files::write_atomically(path, format!("{document}\n").as_bytes()).map_err(|error| {
            Failure::of(Exit::Failed, format!("{} cannot be written", path.display()), &error)
        })?;
    } else {
        context.console.data(document);
    }
    Ok(())
}

/// The largest file with certificates or a key, in bytes.
const FILE_CAP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["url", "start-time", "end-time"];

    fn problem(text: &str) -> String {
        let spec = Spec::parse("--rekor", text, KNOWN);
        spec.and_then(|spec| spec.url().and_then(|_| spec.window(None).map(drop)))
            .err()
            .map_or_else(|| "none".to_owned(), |failure| failure.problem)
    }

    #[test]
    fn a_description_is_read_whole_or_refused() {
        let good = "url=https://r.example,start-time=2026-01-01T00:00:00Z";
        assert_eq!(problem(good), "none");
        for (text, expected) in [
            ("", "--rekor: expected KEY=VALUE, found \"\""),
            ("url=https://r.example", "--rekor: start-time is missing"),
            (
                "url=r.example,start-time=2026-01-01T00:00:00Z",
                "--rekor: expected an http or https URL, found \"r.example\"",
            ),
            ("url=https://r.example,url=https://r.example", "--rekor: url is given twice"),
            (
                "url=https://r.example,until=now",
                "--rekor: expected one of url, start-time, end-time, found \"until\"",
            ),
            (
                "url=https://r.example,start-time=now",
                "--rekor: start-time: expected a time such as 2026-01-31T00:00:00Z, found \"now\"",
            ),
            (
                "url=https://r.example,start-time=2026-01-02T00:00:00Z,end-time=2026-01-01T00:00:00Z",
                "--rekor: it ends before it starts",
            ),
        ] {
            assert_eq!(problem(text), expected);
        }
    }
}
