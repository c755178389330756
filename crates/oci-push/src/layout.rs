//! OCI layouts: images and what is attached to them in a directory, as cosign and oras write them.
//!
//! `index.json` is written last, and replaced as a whole: a directory without it is not complete,
//! and no program takes it for one. What is read is checked against its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use host::{FileError, TransportError, off_thread, read_file};
use tempfile::NamedTempFile;

use crate::bodies::Blob;
use crate::contents::Contents;
use crate::digest::Digest;
use crate::error::Error;
use crate::layout_index::{Entry, LayoutIndex};
use crate::locks::guard;
use crate::manifest::{DOCKER_LIST_MEDIA_TYPE, Descriptor, INDEX_MEDIA_TYPE};
use crate::resolved::MANIFEST_CAP;

/// A directory that is an OCI layout. Clones share what was added.
#[derive(Clone, Debug)]
pub struct Layout {
    directory: Arc<PathBuf>,
    /// The name or digest of the image that was chosen when it was opened.
    chosen: Option<Arc<str>>,
    known: Arc<Mutex<Known>>,
}

/// What is in a layout.
#[derive(Debug, Default)]
struct Known {
    index: LayoutIndex,
    found: Scanned,
}

/// What the manifests of a layout say of one another.
#[derive(Debug, Default)]
struct Scanned {
    /// The manifests that refer to a manifest.
    referrers: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The manifests that an index lists.
    members: BTreeSet<Digest>,
}

impl Layout {
    /// Opens a layout that was written before, and looks which of its manifests refer to others:
    /// cosign does not list them. `DIRECTORY:NAME` and `DIRECTORY@DIGEST` choose one of several images
    /// in a directory.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the directory is not an OCI layout, or not complete.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let asked = directory.into();
        let choose = |asked: PathBuf| Ok(chosen(&asked).unwrap_or((asked, None)));
        let (_, (directory, chosen)) = blocking(asked, choose).await?;
        let (directory, known) = blocking(directory, |directory| read(&directory)).await?;
        Ok(Self::new(directory, chosen, known))
    }

    fn new(directory: PathBuf, chosen: Option<String>, known: Known) -> Self {
        let (directory, known) = (Arc::new(directory), Arc::new(Mutex::new(known)));
        Self { directory, chosen: chosen.map(Arc::from), known }
    }

    /// Opens a layout to add to it: a directory that does not exist or is empty, what an earlier
    /// run left unfinished, or a layout.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the directory holds something else, or cannot be written to.
    pub async fn create(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        let (directory, known) = blocking(directory, |directory| prepare(&directory)).await?;
        Ok(Self::new(directory, None, known))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The image of the layout; where it holds several, the one that was chosen when it was opened,
    /// or else the one that is called `name` there.
    ///
    /// # Errors
    /// [`Error::NotFound`]: there is none, or not the one that was chosen. [`Error::Invalid`]: there
    /// are several, and none of that name.
    pub fn image(&self, name: Option<&str>) -> Result<Descriptor, Error> {
        let images = self.images();
        let called = |wanted: &str| {
            images.iter().find(|(image, name)| {
                name.as_deref() == Some(wanted) || image.digest.as_str() == wanted
            })
        };
        let directory = host::escape_remote(&self.directory.to_string_lossy());
        if let Some(chosen) = &self.chosen {
            return called(chosen).map(|(image, _)| image.clone()).ok_or_else(|| {
                let chosen = host::escape_remote(chosen);
                let what = format!("the image {chosen} in the directory {directory}");
                Error::NotFound { what, detail: format!("it holds {}", names(&images)) }
            });
        }
        if let Some((image, _)) = name.and_then(called) {
            return Ok(image.clone());
        }
        match &*images {
            [] => Err(Error::NotFound {
                what: format!("an image in the directory {directory}"),
                detail: "its index.json lists none".to_owned(),
            }),
            [(image, _)] => Ok(image.clone()),
            several => Err(Error::Invalid {
                what: format!("the directory {directory}"),
                reason: format!(
                    "it holds several images: {}; choose one as DIRECTORY:NAME or DIRECTORY@DIGEST",
                    names(several)
                ),
            }),
        }
    }

    /// The images, each with its name; not what refers to them.
    fn images(&self) -> Vec<(Descriptor, Option<String>)> {
        let known = guard(&self.known);
        let Scanned { referrers, members } = &known.found;
        let referring: BTreeSet<&Digest> = referrers.values().flatten().collect();
        known.index.images(|digest| referring.contains(digest), |digest| members.contains(digest))
    }

    /// Reads a manifest and checks its digest.
    pub(crate) async fn manifest(&self, digest: &Digest) -> Result<(Descriptor, Bytes), Error> {
        let path = self.blob_path(digest);
        let (path, bytes) = blocking(path, |path| {
            read_file(&path, MANIFEST_CAP).map_err(|error| unreadable(&path, &error))
        })
        .await?;
        if !digest.matches(&bytes) {
            return Err(wrong_digest(&path, &Digest::sha256(&bytes)));
        }
        let what = path.display().to_string();
        let media_type = Contents::parse(&what, &bytes)?.media_type().to_owned();
        let descriptor =
            Descriptor { media_type, size: bytes.len() as u64, digest: digest.clone() };
        Ok((descriptor, Bytes::from(bytes)))
    }

    /// The manifests that refer to `subject`.
    pub(crate) fn referrers(&self, subject: &Digest) -> BTreeSet<Digest> {
        guard(&self.known).found.referrers.get(subject).cloned().unwrap_or_default()
    }

    /// Those of them that the index lists, as oras wants it.
    pub(crate) fn listed_referrers(&self, subject: &Digest) -> BTreeSet<Digest> {
        let mut referrers = self.referrers(subject);
        let known = guard(&self.known);
        referrers.retain(|referrer| known.index.has(referrer));
        referrers
    }

    /// The manifest that is called `tag`, or that cosign lists as the signatures or attestations of
    /// the image.
    pub(crate) fn tagged(&self, tag: &str, subject: &Digest) -> Option<Digest> {
        guard(&self.known).index.tagged(tag, subject)
    }

    /// Lists a manifest that was stored.
    pub(crate) fn list(&self, entry: Entry, subject: Option<&Digest>) {
        let mut known = guard(&self.known);
        if let Some(subject) = subject {
            let referrers = known.found.referrers.entry(subject.clone()).or_default();
            referrers.insert(entry.digest.clone());
        }
        known.index.list(entry);
    }

    /// Writes the index: from now on the layout is complete.
    pub(crate) async fn finish(&self) -> Result<(), Error> {
        let index = guard(&self.known).index.to_json()?;
        let path = self.directory.join(INDEX);
        blocking(path, move |path| write(&path, &index)).await.map(drop)
    }

    pub(crate) async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, Error> {
        let is_there = move |path: PathBuf| {
            Ok(fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == size))
        };
        blocking(self.blob_path(digest), is_there).await.map(|(_, there)| there)
    }

    /// Opens a blob, whose parts are read when they are asked for.
    pub(crate) async fn open_blob(&self, digest: &Digest, size: u64) -> Result<Blob, Error> {
        // Opening a FIFO would wait for its writer.
        let open = |path: PathBuf| match fs::metadata(&path) {
            Ok(file) if file.is_file() => File::open(&path).map_err(|error| failed(&path, &error)),
            Ok(other) => Err(unreadable(&path, &FileError::not_a_file(&path, &other))),
            Err(error) => Err(unreadable(&path, &FileError::from_io(&path, error))),
        };
        let (path, file) = blocking(self.blob_path(digest), open).await?;
        let what = path.display().to_string();
        let parts = unfold(Some((file, what.clone())), |state| async move {
            let (mut file, path) = state?;
            let read = off_thread(move || {
                let mut part = Vec::new();
                let read = (&mut file).take(PART).read_to_end(&mut part);
                read.map(|_| (file, Bytes::from(part)))
            });
            match read.await.and_then(|read| read) {
                Ok((_, part)) if part.is_empty() => None,
                Ok((file, part)) => Some((Ok(part), Some((file, path)))),
                Err(error) => {
                    let broken = TransportError::Broken { url: path, source: Arc::new(error) };
                    Some((Err(broken), None))
                }
            }
        });
        Ok(Blob::checked(Box::pin(parts), digest, size, what))
    }

    /// Stores a blob, whole or not at all.
    pub(crate) async fn put_blob(&self, digest: &Digest, blob: Blob) -> Result<(), Error> {
        let path = self.blob_path(digest);
        let make = |path: PathBuf| draft_for(&path).map_err(|error| failed(&path, &error));
        let (path, mut draft) = blocking(path, make).await?;
        let Blob { mut parts, failure } = blob;
        let mut pending = BytesMut::new();
        loop {
            let part = parts.next().await;
            let ended = part.is_none();
            match part.transpose() {
                Ok(part) => pending.extend_from_slice(&part.unwrap_or_default()),
                Err(source) => {
                    let registry = path.display().to_string();
                    let other = Error::Transport { registry, source };
                    return Err(guard(&failure).take().unwrap_or(other));
                }
            }
            if pending.len() as u64 >= PART || ended {
                let part = pending.split();
                let write = move |_| {
                    let written = draft.write_all(&part);
                    written.map(|()| draft).map_err(|error| error.to_string())
                };
                let (_, written) = blocking(path.clone(), |path| Ok(write(path))).await?;
                draft = written.map_err(|reason| failed(&path, &io::Error::other(reason)))?;
            }
            if ended {
                break;
            }
        }
        let keep = move |path: PathBuf| {
            draft.persist(&path).map(drop).map_err(|error| failed(&path, &error.error))
        };
        blocking(path, keep).await.map(drop)
    }

    /// Stores a manifest. It is not listed by that.
    pub(crate) async fn put_manifest(&self, digest: &Digest, bytes: Bytes) -> Result<(), Error> {
        blocking(self.blob_path(digest), move |path| write(&path, &bytes)).await.map(drop)
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        // A digest consists of a known algorithm and hex: it leads nowhere else.
        self.directory.join(BLOBS).join(digest.algorithm()).join(digest.hex())
    }
}

/// The directory and the image in it that `asked` names, where that is not a directory.
fn chosen(asked: &Path) -> Option<(PathBuf, Option<String>)> {
    let text = asked.to_str().filter(|_| !asked.is_dir())?;
    let mut separators = text.match_indices([':', '@']);
    separators.find_map(|(position, _)| {
        let (directory, name) = (text.get(..position)?, text.get(position + 1..)?);
        let directory = Path::new(directory);
        (directory.is_dir() && !name.is_empty())
            .then(|| (directory.to_owned(), Some(name.to_owned())))
    })
}

/// The names of images, or their digests.
fn names(images: &[(Descriptor, Option<String>)]) -> String {
    let name = |(image, name): &(Descriptor, Option<String>)| {
        name.clone().unwrap_or_else(|| image.digest.to_string())
    };
    let most = images.iter().take(MOST_NAMES).map(name).collect::<Vec<_>>().join(", ");
    let most = host::escape_remote(&most);
    match images.len().saturating_sub(MOST_NAMES) {
        0 => most,
        others => format!("{most} and {others} more"),
    }
}

/// Whether a manifest of this media type is an index.
pub(crate) fn is_index(media_type: &str) -> bool {
    [INDEX_MEDIA_TYPE, DOCKER_LIST_MEDIA_TYPE].contains(&media_type)
}

/// Runs `work` on `path` on a thread of its own, and gives back the path.
async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(PathBuf) -> Result<T, Error> + Send + 'static,
) -> Result<(PathBuf, T), Error> {
    let again = path.clone();
    let done = off_thread(move || work(path)).await;
    let done = done.map_err(|error| failed(&again, &error))?;
    done.map(|done| (again, done))
}

fn read(directory: &Path) -> Result<Known, Error> {
    let invalid = |reason: String| Error::Invalid { what: directory.display().to_string(), reason };
    let marker = directory.join(MARKER);
    match read_file(&marker, MARKER_CAP) {
        Ok(marker) if String::from_utf8_lossy(&marker).contains("imageLayoutVersion") => {}
        Ok(_) => return Err(invalid(format!("{MARKER} does not name a version of OCI layouts"))),
        Err(FileError::NotFound { .. }) => {
            return Err(invalid(format!("it is not an OCI layout: it has no file {MARKER}")));
        }
        Err(error) => return Err(unreadable(&marker, &error)),
    }
    let path = directory.join(INDEX);
    let index = match read_file(&path, MANIFEST_CAP) {
        Ok(index) => LayoutIndex::parse(&path.display().to_string(), &index)?,
        Err(FileError::NotFound { .. }) => {
            let reason = format!("it is not complete: it has no {INDEX}, which is written last");
            return Err(invalid(reason));
        }
        Err(error) => return Err(unreadable(&path, &error)),
    };
    Ok(Known { index, found: scan(directory)? })
}

/// Looks through the small blobs for manifests that refer to others.
fn scan(directory: &Path) -> Result<Scanned, Error> {
    let mut found = Scanned::default();
    let (mut files, mut bytes_read) = (0_usize, 0_u64);
    for algorithm in ["sha256", "sha512"] {
        let blobs = directory.join(BLOBS).join(algorithm);
        let Ok(entries) = fs::read_dir(&blobs) else { continue };
        for entry in entries {
            let entry = entry.map_err(|error| failed(&blobs, &error))?;
            let name = entry.file_name();
            let Ok(digest) = format!("{algorithm}:{}", name.to_string_lossy()).parse::<Digest>()
            else {
                continue;
            };
            files += 1;
            let path = entry.path();
            let is_small =
                |file: &fs::Metadata| file.is_file() && file.len() <= MANIFEST_CAP as u64;
            if !fs::metadata(&path).is_ok_and(|file| is_small(&file)) || !is_object(&path) {
                continue;
            }
            let bytes =
                read_file(&path, MANIFEST_CAP).map_err(|error| unreadable(&path, &error))?;
            bytes_read += bytes.len() as u64;
            if files > MOST_FILES || bytes_read > MOST_READ {
                return Err(Error::Invalid {
                    what: directory.display().to_string(),
                    reason: format!(
                        "it has more than {MOST_FILES} blobs, or more than {MOST_READ} bytes of JSON"
                    ),
                });
            }
            let Ok(contents) = Contents::parse("", &bytes) else { continue };
            if !digest.matches(&bytes) {
                continue;
            }
            for member in contents.members() {
                found.members.extend(member.descriptor().map(|member| member.digest));
            }
            if let Some(Ok(subject)) = contents.subject().map(str::parse::<Digest>) {
                found.referrers.entry(subject).or_default().insert(digest);
            }
        }
    }
    Ok(found)
}

/// Whether a file begins as a JSON object.
fn is_object(path: &Path) -> bool {
    let mut first = [0_u8; 1];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && (first == *b"{" || first[0].is_ascii_whitespace())
}

fn prepare(directory: &Path) -> Result<Known, Error> {
    let io = |error: io::Error| failed(directory, &error);
    let blobs = directory.join(BLOBS);
    for directory in [directory, &blobs.join("sha256"), &blobs.join("sha512")] {
        remove_abandoned_drafts(directory);
    }
    if directory.join(INDEX).exists() {
        return read(directory);
    }
    match fs::read_dir(directory) {
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(io)?.file_name();
                let name = name.to_string_lossy();
                if ![MARKER, BLOBS].contains(&&*name) && !name.starts_with(DRAFT) {
                    return Err(Error::Invalid {
                        what: directory.display().to_string(),
                        reason: "it is neither empty nor an OCI layout; name another directory"
                            .to_owned(),
                    });
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    fs::create_dir_all(directory.join(BLOBS).join("sha256")).map_err(io)?;
    write(&directory.join(MARKER), MARKER_TEXT)?;
    Ok(Known::default())
}

/// Removes what a run left that was killed. A run that goes on writes to its drafts all the time.
fn remove_abandoned_drafts(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_draft = entry.file_name().to_string_lossy().starts_with(DRAFT);
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_draft && age().is_some_and(|age| age > ABANDONED) {
            // Whoever may not remove it can still add to the layout.
            fs::remove_file(entry.path()).unwrap_or_default();
        }
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = draft_for(path).and_then(|mut draft| {
        draft.write_all(bytes)?;
        draft.as_file().sync_all()?;
        draft.persist(path).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| failed(path, &error))
}

/// A file beside the file `path`, to become it.
fn draft_for(path: &Path) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(directory)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(DRAFT);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The umask applies to these.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory)
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let (what, reason) = (path.display().to_string(), error.to_string());
    Error::Invalid { what, reason }
}

fn unreadable(path: &Path, error: &FileError) -> Error {
    let what = path.display().to_string();
    match error {
        FileError::NotFound { .. } => Error::NotFound { what, detail: String::new() },
        error => Error::Invalid { what, reason: host::with_causes(error) },
    }
}

fn wrong_digest(path: &Path, found: &Digest) -> Error {
    let reason = format!("its content has the digest {found}");
    Error::Invalid { what: path.display().to_string(), reason }
}

/// Longer than the wait for a part of a blob.
const ABANDONED: Duration = Duration::from_secs(300);
const BLOBS: &str = "blobs";
const DRAFT: &str = ".ambisign-";
const INDEX: &str = "index.json";
const MARKER: &str = "oci-layout";
const MARKER_CAP: usize = 64 << 10;
const MARKER_TEXT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const MOST_FILES: usize = 100_000;
/// In a message.
const MOST_NAMES: usize = 20;
/// What is read to find the manifests that refer to others.
const MOST_READ: u64 = 512 << 20;
const PART: u64 = 1 << 20;
