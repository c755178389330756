//! What a registry holds, in memory and, when it has a directory, on disk too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use keys::HashAlgorithm;
use serde::{Deserialize, Serialize};

use super::journal::{Change, Journal};
use crate::Error;
use crate::state::file_error;

/// The most that is held, in bytes. It is a sandbox: all of it is in memory.
const TOTAL_CAP: usize = 2 << 30;

/// The most uploads at a time; the oldest gives way.
const UPLOADS_CAP: usize = 256;

/// The largest list of repositories read back, in bytes.
const INDEX_CAP: usize = 256 << 20;

const INDEX: &str = "repositories.json";

#[derive(Default)]
pub(super) struct Store {
    directory: Option<PathBuf>,
    journal: Option<Journal>,
    contents: BTreeMap<String, Bytes>,
    total: usize,
    repositories: BTreeMap<String, Repository>,
    uploads: VecDeque<Upload>,
}

/// Which contents belong to a repository.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Repository {
    pub(super) blobs: BTreeSet<String>,
    /// The media type by digest.
    pub(super) manifests: BTreeMap<String, String>,
    /// The digest by tag.
    pub(super) tags: BTreeMap<String, String>,
}

pub(super) struct Upload {
    pub(super) id: String,
    pub(super) repository: String,
    pub(super) bytes: Vec<u8>,
}

/// There is no room, or the disk does not take it.
#[derive(Debug)]
pub(super) struct StoreFull;

impl Store {
    /// What an earlier start left in `directory`, which is made if it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(directory).map_err(file_error(directory))?;
        let index = directory.join(INDEX);
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
            file_error(&index)(std::io::Error::other(error))
        };
        let repositories: BTreeMap<String, Repository> = match host::read_file(&index, INDEX_CAP) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unusable(error.into()))?,
            Err(host::FileError::NotFound { .. }) => BTreeMap::new(),
            Err(error) => return Err(unusable(error.into())),
        };
        let mut store =
            Self { directory: Some(directory.to_owned()), repositories, ..Self::default() };
        for change in Journal::read(directory)? {
            store.apply(&change);
        }
        store.save_index(&index)?;
        store.journal = Some(Journal::start(directory)?);
        let digests: BTreeSet<String> = store
            .repositories
            .values()
            .flat_map(|repository| repository.blobs.iter().chain(repository.manifests.keys()))
            .cloned()
            .collect();
        for digest in digests {
            let path = content_path(directory, &digest);
            let bytes = host::read_file(&path, TOTAL_CAP)
                .map_err(|error| file_error(&path)(std::io::Error::other(error)))?;
            store.total = store.total.saturating_add(bytes.len());
            store.contents.insert(digest, bytes.into());
        }
        Ok(store)
    }

    pub(super) fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }

    pub(super) fn repositories(&self) -> impl Iterator<Item = &String> {
        self.repositories.keys()
    }

    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<&Bytes> {
        self.repositories.get(repository)?.blobs.get(digest)?;
        self.contents.get(digest)
    }

    /// A manifest by tag or digest: its digest, media type and content.
    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<Manifest<'_>> {
        let repository = self.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        let (digest, media_type) = repository.manifests.get_key_value(digest)?;
        Some(Manifest { digest, media_type, content: self.contents.get(digest)? })
    }

    pub(super) fn keep_blob(
        &mut self,
        repository: &str,
        digest: &str,
        content: Bytes,
    ) -> Result<(), StoreFull> {
        self.keep(digest, content)?;
        self.change(&Change::Blob { repository: repository.into(), digest: digest.into() })
    }

    /// Makes a blob of one repository one of another as well.
    pub(super) fn mount(
        &mut self,
        repository: &str,
        digest: &str,
        from: &str,
    ) -> Result<bool, StoreFull> {
        if self.blob(from, digest).is_none() {
            return Ok(false);
        }
        self.change(&Change::Blob { repository: repository.into(), digest: digest.into() })?;
        Ok(true)
    }

    pub(super) fn keep_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        digest: &str,
        media_type: &str,
        content: Bytes,
    ) -> Result<(), StoreFull> {
        self.keep(digest, content)?;
        self.change(&Change::Manifest {
            repository: repository.into(),
            digest: digest.into(),
            media_type: media_type.into(),
            tag: tag.map(Into::into),
        })
    }

    /// Forgets a blob. The content stays for other repositories.
    pub(super) fn drop_blob(&mut self, repository: &str, digest: &str) -> Result<bool, StoreFull> {
        let found = self.repository(repository).is_some_and(|it| it.blobs.contains(digest));
        let (repository, digest) = (repository.into(), digest.into());
        self.change(&Change::NoBlob { repository, digest }).map(|()| found)
    }

    /// Forgets a tag, or a manifest with all its tags.
    pub(super) fn drop_manifest(
        &mut self,
        repository: &str,
        reference: &str,
    ) -> Result<bool, StoreFull> {
        let found = self.repository(repository).is_some_and(|it| {
            it.tags.contains_key(reference) || it.manifests.contains_key(reference)
        });
        let (repository, reference) = (repository.into(), reference.into());
        self.change(&Change::NoManifest { repository, reference }).map(|()| found)
    }

    pub(super) fn start_upload(&mut self, id: &str, repository: &str) {
        if self.uploads.len() >= UPLOADS_CAP {
            self.uploads.pop_front();
        }
        let (id, repository) = (id.to_owned(), repository.to_owned());
        self.uploads.push_back(Upload { id, repository, bytes: Vec::new() });
    }

    pub(super) fn upload(&mut self, repository: &str, id: &str) -> Option<&mut Upload> {
        self.uploads.iter_mut().find(|upload| upload.id == id && upload.repository == repository)
    }

    pub(super) fn end_upload(&mut self, repository: &str, id: &str) -> Option<Upload> {
        let position = self
            .uploads
            .iter()
            .position(|upload| upload.id == id && upload.repository == repository)?;
        self.uploads.remove(position)
    }

    fn entry(&mut self, repository: &str) -> &mut Repository {
        self.repositories.entry(repository.to_owned()).or_default()
    }

    fn keep(&mut self, digest: &str, content: Bytes) -> Result<(), StoreFull> {
        if self.contents.contains_key(digest) {
            return Ok(());
        }
        let total = self.total.saturating_add(content.len());
        if total > TOTAL_CAP {
            return Err(StoreFull);
        }
        if let Some(directory) = &self.directory {
            let path = content_path(directory, digest);
            write(&path, &content).map_err(|_| StoreFull)?;
        }
        self.total = total;
        self.contents.insert(digest.to_owned(), content);
        Ok(())
    }

    /// Makes a change, and writes it down where there is a directory.
    fn change(&mut self, change: &Change) -> Result<(), StoreFull> {
        if let Some(journal) = &mut self.journal {
            journal.write(change).map_err(|_| StoreFull)?;
        }
        self.apply(change);
        Ok(())
    }

    fn apply(&mut self, change: &Change) {
        let repository = self.entry(change.repository());
        match change {
            Change::Blob { digest, .. } => _ = repository.blobs.insert(digest.clone()),
            Change::NoBlob { digest, .. } => _ = repository.blobs.remove(digest),
            Change::Manifest { digest, media_type, tag, .. } => {
                repository.manifests.insert(digest.clone(), media_type.clone());
                if let Some(tag) = tag {
                    repository.tags.insert(tag.clone(), digest.clone());
                }
            }
            Change::NoManifest { reference, .. } => {
                if repository.tags.remove(reference).is_none() {
                    repository.tags.retain(|_, digest| digest != reference);
                    repository.manifests.remove(reference);
                }
            }
        }
    }

    fn save_index(&self, path: &Path) -> Result<(), Error> {
        let unusable = |error: std::io::Error| file_error(path)(error);
        let index =
            serde_json::to_vec(&self.repositories).map_err(|error| unusable(error.into()))?;
        write(path, &index).map_err(unusable)
    }
}

pub(super) struct Manifest<'a> {
    pub(super) digest: &'a String,
    pub(super) media_type: &'a String,
    pub(super) content: &'a Bytes,
}

/// Whether `content` has the digest `digest`, whose form has been checked.
pub(super) fn has_digest(content: &[u8], digest: &str) -> bool {
    let algorithm = match digest.split_once(':') {
        Some(("sha256", _)) => HashAlgorithm::Sha256,
        Some(("sha512", _)) => HashAlgorithm::Sha512,
        _ => return false,
    };
    let computed = keys::Digest::of(algorithm, content).to_hex();
    digest.ends_with(&format!(":{computed}"))
}

/// The SHA-256 digest of `content`.
pub(super) fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", keys::Digest::sha256(content).to_hex())
}

fn content_path(directory: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').unwrap_or(("other", digest));
    directory.join("blobs").join(algorithm).join(hex)
}

/// Writes beside and renames, so that a start after a crash never reads a half.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let draft = path.with_extension("draft");
    std::fs::write(&draft, content)?;
    std::fs::rename(draft, path)
}
