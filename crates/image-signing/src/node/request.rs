//! What a container runtime asks.

use std::ffi::{OsStr, OsString};
use std::io::Read;

use serde::Deserialize;

use crate::image::Image;
use crate::node::error::NodeError;

/// The question whether an image may be used.
#[derive(Clone, Debug)]
pub struct NodeRequest {
    image: Image,
}

impl NodeRequest {
    /// Asks for the image `name`, of which the runtime resolved `digest`. The tag or digest in
    /// `name` does not count.
    ///
    /// # Errors
    /// [`NodeError::Request`]: it is not the name of an image, or not a digest.
    pub fn new(name: &str, digest: &str) -> Result<Self, NodeError> {
        let wrong = |reason: String| NodeError::Request { reason };
        let named = Image::parse(name).map_err(|error| wrong(host::with_causes(&error)))?;
        let repository = named.reference().repository();
        let image = Image::parse(&format!("{repository}@{digest}"))
            .map_err(|error| wrong(host::with_causes(&error)))?;
        Ok(Self { image })
    }

    /// The image, by its digest.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Compares the descriptor that `input` holds, which has the type `media_type`, with the digest
    /// that was asked for. A type that is not known is passed over. Reads 64 KiB at most, beside the
    /// async runtime.
    ///
    /// # Errors
    /// [`NodeError::Request`]: they differ, or the descriptor cannot be read.
    pub async fn check_descriptor(
        &self,
        media_type: &str,
        input: impl Read + Send + 'static,
    ) -> Result<(), NodeError> {
        if media_type != DESCRIPTOR {
            return Ok(());
        }
        let wrong = |reason: String| NodeError::Request { reason };
        let read = move || -> Result<String, String> {
            let mut bytes = Vec::new();
            input.take(CAP).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            let descriptor = serde_json::from_slice::<Descriptor>(&bytes);
            descriptor.map(|it| it.digest).map_err(|error| error.to_string())
        };
        let read = host::off_thread(read).await.map_err(|error| wrong(error.to_string()))?;
        let found = read.map_err(|reason| wrong(format!("stdin is not a descriptor: {reason}")))?;
        let expected = self.image.reference().digest().map(ToString::to_string);
        match expected.as_ref() == Some(&found) {
            true => Ok(()),
            false => Err(wrong(format!(
                "-digest is {}, and the descriptor on stdin has {}",
                expected.unwrap_or_default(),
                host::escape_remote(&found)
            ))),
        }
    }
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// The command line of the program: where containerd started it under the name
/// `ambisign-image-verifier`, or somebody as `ambisign image-verifier`, that of the command
/// `image-verifier` with its flags in the usual form; any other as it is.
pub fn containerd_arguments(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut arguments = arguments;
    let name = arguments.first().map(std::path::Path::new).and_then(|path| path.file_stem());
    if name == Some(OsStr::new(VERIFIER)) {
        arguments.insert(1, COMMAND.into());
    }
    if !arguments.iter().skip(1).any(|argument| argument == COMMAND) {
        return arguments;
    }
    let with_two_dashes = |argument: OsString| {
        let text = argument.to_str().unwrap_or_default();
        let flag = text.split('=').next().unwrap_or_default();
        match FLAGS.contains(&flag) {
            true => format!("-{text}").into(),
            false => argument,
        }
    };
    arguments.into_iter().map(with_two_dashes).collect()
}

/// The name of a link to the program in containerd's directory of verifiers.
const VERIFIER: &str = "ambisign-image-verifier";
const COMMAND: &str = "image-verifier";
/// containerd writes them with one dash.
const FLAGS: [&str; 3] = ["-name", "-digest", "-stdin-media-type"];
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";
/// In bytes.
const CAP: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:2d93689cbcdda92b425bfc82f87f5b656791a8a3e96c8eb2d702c6698987629a";

    fn check(request: &NodeRequest, media_type: &str, input: &'static str) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let checked = runtime.block_on(request.check_descriptor(media_type, input.as_bytes()));
        checked.map_err(|error| error.to_string())
    }

    #[test]
    fn the_image_is_the_repository_of_the_name_with_the_digest() {
        for name in ["docker.io/library/nginx:latest", "nginx", &format!("nginx:1@{DIGEST}")] {
            let request = NodeRequest::new(name, DIGEST).unwrap();
            let image = request.image().reference();
            assert_eq!(image.repository().to_string(), "index.docker.io/library/nginx", "{name}");
            assert_eq!(image.digest().unwrap().to_string(), DIGEST);
        }
        for (name, digest) in [("UPPER/case", DIGEST), ("a/b", "sha256:12"), ("", DIGEST)] {
            assert!(NodeRequest::new(name, digest).is_err(), "{name} {digest}");
        }
    }

    #[test]
    fn the_descriptor_on_stdin_must_have_the_digest_that_is_asked_for() {
        let request = NodeRequest::new("a.example/b", DIGEST).unwrap();
        let same = r#"{"mediaType":"m","size":1,"digest":"sha256:2d93689cbcdda92b425bfc82f87f5b656791a8a3e96c8eb2d702c6698987629a"}"#;
        assert_eq!(check(&request, DESCRIPTOR, same), Ok(()));
        assert_eq!(check(&request, "application/x", "anything"), Ok(()));
        let other = check(&request, DESCRIPTOR, r#"{"digest":"sha256:00"}"#).unwrap_err();
        assert!(other.ends_with("and the descriptor on stdin has sha256:00"), "{other}");
        assert!(check(&request, DESCRIPTOR, "").unwrap_err().contains("not a descriptor"));
    }

    #[test]
    fn the_flags_of_containerd_have_one_dash() {
        let lines = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let converted = |line: &str| containerd_arguments(lines(line));
        let expected = lines("/x/ambisign-image-verifier image-verifier --name a --digest b");
        assert_eq!(converted("/x/ambisign-image-verifier -name a -digest b"), expected);
        let expected = lines("ambisign image-verifier --audit --name=a --stdin-media-type c");
        assert_eq!(
            converted("ambisign image-verifier --audit -name=a -stdin-media-type c"),
            expected
        );
        assert_eq!(converted("ambisign sign -name"), lines("ambisign sign -name"));
    }
}
