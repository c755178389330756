//! `WWW-Authenticate`, as registries really write it (RFC 9110 section 11.6.1).

use std::collections::BTreeSet;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// How a registry wants to be convinced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        /// Space-separated.
        scope: Option<String>,
        error: Option<String>,
    },
}

/// The first bearer challenge, else a basic one, among all headers of an answer.
pub(crate) fn pick(headers: &HeaderMap) -> Option<Challenge> {
    let challenges: Vec<Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(parse)
        .collect();
    let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or_else(|| challenges.first()).cloned()
}

/// Adds `needed`, a scope like `repository:a/b:pull,push`, to what a challenge asked for. The
/// challenge's come first because some servers read only one; actions on one thing are joined. Of a
/// challenge that asks for no end of them only the first are taken, and `needed` always.
pub(crate) fn merge_scopes(challenged: Option<&str>, needed: &str) -> Vec<String> {
    let mut merged: Vec<(String, Vec<String>)> = Vec::new();
    let challenged = challenged.unwrap_or_default().split_ascii_whitespace();
    for scope in challenged.take(MOST_SCOPES - 1).chain([needed]) {
        let (resource, actions) = scope.rsplit_once(':').unwrap_or((scope, ""));
        let index = merged.iter().position(|(known, _)| known == resource).unwrap_or_else(|| {
            merged.push((resource.to_owned(), Vec::new()));
            merged.len() - 1
        });
        let actions = actions.split(',').filter(|action| !action.is_empty());
        for action in actions.take(MOST_ACTIONS) {
            if let Some((_, known)) = merged.get_mut(index)
                && !known.iter().any(|known| known == action)
            {
                known.push(action.to_owned());
            }
        }
    }
    let mut seen = BTreeSet::new();
    merged
        .into_iter()
        .map(|(resource, actions)| match actions.len() {
            0 => resource,
            _ => format!("{resource}:{}", actions.join(",")),
        })
        .filter(|scope| seen.insert(scope.clone()))
        .collect()
}

/// All challenges of one header value. What is neither basic nor bearer, or a bearer challenge
/// without a realm, is passed over.
fn parse(value: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut current: Option<(String, Vec<(String, String)>)> = None;
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let spaced = after.trim_start_matches([' ', '\t']);
        match spaced.strip_prefix('=') {
            // Padding of a token68, as `Negotiate abc==` has it.
            Some(after) if word.is_empty() => rest = after,
            Some(after) => {
                let (text, after) = parameter_value(after.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = &mut current {
                    parameters.push((word.to_ascii_lowercase(), text));
                }
                rest = after;
            }
            None => {
                challenges.extend(current.take().and_then(finish));
                current = Some((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
    }
    challenges.extend(current.and_then(finish));
    challenges
}

/// A quoted string with its escapes taken out, or a bare word, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return (word.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

fn finish((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let find = |name: &str| {
        let found = parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: find("realm")?,
            service: find("service"),
            scope: find("scope"),
            error: find("error"),
        }),
        _ => None,
    }
}

const MOST_ACTIONS: usize = 8;
const MOST_SCOPES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picked(values: &[&str]) -> Option<Challenge> {
        let headers = values.iter().map(|value| (WWW_AUTHENTICATE, value.parse().unwrap()));
        pick(&headers.collect())
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
            error: None,
        })
    }

    #[test]
    fn the_usual_challenge_is_read() {
        let value = concat!(
            r#"Bearer realm="https://auth.example/token",service="registry.example","#,
            r#"scope="repository:a/b:pull,push""#
        );
        let expected = (
            "https://auth.example/token",
            Some("registry.example"),
            Some("repository:a/b:pull,push"),
        );
        assert_eq!(picked(&[value]), bearer(expected.0, expected.1, expected.2));
    }

    #[test]
    fn case_spaces_bare_words_and_escapes_do_not_matter() {
        assert_eq!(
            picked(&[r#"  bEARER   Realm = "https://a/\"t\"" ,  SERVICE=x"#]),
            bearer("https://a/\"t\"", Some("x"), None)
        );
        assert_eq!(picked(&["basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn bearer_is_taken_before_basic_in_one_header_or_several() {
        let expected = bearer("https://a", None, None);
        assert_eq!(picked(&[r#"Basic realm="x", Bearer realm="https://a""#]), expected);
        assert_eq!(picked(&[r#"Basic realm="x""#, r#"Bearer realm="https://a""#]), expected);
        assert_eq!(picked(&[r#"Negotiate abc==, Bearer realm="https://a""#]), expected);
    }

    #[test]
    fn an_error_is_read() {
        let challenge = picked(&[r#"Bearer realm="https://a",error="insufficient_scope""#]);
        assert!(matches!(
            challenge,
            Some(Challenge::Bearer { error: Some(error), .. }) if error == "insufficient_scope"
        ));
    }

    #[test]
    fn what_cannot_be_met_is_passed_over() {
        for value in ["", "Negotiate", "Bearer", r#"Bearer realm="""#, "=", ",,,", "\"", "a=\""] {
            assert_eq!(picked(&[value]), None, "{value}");
        }
        assert_eq!(picked(&[]), None);
    }

    #[test]
    fn scopes_are_joined_with_the_challenged_one_first() {
        let needed = "repository:a/b:pull,push";
        assert_eq!(merge_scopes(None, needed), [needed]);
        assert_eq!(
            merge_scopes(Some("repository:a/b:push,pull"), needed),
            ["repository:a/b:push,pull"]
        );
        assert_eq!(merge_scopes(Some("repository:a/b:pull"), needed), [needed]);
        assert_eq!(merge_scopes(Some("aws"), needed), ["aws", needed]);
        assert_eq!(
            merge_scopes(Some("repository:x:pull registry:catalog:*"), needed),
            ["repository:x:pull", "registry:catalog:*", needed]
        );
    }

    #[test]
    fn a_challenge_without_end_does_not_crowd_out_what_is_needed() {
        let needed = "repository:a/b:pull,push";
        let scopes: Vec<String> = (0..100_000).map(|n| format!("s{n}")).collect();
        let merged = merge_scopes(Some(&scopes.join(" ")), needed);
        assert_eq!((merged.len(), merged.last().unwrap().as_str()), (MOST_SCOPES, needed));
        let merged = merge_scopes(Some(&format!("x:{}", scopes.join(","))), needed);
        assert_eq!(merged, ["x:s0,s1,s2,s3,s4,s5,s6,s7", needed]);
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(value in r#"([a-z=", \\\\\t]|Bearer |realm=|é){0,60}"#) {
            prop_assert!(parse(&value).len() <= value.len());
        }

        #[test]
        fn what_is_quoted_is_read_as_it_was(realm in "\\PC{1,40}", scope in "\\PC{1,40}") {
            let quote = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#);
            let header = format!(
                r#"Negotiate abc==, Bearer realm="{}", scope="{}""#,
                quote(&realm),
                quote(&scope)
            );
            let expected = Challenge::Bearer {
                realm,
                service: None,
                scope: Some(scope),
                error: None,
            };
            prop_assert_eq!(parse(&header), [expected]);
        }
    }
}
