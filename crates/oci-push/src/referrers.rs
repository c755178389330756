//! The referrers API of OCI 1.1: what refers to a manifest, page by page.

use http::header::ACCEPT;
use http::{Method, StatusCode};
use url::Url;

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error, not_json};
use crate::index::{Entry, Index};
use crate::manifest::INDEX_MEDIA_TYPE;
use crate::repository::Repository;

/// One page of the referrers API.
struct Page {
    index: Index,
    next: Option<Url>,
}

impl Client {
    /// Calls `each` for every entry that the referrers API lists, with `None` for one that is not a
    /// descriptor, and says whether the registry has that API. Entries before an error have been
    /// told.
    pub(crate) async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        access: Access,
        mut each: impl FnMut(Option<&Entry<'_>>),
    ) -> Result<bool, Error> {
        let mut page = self.referrers_page(repository, subject, access).await?;
        let exists = page.is_some();
        let (mut pages, mut bytes) = (1, 0);
        while let Some(Page { index, next }) = page {
            index.for_each(|entry| each(entry.as_ref()));
            bytes += index.len();
            let Some(url) = next else { break };
            let invalid = |reason: String| Error::Invalid {
                what: format!("the list of referrers in {repository}"),
                reason,
            };
            if pages >= MOST_PAGES {
                return Err(invalid(format!("it has more than {MOST_PAGES} pages")));
            }
            if bytes > MOST_BYTES {
                return Err(invalid(format!("it has more than {MOST_BYTES} bytes")));
            }
            pages += 1;
            let call = Call::to(Method::GET, repository, access, url);
            page = self.page(repository, call, access).await?;
            if page.is_none() {
                return Err(invalid(format!("page {pages} of it is missing")));
            }
        }
        Ok(exists)
    }

    /// Whether the registry says that it does not have that API: not, that it does not know the
    /// repository or the manifest.
    pub(crate) async fn denies_referrers_api(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<bool, Error> {
        let path = format!("referrers/{subject}");
        let call = Call::new(Method::GET, repository, Access::Push, path);
        let answer = self.call(&call.header(ACCEPT, INDEX_MEDIA_TYPE)).await?;
        let unknown = ["NAME_UNKNOWN", "MANIFEST_UNKNOWN"].iter().any(|code| answer.has_code(code));
        Ok(is_unsupported(&answer) && !unknown)
    }

    /// The first page of the referrers API; `None` if the registry does not have that API.
    async fn referrers_page(
        &self,
        repository: &Repository,
        subject: &Digest,
        access: Access,
    ) -> Result<Option<Page>, Error> {
        let path = format!("referrers/{subject}");
        self.page(repository, Call::new(Method::GET, repository, access, path), access).await
    }

    async fn page(
        &self,
        repository: &Repository,
        call: Call<'_>,
        access: Access,
    ) -> Result<Option<Page>, Error> {
        let answer = self.call(&call.header(ACCEPT, INDEX_MEDIA_TYPE)).await?;
        if is_unsupported(&answer) {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(answer.into_error(repository, access, || "the referrers".to_owned()));
        }
        if answer.media_type() != INDEX_MEDIA_TYPE {
            return Ok(None);
        }
        let index = Index::parse(answer.body.clone()).map_err(|error| Error::Invalid {
            what: format!("the answer to {}", answer.request()),
            reason: not_json("an image index", &error),
        })?;
        let next = self.next_page(repository, &answer)?;
        Ok(Some(Page { index, next }))
    }
}

/// How registries without this API say so.
fn is_unsupported(answer: &Answer) -> bool {
    let unsupported = [
        StatusCode::BAD_REQUEST,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_ACCEPTABLE,
        StatusCode::NOT_FOUND,
        StatusCode::NOT_IMPLEMENTED,
    ];
    !answer.is_transient() && unsupported.contains(&answer.status)
}

/// Room for fifty thousand referrers.
const MOST_BYTES: usize = 32 << 20;
const MOST_PAGES: u32 = 100;
