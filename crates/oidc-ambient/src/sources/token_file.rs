//! A token in a file, read anew each time: whoever put it there rotates it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Env, FileError};
use id_token::{Audience, IdToken, Outcome, TOKEN_CAP, TokenSource};

use crate::outcome::{broken, here, not_here, with_causes};

/// The file that `SIGSTORE_OIDC_TOKEN_FILE` names.
pub(crate) struct NamedFile {
    env: Arc<dyn Env>,
}

impl NamedFile {
    pub(crate) fn new(env: Arc<dyn Env>) -> Self {
        Self { env }
    }

    async fn look(&self) -> Outcome {
        let Some(path) = self.env.var(VARIABLE) else {
            return not_here(format!("{VARIABLE} is not set"));
        };
        let path = PathBuf::from(path);
        let evidence = format!("{VARIABLE} names {}", path.display());
        match read(self.env.as_ref(), &path).await {
            Ok(token) => here(token, evidence),
            Err(fault) => broken(
                evidence,
                fault.reason(),
                format!(
                    "let {VARIABLE} name a readable file that holds nothing but a JWT, or \
                         unset it"
                ),
            ),
        }
    }
}

impl TokenSource for NamedFile {
    fn name(&self) -> &str {
        NAME
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look())
    }
}

/// The file at the path that cosign reads, where clusters mount a projected token.
pub(crate) struct CosignFile {
    env: Arc<dyn Env>,
}

impl CosignFile {
    pub(crate) fn new(env: Arc<dyn Env>) -> Self {
        Self { env }
    }

    async fn look(&self) -> Outcome {
        let evidence = || format!("{COSIGN_PATH} exists");
        match read(self.env.as_ref(), Path::new(COSIGN_PATH)).await {
            Ok(token) => here(token, evidence()),
            Err(Fault::File(FileError::NotFound { .. })) => {
                not_here(format!("{COSIGN_PATH} does not exist"))
            }
            Err(fault) => broken(
                evidence(),
                fault.reason(),
                "mount a projected service account token with the audience that the certificate \
                 authority expects, and let this user read it",
            ),
        }
    }
}

impl TokenSource for CosignFile {
    fn name(&self) -> &str {
        NAME
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look())
    }
}

enum Fault {
    File(FileError),
    Token(id_token::Error),
}

impl Fault {
    fn reason(&self) -> String {
        match self {
            Self::File(error) => with_causes(error),
            Self::Token(error) => format!("the file holds no token: {error}"),
        }
    }
}

async fn read(env: &dyn Env, path: &Path) -> Result<IdToken, Fault> {
    // A little more than a token may have, for the white space around it.
    let bytes = env.read(path, TOKEN_CAP).await.map_err(Fault::File)?;
    IdToken::parse(&String::from_utf8_lossy(&bytes)).map_err(Fault::Token)
}

const NAME: &str = "filesystem";
const VARIABLE: &str = "SIGSTORE_OIDC_TOKEN_FILE";
const COSIGN_PATH: &str = "/var/run/sigstore/cosign/oidc-token";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::sources::testing::{Files, block_on, broken_of, found_of, jwt};

    /// The variable, and the files of this machine.
    struct Disk(OsString);

    impl Env for Disk {
        fn var_os(&self, name: &str) -> Option<OsString> {
            (name == VARIABLE).then(|| self.0.clone())
        }

        fn read<'a>(
            &'a self,
            path: &'a Path,
            cap: usize,
        ) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
            Box::pin(std::future::ready(host::read_file(path, cap)))
        }
    }

    fn look(path: &Path) -> Outcome {
        block_on(NamedFile::new(Arc::new(Disk(path.into()))).look())
    }

    #[test]
    fn a_rotated_file_is_read_anew() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for subject in ["a", "b"] {
            let text = jwt(&format!(r#"{{"sub":"{subject}"}}"#));
            std::fs::write(file.path(), format!("{text}\n")).unwrap();
            let found = found_of(look(file.path()));
            assert_eq!(found.token.claims().subject(), Some(subject));
        }
    }

    #[test]
    fn a_named_file_that_is_not_there_is_broken_and_not_merely_absent() {
        let broken = broken_of(look(Path::new("/nonexistent/token")));
        assert_eq!(broken.reason, "/nonexistent/token does not exist");
        assert!(broken.certain);
    }

    #[test]
    fn a_directory_and_a_file_of_65_kib_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(broken_of(look(directory.path())).reason.contains("not a regular file"));
        let large = directory.path().join("large");
        std::fs::write(&large, "a".repeat(65 << 10)).unwrap();
        assert!(broken_of(look(&large)).reason.contains("larger than the limit"));
    }

    #[cfg(unix)]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the standard library makes no FIFOs")]
    fn a_fifo_is_refused_without_waiting_for_a_writer() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        assert!(broken_of(look(&fifo)).reason.contains("not a regular file"));
    }

    #[test]
    fn a_file_without_a_token_is_broken_and_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2").unwrap();
        let broken = broken_of(look(file.path()));
        assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
    }

    #[test]
    fn cosigns_path_is_absent_where_nothing_is_mounted() {
        let files = Files::default();
        assert!(matches!(block_on(CosignFile::new(Arc::new(files)).look()), Outcome::Absent(_)));
        let files = Files::default().with(COSIGN_PATH, &jwt(r#"{"sub":"pod"}"#));
        let found = found_of(block_on(CosignFile::new(Arc::new(files)).look()));
        assert_eq!(found.token.claims().subject(), Some("pod"));
        let files = Files::default().with(COSIGN_PATH, "");
        assert!(broken_of(block_on(CosignFile::new(Arc::new(files)).look())).certain);
    }
}
