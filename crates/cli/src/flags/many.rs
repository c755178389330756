//! The flags of commands that work on many images.

use std::path::PathBuf;

use image_signing::{Jobs, Parts};

use super::values::argument;

// Which images, and how many at once.
#[derive(clap::Args)]
pub(crate) struct ManyFlags {
    /// Images, by digest or by tag.
    #[arg(required_unless_present = "from_file", value_name = "IMAGE")]
    #[arg(value_parser = argument::<String>)]
    pub(crate) images: Vec<String>,
    /// Also the images in this file, one on each line; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,
    /// Include every image that an index lists, one for each platform.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// With --recursive: leave out the attestation manifests that BuildKit adds to an index.
    #[arg(long, requires = "recursive")]
    pub(crate) skip_attestation_manifests: bool,
    /// How many images are worked on at once.
    #[arg(long, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    /// Start no other image after a failure.
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Only the part I of N of the images, counted from 0. `auto`: the part of this parallel job of
    /// Buildkite or GitLab, or of this pod of an Indexed Job; `auto/N` if only I is known.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<String>,
}

impl ManyFlags {
    pub(crate) fn jobs(&self) -> Jobs {
        Jobs::new(self.jobs.into()).fail_fast(self.fail_fast)
    }

    /// The manifests of an index that count.
    pub(crate) fn parts(&self) -> Parts {
        Parts::chosen(self.recursive, self.skip_attestation_manifests)
    }
}
