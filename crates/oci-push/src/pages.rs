//! The pages of an answer that comes in parts.

use http::header::LINK;
use url::Url;

use crate::answer::Answer;
use crate::client::Client;
use crate::error::Error;
use crate::repository::Repository;

impl Client {
    /// Where the page after `answer` is; `None` if it is the last.
    pub(crate) fn next_page(
        &self,
        repository: &Repository,
        answer: &Answer,
    ) -> Result<Option<Url>, Error> {
        let links = answer.headers.get_all(LINK);
        let Some(link) = links.iter().find_map(|link| next_link(link.to_str().ok()?)) else {
            return Ok(None);
        };
        let url = self.follow(repository, answer, &link)?;
        // Another origin would be asked without credentials and answer for this registry.
        if url.origin() != answer.url.origin() {
            return Err(Error::Invalid {
                what: format!("the Link in the answer to {}", answer.request()),
                reason: "it leads to another server".to_owned(),
            });
        }
        Ok(Some(url))
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
