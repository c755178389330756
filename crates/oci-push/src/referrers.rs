//! The referrers API of OCI 1.1: what refers to a manifest, page by page.

use http::header::{ACCEPT, LINK};
use http::{Method, StatusCode};
use url::Url;

use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error, not_json};
use crate::index::{Entry, Index};
use crate::manifest::INDEX_MEDIA_TYPE;
use crate::repository::Repository;

/// One page of the referrers API.
pub(crate) struct Page {
    index: Index,
    next: Option<Url>,
}

impl Client {
    /// Calls `each` for every entry that the referrers API lists, with `None` for one that is not a
    /// descriptor, and for none if the registry does not have that API. Entries before an error have
    /// been told.
    pub(crate) async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        mut each: impl FnMut(Option<&Entry<'_>>),
    ) -> Result<(), Error> {
        let mut page = self.referrers_page(repository, subject, Access::Pull).await?;
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
            let call = Call::to(Method::GET, repository, Access::Pull, url);
            page = self.page(repository, call, Access::Pull).await?;
            if page.is_none() {
                return Err(invalid(format!("page {pages} of it is missing")));
            }
        }
        Ok(())
    }

    /// The first page of the referrers API; `None` if the registry does not have that API.
    pub(crate) async fn referrers_page(
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
        // How registries without this API say so.
        let unsupported = [
            StatusCode::BAD_REQUEST,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::NOT_ACCEPTABLE,
            StatusCode::NOT_FOUND,
            StatusCode::NOT_IMPLEMENTED,
        ];
        if !answer.is_transient() && unsupported.contains(&answer.status) {
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
        let next =
            answer.headers.get_all(LINK).iter().find_map(|link| next_link(link.to_str().ok()?));
        let next = match next {
            None => None,
            Some(link) => {
                let url = self.follow(repository, &answer, &link).await?;
                // Another origin would be asked without credentials and answer for this registry.
                if url.origin() != answer.url.origin() {
                    return Err(Error::Invalid {
                        what: format!("the Link in the answer to {}", answer.request()),
                        reason: "it leads to another server".to_owned(),
                    });
                }
                Some(url)
            }
        };
        Ok(Some(Page { index, next }))
    }
}

/// The target of `<…>; rel="next"` (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let (target, after) = rest[start + 1..].split_once('>')?;
        let end = after.find(",<").or_else(|| after.find(", <")).unwrap_or(after.len());
        let (parameters, later) = after.split_at(end);
        let is_next = |parameter: &str| {
            let Some((name, value)) = parameter.split_once('=') else {
                return false;
            };
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split(' ').any(|relation| relation.eq_ignore_ascii_case("next"))
        };
        if parameters.split(';').any(is_next) {
            return Some(target.to_owned());
        }
        rest = later;
    }
    None
}

/// Room for fifty thousand referrers.
const MOST_BYTES: usize = 32 << 20;
const MOST_PAGES: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        for (header, expected) in [
            (r#"</v2/a/referrers/x?n=2>; rel="next""#, Some("/v2/a/referrers/x?n=2")),
            (r#"</p>; rel="prev", </n>; rel="next""#, Some("/n")),
            (r#"</n>;rel=next"#, Some("/n")),
            (r#"</n,m>; title="a"; REL="last Next""#, Some("/n,m")),
            (r#"</p>; rel="prev""#, None),
            ("</p", None),
            ("", None),
        ] {
            assert_eq!(next_link(header).as_deref(), expected, "{header}");
        }
    }
}
