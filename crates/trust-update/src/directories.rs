use std::path::{Path, PathBuf};

use host::Env;
use serde_json::{Value, json};
use url::Url;

use crate::cache::write;
use crate::mirror::name_of;
use crate::{Error, Mirror};

/// Where the files are: the cache, which may be deleted at any time, and the configuration, which
/// says which mirror is asked and whom to believe about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    cache: PathBuf,
    config: PathBuf,
}

impl Directories {
    /// These two, which may be one.
    pub fn new(cache: impl Into<PathBuf>, config: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), config: config.into() }
    }

    /// What the environment says: `TUF_ROOT` for both, else `ambisign/tuf` in `XDG_CACHE_HOME`
    /// (or `~/.cache`) and in `XDG_CONFIG_HOME` (or `~/.config`). Nothing without any of them.
    pub fn from_env(env: &dyn Env) -> Option<Self> {
        if let Some(root) = env.var("TUF_ROOT") {
            return Some(Self::new(root.clone(), root));
        }
        let directory = |variable: &str, in_home: &str| {
            // The specification has relative paths ignored.
            let given = env.var(variable).map(PathBuf::from).filter(|path| path.is_absolute());
            let base = given.or_else(|| Some(PathBuf::from(env.var("HOME")?).join(in_home)))?;
            Some(base.join("ambisign").join("tuf"))
        };
        Some(Self {
            cache: directory("XDG_CACHE_HOME", ".cache")?,
            config: directory("XDG_CONFIG_HOME", ".config")?,
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
    /// # Errors
    /// The variables name something unusable, or a mirror whose root is neither embedded nor was
    /// ever given to [`initialize`](crate::initialize).
    pub fn mirror(&self, env: &dyn Env) -> Result<Mirror, Error> {
        let url = match env.var("TUF_MIRROR") {
            Some(text) => Some(Url::parse(&text).map_err(|error| Error::Root {
                reason: format!("TUF_MIRROR is {text:?}: {error}"),
            })?),
            None => self.chosen()?,
        };
        let url = url.unwrap_or_else(|| Mirror::public_good().url().clone());
        if let Some(path) = env.var("TUF_ROOT_JSON") {
            let root = host::read_file(Path::new(&path), ROOT_CAP);
            let root =
                root.map_err(|error| Error::Root { reason: format!("TUF_ROOT_JSON: {error}") })?;
            return Mirror::new(url, &root);
        }
        match host::read_file(&self.root_path(&url), ROOT_CAP) {
            Ok(root) => Mirror::new(url, &root),
            Err(host::FileError::NotFound { .. }) => {
                Mirror::known(&url).ok_or_else(|| Error::Unknown { mirror: url.to_string() })
            }
            Err(error) => Err(Error::Root { reason: error.to_string() }),
        }
    }

    /// Makes `mirror` the one that is asked from now on.
    pub(crate) fn choose(&self, mirror: &Mirror) -> Result<(), Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Directory { path, source }
        };
        let root = self.root_path(mirror.url());
        // An embedded root is not written down: the next version of the program has a newer one.
        let embedded = Mirror::known(mirror.url()).is_some_and(|it| it.root() == mirror.root());
        let kept = if embedded { remove(&root) } else { write(&root, mirror.root()) };
        kept.map_err(failed(&root))?;
        let chosen = self.config.join(CHOSEN);
        let document = json!({ "mirror": mirror.url().as_str() });
        write(&chosen, document.to_string().as_bytes()).map_err(failed(&chosen))
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

    fn chosen(&self) -> Result<Option<Url>, Error> {
        let path = self.config.join(CHOSEN);
        let wrong = |reason: &str| Error::Root { reason: format!("{}: {reason}", path.display()) };
        let bytes = match host::read_file(&path, 64 << 10) {
            Ok(bytes) => bytes,
            Err(host::FileError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::Root { reason: error.to_string() }),
        };
        let document: Value = serde_json::from_slice(&bytes).map_err(|_| wrong("not JSON"))?;
        let text = document.get("mirror").and_then(Value::as_str);
        let text = text.ok_or_else(|| wrong("it names no mirror"))?;
        Url::parse(text).map(Some).map_err(|_| wrong("its mirror is no URL"))
    }
}

fn remove(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

const CHOSEN: &str = "mirror.json";
/// The largest root, in bytes.
pub(crate) const ROOT_CAP: usize = 512_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_directories_are_those_of_the_environment() {
        let of = |env: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
            Directories::from_env(&env.iter().map(owned).collect::<BTreeMap<_, _>>())
        };
        let named = |cache: &str, config: &str| Some(Directories::new(cache, config));
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[("HOME", "/h")]),
            named("/h/.cache/ambisign/tuf", "/h/.config/ambisign/tuf")
        );
        let xdg = [("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("XDG_CONFIG_HOME", "relative")];
        assert_eq!(of(&xdg), named("/c/ambisign/tuf", "/h/.config/ambisign/tuf"));
        assert_eq!(of(&[("HOME", "/h"), ("TUF_ROOT", "/t")]), named("/t", "/t"));
    }

    #[test]
    fn without_a_choice_the_public_good_instance_is_asked() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = Directories::new(scratch.path(), scratch.path());
        let env: [(&str, &str); 0] = [];
        let url = directories.mirror(&env).unwrap().url().clone();
        assert_eq!(&url, Mirror::public_good().url());
        let env = [("TUF_MIRROR", "https://tuf-repo-cdn.sigstage.dev/")];
        assert_eq!(directories.mirror(&env).unwrap().root(), Mirror::staging().root());
    }

    #[test]
    fn a_mirror_that_nobody_vouched_for_is_not_asked() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = Directories::new(scratch.path(), scratch.path());
        let env = [("TUF_MIRROR", "https://tuf.example")];
        let error = directories.mirror(&env).unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{error}");
        let mirror = Mirror::of_public_good(Url::parse("https://tuf.example").unwrap()).unwrap();
        directories.choose(&mirror).unwrap();
        assert_eq!(directories.mirror(&env).unwrap().root(), mirror.root());
        let none: [(&str, &str); 0] = [];
        assert_eq!(directories.mirror(&none).unwrap().url().as_str(), "https://tuf.example/");
    }

    #[test]
    fn a_choice_that_cannot_be_read_is_an_error_and_not_the_default() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = Directories::new(scratch.path(), scratch.path());
        std::fs::write(scratch.path().join(CHOSEN), "{\"mirr").unwrap();
        let env: [(&str, &str); 0] = [];
        let error = directories.mirror(&env).unwrap_err().to_string();
        assert!(error.contains("mirror.json: not JSON"), "{error}");
    }
}
