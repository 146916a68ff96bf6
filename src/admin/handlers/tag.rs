//! ETags: strong, and nothing but a revision in quotes.

use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::admin::problem::{Answer, Failure};
use crate::model::Revision;
use crate::store::Condition;

/// `body` with its tag, or 304 when the client has it already.
pub(super) fn tagged(headers: &HeaderMap, revision: u64, body: impl IntoResponse) -> Response {
    let tag = format!("\"{revision}\"");
    let value = HeaderValue::from_str(&tag).expect("digits in quotes are a header value");
    let known = tags(headers, &IF_NONE_MATCH).any(|one| {
        // For reading, a weak tag is as good as a strong one.
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        body.into_response()
    };
    response.headers_mut().insert(ETAG, value);
    response
}

/// Which revisions the client wants to replace.
pub(super) fn condition(headers: &HeaderMap) -> Answer<Condition> {
    if !headers.contains_key(IF_MATCH) {
        return Ok(Condition::Always);
    }
    let mut revisions = Vec::new();
    for tag in tags(headers, &IF_MATCH) {
        if tag == "*" {
            return Ok(Condition::Always);
        }
        let strong = tag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        match strong.map(str::parse) {
            Some(Ok(revision)) => revisions.push(Revision::new(revision)),
            // A tag, but none of ours: it fits nothing.
            Some(Err(_)) => {}
            None if tag.starts_with("W/\"") => {}
            None => {
                let detail = "If-Match holds the ETag of the split with its quotes, such as \"17\"";
                return Err(Failure::bad_request("bad-etag", detail));
            }
        }
    }
    Ok(Condition::AnyOf(revisions))
}

fn tags<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.map(|line| line.to_str().unwrap_or("?"));
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
}
