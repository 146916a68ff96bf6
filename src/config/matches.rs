//! Matches: paths, methods, and conditions on headers, query parameters and cookies.

use std::collections::HashSet;

use http::Method;
use http::header::HeaderName;

use super::problem::Report;
use super::schema::{self, At};
use crate::routing::{Condition, Conditions, Match, PathMatch, TextMatch};

/// Compiles one match; `None` when something in it is wrong, which is in the report then.
pub(super) fn compile(written: &At<schema::Match>, report: &mut Report) -> Option<Match> {
    let path = match &written.path {
        Some(path) => path_match(path, report),
        None => Some(PathMatch::any()),
    };
    let method = written
        .method
        .as_ref()
        .map(|method| read_method(method, report));
    let headers = conditions("header", written.headers.as_deref(), report, header_name);
    let queries = conditions(
        "query parameter",
        written.query.as_deref(),
        report,
        |name, report| value_name(name, "query parameter", |_| true, report),
    );
    let cookies = conditions(
        "cookie",
        written.cookies.as_deref(),
        report,
        |name, report| value_name(name, "cookie", is_token, report),
    );
    Some(Match {
        path: path?,
        conditions: Conditions {
            method: match method {
                Some(method) => Some(method?),
                None => None,
            },
            headers: headers?,
            queries: queries?,
            cookies: cookies?,
        },
    })
}

fn path_match(written: &At<schema::PathMatch>, report: &mut Report) -> Option<PathMatch> {
    let (text, parsed) = match &written.value {
        schema::PathMatch::Exact(text) => (text, PathMatch::exact(text)),
        schema::PathMatch::Prefix(text) => (text, PathMatch::prefix(text)),
        schema::PathMatch::Regex(text) => (text, PathMatch::regex(text)),
    };
    match parsed {
        Ok(path) => Some(path),
        Err(why) => {
            let starts_wrong = !text.starts_with('/');
            let literal = !matches!(written.value, schema::PathMatch::Regex(_));
            let problem = report.error("bad-path", text.place, why.to_string());
            if literal && starts_wrong {
                problem.hint(format!("write `/{}`", text.value));
            } else if !literal {
                problem.hint("the syntax is that of the Rust crate `regex`; no look-around");
            }
            None
        }
    }
}

fn read_method(written: &At<String>, report: &mut Report) -> Option<Method> {
    let upper = written.to_ascii_uppercase();
    let Ok(method) = Method::from_bytes(written.as_bytes()) else {
        let message = format!("`{}` is not a method", written.value);
        report
            .error("bad-method", written.place, message)
            .hint("for example `GET`");
        return None;
    };
    if written.value != upper {
        let message = format!("methods are written in capitals, so `{method}` matches no request");
        report
            .error("bad-method", written.place, message)
            .hint(format!("write `{upper}`"));
        return None;
    }
    Some(method)
}

fn conditions<N: Eq + std::hash::Hash + Clone>(
    what: &str,
    written: Option<&[At<schema::TextMatch>]>,
    report: &mut Report,
    read_name: impl Fn(&At<String>, &mut Report) -> Option<N>,
) -> Option<Vec<Condition<N>>> {
    let written = written.unwrap_or_default();
    let mut names = HashSet::new();
    let mut found = Vec::with_capacity(written.len());
    for one in written {
        let name = read_name(&one.name, report);
        let value = text_match(what, one, report);
        let (Some(name), Some(value)) = (name, value) else {
            continue;
        };
        if names.insert(name.clone()) {
            found.push(Condition { name, value });
        } else {
            let message = format!(
                "the {what} `{}` has two conditions in one match",
                one.name.value
            );
            report
                .error("duplicate-condition", one.name.place, message)
                .hint("for alternatives write two matches; for both at once a `regex`");
        }
    }
    (found.len() == written.len()).then_some(found)
}

fn text_match(
    what: &str,
    written: &At<schema::TextMatch>,
    report: &mut Report,
) -> Option<TextMatch> {
    let schema::TextMatch {
        name,
        exact,
        prefix,
        regex,
        present,
    } = &written.value;
    match (exact, prefix, regex, present) {
        (Some(exact), None, None, None) => Some(TextMatch::Exact(exact.value.as_str().into())),
        (None, Some(prefix), None, None) => Some(TextMatch::Prefix(prefix.value.as_str().into())),
        (None, None, Some(regex), None) => match TextMatch::regex(regex) {
            Ok(regex) => Some(regex),
            Err(why) => {
                report
                    .error("bad-regex", regex.place, why.to_string())
                    .hint("the syntax is that of the Rust crate `regex`; no look-around");
                None
            }
        },
        (None, None, None, Some(present)) if present.value => Some(TextMatch::Present),
        (None, None, None, Some(present)) => {
            let message = format!("it is not possible to ask for the absence of a {what}");
            report
                .error("bad-condition", present.place, message)
                .hint("write `present: true` in an earlier rule, and let this rule take the rest");
            None
        }
        (None, None, None, None) => {
            let message = format!(
                "the condition on the {what} `{}` asks for nothing",
                name.value
            );
            report
                .error("bad-condition", written.place, message)
                .hint("add one of `exact`, `prefix`, `regex` and `present: true`");
            None
        }
        _ => {
            let message = format!(
                "the condition on the {what} `{}` asks for two things",
                name.value
            );
            report
                .error("bad-condition", written.place, message)
                .hint("keep one of `exact`, `prefix`, `regex` and `present`");
            None
        }
    }
}

/// Reads a header's name, or reports why it is none.
pub(super) fn header_name(written: &At<String>, report: &mut Report) -> Option<HeaderName> {
    match written.parse() {
        Ok(name) => Some(name),
        Err(_) => {
            let message = format!("`{}` is not a header name", written.value);
            report
                .error("bad-header", written.place, message)
                .hint("letters, digits and `-`, without spaces and colons, as in `x-canary`");
            None
        }
    }
}

fn value_name(
    written: &At<String>,
    what: &str,
    fits: impl Fn(&str) -> bool,
    report: &mut Report,
) -> Option<Box<str>> {
    if !written.is_empty() && fits(written) {
        return Some(written.value.as_str().into());
    }
    let message = format!("`{}` is not the name of a {what}", written.value);
    report.error("bad-name", written.place, message);
    None
}

/// A cookie's name is a token (RFC 6265, 4.1.1), as a header's is.
fn is_token(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}
