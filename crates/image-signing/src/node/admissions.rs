//! What a node remembers of the images that it admitted: a file for each, in a directory of its
//! own. None of it is needed; whatever is wrong with it costs a look at the registry.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::node::guarded;

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Admissions {
    directory: PathBuf,
}

/// An image that was verified.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admitted {
    image: String,
    signers: Vec<String>,
    /// When it was verified, in seconds since 1970.
    verified_at: u64,
}

impl Admitted {
    pub(crate) fn new(image: &Image, mut signers: Vec<String>, now: SystemTime) -> Self {
        signers.sort();
        signers.dedup();
        signers.truncate(MOST_SIGNERS);
        let verified_at = seconds(now);
        Self { image: image.reference().to_string(), signers, verified_at }
    }

    /// How long ago it was verified, if it is about `image` and younger than `lifetime`. What is
    /// from the future does not count: the clock was set back, or somebody made it up.
    pub(crate) fn age(
        &self,
        image: &Image,
        now: SystemTime,
        lifetime: Duration,
    ) -> Option<Duration> {
        let age = Duration::from_secs(seconds(now).checked_sub(self.verified_at)?);
        (age < lifetime && self.image == image.reference().to_string()).then_some(age)
    }

    /// Why the image is admitted, in one line.
    pub(crate) fn reason(&self, age: Option<Duration>) -> String {
        let Self { image, signers, .. } = self;
        let signers = signers.join(", ");
        let when = age
            .map_or_else(String::new, |age| format!(" (verified {} seconds ago)", age.as_secs()));
        format!("verified {image} signed by {signers}{when}")
    }
}

impl Admissions {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is remembered under `key`, a digest in hex.
    pub(crate) async fn find(&self, key: &str) -> Option<Admitted> {
        let (directory, name) = (self.directory.clone(), name(key));
        let read = move || {
            guarded::check(&directory)?;
            guarded::read(&directory.join(name), ENTRY_CAP)
        };
        let bytes = host::off_thread(read).await.ok()?.ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps `admitted` under `key`, and removes the oldest where there are too many.
    pub(crate) async fn remember(&self, key: &str, admitted: &Admitted) -> io::Result<()> {
        let bytes = serde_json::to_vec(admitted)?;
        if bytes.len() > ENTRY_CAP {
            return Err(io::Error::other("the names of the signers are too long"));
        }
        let (directory, name) = (self.directory.clone(), name(key));
        let write = move || {
            guarded::create(&directory)?;
            remove_oldest(&directory)?;
            guarded::write(&directory, &name, &bytes)
        };
        host::off_thread(write).await?
    }

    /// Waits until no other process asks about `key`, at most for `patience`. `None` when another
    /// still does. The lock ends with the process at the latest.
    pub(crate) async fn lock(&self, key: &str, patience: Duration) -> io::Result<Option<File>> {
        // A fixed number of files, which are never removed: keys that share one wait for each other.
        let stripe = key.get(..1).unwrap_or("0");
        let (directory, path) =
            (self.directory.clone(), self.directory.join(LOCK.to_owned() + stripe));
        let wait = move || {
            guarded::create(&directory)?;
            let file = guarded::open_lock(&path)?;
            let mut left = patience;
            while !guarded::try_lock(&file)? {
                if left.is_zero() {
                    return Ok(None);
                }
                std::thread::sleep(PAUSE);
                left = left.saturating_sub(PAUSE);
            }
            Ok(Some(file))
        };
        host::off_thread(wait).await?
    }
}

/// Leaves room for one more entry. Entries that others remove meanwhile are none.
fn remove_oldest(directory: &Path) -> io::Result<()> {
    let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(directory)?.take(MOST_LISTED) {
        let entry = entry?;
        let name = entry.file_name();
        let is_kept = name.to_string_lossy().starts_with(LOCK);
        let Ok(metadata) = entry.metadata() else { continue };
        if is_kept || !metadata.is_file() {
            continue;
        }
        entries.push((metadata.modified().unwrap_or(UNIX_EPOCH), entry.path()));
    }
    if entries.len() < MOST_ENTRIES {
        return Ok(());
    }
    // A quarter at once, so that this is rare. Drafts of a process that was ended are among them.
    entries.sort();
    let surplus = entries.len().saturating_sub(MOST_ENTRIES / 4 * 3);
    for (_, path) in entries.into_iter().take(surplus) {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    Ok(())
}

fn name(key: &str) -> String {
    format!("{key}.json")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

const LOCK: &str = "lock-";
/// Of one entry, in bytes. All together they are 8 MiB at most.
const ENTRY_CAP: usize = 4 << 10;
const MOST_ENTRIES: usize = 2048;
const MOST_LISTED: usize = 4 * MOST_ENTRIES;
const MOST_SIGNERS: usize = 8;
/// How often the lock is tried.
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:2d93689cbcdda92b425bfc82f87f5b656791a8a3e96c8eb2d702c6698987629a";

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    fn image(name: &str) -> Image {
        Image::parse(&format!("{name}@{DIGEST}")).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_admission_counts_for_its_lifetime_and_for_its_image_only() {
        let admitted = Admitted::new(&image("a.example/b"), vec!["x".to_owned()], at(1000));
        let age = |name: &str, now| admitted.age(&image(name), at(now), Duration::from_secs(60));
        assert_eq!(age("a.example/b", 1000), Some(Duration::ZERO));
        assert_eq!(age("a.example/b", 1059), Some(Duration::from_secs(59)));
        assert_eq!(age("a.example/b", 1060), None);
        assert_eq!(age("a.example/b", 999), None, "it is from the future");
        assert_eq!(age("a.example/c", 1000), None);
    }

    #[test]
    fn what_is_remembered_is_found_again_and_is_private() {
        let scratch = tempfile::tempdir().unwrap();
        let admissions = Admissions::new(scratch.path().join("verdicts"));
        let admitted = Admitted::new(&image("a.example/b"), vec!["x".to_owned()], at(1000));
        assert_eq!(block_on(admissions.find("ab")), None);
        block_on(admissions.remember("ab", &admitted)).unwrap();
        assert_eq!(block_on(admissions.find("ab")), Some(admitted));
        assert_eq!(block_on(admissions.find("cd")), None);
        let file = admissions.directory().join("ab.json");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&file), mode(admissions.directory())), (0o600, 0o700));
        }
        for broken in ["", "{", "{\"image\":1}", &"x".repeat(ENTRY_CAP + 1)] {
            std::fs::write(&file, broken).unwrap();
            assert_eq!(block_on(admissions.find("ab")), None, "{broken:.20}");
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let scratch = tempfile::tempdir().unwrap();
        let admissions = Admissions::new(scratch.path().join("verdicts"));
        let admitted = Admitted::new(&image("a.example/b"), Vec::new(), at(1000));
        guarded::create(admissions.directory()).unwrap();
        for number in 0..MOST_ENTRIES {
            let path = admissions.directory().join(format!("{number}.json"));
            let file = File::create(path).unwrap();
            file.set_modified(at(1_000_000 + number as u64)).unwrap();
        }
        block_on(admissions.remember("new", &admitted)).unwrap();
        let left = std::fs::read_dir(admissions.directory()).unwrap().count();
        assert_eq!(left, MOST_ENTRIES / 4 * 3 + 1);
        assert!(!admissions.directory().join("0.json").exists());
        assert!(admissions.directory().join(format!("{}.json", MOST_ENTRIES - 1)).exists());
        assert_eq!(block_on(admissions.find("new")), Some(admitted));
    }

    #[test]
    fn one_asks_while_the_others_wait_but_not_for_ever() {
        let scratch = tempfile::tempdir().unwrap();
        let admissions = Admissions::new(scratch.path().join("verdicts"));
        let first = block_on(admissions.lock("ab", Duration::ZERO)).unwrap();
        assert!(first.is_some());
        let second = block_on(admissions.lock("ab", Duration::from_millis(50))).unwrap();
        assert!(second.is_none());
        assert!(block_on(admissions.lock("cd", Duration::ZERO)).unwrap().is_some());
        drop(first);
        assert!(block_on(admissions.lock("ab", Duration::ZERO)).unwrap().is_some());
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_an_error_and_no_more() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        let admissions = Admissions::new(file.join("verdicts"));
        let admitted = Admitted::new(&image("a.example/b"), Vec::new(), at(1000));
        block_on(admissions.remember("ab", &admitted)).unwrap_err();
        block_on(admissions.lock("ab", Duration::ZERO)).unwrap_err();
        assert_eq!(block_on(admissions.find("ab")), None);
    }
}
