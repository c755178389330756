//! A token in a file, read anew each time: it may be rotated.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use host::Host;
use id_token::{Audience, IdToken, Outcome};

use crate::files::{self, Problem};
use crate::outcome::{absent, broken, found};

/// The file that `SIGSTORE_OIDC_TOKEN_FILE` names.
pub struct NamedTokenFile {
    host: Host,
    /// The last token, and when it was read. A pipe can be read only once.
    last: Mutex<Option<(IdToken, SystemTime)>>,
}

impl id_token::TokenSource for NamedTokenFile {
    fn name(&self) -> &str {
        NAME
    }

    fn find<'a>(
        &'a self,
        audience: &'a Audience,
        min_ttl: Duration,
    ) -> host::BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience, min_ttl))
    }
}

impl NamedTokenFile {
    /// The source, which looks at `host`.
    pub fn new(host: Host) -> Self {
        Self { host, last: Mutex::default() }
    }

    async fn look(&self, _: &Audience, _: Duration) -> Outcome {
        let Some(path) = self.host.env.var(VARIABLE) else {
            return absent(format!("{VARIABLE} is not set"));
        };
        let path = PathBuf::from(path);
        let evidence = format!("{VARIABLE} names {}", files::shown(&path));
        let is_pipe = PIPES.into_iter().any(|pipes| path.starts_with(pipes));
        let now = self.host.clock.now();
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, read_at)) = last().clone()
            && (is_pipe || now.duration_since(read_at).is_ok_and(|age| age < MOMENT))
        {
            return found(token, evidence);
        }
        let reason = match files::token(&self.host, &path).await {
            Ok(token) => {
                *last() = Some((token.clone(), now));
                return found(token, evidence);
            }
            Err(Problem::Missing) => format!("{} does not exist", files::shown(&path)),
            Err(Problem::Unusable(reason)) => reason,
        };
        broken(
            evidence,
            reason,
            format!("let {VARIABLE} name a readable file that holds a JWT alone, or unset it"),
        )
    }
}

/// The file at the path that cosign reads, where clusters mount a projected token.
pub struct CosignTokenFile {
    host: Host,
}

token_source!(CosignTokenFile, NAME);

impl CosignTokenFile {
    async fn look(&self, _: &Audience, _: Duration) -> Outcome {
        let evidence = format!("{COSIGN_PATH} exists");
        match files::token(&self.host, Path::new(COSIGN_PATH)).await {
            Ok(token) => found(token, evidence),
            Err(Problem::Missing) => absent(format!("{COSIGN_PATH} does not exist")),
            Err(Problem::Unusable(reason)) => broken(
                evidence,
                reason,
                "mount a projected service account token with the audience that the certificate \
                 authority expects, and let this user read it",
            ),
        }
    }
}

/// One search may ask for several audiences, and a FIFO gives its token once.
const MOMENT: Duration = Duration::from_secs(5);
/// Where shells put the output of `<(command)`.
const PIPES: [&str; 3] = ["/dev/fd", "/dev/stdin", "/proc/self/fd"];
const NAME: &str = "filesystem";
const VARIABLE: &str = "SIGSTORE_OIDC_TOKEN_FILE";
const COSIGN_PATH: &str = "/var/run/sigstore/cosign/oidc-token";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use host::{BoxFuture, Clock, Env, FileError};

    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt, look};

    fn named(content: Option<&str>) -> Outcome {
        let fake = FakeHost::new(&[(VARIABLE, "/run/token")]);
        let fake = match content {
            Some(content) => fake.with_file("/run/token", content),
            None => fake,
        };
        look(&NamedTokenFile::new(fake.host()), "sigstore")
    }

    #[test]
    fn a_pipe_is_read_once_and_its_token_kept() {
        let host = FakeHost::new(&[]).host();
        let volume = Volume { path: "/dev/fd/63", ..Volume::default() };
        let source = NamedTokenFile::new(host.with_env(Arc::new(volume)));
        for _ in 0..2 {
            let found = found_of(look(&source, "sigstore"));
            assert_eq!(found.token.claims().subject(), Some("a"));
        }
    }

    /// A file that holds another token each time, or a file system that does not answer.
    struct Volume {
        path: &'static str,
        read_before: AtomicBool,
        hangs: bool,
    }

    impl Default for Volume {
        fn default() -> Self {
            Self { path: "/run/token", read_before: AtomicBool::new(false), hangs: false }
        }
    }

    impl Env for Volume {
        fn var_os(&self, name: &str) -> Option<OsString> {
            (name == VARIABLE).then(|| self.path.into())
        }

        fn read<'a>(&'a self, _: &'a Path, _: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
            if self.hangs {
                return Box::pin(std::future::pending());
            }
            let again = self.read_before.swap(true, Ordering::Relaxed);
            let token = jwt(if again { r#"{"sub":"b"}"# } else { r#"{"sub":"a"}"# });
            Box::pin(std::future::ready(Ok(token.into_bytes())))
        }
    }

    /// A clock that shows so many seconds.
    #[derive(Default)]
    struct Later(AtomicU64);

    impl Clock for Later {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn a_rotated_file_is_read_anew() {
        let later = Arc::new(Later::default());
        let host = FakeHost::new(&[]).host().with_env(Arc::new(Volume::default()));
        let source = NamedTokenFile::new(host.with_clock(later.clone()));
        for (seconds, subject) in [(0, "a"), (4, "a"), (5, "b")] {
            later.0.store(seconds, Ordering::Relaxed);
            let found = found_of(look(&source, "sigstore"));
            assert_eq!(found.token.claims().subject(), Some(subject));
        }
    }

    #[test]
    fn a_file_system_that_does_not_answer_is_a_broken_source() {
        let volume = Volume { hangs: true, ..Volume::default() };
        let host = FakeHost::new(&[]).host().with_env(Arc::new(volume));
        let broken = broken_of(look(&NamedTokenFile::new(host), "sigstore"));
        assert_eq!(broken.reason, "/run/token could not be read: it took longer than 10 s");
    }

    #[test]
    fn a_named_file_that_is_not_there_is_broken_and_not_merely_absent() {
        let broken = broken_of(named(None));
        assert_eq!(broken.reason, "/run/token does not exist");
        assert!(broken.certain);
    }

    #[test]
    fn a_file_of_65_kib_is_refused() {
        let broken = broken_of(named(Some(&"a".repeat(65 << 10))));
        assert!(broken.reason.contains("larger than the limit"), "{}", broken.reason);
    }

    #[test]
    fn a_file_without_a_token_is_broken_and_not_shown() {
        let broken = broken_of(named(Some("hunter2")));
        assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
    }

    #[test]
    fn a_token_in_place_of_its_files_name_is_not_shown() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        for value in [token.as_str(), "hunter2", "/eyJhbGciOiJSUzI1NiJ9.eyJodW50ZXIyIjoxfQ.c2ln"] {
            let fake = FakeHost::new(&[(VARIABLE, value)]);
            let broken = broken_of(look(&NamedTokenFile::new(fake.host()), "sigstore"));
            assert!(!format!("{broken:?}").contains(value), "{broken:?}");
            assert!(broken.reason.starts_with("the file (not shown"), "{broken:?}");
        }
    }

    #[test]
    fn cosigns_path_is_absent_where_nothing_is_mounted() {
        let mounted = |content: Option<&str>| {
            let fake = FakeHost::new(&[]);
            let fake = match content {
                Some(content) => fake.with_file(COSIGN_PATH, content),
                None => fake,
            };
            look(&CosignTokenFile::new(fake.host()), "sigstore")
        };
        assert!(matches!(mounted(None), Outcome::Absent(_)));
        let found = found_of(mounted(Some(&jwt(r#"{"sub":"pod"}"#))));
        assert_eq!(found.token.claims().subject(), Some("pod"));
        assert!(broken_of(mounted(Some(""))).certain);
    }
}
