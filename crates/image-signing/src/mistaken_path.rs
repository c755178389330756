//! Paths that stand where an image is expected.

use std::path::Path;

use crate::image::Image;

/// A file or a directory that is named where an image is expected, and what to do instead.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MistakenPath {
    /// What it is.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl MistakenPath {
    /// The file or directory `text`, unless it may well be the name of an image: a file without a
    /// registry in its name would be looked up in Docker Hub.
    pub fn of(text: &str) -> Option<Self> {
        let path = Path::new(text);
        let is_no_image = || Image::parse(text).is_err();
        if path.is_file() && (!text.contains('/') || is_no_image()) {
            let problem = format!("{text} is a file, not an image");
            let hint = "for a file, use `ambisign sign-blob` or `ambisign verify-blob`; name an \
                        image with its registry";
            return Some(Self { problem, hint: hint.to_owned() });
        }
        let is_layout = path.join("oci-layout").is_file();
        let is_path = (is_layout && !text.contains('/')) || is_no_image();
        if !path.is_dir() || !is_path {
            return None;
        }
        let hint = match host::shell_quote(text).filter(|_| is_layout) {
            Some(directory) => format!(
                "verify the image in it: `ambisign verify --local-image {directory}`; or bring it to \
                 a registry: `ambisign load --dir {directory} IMAGE`"
            ),
            None => "name an image with its registry, such as registry.example/app:v1".to_owned(),
        };
        Some(Self { problem: format!("{text} is a directory, not an image"), hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_an_image_and_a_layout_from_another_directory() {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().to_str().unwrap();
        let of = |text: &str| MistakenPath::of(text).map(|it| (it.problem, it.hint));
        let (problem, hint) = of(text).unwrap();
        assert!(problem.ends_with(" is a directory, not an image"), "{problem}");
        assert!(hint.contains("with its registry"), "{hint}");
        std::fs::write(directory.path().join("oci-layout"), "{}").unwrap();
        let (_, hint) = of(text).unwrap();
        assert!(hint.contains(&format!("`ambisign verify --local-image {text}`")), "{hint}");
        let (problem, hint) = of(&format!("{text}/oci-layout")).unwrap();
        assert!(problem.ends_with(" is a file, not an image") && hint.contains("sign-blob"));
        for image in ["registry.example/app", "app:v1", "/absent", "crates/absent"] {
            assert_eq!(of(image), None, "{image}");
        }
    }
}
