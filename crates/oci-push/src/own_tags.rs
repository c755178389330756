//! The tag that each signature has of its own, where the registry has no referrers API.
//!
//! `sha256-<hex of the image>.<first 16 hex digits of the manifest's digest>` has one writer ever,
//! so that there is nothing to overwrite. The list of tags is what is read.

use std::collections::BTreeSet;
use std::fmt;

use host::CallPolicy;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use url::Url;

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error, not_json};
use crate::repository::Repository;

/// The own tag of a signature.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct OwnTag {
    /// The first digits of the manifest's digest.
    start: String,
    pub(crate) name: String,
}

impl OwnTag {
    /// The tag of `manifest`, which refers to `subject`.
    pub(crate) fn new(subject: &Digest, manifest: &Digest) -> Self {
        let start: String = manifest.hex().chars().take(DIGITS).collect();
        Self { name: format!("{}.{start}", subject.fallback_tag()), start }
    }

    fn parse(name: &str, prefix: &str) -> Option<Self> {
        let start = name.strip_prefix(prefix)?;
        let digits = start.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let found = || Self { start: start.to_owned(), name: name.to_owned() };
        (digits && start.len() == DIGITS).then(found)
    }

    /// Whether this can be the tag of `manifest`.
    pub(crate) fn is_of(&self, manifest: &Digest) -> bool {
        manifest.hex().starts_with(&self.start)
    }

    /// Whether this can be the tag of one of `manifests`, which are in order.
    pub(crate) fn is_of_any(&self, manifests: &BTreeSet<Digest>) -> bool {
        ["sha256", "sha512"].iter().any(|algorithm| {
            let first = format!("{algorithm}:{}", self.start);
            let next = manifests.iter().map(Digest::as_str);
            // `manifests` is small: what was listed, at most a thousand.
            next.into_iter().any(|digest| digest.starts_with(&first))
        })
    }
}

impl Client {
    /// The own tags of the signatures of `subject`. None, too, where the registry lists no tags.
    pub(crate) async fn own_tags(
        &self,
        repository: &Repository,
        subject: &Digest,
        access: Access,
    ) -> Result<BTreeSet<OwnTag>, Error> {
        let after = subject.fallback_tag();
        let mut found = Collected::new(&after);
        // Where it is honoured, they are the first tags after this one.
        let path = format!("tags/list?n={PAGE}&last={after}");
        let first = self.tag_pages(repository, access, path, &mut found).await;
        // Nothing at all may mean that a tag that does not exist is not a place to start.
        let start_over = match &first {
            Ok(exists) => *exists && found.seen == 0,
            Err(Error::Answer { status: 400..=499, .. }) => true,
            Err(_) => false,
        };
        if !start_over {
            self.habits.with(repository, |habit| habit.has_many_tags |= found.seen > MANY_TAGS);
            return first.map(|_| found.tags);
        }
        found = Collected::new(&after);
        match self.tag_pages(repository, access, format!("tags/list?n={PAGE}"), &mut found).await {
            Ok(_) => Ok(found.tags),
            // A registry that does not list tags.
            Err(Error::Answer { status: 400 | 405 | 501, .. }) => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }

    /// Reads page after page; `false` if the registry has no such list.
    async fn tag_pages(
        &self,
        repository: &Repository,
        access: Access,
        path: String,
        found: &mut Collected,
    ) -> Result<bool, Error> {
        let policy = || CallPolicy::new().with_body_cap(MOST_BYTES);
        let mut next = None::<Url>;
        let mut bytes = 0;
        for _ in 0..MOST_PAGES {
            let call = match next.take() {
                None => Call::new(Method::GET, repository, access, path.clone()),
                Some(url) => Call::to(Method::GET, repository, access, url),
            };
            let answer = self.call(&call.policy(policy())).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(false);
            }
            if !answer.status.is_success() {
                return Err(not_listed(answer, repository, access));
            }
            let document = found.page(&answer)?;
            bytes += answer.body.len();
            next = match self.next_page(repository, &answer)? {
                // What comes later in the order is not ours.
                _ if document.beyond => None,
                Some(url) => Some(url),
                // Pages without a link to the next.
                None if document.tags == PAGE && document.sorted => {
                    let mut url = answer.url.clone();
                    let query = format!("n={PAGE}&last={}", document.last);
                    url.set_query(Some(&query));
                    (url != answer.url).then_some(url)
                }
                None => None,
            };
            if next.is_none() {
                return Ok(true);
            }
            if bytes > MOST_BYTES {
                break;
            }
        }
        Err(Error::Invalid {
            what: format!("the list of tags in {repository}"),
            reason: format!("it has more than {MOST_PAGES} pages or {MOST_BYTES} bytes"),
        })
    }
}

fn not_listed(answer: Answer, repository: &Repository, access: Access) -> Error {
    answer.into_error(repository, access, || format!("the list of tags in {repository}"))
}

/// The own tags on the pages so far.
struct Collected {
    prefix: String,
    tags: BTreeSet<OwnTag>,
    /// How many tags of any kind.
    seen: usize,
}

/// What one page says about the next.
struct TagPage {
    tags: usize,
    sorted: bool,
    last: String,
    /// It is in order, and what follows comes after everything with the prefix.
    beyond: bool,
}

impl Collected {
    fn new(after: &str) -> Self {
        Self { prefix: format!("{after}."), tags: BTreeSet::new(), seen: 0 }
    }

    fn page(&mut self, answer: &Answer) -> Result<TagPage, Error> {
        let invalid = |reason: String| Error::Invalid {
            what: format!("the answer to {}", answer.request()),
            reason,
        };
        let Document { tags } = serde_json::from_slice(&answer.body)
            .map_err(|error| invalid(not_json("a list of tags", &error)))?;
        let names = tags.map_or_else(Vec::new, |Names(names)| names);
        let sorted = names.is_sorted();
        for name in &names {
            self.tags.extend(OwnTag::parse(name, &self.prefix));
        }
        if self.tags.len() > MOST_TAGS {
            return Err(invalid(format!("more than {MOST_TAGS} signatures have a tag")));
        }
        self.seen += names.len();
        let last = names.last().cloned().unwrap_or_default();
        let beyond = sorted && last > self.prefix && !last.starts_with(&self.prefix);
        Ok(TagPage { tags: names.len(), sorted, last, beyond })
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    tags: Option<Names>,
}

/// Names of tags. What cannot be a tag is left out: it is neither kept nor asked for.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReadNames;

        impl<'de> Visitor<'de> for ReadNames {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tags")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = elements.next_element::<String>()? {
                    let tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                    if name.len() <= LONGEST_TAG && name.bytes().all(tag) {
                        names.push(name);
                    }
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_seq(ReadNames)
    }
}

/// How many digits of the manifest's digest are in its tag.
const DIGITS: usize = 16;
const LONGEST_TAG: usize = 128;
/// More tags, of all images of a repository, are not asked for without need: 30 KB.
const MANY_TAGS: usize = 300;
/// A registry that ignores `n` lists all its tags at once.
const MOST_BYTES: usize = 32 << 20;
const MOST_PAGES: u32 = 100;
const MOST_TAGS: usize = 10_000;
const PAGE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_tag_is_the_list_s_and_the_first_digits_of_the_manifest_s_digest() {
        let (image, manifest) = (Digest::sha256(b"image"), Digest::sha256(b"manifest"));
        let tag = OwnTag::new(&image, &manifest);
        let hex = image.hex();
        assert_eq!(tag.name, format!("sha256-{hex}.{}", &manifest.hex()[..16]));
        assert!(tag.is_of(&manifest) && !tag.is_of(&image));
        assert_eq!(OwnTag::parse(&tag.name, &format!("sha256-{hex}.")), Some(tag.clone()));
        assert!(tag.is_of_any(&BTreeSet::from([image.clone(), manifest])));
        assert!(!tag.is_of_any(&BTreeSet::from([image.clone()])));
        for other in ["sig", "att", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0"] {
            let name = format!("sha256-{hex}.{other}");
            assert_eq!(OwnTag::parse(&name, &format!("sha256-{hex}.")), None, "{name}");
        }
        let long: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        assert!(OwnTag::new(&long, &image).name.len() <= LONGEST_TAG);
    }
}
