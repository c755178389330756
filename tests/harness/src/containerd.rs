//! containerd, which asks an image verifier before it uses an image.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::paths;
use crate::peers::peer;
use crate::program::Program;
use crate::skip::skip;

/// containerd in a process of its own, with nothing outside of one directory; ended when dropped.
pub struct Containerd {
    child: Child,
    ctr: PathBuf,
    directory: PathBuf,
}

impl Containerd {
    /// Starts it in the new directory `directory`, with an image verifier that may take `deadline`
    /// and a line of the debug log for each of its verdicts. Verifiers get `env` from it. `None` where
    /// the tests do not run as root: the test is skipped.
    pub fn start(directory: &Path, deadline: Duration, env: &[(&str, PathBuf)]) -> Option<Self> {
        let programs = paths::target().join("peers/usr/bin");
        let [containerd, ctr] = ["containerd", "ctr"].map(|name| programs.join(name));
        let (containerd, ctr) = (peer(&containerd), peer(&ctr).to_owned());
        if std::fs::metadata("/proc/self").map(|it| it.uid()).ok() != Some(0) {
            skip("containerd needs root");
            return None;
        }
        std::fs::create_dir_all(directory.join("verifiers")).unwrap();
        let config = directory.join("containerd.toml");
        std::fs::write(&config, configuration(directory, deadline)).unwrap();
        let log = std::fs::File::create(directory.join("containerd.log")).unwrap();
        let child = Command::new(containerd)
            .args(["--log-level", "debug", "--config"])
            .arg(&config)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let started = Self { child, ctr, directory: directory.to_owned() };
        let start = Instant::now();
        while !started.log().contains("containerd successfully booted") {
            assert!(start.elapsed() < PATIENCE, "containerd does not start: {}", started.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(started)
    }

    /// Where its image verifiers are.
    pub fn verifiers(&self) -> PathBuf {
        self.directory.join("verifiers")
    }

    /// A pull of `image` over plain http.
    pub fn pull(&self, image: &str) -> Program {
        let program = Program::at(&self.ctr, &self.directory).within(PATIENCE);
        let program = program.arg("--address").arg(self.directory.join("containerd.sock"));
        program.args(["images", "pull", "--plain-http", "--snapshotter", "native", image])
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("containerd.log")).unwrap()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that docs/containerd.md gives, with the paths and the deadline of the test, after what
/// keeps all else in `directory`.
fn configuration(directory: &Path, deadline: Duration) -> String {
    let page = std::fs::read_to_string(paths::workspace().join("docs/containerd.md")).unwrap();
    let documented = page.split("<!-- the file containerd.toml -->\n```toml\n").nth(1).unwrap();
    let documented = documented.split("```").next().unwrap();
    let directory = directory.display();
    let documented = [
        ("'/opt/containerd/image-verifier/bin'", format!("'{directory}/verifiers'")),
        ("'10s'", format!("'{}s'", deadline.as_secs())),
    ]
    .into_iter()
    .fold(documented.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in docs/containerd.md");
        text.replace(from, &to)
    });
    format!(
        "version = 3\n\
         root = \"{directory}/root\"\n\
         state = \"{directory}/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.images\",\n\
         \"io.containerd.cri.v1.runtime\", \"io.containerd.nri.v1.nri\"]\n\
         [grpc]\n\
         address = \"{directory}/containerd.sock\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\n\
         path = \"{directory}/opt\"\n\
         {documented}\
         [[plugins.\"io.containerd.transfer.v1.local\".unpack_config]]\n\
         platform = \"linux/amd64\"\n\
         snapshotter = \"native\"\n"
    )
}

const PATIENCE: Duration = Duration::from_secs(60);
