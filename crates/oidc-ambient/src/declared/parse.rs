//! Reading the file that declares sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::declared::declaration::{Declaration, Kind};

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) struct Invalid {
    pub(crate) line: Option<usize>,
    pub(crate) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    source: Vec<toml::Spanned<Table>>,
}

/// A `[[source]]`, with the keys of all kinds.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Option<String>,
    kind: Option<String>,
    when: Option<String>,
    field: Option<String>,
    // exec
    command: Option<Vec<String>>,
    pass: Option<Vec<String>>,
    timeout: Option<u64>,
    // file
    path: Option<String>,
    // env
    variable: Option<String>,
    // http
    url: Option<String>,
    method: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
    unix_socket: Option<String>,
}

/// The sources that `text` declares. The names of `taken` are not free.
pub(crate) fn parse(text: &str, taken: &[String]) -> Result<Vec<Declaration>, Invalid> {
    let line_at = |offset: usize| {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    };
    let document: Document = toml::from_str(text).map_err(|error| Invalid {
        line: error.span().map(|span| line_at(span.start)),
        // The message alone: the parser would also show the line, and a line may hold a secret.
        reason: host::escape_remote(&without_quoted(error.message())),
    })?;
    if document.source.len() > MOST_SOURCES {
        let reason = format!("it declares more than {MOST_SOURCES} sources");
        return Err(Invalid { line: None, reason });
    }
    let mut names: BTreeSet<String> = taken.iter().cloned().collect();
    let mut declared = Vec::new();
    for table in document.source {
        let line = Some(line_at(table.span().start));
        let declaration = table.into_inner().check().map_err(|reason| Invalid { line, reason })?;
        if declaration.name == "google" || !names.insert(declaration.name.clone()) {
            let reason = format!("the name `{}` is taken already", declaration.name);
            return Err(Invalid { line, reason });
        }
        declared.push(declaration);
    }
    Ok(declared)
}

/// `message` without a value of the file that it quotes.
fn without_quoted(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(start), Some(end)) if start < end => {
            let (before, after) = (message.get(..start), message.get(end + 1..));
            format!("{}\"...\"{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

impl Table {
    fn check(mut self) -> Result<Declaration, String> {
        let name = self.name.take().ok_or("a source needs a `name`")?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
            return Err(format!(
                "expected a `name` of small letters, digits and hyphens, found `{}`",
                host::escape_remote(&name)
            ));
        }
        let kind = self.kind.take().unwrap_or_default();
        let about = |reason: String| format!("source `{name}`: {reason}");
        let (when, field) = (self.when.take(), self.field.take());
        if field.as_deref() == Some("") {
            return Err(about("`field` is empty".to_owned()));
        }
        let kind_of = match kind.as_str() {
            "exec" => self.exec(),
            "file" => self.file(),
            "env" => self.env(),
            "http" => self.http(),
            "" => Err("it needs a `kind`: exec, file, env or http".to_owned()),
            other => Err(format!(
                "expected the kind exec, file, env or http, found `{}`",
                host::escape_remote(other)
            )),
        };
        let kind_of = kind_of.map_err(about)?;
        if let Some(key) = self.left() {
            return Err(about(format!("a source with `kind = \"{kind}\"` takes no `{key}`")));
        }
        Ok(Declaration { name, when, field, kind: kind_of })
    }

    fn exec(&mut self) -> Result<Kind, String> {
        let command = self.command.take().filter(|command| !command.is_empty());
        let mut words = command.ok_or("it needs a `command`, a list of words")?.into_iter();
        let program = words.next().filter(|word| !word.is_empty());
        let seconds = self.timeout.take().unwrap_or(DEFAULT_TIMEOUT);
        if seconds == 0 || seconds > LONGEST_TIMEOUT {
            return Err(format!(
                "expected a `timeout` of 1 to {LONGEST_TIMEOUT} seconds, found {seconds}"
            ));
        }
        let args: Vec<String> = words.collect();
        // What other programs can see must hold no secret.
        if args.iter().any(|arg| arg.contains("{env:") || arg.contains("{file:")) {
            return Err("`command` takes only `{audience}`: every program on this machine can \
                        see it; the variables are the program's own to read, see `pass`"
                .to_owned());
        }
        Ok(Kind::Exec {
            program: program.ok_or("its `command` names no program")?,
            args,
            pass: self.pass.take().unwrap_or_default(),
            timeout: Duration::from_secs(seconds),
        })
    }

    fn file(&mut self) -> Result<Kind, String> {
        let path = PathBuf::from(self.path.take().ok_or("it needs a `path`")?);
        if !path.is_absolute() {
            return Err("its `path` does not start at the root".to_owned());
        }
        Ok(Kind::File(path))
    }

    fn env(&mut self) -> Result<Kind, String> {
        self.variable.take().map(Kind::Env).ok_or_else(|| "it needs a `variable`".to_owned())
    }

    fn http(&mut self) -> Result<Kind, String> {
        let url = self.url.take().ok_or("it needs a `url`")?;
        let body = self.body.take();
        let method = match (self.method.take().as_deref(), &body) {
            (Some("GET"), Some(_)) => return Err("a GET has no `body`".to_owned()),
            (Some("GET"), None) | (None, None) => http::Method::GET,
            (Some("POST"), _) | (None, Some(_)) => http::Method::POST,
            (Some("PUT"), _) => http::Method::PUT,
            (Some(other), _) => {
                return Err(format!(
                    "expected the `method` GET, POST or PUT, found `{}`",
                    host::escape_remote(other)
                ));
            }
        };
        let mut headers = Vec::new();
        for (name, value) in self.headers.take().unwrap_or_default() {
            let name = http::HeaderName::try_from(name.as_str())
                .map_err(|_| "one of its `headers` has no possible name".to_owned())?;
            headers.push((name, value));
        }
        let socket = self.unix_socket.take().map(PathBuf::from);
        Ok(Kind::Http { url, method, headers, body, socket })
    }

    /// A key that the kind has no use for.
    fn left(&self) -> Option<&'static str> {
        [
            ("command", self.command.is_some()),
            ("pass", self.pass.is_some()),
            ("timeout", self.timeout.is_some()),
            ("path", self.path.is_some()),
            ("variable", self.variable.is_some()),
            ("url", self.url.is_some()),
            ("method", self.method.is_some()),
            ("headers", self.headers.is_some()),
            ("body", self.body.is_some()),
            ("unix_socket", self.unix_socket.is_some()),
        ]
        .into_iter()
        .find_map(|(key, is_there)| is_there.then_some(key))
    }
}

const MOST_SOURCES: usize = 32;
const LONGEST_NAME: usize = 64;
/// In seconds.
const DEFAULT_TIMEOUT: u64 = 10;
/// In seconds.
const LONGEST_TIMEOUT: u64 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (Option<usize>, String) {
        let fault = parse(text, &["envvar".to_owned()]).err().unwrap();
        (fault.line, fault.reason)
    }

    fn reason(body: &str) -> String {
        fault(&format!("[[source]]\nname = \"x\"\n{body}")).1
    }

    #[test]
    fn every_kind_is_read_in_the_order_of_the_file() {
        let text = r#"
            [[source]]
            name = "vault"
            kind = "exec"
            command = ["vault", "token", "{audience}"]
            pass = ["SYSTEM_ACCESSTOKEN"]
            timeout = 20

            [[source]]
            name = "mounted"
            kind = "file"
            path = "/run/token"
            when = "NOMAD_ALLOC_ID"

            [[source]]
            name = "variable"
            kind = "env"
            variable = "MY_TOKEN"

            [[source]]
            name = "bitbucket-like"
            kind = "http"
            url = "{env:REQUEST_URL}?audience={audience}"
            headers = { Authorization = "Bearer {env:REQUEST_TOKEN}" }
            field = "data.token"
        "#;
        let declared = parse(text, &[]).unwrap();
        let names: Vec<_> = declared.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["vault", "mounted", "variable", "bitbucket-like"]);
        assert_eq!(parse("", &[]).unwrap().len(), 0);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let (line, reason) = fault("\n[[source]]\nname = \"x\"\nkind = \"file\"\npth = \"/x\"\n");
        assert_eq!(line, Some(5));
        assert!(reason.contains("unknown field `pth`"), "{reason}");
        let (line, reason) = fault("[[source]]\nname = \"x\"\nkind = exec\n");
        assert_eq!(line, Some(3), "{reason}");
        let (line, _) =
            fault("[[source]]\nname = \"x\"\nkind = \"env\"\nvariable = \"A\"\n[[source]]\n");
        assert_eq!(line, Some(5));
        assert!(fault("[[sources]]\n").1.contains("unknown field `sources`"));
    }

    #[test]
    fn what_a_kind_needs_and_what_it_does_not_take_is_said() {
        assert_eq!(reason(""), "source `x`: it needs a `kind`: exec, file, env or http");
        assert!(reason("kind = \"jwt\"").ends_with("found `jwt`"));
        assert_eq!(reason("kind = \"exec\""), "source `x`: it needs a `command`, a list of words");
        assert_eq!(
            reason("kind = \"env\"\nvariable = \"A\"\nurl = \"x\""),
            "source `x`: a source with `kind = \"env\"` takes no `url`"
        );
        assert!(reason("kind = \"exec\"\ncommand = [\"a\"]\ntimeout = 0").contains("1 to 120"));
        assert!(reason("kind = \"file\"\npath = \"x\"").contains("root"));
        assert!(reason("kind = \"http\"\nurl = \"x\"\nmethod = \"DELETE\"").contains("`DELETE`"));
        assert!(
            reason("kind = \"http\"\nurl = \"x\"\nbody = \"\"\nmethod = \"GET\"")
                .contains("no `body`")
        );
    }

    #[test]
    fn a_secret_cannot_be_put_on_a_command_line() {
        let text = "kind = \"exec\"\ncommand = [\"a\", \"{env:TOKEN}\"]";
        assert!(reason(text).contains("takes only `{audience}`"));
    }

    #[test]
    fn names_are_unique_and_plain() {
        let one = |name: &str| {
            format!("[[source]]\nname = \"{name}\"\nkind = \"env\"\nvariable = \"A\"\n")
        };
        assert!(fault(&one("envvar")).1.contains("taken already"));
        assert!(fault(&one("google")).1.contains("taken already"));
        assert!(fault(&(one("a") + &one("a"))).1.contains("taken already"));
        assert!(fault(&one("A b")).1.contains("found `A b`"));
        assert!(fault("[[source]]\nkind = \"env\"\n").1.contains("needs a `name`"));
    }

    #[test]
    fn no_line_of_the_file_is_shown() {
        let text = "[[source]]\nname = \"x\"\nheaders = \"hunter2\"\n";
        assert!(!fault(text).1.contains("hunter2"), "{}", fault(text).1);
        let text = "[[source]]\nheaders = { a = \"hunter2\" \n";
        assert!(!fault(text).1.contains("hunter2"), "{}", fault(text).1);
    }
}
