//! An OCI registry client for signatures: resolve an image, prove the right to push, attach a
//! Sigstore bundle as a referrer, find what others attached, and copy images with all of it.
//!
//! It unpacks no layers, builds no images, and verifies no signature. It opens no sockets: everything
//! goes through [`host::Host`], and TLS settings, proxies and retries are the transport's.
//!
//! Two promises shape it. *"Could not look" is never "not signed"*: throttling, refusals and broken
//! answers are errors, told apart from absence. *Nothing is lost*: where a registry has no
//! referrers API, each signature has a tag of its own, which no other writer uses, and the list
//! that all writers share is an index of those tags.

#![doc = include_str!("../README.md")]

mod address;
mod answer;
mod attach;
mod attached;
mod auth;
mod blobs;
mod bodies;
mod bundle_content;
mod challenge;
mod client;
mod contents;
mod copy;
mod credentials;
mod digest;
mod docker_config;
mod document;
mod download;
mod earlier;
mod endpoint;
mod error;
mod event;
mod fallback;
mod find;
mod found;
mod habits;
mod helpers;
mod index;
mod joined;
mod keychain;
mod layout;
mod layout_find;
mod layout_index;
mod listing;
mod locks;
mod manifest;
mod mirrored;
mod mirrors;
mod options;
mod own_tags;
mod pages;
mod parts;
mod patience;
mod prepare;
mod reference;
mod referrers;
mod registry;
mod remove;
mod repository;
mod resolved;
mod retire;
mod selection;
mod shortlist;
mod token;
mod upload;

pub use bytes;
pub use host;

pub use crate::attach::{Attached, How};
pub use crate::attached::{Attachment, AttachmentKind};
pub use crate::blobs::Store;
pub use crate::bundle_content::BundleContent;
pub use crate::client::signature_repository;
pub use crate::contents::Member;
pub use crate::credentials::{Ambient, AmbientCredentials, Credentials};
pub use crate::digest::Digest;
pub use crate::error::{Access, CredentialsSource, Error};
pub use crate::event::Event;
pub use crate::found::{
    Found, FoundSignature, LegacyKind, LegacySignature, Search, Unreachable, Unusable,
};
pub use crate::layout::Layout;
pub use crate::manifest::{BUNDLE_MEDIA_TYPE, Descriptor};
pub use crate::options::Options;
pub use crate::parts::Part;
pub use crate::reference::Reference;
pub use crate::registry::Registry;
pub use crate::remove::{Removal, Removals};
pub use crate::repository::Repository;
pub use crate::resolved::Resolved;
pub use crate::selection::{Copied, CopiedAttachment, Selection};
