use std::io;
use std::path::{Path, PathBuf};

use host::Env;
use serde_json::{Value, json};
use url::Url;

use crate::error::Error;
use crate::files::{self, Owner};
use crate::mirror::{Mirror, name_of};
use crate::warning::Warning;

/// Where the files are: the cache, which may be deleted at any time, and the configuration, which
/// says which mirror is asked and which root it starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    cache: PathBuf,
    config: PathBuf,
    /// Whether the user named them. Default directories may be missing or unreadable.
    named: bool,
}

/// The mirror to ask, and what was ignored in choosing it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Choice {
    /// The mirror.
    pub mirror: Mirror,
    /// Directories and files that cannot be read and were not named.
    pub warnings: Vec<Warning>,
}

impl Directories {
    /// These two, which may be one.
    pub fn new(cache: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), config: config.into(), named: true }
    }

    /// The directories that the environment names: `TUF_ROOT` for both, else `ambisign/tuf` in
    /// `XDG_CACHE_HOME` (or `~/.cache`) and in `XDG_CONFIG_HOME` (or `~/.config`). `None` without
    /// any of them.
    pub fn from_env(env: &dyn Env) -> Option<Self> {
        if let Some(root) = env.path("TUF_ROOT") {
            return Some(Self::new(root.clone(), root));
        }
        let directory = |variable: &str, in_home: &str| {
            // The XDG specification says to ignore relative paths.
            let given = env.path(variable).filter(|path| path.is_absolute());
            let base = given.or_else(|| Some(env.path("HOME")?.join(in_home)))?;
            Some(base.join("ambisign").join("tuf"))
        };
        Some(Self {
            cache: directory("XDG_CACHE_HOME", ".cache")?,
            config: directory("XDG_CONFIG_HOME", ".config")?,
            named: false,
        })
    }

    /// The cache.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The mirror to ask: that of `TUF_MIRROR` (with the root in the file `TUF_ROOT_JSON`, if
    /// given), else the one that was chosen by [`initialize`](crate::initialize), else the
    /// public-good instance.
    ///
    /// Default directories that cannot be read, or that belong to another user, count as absent
    /// and are named in a warning.
    ///
    /// # Errors
    /// The variables name something unusable; or directories that were named cannot be read; or
    /// no root of the mirror is embedded or was given to [`initialize`](crate::initialize).
    pub async fn mirror(&self, env: &dyn Env) -> Result<Choice, Error> {
        let mut warnings = Vec::new();
        if let Err(source) = self.check(&self.cache) {
            warnings.push(Warning::Ignored { path: self.cache.clone(), source });
        }
        let url = match env.var("TUF_MIRROR") {
            Some(text) => Some(Url::parse(&text).map_err(|error| Error::Root {
                reason: format!("TUF_MIRROR is {text:?}: {error}"),
            })?),
            None => self.chosen(&mut warnings)?,
        };
        let url = url.unwrap_or_else(|| Mirror::public_good().url().clone());
        if let Some(path) = env.path("TUF_ROOT_JSON") {
            let root = env.read(&path, ROOT_CAP).await;
            let root =
                root.map_err(|error| Error::Root { reason: format!("TUF_ROOT_JSON: {error}") })?;
            return Ok(Choice { mirror: Mirror::new(url, &root)?, warnings });
        }
        let mirror = match self.read(&self.root_path(&url), ROOT_CAP, &mut warnings)? {
            Some(root) => Mirror::new(url, &root)?,
            None => {
                Mirror::known(&url).ok_or_else(|| Error::Unknown { mirror: url.to_string() })?
            }
        };
        Ok(Choice { mirror, warnings })
    }

    /// Makes `mirror` the one that is asked from now on.
    pub(crate) fn choose(&self, mirror: &Mirror) -> Result<(), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Directory { path, source }
        };
        let trusted = self.trusted(&self.config);
        let root = self.root_path(mirror.url());
        // An embedded root is not written: the next version of the program has a newer one.
        let embedded = Mirror::known(mirror.url()).is_some_and(|it| it.root() == mirror.root());
        let kept = match embedded {
            true => files::remove_file(&root),
            false => files::write(&root, mirror.root(), trusted),
        };
        kept.map_err(failed(&root))?;
        let chosen = self.config.join(CHOSEN);
        let document = json!({ "mirror": mirror.url().as_str() });
        files::write(&chosen, document.to_string().as_bytes(), trusted).map_err(failed(&chosen))
    }

    pub(crate) fn of(&self, mirror: &Mirror) -> PathBuf {
        self.cache.join(mirror.name())
    }

    pub(crate) fn lock_of(&self, mirror: &Mirror) -> PathBuf {
        self.cache.join(format!("{}.lock", mirror.name()))
    }

    fn root_path(&self, mirror: &Url) -> PathBuf {
        self.config.join(format!("{}.root.json", name_of(mirror)))
    }

    fn chosen(&self, warnings: &mut Vec<Warning>) -> Result<Option<Url>, Error> {
        let path = self.config.join(CHOSEN);
        let wrong = |reason: &str| Error::Root { reason: format!("{}: {reason}", path.display()) };
        let Some(bytes) = self.read(&path, 64 << 10, warnings)? else { return Ok(None) };
        let document: Value = serde_json::from_slice(&bytes).map_err(|_| wrong("not JSON"))?;
        let text = document.get("mirror").and_then(Value::as_str);
        let text = text.ok_or_else(|| wrong("it names no mirror"))?;
        Url::parse(text).map(Some).map_err(|_| wrong("its mirror is not a URL"))
    }

    fn check(&self, directory: &Path) -> io::Result<()> {
        if self.named { Ok(()) } else { files::check_default_directory(directory) }
    }

    /// The owner of a directory that was named is trusted in it: images are built by one user and
    /// run by another.
    pub(crate) fn trusted(&self, directory: &Path) -> Owner {
        if self.named { Owner::of(directory) } else { Owner::default() }
    }

    /// A file of the configuration. Write access to it decides what is trusted.
    fn read(
        &self,
        path: &Path,
        cap: usize,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let trusted = self.trusted(&self.config);
        let read = self.check(&self.config).and_then(|()| files::read(path, cap, trusted));
        let source = match read {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => error,
        };
        if self.named || source.kind() != io::ErrorKind::PermissionDenied {
            return Err(Error::Root { reason: format!("{}: {source}", path.display()) });
        }
        let known = |warning: &Warning| matches!(warning, Warning::Ignored { path, .. } if *path == self.config);
        if !warnings.iter().any(known) {
            warnings.push(Warning::Ignored { path: self.config.clone(), source });
        }
        Ok(None)
    }
}

const CHOSEN: &str = "mirror.json";
/// The largest root, in bytes.
pub(crate) const ROOT_CAP: usize = 512_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn choose(directories: &Directories, env: &dyn Env) -> Result<Choice, Error> {
        let mut future = std::pin::pin!(directories.mirror(env));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => panic!("these environments do not wait"),
        }
    }

    fn mirror_of(directories: &Directories, env: &dyn Env) -> Result<Mirror, Error> {
        choose(directories, env).map(|choice| choice.mirror)
    }

    #[test]
    fn the_directories_are_those_of_the_environment() {
        let of = |env: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
            Directories::from_env(&env.iter().map(owned).collect::<BTreeMap<_, _>>())
        };
        let default = |cache: &str, config: &str| {
            Some(Directories { named: false, ..Directories::new(cache, config) })
        };
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[("HOME", "/h")]),
            default("/h/.cache/ambisign/tuf", "/h/.config/ambisign/tuf")
        );
        let xdg = [("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("XDG_CONFIG_HOME", "relative")];
        assert_eq!(of(&xdg), default("/c/ambisign/tuf", "/h/.config/ambisign/tuf"));
        assert_eq!(of(&[("HOME", "/h"), ("TUF_ROOT", "/t")]), Some(Directories::new("/t", "/t")));
    }

    #[test]
    fn without_a_choice_the_public_good_instance_is_asked() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = Directories::new(scratch.path(), scratch.path());
        let env: [(&str, &str); 0] = [];
        let url = mirror_of(&directories, &env).unwrap().url().clone();
        assert_eq!(&url, Mirror::public_good().url());
        let env = [("TUF_MIRROR", "https://tuf-repo-cdn.sigstage.dev/")];
        assert_eq!(mirror_of(&directories, &env).unwrap().root(), Mirror::staging().root());
    }

    #[test]
    fn a_mirror_without_a_known_root_is_not_asked() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = Directories::new(scratch.path(), scratch.path());
        let env = [("TUF_MIRROR", "https://tuf.example")];
        let error = mirror_of(&directories, &env).unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{error}");
        let mirror = Mirror::of_public_good(Url::parse("https://tuf.example").unwrap()).unwrap();
        directories.choose(&mirror).unwrap();
        assert_eq!(mirror_of(&directories, &env).unwrap().root(), mirror.root());
        let none: [(&str, &str); 0] = [];
        assert_eq!(mirror_of(&directories, &none).unwrap().url().as_str(), "https://tuf.example/");
    }

    #[test]
    fn a_choice_that_cannot_be_read_is_an_error_and_not_the_default() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = Directories::new(scratch.path(), scratch.path());
        std::fs::write(scratch.path().join(CHOSEN), "{\"mirr").unwrap();
        let env: [(&str, &str); 0] = [];
        let error = mirror_of(&directories, &env).unwrap_err().to_string();
        assert!(error.contains("mirror.json: not JSON"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_default_directory_open_to_every_user_is_ignored_with_a_warning_and_a_named_one_is_used() {
        use std::os::unix::fs::PermissionsExt as _;

        let scratch = tempfile::tempdir().unwrap();
        let home = scratch.path().to_str().unwrap();
        let config = scratch.path().join(".config/ambisign/tuf");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(config.join(CHOSEN), r#"{"mirror":"https://tuf.evil"}"#).unwrap();
        // Another user could have chosen the mirror.
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o777)).unwrap();
        let env = [("HOME", home)];
        let directories = Directories::from_env(&env).unwrap();
        let choice = choose(&directories, &env).unwrap();
        assert_eq!(choice.mirror.url(), Mirror::public_good().url());
        let [Warning::Ignored { path, source }] = choice.warnings.as_slice() else {
            panic!("{:?}", choice.warnings)
        };
        assert_eq!((path, source.to_string()), (&config, "every user may write to it".to_owned()));
        // One that was named is used: containers are often run without a umask.
        let env = [("TUF_ROOT", config.to_str().unwrap())];
        let error = choose(&Directories::from_env(&env).unwrap(), &env).unwrap_err();
        assert!(matches!(error, Error::Unknown { mirror } if mirror.contains("tuf.evil")));
    }
}
