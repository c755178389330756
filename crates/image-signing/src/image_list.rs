//! A file with an image on each line.

use std::io;
use std::path::{Path, PathBuf};

use oci_push::Error;

use crate::file::write_atomically;
use crate::image::Image;

/// The images of a list: one on each line. Blank lines, and lines that begin with `#`, are left out;
/// lines may end as on Windows, and the text may begin with a byte order mark.
///
/// # Errors
/// [`Error::Reference`], which names the line: it is not an image reference.
pub fn image_list(text: &[u8]) -> Result<Vec<Image>, Error> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut images = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let shown = String::from_utf8_lossy(line);
        let line = shown.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        images.push(Image::parse(line).map_err(|error| match error {
            Error::Reference { text, reason } => {
                Error::Reference { text, reason: format!("{reason} (in line {})", number + 1) }
            }
            other => other,
        })?);
    }
    Ok(images)
}

/// Names of images that are not done, as they are told: each of a few, and many in a file.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct NotDone {
    /// The names, unless a file lists them.
    pub names: Vec<String>,
    /// The file that lists them, one on each line, for [`image_list`] to read.
    pub file: Option<PathBuf>,
    /// How many there are and where they are, or why no file was written.
    pub cause: Option<String>,
}

impl NotDone {
    /// Writes more than five `names` to a new file in `directory`, whose name tells its content:
    /// `ambisign-not-done-6f5902ac.txt`.
    pub fn keep(names: Vec<String>, directory: &Path) -> Self {
        let number = names.len();
        if number <= FEW {
            return Self { names, ..Self::default() };
        }
        match keep(&names, directory) {
            Ok(path) => {
                let cause = format!("{number} are not done; they are listed in {}", path.display());
                Self { names: Vec::new(), file: Some(path), cause: Some(cause) }
            }
            Err(error) => {
                let problem = "the list of what is not done could not be written";
                let cause = format!("{problem}: {}", host::with_causes(&error));
                Self { names, file: None, cause: Some(cause) }
            }
        }
    }
}

fn keep(names: &[String], directory: &Path) -> io::Result<PathBuf> {
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    let digest = keys::Digest::sha256(text.as_bytes()).to_hex();
    let short: String = digest.chars().take(8).collect();
    let path = directory.join(format!("ambisign-not-done-{short}.txt"));
    write_atomically(&path, text.as_bytes())?;
    Ok(path)
}

/// So many names are not worth a file.
const FEW: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_was_kept_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..=FEW).map(|number| format!("r.example/a:v{number}")).collect();
        let kept = NotDone::keep(names.clone(), directory.path());
        assert!(kept.names.is_empty(), "{kept:?}");
        let images = image_list(&std::fs::read(kept.file.unwrap()).unwrap()).unwrap();
        assert_eq!(images.iter().map(Image::as_str).collect::<Vec<_>>(), names);
    }

    #[test]
    fn a_few_names_and_names_that_no_file_takes_are_told_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..FEW).map(|number| format!("r.example/a:v{number}")).collect();
        let kept = NotDone::keep(names.clone(), directory.path());
        assert_eq!((kept.names, kept.file, kept.cause), (names.clone(), None, None));

        let names = [names, vec!["r.example/b".to_owned()]].concat();
        let kept = NotDone::keep(names.clone(), &directory.path().join("missing"));
        assert_eq!((kept.names, kept.file), (names, None));
        assert!(kept.cause.unwrap().starts_with("the list of what is not done could not be"));
    }

    #[test]
    fn comments_blank_lines_windows_line_ends_and_a_byte_order_mark_are_left_out() {
        let text = "\u{feff}r.example/a:v1\r\n\r\n  # all of them\n\tr.example/b:v1 \nr.example/c";
        let images = image_list(text.as_bytes()).unwrap();
        let names: Vec<_> = images.iter().map(Image::as_str).collect();
        assert_eq!(names, ["r.example/a:v1", "r.example/b:v1", "r.example/c"]);
        assert_eq!(image_list(b"").unwrap(), []);
    }

    #[test]
    fn a_line_that_is_not_an_image_is_named() {
        for wrong in [b"r.example/a\nr.example/a b\n".as_slice(), b"\nr.example/\xff\n"] {
            let error = image_list(wrong).unwrap_err().to_string();
            assert!(error.contains("in line 2"), "{error}");
        }
    }
}
