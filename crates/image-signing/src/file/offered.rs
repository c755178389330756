//! The signatures that are offered for files: several bundles, and files with many of them.

use std::error::Error as StdError;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bundle::bytes::Bytes;
use bundle::{LARGE_SIZE_CAP, SIZE_CAP};
use host::FileError;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use crate::file::argument::FileArgument;
use crate::file::artifact::Artifact;
use crate::file::error::{Error, Missing};
use crate::file::signature::FileSignature;

/// The signatures that are offered for a file, or for several. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signatures(Arc<Vec<Offered>>);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) enum Offered {
    Signature(FileSignature),
    /// What lies among others and cannot be read: where, and why not.
    Unreadable(String, String),
}

impl Signatures {
    /// Reads the signatures of `artifact`: those in the files `bundles`, or the bundle beside the
    /// file. A file holds a bundle, or many: JSON Lines, or documents that begin on lines of their own.
    ///
    /// # Errors
    /// As [`FileSignature::of`]; there are more than 10,000 bundles in a file, or several with more
    /// than 32 MiB together.
    pub async fn of(artifact: &Artifact, bundles: &[FileArgument]) -> Result<Self, Error> {
        if bundles.is_empty() {
            return FileSignature::of(artifact, None).await.map(Self::from);
        }
        let mut all = Vec::new();
        for file in bundles {
            let bytes = file.read(LARGE_SIZE_CAP).await.map_err(|error| match error {
                // Of several, those that are there may not be enough: it is not known.
                error @ FileError::NotFound { .. } if bundles.len() == 1 => Error::NoSignature {
                    file: artifact.name().to_owned(),
                    source: Missing::File(error),
                },
                error => Error::Read(error),
            })?;
            match parse(file.as_path(), bytes).await {
                Err(Error::Malformed { path, source, .. }) => {
                    let swapped = FileSignature::is_bundle(artifact).await;
                    return Err(Error::Malformed { path, swapped, source });
                }
                found => all.extend(found?),
            }
        }
        Ok(Self(Arc::new(all)))
    }

    /// Reads the bundles in `file`, as [`of`](Self::of) does.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Malformed`].
    pub async fn read(file: &FileArgument) -> Result<Self, Error> {
        let bytes = file.read(LARGE_SIZE_CAP).await?;
        Ok(Self(Arc::new(parse(file.as_path(), bytes).await?)))
    }

    /// The first that can be read.
    pub fn first(&self) -> Option<&FileSignature> {
        self.readable().next()
    }

    pub(crate) fn all(&self) -> &[Offered] {
        &self.0
    }

    /// Those that can be read.
    pub(crate) fn readable(&self) -> impl Iterator<Item = &FileSignature> {
        self.0.iter().filter_map(|offered| match offered {
            Offered::Signature(signature) => Some(signature),
            Offered::Unreadable(..) => None,
        })
    }
}

impl From<FileSignature> for Signatures {
    fn from(signature: FileSignature) -> Self {
        Self(Arc::new(vec![Offered::Signature(signature)]))
    }
}

/// Beside the runtime: hostile content may take long.
async fn parse(path: &Path, bytes: Vec<u8>) -> Result<Vec<Offered>, Error> {
    let name = path.display().to_string();
    let parsed = host::off_thread(move || parse_all(&name, bytes.into())).await;
    let parsed = parsed.unwrap_or_else(|error| Err(error.into()));
    parsed.map_err(|source| Error::Malformed { path: path.to_owned(), swapped: false, source })
}

fn parse_all(name: &str, bytes: Bytes) -> Result<Vec<Offered>, Box<dyn StdError + Send + Sync>> {
    let bundles = bundles_in(name, &bytes)?;
    if bundles.len() < 2 {
        return Ok(vec![Offered::Signature(FileSignature::parse(name, bytes)?)]);
    }
    let parse = |(name, range): (String, Range<usize>)| match FileSignature::parse(
        &name,
        bytes.slice(range),
    ) {
        Ok(signature) => Offered::Signature(signature),
        Err(error) => Offered::Unreadable(name, host::with_causes(&*error)),
    };
    Ok(bundles.into_iter().map(parse).collect())
}

/// Where the bundles in the content of the file `name` are: one, or many, which are JSON Lines or
/// documents that begin on lines of their own. Of many, each has a name with its line: `NAME:3`.
///
/// # Errors
/// There are too many, or they are too large together: the reason.
pub fn bundles_in(name: &str, bytes: &[u8]) -> Result<Vec<(String, Range<usize>)>, String> {
    let documents = documents(bytes);
    if documents.is_empty() {
        return Err("it is empty".into());
    }
    if documents.len() < 2 {
        return Ok(vec![(name.to_owned(), 0..bytes.len())]);
    }
    if bytes.len() > SIZE_CAP {
        return Err(format!("it has several bundles and more than {SIZE_CAP} bytes"));
    }
    if documents.len() > MOST_BUNDLES {
        return Err(format!("it has more than {MOST_BUNDLES} bundles"));
    }
    let (mut line, mut counted) = (1, 0);
    let named = documents.into_iter().map(|document| {
        let before = bytes.get(counted..document.start).unwrap_or_default();
        line += before.iter().filter(|byte| **byte == b'\n').count();
        counted = document.start;
        (format!("{name}:{line}"), document)
    });
    Ok(named.collect())
}

/// Where the JSON documents in `bytes` are, each of which begins on a line of its own. A damaged line
/// of JSON Lines is a document as well; a damaged file of another kind is one document.
fn documents(bytes: &[u8]) -> Vec<Range<usize>> {
    let whole = || std::iter::once(0..bytes.len()).collect();
    let mut stream = Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    let mut found = Vec::new();
    loop {
        let start = stream.byte_offset();
        match stream.next() {
            None => return found,
            Some(Ok(_)) if found.len() <= MOST_BUNDLES => {
                let blank = bytes.get(start..).unwrap_or_default();
                let blank = blank.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let between = bytes.get(start..start + blank).unwrap_or_default();
                if !found.is_empty() && !between.contains(&b'\n') {
                    return whole();
                }
                found.push(start + blank..stream.byte_offset());
            }
            Some(Ok(_)) => return found,
            Some(Err(_)) => break,
        }
    }
    let mut at = 0;
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| {
        let start = at;
        at += line.len() + 1;
        (start..start + line.len(), line.trim_ascii())
    });
    let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).take(MOST_BUNDLES + 1).collect();
    let is_bundle = |line: &[u8]| {
        line.starts_with(b"{\"") && serde_json::from_slice::<IgnoredAny>(line).is_ok()
    };
    match lines.iter().any(|(_, line)| is_bundle(line)) {
        true => lines.into_iter().map(|(range, _)| range).collect(),
        false => whole(),
    }
}

/// How many bundles one file may have.
const MOST_BUNDLES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        documents(text.as_bytes()).into_iter().map(|it| text.get(it).unwrap()).collect()
    }

    #[test]
    fn documents_on_lines_of_their_own_are_told_apart() {
        assert_eq!(texts("{\"a\":1}\n\n{\"b\":2}\r\n"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(texts("{\n\"a\":\n1}\n{\"b\":2} \n [3]"), ["{\n\"a\":\n1}", "{\"b\":2}", "[3]"]);
        for one in ["{\"a\":1}{\"b\":2}", "{\"a\":1} {\"b\":2}\n"] {
            assert_eq!(texts(one), [one]);
        }
        assert_eq!(texts("  {\"a\":1}"), ["{\"a\":1}"]);
        assert_eq!(texts(""), [""; 0]);
    }

    #[test]
    fn a_damaged_line_does_not_spoil_the_others() {
        assert_eq!(texts("{\"a\":1}\n{\"b\":\n{\"c\":3}"), ["{\"a\":1}", "{\"b\":", "{\"c\":3}"]);
        assert_eq!(texts("{\"a\"\n{\"c\":3}\n"), ["{\"a\"", "{\"c\":3}"]);
        // A damaged bundle of many lines is one bundle.
        let damaged = "{\n  \"a\": {\n  },\n  \"b\": [\n";
        assert_eq!(texts(damaged), [damaged]);
    }

    #[test]
    fn the_number_of_bundles_is_limited() {
        let error = parse_all("many", "{}\n".repeat(MOST_BUNDLES + 1).into()).unwrap_err();
        assert!(error.to_string().contains("more than 10000 bundles"), "{error}");
        let damaged = "{\"\n".repeat(MOST_BUNDLES + 1) + "{\"a\":1}";
        assert!(parse_all("many", damaged.into()).is_err());
        let all = parse_all("many", "{}\n{}\n".into()).unwrap();
        assert!(matches!(&all[1], Offered::Unreadable(name, _) if name == "many:2"), "{all:?}");
    }
}
