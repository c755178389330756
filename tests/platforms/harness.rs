//! A sandbox, the place of a job, and the program in it.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use bundle::{Bundle, VerificationMaterial};
use fulcio_client::Fulcio;
use fulcio_client::predict::{Prediction, Profile};
use http_client::{HttpClient, Settings};
use id_token::Claims;
use sandbox::{Config, Fault, Platform, Running, Sandbox};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use x509::Certificate;

/// A running sandbox and an empty directory to work in.
pub(crate) struct World {
    // Dropped in this order: the services before the runtime they run on.
    pub(crate) sandbox: Running,
    runtime: Runtime,
    directory: TempDir,
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with_fault(fault: Fault) -> Self {
        Self::with(|config| config.faults = BTreeSet::from([fault]))
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let mut config = Config::new(directory.path().join("sandbox"));
        change(&mut config);
        let sandbox = runtime.block_on(Sandbox::start(config)).unwrap();
        Self { sandbox, runtime, directory }
    }

    pub(crate) fn platform(&self, name: &str) -> Platform {
        self.sandbox.platform(name).unwrap()
    }

    /// The program in the place of `platform`.
    pub(crate) fn job(&self, platform: &Platform) -> Program {
        self.stranger().envs(&platform.env).with_files(&platform.files, self.directory.path())
    }

    /// The program where there is no identity. It trusts the sandbox.
    pub(crate) fn stranger(&self) -> Program {
        Program::new(self.directory.path()).envs(&self.sandbox.trust_env())
    }

    /// What Fulcio would certify of a token with these claims, by its configuration.
    pub(crate) fn prediction(
        &self,
        issuer: &str,
        claims: &Map<String, Value>,
    ) -> Option<Prediction> {
        let mut claims = claims.clone();
        claims.insert("iss".to_owned(), issuer.into());
        let claims = Claims::new(claims);
        let url = self.sandbox.endpoints().fulcio.parse().unwrap();
        let fulcio = Fulcio::new(url, Arc::new(HttpClient::new(&Settings::new())));
        let configuration = self.runtime.block_on(fulcio.configuration()).unwrap();
        Profile::of(configuration.issuer_for(issuer)?, &claims).predict(&claims)
    }

    /// Signs a file with `program` and reads the certificate out of its bundle.
    #[track_caller]
    pub(crate) fn certificate(&self, program: Program) -> Certificate {
        let file = self.directory.path().join("artifact");
        std::fs::write(&file, "content").unwrap();
        program.args([&file]).command("sign-blob").run().ends(0);
        let bundle = std::fs::read(self.directory.path().join("artifact.sigstore.json")).unwrap();
        let bundle = Bundle::from_json(&bundle).unwrap();
        let VerificationMaterial::Certificate(der) = bundle.material() else {
            panic!("{:?}", bundle.material())
        };
        Certificate::from_der(der).unwrap()
    }
}

/// The certificate says exactly this, in this order.
#[track_caller]
pub(crate) fn is_as_predicted(certificate: &Certificate, prediction: &Prediction) {
    assert_eq!(certificate.subject_name().unwrap(), prediction.subject);
    assert_eq!(certificate.oidc_issuer().unwrap().as_deref(), Some(prediction.issuer.as_str()));
    let found: Vec<(String, String)> = certificate
        .fulcio_extensions()
        .unwrap()
        .into_iter()
        .map(|extension| (extension.oid, extension.value))
        .collect();
    let expected: Vec<(String, String)> = prediction
        .extensions
        .iter()
        .map(|(oid, value)| ((*oid).to_owned(), value.clone()))
        .collect();
    assert_eq!(found, expected);
}

/// `identity -o json` says exactly this.
#[track_caller]
pub(crate) fn says_so(report: &Value, prediction: &Prediction) {
    let certificate = &report["certificate"];
    assert_eq!(certificate["subject"], prediction.subject.as_str(), "{report:#}");
    assert_eq!(certificate["subjectKind"], prediction.subject.kind());
    assert_eq!(certificate["issuer"], prediction.issuer.as_str());
    assert_eq!(certificate["proof"], prediction.proof.as_str());
    let found: Vec<(&str, &str)> = certificate["extensions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["oid"].as_str().unwrap(), it["value"].as_str().unwrap()))
        .collect();
    let expected: Vec<(&str, &str)> =
        prediction.extensions.iter().map(|(oid, value)| (*oid, value.as_str())).collect();
    assert_eq!(found, expected);
}

/// The program, about to be run.
pub(crate) struct Program {
    command: Command,
    args: Vec<OsString>,
    /// Files at fixed places: where they are to be and where they are.
    files: Vec<(PathBuf, PathBuf)>,
    root: PathBuf,
}

impl Program {
    fn new(directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ambisign"));
        // No proxy, no metadata service of the machine that the tests run on.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory);
        command.env("NO_GCE_CHECK", "true").env("AWS_EC2_METADATA_DISABLED", "true");
        command.current_dir(directory).stdin(Stdio::null());
        Self { command, args: Vec::new(), files: Vec::new(), root: PathBuf::new() }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn envs(mut self, pairs: &[(String, String)]) -> Self {
        self.command.envs(pairs.iter().cloned());
        self
    }

    fn with_files(mut self, files: &[(PathBuf, PathBuf)], directory: &Path) -> Self {
        self.files = files.to_vec();
        self.root = directory.join("root");
        self
    }

    /// Adds arguments; the command's name may come after its flags.
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Puts the command before everything else.
    fn command(mut self, name: &str) -> Self {
        self.args.insert(0, name.into());
        self
    }

    /// `sign-blob` of some file.
    pub(crate) fn sign(self) -> Outcome {
        self.args(["/etc/passwd", "--bundle", "bundle.json"]).command("sign-blob").run()
    }

    /// Runs this command.
    pub(crate) fn run_command(self, name: &str) -> Outcome {
        self.command(name).run()
    }

    /// `identity -o json`: how it ends, and what it prints.
    #[track_caller]
    pub(crate) fn identity(self) -> (Outcome, Value) {
        let outcome = self.args(["-o", "json"]).command("identity").run();
        let report = serde_json::from_str(&outcome.stdout).unwrap_or(Value::Null);
        (outcome, report)
    }

    fn run(mut self) -> Outcome {
        self.command.args(&self.args);
        let mut command =
            if self.files.is_empty() { self.command } else { self.in_a_root_of_its_own() };
        let output = command.output().unwrap();
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The command in a mount namespace where the files are at their places.
    fn in_a_root_of_its_own(&self) -> Command {
        std::fs::create_dir_all(&self.root).unwrap();
        let mut inside = String::from("set -e\n");
        for (place, kept) in &self.files {
            let (place, kept) = (place.display(), kept.display());
            inside.push_str(&format!(
                "mkdir -p \"$(dirname '{place}')\"; : > '{place}'; mount --bind '{kept}' \
                 '{place}'\n"
            ));
        }
        inside.push_str("exec \"$@\"\n");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", NEW_ROOT]);
        command.arg("sh").arg(&self.root).arg(inside);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("SANDBOX_PWD", self.command.get_current_dir().unwrap());
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

/// Whether files can be put at fixed places here: it takes namespaces of one's own. Says so where
/// they cannot.
pub(crate) fn has_namespaces() -> bool {
    static POSSIBLE: LazyLock<bool> = LazyLock::new(|| {
        let tried = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs tmpfs /tmp")
            .output();
        tried.is_ok_and(|output| output.status.success())
    });
    if !*POSSIBLE {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("skipped: this machine lets nobody have a mount namespace of their own");
        }
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped");
    }
    *POSSIBLE
}

/// Makes the directory $1 a root like this machine's, apart from /run and what lies directly in
/// the root; then runs the script $2 in it with the other arguments. Nothing outside changes.
const NEW_ROOT: &str = r#"
set -e
root=$1 script=$2
shift 2
mount -t tmpfs tmpfs "$root"
for entry in /*; do
    if [ -L "$entry" ]; then
        cp -P "$entry" "$root$entry"
    elif [ -d "$entry" ] && [ "$entry" != /run ]; then
        mkdir "$root$entry"
        mount --rbind "$entry" "$root$entry"
    fi
done
mkdir -p "$root/run"
chroot=$(PATH="$PATH:/usr/sbin:/sbin" command -v chroot)
exec "$chroot" "$root" sh -c "cd \"\$SANDBOX_PWD\"; unset SANDBOX_PWD; $script" sh "$@"
"#;

impl Outcome {
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// stderr says each of these.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing in {self:#?}");
        }
        self
    }
}
