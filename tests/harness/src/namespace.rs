//! A mount namespace, for programs that read files at fixed paths.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::skip::skip;

/// Whether this machine allows mount namespaces; says that the test is skipped where it does not.
pub fn has_namespaces() -> bool {
    static POSSIBLE: LazyLock<bool> = LazyLock::new(|| {
        let tried = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs tmpfs /tmp")
            .output();
        tried.is_ok_and(|output| output.status.success())
    });
    if !*POSSIBLE {
        skip("this machine does not allow mount namespaces");
    }
    *POSSIBLE
}

/// The command in a mount namespace with `root` as its root directory, where each file of `files`
/// (path inside, path outside) is at its path.
pub(crate) fn with_files(command: &Command, root: &Path, files: &[(PathBuf, PathBuf)]) -> Command {
    std::fs::create_dir_all(root).unwrap();
    let mut script = String::from("set -e\n");
    for (inside, outside) in files {
        let (inside, outside) = (inside.display(), outside.display());
        script.push_str(&format!(
            "mkdir -p \"$(dirname '{inside}')\"; : > '{inside}'; mount --bind '{outside}' \
             '{inside}'\n"
        ));
    }
    script.push_str("exec \"$@\"\n");
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--user", "--map-root-user", "--mount", "sh", "-c", NEW_ROOT]);
    wrapped.arg("sh").arg(root).arg(script);
    wrapped.arg(command.get_program()).args(command.get_args()).env_clear();
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped.env("SANDBOX_PWD", command.get_current_dir().unwrap()).current_dir("/");
    wrapped
}

/// Makes the directory $1 a root like this machine's, apart from /run and the files directly below
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
