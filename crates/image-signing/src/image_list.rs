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

/// Writes `names`, one on each line, to a new file in `directory`, for [`image_list`] to read. The
/// name of the file tells the content: `ambisign-not-done-6f5902ac.txt`.
///
/// # Errors
/// As [`write_atomically`].
pub fn keep_image_list(names: &[String], directory: &Path) -> io::Result<PathBuf> {
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    let digest = keys::Digest::sha256(text.as_bytes()).to_hex();
    let short: String = digest.chars().take(8).collect();
    let path = directory.join(format!("ambisign-not-done-{short}.txt"));
    write_atomically(&path, text.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_was_kept_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["r.example/a:v1", "r.example/b"].map(str::to_owned);
        let path = keep_image_list(&names, directory.path()).unwrap();
        let images = image_list(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(images.iter().map(Image::as_str).collect::<Vec<_>>(), names);
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
