//! Moving images with their signatures, and what is attached to them: between registries, to
//! directories and back.
//!
//! ```no_run
//! # async fn f(registry: image_signing::oci_push::Registry) -> Result<(), Box<dyn std::error::Error>> {
//! use image_signing::Image;
//! use image_signing::moving::{ImageMover, MoveOptions};
//!
//! let (from, to) = (Image::parse("a.example/app:v1")?, Image::parse("b.example/app:v1")?);
//! let moved = ImageMover::new(registry).copy(&from, &to, &MoveOptions::default()).await?;
//! println!("{} with {} attachments", moved.digest, moved.copied.attachments.len());
//! # Ok(())
//! # }
//! ```

mod attachments;
mod error;
mod transfer;

pub use self::attachments::{AttachReport, Attachments, Cleaning, Tree, TreeItem, TreePart};
pub use self::error::{Error, Step};
pub use self::transfer::{ImageMover, MoveOptions, MoveReport};
