//! Policy files: which identities may sign which images and files, written down so that a team can
//! keep it in its repository.

use std::path::Path;

use crate::glob::{self, Glob};
use crate::node_policy::NodePolicy;
use crate::policy_document::{Document, NodeEntry, Patterned, bad, rules};
use crate::policy_error::PolicyError;
use crate::policy_text::{line, refuse_invisible, refuse_yaml};
use crate::rule::Rule;

/// Rules for images and files: which signers are acceptable for which of them, and how many of them
/// must have signed.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    images: Vec<Patterned>,
    files: Vec<Patterned>,
    node: NodePolicy,
}

impl PolicyFile {
    /// Reads a policy written in TOML, or in JSON (which begins with `{`). A byte order mark is
    /// skipped.
    ///
    /// # Errors
    ///
    /// [`PolicyError::File`] when it is neither, has an unknown key, a key twice, a control
    /// character, or a rule that cannot be applied.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| bad(THE_FILE, format!("it is not UTF-8: {error}")))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match text.trim_start().starts_with('{') {
            true => Self::from_json(text.as_bytes()),
            false => Self::from_toml(text),
        }
    }

    /// Reads a policy written in TOML. YAML is named in the error.
    ///
    /// # Errors
    ///
    /// As [`PolicyFile::parse`].
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        refuse_invisible(text).map_err(|(place, reason)| bad(&place, reason))?;
        refuse_yaml(text).map_err(|(place, reason)| bad(&place, reason))?;
        let document = toml::from_str(text).map_err(|error| PolicyError::File {
            place: error.span().map_or_else(|| THE_FILE.to_owned(), |span| line(text, span.start)),
            reason: error.message().replace("expected i64", "expected a whole number"),
        })?;
        Self::new(document)
    }

    /// Reads a policy written in JSON, of the same shape.
    ///
    /// # Errors
    ///
    /// As [`PolicyFile::parse`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, PolicyError> {
        refuse_invisible(&String::from_utf8_lossy(bytes))
            .map_err(|(place, reason)| bad(&place, reason))?;
        let document =
            serde_json::from_slice(bytes).map_err(|error| bad(THE_FILE, error.to_string()))?;
        Self::new(document)
    }

    /// The first rule for the image in `repository`, which is a registry's name and a path without
    /// tag or digest. Docker Hub has two names, which are equal.
    pub fn rule(&self, repository: &str) -> Option<&Rule> {
        first(&self.images, |pattern| glob::matches(pattern, repository))
    }

    /// The first rule for the file at `path`. A pattern without a slash is one of the file's name,
    /// any other one of the whole path as it is given, without `./` before it.
    pub fn file_rule(&self, path: &Path) -> Option<&Rule> {
        let text = path_text(path);
        let name = text.rsplit('/').next().unwrap_or_default();
        first(&self.files, |it| it.matches(if it.pattern().contains('/') { &text } else { name }))
    }

    /// The patterns of the rules for images, in their order.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.images.iter().flat_map(|(patterns, _)| patterns).map(Glob::pattern)
    }

    /// The pattern that the image in `repository` misses by the fewest characters.
    pub fn nearest(&self, repository: &str) -> Option<&str> {
        nearest(&self.images, |_| repository)
    }

    /// The pattern that the file at `path` misses by the fewest characters.
    pub fn nearest_of_files(&self, path: &Path) -> Option<&str> {
        let text = path_text(path);
        let name = text.rsplit('/').next().unwrap_or_default();
        nearest(&self.files, |it| if it.pattern().contains('/') { &text } else { name })
    }

    /// What the file says of images at a node, beside the rules.
    pub fn node(&self) -> &NodePolicy {
        &self.node
    }

    fn new(document: Document) -> Result<Self, PolicyError> {
        let Document { images, files, node } = document;
        if images.is_none() && files.is_none() && node.is_none() {
            return Err(bad(THE_FILE, "expected at least one rule, in [[images]] or [[files]]"));
        }
        let node = node.map_or_else(|| Ok(NodePolicy::default()), NodeEntry::read)?;
        let (images, files) = (rules("images", images)?, rules("files", files)?);
        for (index, (_, rule)) in files.iter().enumerate() {
            if !rule.annotations().is_empty() {
                let place = format!("files[{index}].annotations");
                return Err(bad(&place, "a signature of a file has no annotations"));
            }
        }
        Ok(Self { images, files, node })
    }
}

fn first(rules: &[Patterned], matches: impl Fn(&Glob) -> bool) -> Option<&Rule> {
    let found = rules.iter().find(|(patterns, _)| patterns.iter().any(&matches));
    found.map(|(_, rule)| rule)
}

fn nearest<'a, 't>(rules: &'a [Patterned], of: impl Fn(&Glob) -> &'t str) -> Option<&'a str> {
    let patterns = rules.iter().flat_map(|(patterns, _)| patterns).take(MOST_COMPARED);
    patterns.min_by_key(|pattern| pattern.distance(of(pattern))).map(Glob::pattern)
}

/// A path with slashes, without `./` before it.
fn path_text(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    text.strip_prefix("./").map(str::to_owned).unwrap_or(text)
}

const THE_FILE: &str = "the file";
/// Of more patterns than these, none is looked at to explain a refusal.
const MOST_COMPARED: usize = 1000;

#[cfg(test)]
mod tests {
    use crate::purpose::Formats;

    use super::*;

    const POLICY: &str = r#"
        [[images]]
        patterns = ["ghcr.io/acme/*"]
        threshold = 2

        [[images.identities]]
        identity = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
        issuer = "https://token.actions.githubusercontent.com"
        extensions = { SourceRepositoryURI = "https://github.com/acme/app" }

        [[images.identities]]
        spiffe-trust-domain = "example.org"
        spiffe-path-prefix = "/ns/ci"
        issuer = "https://oidc.example.org"

        [[images]]
        patterns = ["docker.io/acme/**", "quay.io/acme/app"]
        annotations = { env = "prod" }

        [[images.identities]]
        identity-regexp = ".*@acme.example"
        issuer-regexp = "https://accounts.google.com"
    "#;

    #[test]
    fn the_first_rule_that_matches_the_repository_counts() {
        let file = PolicyFile::from_toml(POLICY).unwrap();
        let rule = file.rule("ghcr.io/acme/app").unwrap();
        assert_eq!((rule.threshold(), rule.signers().len()), (2, 2));
        assert_eq!(file.rule("docker.io/acme/team/app").unwrap().threshold(), 1);
        assert_eq!(file.rule("quay.io/acme/app").unwrap().annotations().len(), 1);
        assert_eq!(file.patterns().count(), 3);
        for other in
            ["ghcr.io/acme/team/app", "ghcr.io/acme", "ghcrxio/acme/app", "quay.io/acme/app2", ""]
        {
            assert!(file.rule(other).is_none(), "{other}");
        }
    }

    #[test]
    fn docker_hub_goes_by_both_of_its_names() {
        let rule = "identities = [{identity='x',issuer='y'}]";
        for pattern in ["docker.io/library/*", "index.docker.io/library/*"] {
            let file = format!("[[images]]\npatterns = ['{pattern}']\n{rule}");
            let file = PolicyFile::from_toml(&file).unwrap();
            assert!(file.rule("index.docker.io/library/nginx").is_some(), "{pattern}");
            assert!(file.rule("docker.io/library/nginx").is_some(), "{pattern}");
            assert!(file.rule("docker.io/library/nginx/x").is_none(), "{pattern}");
        }
    }

    #[test]
    fn files_go_by_their_names_and_by_their_paths() {
        let text = "[[files]]\npatterns = ['*.tar', 'dist/**']\n\
                    identities = [{identity='x',issuer='y'}]";
        let file = PolicyFile::parse(text.as_bytes()).unwrap();
        for path in ["app.tar", "./app.tar", "/tmp/out/app.tar", "dist/a/b", "./dist/a"] {
            assert!(file.file_rule(Path::new(path)).is_some(), "{path}");
        }
        for path in ["app.zip", "app.tar/x", "other/dist/a", "-", ""] {
            assert!(file.file_rule(Path::new(path)).is_none(), "{path}");
        }
        assert!(file.rule("dist/a").is_none(), "a rule for files is none for images");
        assert_eq!(file.nearest_of_files(Path::new("out/app.tat")), Some("*.tar"));
        let with = |line: &str| {
            let identities = "identities = [{identity='x',issuer='y'},{identity='z',issuer='y'}]";
            let text = format!("[[files]]\npatterns = ['a']\n{line}\n{identities}");
            PolicyFile::parse(text.as_bytes())
        };
        let two = with("threshold = 2").unwrap();
        assert_eq!(two.file_rule(Path::new("a")).unwrap().threshold(), 2);
        let refused = with("annotations = {a='b'}").unwrap_err().to_string();
        assert!(refused.starts_with("files[0].annotations: a signature of a file has no"));
    }

    #[test]
    fn the_nearest_pattern_is_the_one_that_is_missed_by_the_least() {
        let file = PolicyFile::from_toml(POLICY).unwrap();
        assert_eq!(file.nearest("ghcr.io/acme/team/app"), Some("ghcr.io/acme/*"));
        assert_eq!(file.nearest("quay.io/acme/ap"), Some("quay.io/acme/app"));
    }

    #[test]
    fn yaml_is_named_with_its_line() {
        for (text, line) in [
            ("images:\n- patterns: [a]", 1),
            ("# ours\n\n---\nimages:\n", 3),
            ("- a", 1),
            ("apiVersion: v1", 1),
        ] {
            let refused = PolicyFile::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("line {line}: this is YAML")), "{refused}");
        }
    }

    #[test]
    fn what_only_a_node_reads_is_in_a_table_of_its_own() {
        let text = "[node]\nexempt = ['registry.k8s.io/*']\nunmatched = 'admit'\naudit = true\n\
                    verdict-seconds = 60\ntimeout-seconds = 20";
        let file = PolicyFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.node().exempts("registry.k8s.io/pause"), Some("registry.k8s.io/*"));
        assert_eq!(file.node().exempts("registry.k8s.io/a/b"), None);
        assert!(file.node().admits_unmatched() && file.node().is_audit());
        let seconds = (file.node().lifetime().as_secs(), file.node().timeout().as_secs());
        assert_eq!(seconds, (60, 20));
        let unsaid = PolicyFile::from_toml(POLICY).unwrap();
        assert!(!unsaid.node().admits_unmatched() && !unsaid.node().is_audit());
        for (line, said) in [
            ("unmatched = 'allow'", "node.unmatched: expected refuse or admit, found \"allow\""),
            ("verdict-seconds = 0", "node.verdict-seconds: expected a number from 1 to 2592000"),
            ("exempt = ['a@b']", "node.exempt: expected a repository"),
        ] {
            let refused = PolicyFile::parse(format!("[node]\n{line}").as_bytes()).unwrap_err();
            assert!(refused.to_string().starts_with(said), "{refused}");
        }
    }

    #[test]
    fn a_threshold_above_the_number_of_entries_is_refused() {
        let text = "[[images]]\npatterns = ['a']\nthreshold = 3\nidentities = \
                    [{identity-regexp='.*@x',issuer='y'}]";
        assert_eq!(
            PolicyFile::from_toml(text).unwrap_err().to_string(),
            "images[0].threshold: the threshold 3 can never be reached: 1 signer is listed, and \
             each counts once"
        );
    }

    #[test]
    fn a_threshold_of_zero_is_refused_in_plain_words() {
        for threshold in ["0", "-1"] {
            let text = format!(
                "[[images]]\npatterns = ['a']\nthreshold = {threshold}\n\
                 identities = [{{identity='x',issuer='y'}}]"
            );
            assert_eq!(
                PolicyFile::from_toml(&text).unwrap_err().to_string(),
                format!("images[0].threshold: expected a number of at least 1, found {threshold}")
            );
        }
    }

    #[test]
    fn a_signer_that_is_listed_twice_is_refused() {
        let entry = "{identity='x',issuer='y',extensions={RunnerEnvironment='a'}}";
        let file = |second: &str| {
            format!("[[images]]\npatterns = ['a']\nthreshold = 2\nidentities = [{entry}, {second}]")
        };
        assert_eq!(
            PolicyFile::from_toml(&file(entry)).unwrap_err().to_string(),
            "images[0].identities[1]: the same as identities[0]: list it once"
        );
        PolicyFile::from_toml(&file(&entry.replace("'a'", "'b'"))).unwrap();
        PolicyFile::from_toml(&file("{identity='x',issuer='y'}")).unwrap();
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_in_json_and_in_toml() {
        let json = |inside: &str| {
            format!(
                r#"{{"images": [{{"patterns": ["a"], "identities": [{{"identity": "x",
                "issuer": "y", "extensions": {{"RunnerEnvironment": "a"}}}}]{inside}}}]}}"#
            )
        };
        PolicyFile::parse(json("").as_bytes()).unwrap();
        for (inside, twice) in [
            (
                r#", "annotations": {"env": "prod", "env": "test"}"#,
                "the key \"env\" is given twice",
            ),
            (r#", "threshold": 1, "threshold": 1"#, "duplicate field `threshold`"),
        ] {
            let refused = PolicyFile::parse(json(inside).as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(twice), "{refused}");
        }
        let extension = json("").replace('}', r#", "RunnerEnvironment": "b"}"#);
        let refused = PolicyFile::parse(extension.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains("\"RunnerEnvironment\" is given twice"), "{refused}");
        let toml = "[[images]]\npatterns = ['a']\nannotations = {env='a', env='b'}\n\
                    identities = [{identity='x',issuer='y'}]";
        let refused = PolicyFile::parse(toml.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with("line 3: duplicate key"), "{refused}");
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let toml = format!("\u{feff}{POLICY}");
        let json = "\u{feff}{\"images\": [{\"patterns\": [\"a\"], \"identities\": [\
                    {\"identity\": \"x\", \"issuer\": \"y\"}]}]}";
        for text in [toml.as_str(), json] {
            PolicyFile::parse(text.as_bytes()).unwrap();
        }
        let refused = PolicyFile::parse(b"\xff\xfe[\0[\0").unwrap_err().to_string();
        assert!(refused.starts_with("the file: it is not UTF-8"), "{refused}");
    }

    #[test]
    fn characters_that_a_reviewer_cannot_see_are_refused() {
        for hidden in ['\u{202e}', '\u{200b}', '\u{85}', '\u{1b}'] {
            let text = format!(
                "[[images]]\npatterns = ['a']\nidentities = [{{identity='x{hidden}',issuer='y'}}]"
            );
            assert_eq!(
                PolicyFile::parse(text.as_bytes()).unwrap_err().to_string(),
                format!("line 3: expected visible characters, found U+{:04X}", u32::from(hidden))
            );
        }
    }

    #[test]
    fn formats_are_any_bundle_or_legacy() {
        let with = |line: &str| {
            format!(
                "[[images]]\npatterns = ['a']\n{line}\nidentities = [{{identity='x',issuer='y'}}]"
            )
        };
        for (line, formats) in [
            ("", Formats::Any),
            ("formats = 'any'", Formats::Any),
            ("formats = 'bundle'", Formats::Bundle),
            ("formats = 'legacy'", Formats::Legacy),
        ] {
            let file = PolicyFile::from_toml(&with(line)).unwrap();
            assert_eq!(file.rule("a").unwrap().accepted_formats(), formats, "{line}");
        }
        assert_eq!(
            PolicyFile::from_toml(&with("formats = 'dsse'")).unwrap_err().to_string(),
            "images[0].formats: expected any, bundle or legacy, found \"dsse\""
        );
    }

    #[test]
    fn json_says_the_same() {
        let json = br#"{"images": [{"patterns": ["a.example/b"], "identities": [
            {"identity": "x", "issuer": "y"}]}]}"#;
        assert!(PolicyFile::from_json(json).unwrap().rule("a.example/b").is_some());
    }

    #[test]
    fn an_entry_that_is_incomplete_or_contradicts_itself_is_refused() {
        let with = |identity: &str| {
            format!("[[images]]\npatterns = [\"a\"]\n[[images.identities]]\n{identity}\n")
        };
        for identity in [
            "identity = 'x'",
            "issuer = 'x'",
            "identity = ''\nissuer = 'y'",
            "identity = 'x'\nissuer = ''",
            "identity = 'x'\nidentity-regexp = 'x'\nissuer = 'y'",
            "identity-regexp = ''\nissuer = 'y'",
            "spiffe-path-prefix = '/x'\nidentity = 'x'\nissuer = 'y'",
            "identity = 'x'\nissuer = 'y'\nkey = 'z'",
            "key = 'no key'",
            "identity = 'x'\nissuer = 'y'\nextensions = { NoSuch = 'z' }",
            "identity = 'x'\nissuer = 'y'\nunknown = 1",
        ] {
            let refused = PolicyFile::from_toml(&with(identity));
            assert!(matches!(refused, Err(PolicyError::File { .. })), "{identity}");
        }
        for file in [
            "",
            "images = []",
            "[[images]]\npatterns = ['a']\nidentities = []",
            "[[images]]\npatterns = ['a']\nthreshold = 0\nidentities = [{identity='x',issuer='y'}]",
            "[[images]]\npatterns = ['a']\nthreshold = 2\nidentities = [{identity='x',issuer='y'}]",
            "[[images]]\npatterns = ['a']\nthreshold = 2\nidentities = [{identity='x',issuer='y'},{identity='x',issuer='y'}]",
            "[[images]]\npatterns = ['a@b']\nidentities = [{identity='x',issuer='y'}]",
        ] {
            assert!(PolicyFile::from_toml(file).is_err(), "{file}");
        }
        let twice = with("identity = 'x'\nidentity = 'z'\nissuer = 'y'");
        let refused = PolicyFile::from_toml(&twice).unwrap_err().to_string();
        assert!(refused.starts_with("line 5"), "{refused}");
    }
}
