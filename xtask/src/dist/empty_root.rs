//! The programs alone: in a root directory without libraries, configuration and certificates.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sandbox::RekorVersion;

use super::archive;
use crate::stage::{Registry, Stage};

/// How a program gets another root directory: as root, or as root of a user namespace.
const WAYS: [&[&str]; 2] = [&["chroot"], &["unshare", "--user", "--map-root-user", "chroot"]];

/// A name that only `/etc/hosts` of the root directory has, and one that only its name server has.
const BY_HOSTS: &str = "registry.by-hosts.test";
const BY_DNS: &str = "registry.by-dns.test";

/// Tries `ambisign` and `sigstore-sandbox` of the directory `programs` in a root directory that holds
/// nothing else, where this process may change the root directory.
pub(super) fn try_programs(programs: &Path) -> Result<()> {
    let root = tempfile::tempdir()?;
    for (_, program) in super::PROGRAMS {
        archive::put_program(&programs.join(program), &root.path().join(program))?;
    }
    try_in(root.path())
}

/// The same with the root directory `root`, which holds one of the programs or both.
pub(super) fn try_in(root: &Path) -> Result<()> {
    let present = super::PROGRAMS.map(|(_, name)| name).into_iter();
    let present: Vec<&str> = present.filter(|name| root.join(name).is_file()).collect();
    let Some(first) = present.first() else { bail!("no program in {}", root.display()) };
    let Some(way) = way(root, first)? else {
        println!("not tried in an empty root directory: this process may not change its root");
        return Ok(());
    };
    for program in present {
        let run = |arguments: &[&str]| run(way, root, program, arguments, &[]);
        ensure!(run(&["--version"])?.status.success(), "{program} does not start");
        ensure!(run(&["--help"])?.status.success(), "{program} has no help");
        println!("{program} starts in an empty root directory");
        match program {
            "ambisign" => sign_and_verify(way, root)?,
            _ => become_ready(way, root, program)?,
        }
    }
    Ok(())
}

/// The first way in which `program` starts.
fn way(root: &Path, program: &str) -> Result<Option<&'static [&'static str]>> {
    let mut refused = Vec::new();
    for way in WAYS {
        match run(way, root, program, &["--version"], &[]) {
            Ok(output) if output.status.success() => return Ok(Some(way)),
            // `chroot` ends with 125 and `unshare` with 1 where they may not.
            Ok(output) if matches!(output.status.code(), Some(125 | 1)) => {
                refused.push(lossy(&output.stderr));
            }
            Ok(output) => bail!("{program} in an empty root: {}", lossy(&output.stderr)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    println!("{}", refused.join("").trim());
    Ok(None)
}

/// Signs and verifies a file, and asks a registry by names that `/etc/hosts` and a name server have.
fn sign_and_verify(way: &[&str], root: &Path) -> Result<()> {
    let stage = Stage::set(Registry::Sandbox)?;
    let put = |from: &Path, name: &str| archive::put_program(from, &root.join(name));
    put(&stage.running.trusted_root(), "trusted_root.json")?;
    put(&stage.running.signing_config(RekorVersion::V1), "signing_config.json")?;
    std::fs::write(root.join("file"), "a file")?;
    let mut env = stage.running.github_env();
    for (name, value) in [
        ("COSIGN_TRUSTED_ROOT", "/trusted_root.json"),
        ("COSIGN_SIGNING_CONFIG", "/signing_config.json"),
    ] {
        env.push((name.to_owned(), value.to_owned()));
    }
    let run = |arguments: &[&str]| run(way, root, "ambisign", arguments, &env);
    let (identity, issuer) = (stage.running.github_identity(), stage.running.github_issuer());
    let policy = ["--certificate-identity", &identity, "--certificate-oidc-issuer", &issuer];
    for arguments in [vec!["sign-blob", "/file"], [&["verify-blob", "/file"], &policy[..]].concat()]
    {
        let output = run(&arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {}", lossy(&output.stderr));
    }
    println!("ambisign signs and verifies there");

    let etc = root.join("etc");
    std::fs::create_dir_all(&etc)?;
    std::fs::write(etc.join("hosts"), format!("127.0.0.1 {BY_HOSTS}\n"))?;
    std::fs::write(etc.join("resolv.conf"), "nameserver 127.0.0.1\n")?;
    let server = NameServer::start();
    let port = stage.registry.rsplit(':').next().unwrap_or_default();
    let names = [(BY_HOSTS, true), (BY_DNS, server.is_some()), ("nobody.by-dns.test", false)];
    for (name, is_known) in names {
        let image = format!("{name}:{port}/no/image:v1");
        let arguments = [&["verify", "--allow-http-registry", &image], &policy[..]].concat();
        // 11: the registry answered that there is no such image.
        let output = run(&arguments)?;
        let answered = output.status.code() == Some(11);
        ensure!(answered == is_known, "{name}: {}", lossy(&output.stderr));
        if is_known {
            println!("ambisign finds {name} there");
        }
    }
    if server.is_none() {
        println!("not tried with a name server: this process may not listen on port 53");
    }
    drop(server);
    stage.strike()
}

/// Starts the sandbox and waits until it is ready.
fn become_ready(way: &[&str], root: &Path, program: &str) -> Result<()> {
    let mut command = inside(way, root, program);
    command.args(["--port", "0", "--state", "/state", "--ready-file", "/ready"]);
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let ready = root.join("ready");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready.is_file() && Instant::now() < deadline && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let is_ready = ready.is_file();
    child.kill()?;
    child.wait()?;
    ensure!(is_ready, "{program} is not ready in an empty root directory");
    println!("{program} is ready there");
    Ok(())
}

/// `program` with `root` as its root directory and an empty environment.
fn inside(way: &[&str], root: &Path, program: &str) -> Command {
    let (first, more) = way.split_first().unwrap_or((&"chroot", &[]));
    let mut command = Command::new(first);
    command.args(more).arg(root).arg(PathBuf::from("/").join(program)).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn run(
    way: &[&str],
    root: &Path,
    program: &str,
    arguments: &[&str],
    env: &[(String, String)],
) -> std::io::Result<Output> {
    inside(way, root, program).args(arguments).envs(env.iter().cloned()).output()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A name server on port 53 of this machine that knows one name.
struct NameServer {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start() -> Option<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).ok()?;
        socket.set_read_timeout(Some(Duration::from_millis(50))).ok()?;
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut query = [0; 512];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
                if let Some(answer) = query.get(..length).and_then(answer) {
                    // A lost answer is asked for again.
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Some(Self { ended, thread: Some(thread) })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its end is all that is waited for.
            let _ = thread.join();
        }
    }
}

/// The answer to a query with one question (RFC 1035, 4): the loopback address for [`BY_DNS`], no
/// address of the other kind for it, and no such name otherwise.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let wanted: Vec<u8> = BY_DNS
        .split('.')
        .flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes()))
        .chain([0])
        .collect();
    let question = query.get(12..)?;
    let end = question.iter().position(|byte| *byte == 0)? + 1;
    let (name, kind) = (question.get(..end)?, question.get(end..end + 4)?);
    let is_known = name.eq_ignore_ascii_case(&wanted);
    let has_address = is_known && kind == [0, 1, 0, 1];
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(has_address)]);
    answer.extend([0; 4]);
    answer.extend(question.get(..end + 4)?);
    if has_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_server_knows_one_name_and_its_address() {
        let query = |name: &str, kind: u8| {
            let mut query = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in name.split('.') {
                query.push(label.len() as u8);
                query.extend(label.bytes());
            }
            query.extend([0, 0, kind, 0, 1]);
            answer(&query).unwrap()
        };
        let known = query(BY_DNS, 1);
        assert_eq!((known[..2].to_vec(), known[3], known[7]), (vec![7, 7], 0x80, 1));
        assert!(known.ends_with(&[0, 4, 127, 0, 0, 1]));
        assert_eq!((query(BY_DNS, 28)[3], query(BY_DNS, 28)[7]), (0x80, 0));
        assert_eq!(query("other.test", 1)[3] & 0x0f, 3, "no such name");
        assert_eq!(answer(&[0; 12]), None);
    }
}
