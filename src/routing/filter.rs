//! Filters: edits of a request or response, redirects and rewrites.
//!
//! Laws of the Gateway API: `set` replaces all values, `add` appends one, `remove` ignores case; a
//! redirect without a port keeps the listener's unless a scheme is named, and leaves out the port
//! that the scheme implies. Edits apply in the order remove, set, add.

use http::header::{HOST, HeaderName};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, StatusCode};

/// Changes to a set of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderEdits {
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    pub(crate) add: Vec<(HeaderName, HeaderValue)>,
    pub(crate) remove: Vec<HeaderName>,
}

impl HeaderEdits {
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}

/// A new path for a request or a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathEdit {
    Full(Box<str>),
    /// Replaces the prefix that matched, by segment. Stored without trailing slash.
    Prefix(Box<str>),
}

impl PathEdit {
    /// The new path and query. `path` is the normalised path, `prefix_length` what matched of it.
    fn apply(&self, path: &str, prefix_length: usize, query: Option<&str>) -> String {
        let mut new = match self {
            Self::Full(full) => full.clone().into_string(),
            Self::Prefix(prefix) => {
                let rest = path.get(prefix_length..).unwrap_or("");
                let gap = if rest.is_empty() || rest.starts_with('/') {
                    ""
                } else {
                    "/"
                };
                format!("{prefix}{gap}{rest}")
            }
        };
        if !new.starts_with('/') {
            new.insert(0, '/');
        }
        if let Some(query) = query {
            new.push('?');
            new.push_str(query);
        }
        new
    }
}

/// Changes where the request goes, seen from the backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewrite {
    pub(crate) host: Option<HeaderValue>,
    pub(crate) path: Option<PathEdit>,
}

impl Rewrite {
    /// Edits the head of a request in place.
    pub(crate) fn apply(&self, origin: Origin<'_>, uri: &mut http::Uri, headers: &mut HeaderMap) {
        if let Some(host) = &self.host {
            headers.insert(HOST, host.clone());
        }
        let Some(edit) = &self.path else { return };
        let path = edit.apply(origin.path, origin.prefix_length, origin.query);
        // A rewritten path is made of valid parts; if it is not, the request stays as it came.
        if let Ok(path) = PathAndQuery::try_from(path) {
            let mut parts = std::mem::take(uri).into_parts();
            parts.path_and_query = Some(path);
            *uri = http::Uri::from_parts(parts).unwrap_or_default();
        }
    }
}

/// What a redirect or rewrite starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// `http` or `https`, as the client came.
    pub(crate) scheme: &'a str,
    /// As the client sent it, port included.
    pub(crate) authority: &'a str,
    /// Port of the listener.
    pub(crate) port: u16,
    /// Normalised.
    pub(crate) path: &'a str,
    /// Bytes of the path that the matching prefix took.
    pub(crate) prefix_length: usize,
    pub(crate) query: Option<&'a str>,
}

/// Sends the client elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) scheme: Option<Box<str>>,
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<PathEdit>,
    pub(crate) status: StatusCode,
}

impl Redirect {
    /// The value of `Location`; `None` when the request's own parts cannot stand in a header.
    pub(crate) fn location(&self, origin: Origin<'_>) -> Option<HeaderValue> {
        let scheme = self.scheme.as_deref().unwrap_or(origin.scheme);
        let implied = |scheme: &str| if scheme == "https" { 443 } else { 80 };
        let port = match (self.port, &self.scheme) {
            (Some(port), _) => port,
            (None, Some(_)) => implied(scheme),
            (None, None) => origin.port,
        };
        let parsed = origin.authority.parse::<Authority>().ok();
        let asked = parsed.as_ref().map_or("", |authority| authority.host());
        let host = self.host.as_deref().unwrap_or(asked);
        let path = match &self.path {
            Some(edit) => edit.apply(origin.path, origin.prefix_length, origin.query),
            None => PathEdit::Full(origin.path.into()).apply("", 0, origin.query),
        };
        let location = if port == implied(scheme) {
            format!("{scheme}://{host}{path}")
        } else {
            format!("{scheme}://{host}:{port}{path}")
        };
        HeaderValue::try_from(location).ok()
    }
}

/// The filters of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    pub(crate) request: HeaderEdits,
    pub(crate) response: HeaderEdits,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) rewrite: Option<Rewrite>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin<'a>(path: &'a str, prefix_length: usize) -> Origin<'a> {
        Origin {
            scheme: "http",
            authority: "example.com:8080",
            port: 8080,
            path,
            prefix_length,
            query: None,
        }
    }

    #[test]
    fn a_prefix_is_replaced_by_segment() {
        for (path, matched, with, new) in [
            ("/foo/bar", 4, "/one", "/one/bar"),
            ("/foo", 4, "/one", "/one"),
            ("/foo/", 4, "/one", "/one/"),
            ("/foo/bar", 4, "", "/bar"),
            ("/foo", 4, "", "/"),
            ("/foo/bar", 0, "/one", "/one/foo/bar"),
        ] {
            assert_eq!(
                PathEdit::Prefix(with.into()).apply(path, matched, None),
                new,
                "{path}"
            );
        }
        assert_eq!(
            PathEdit::Full("/x".into()).apply("/foo", 0, Some("a=1")),
            "/x?a=1"
        );
    }

    #[test]
    fn a_redirect_keeps_what_it_does_not_change() {
        let plain = Redirect {
            scheme: None,
            host: None,
            port: None,
            path: None,
            status: StatusCode::FOUND,
        };
        let location = |redirect: &Redirect, origin| {
            redirect
                .location(origin)
                .map(|v| v.to_str().expect("text").to_owned())
        };
        let to = |redirect: Redirect| location(&redirect, origin("/a/b", 2));
        assert_eq!(
            to(plain.clone()).as_deref(),
            Some("http://example.com:8080/a/b")
        );
        let https = Redirect {
            scheme: Some("https".into()),
            ..plain.clone()
        };
        assert_eq!(to(https).as_deref(), Some("https://example.com/a/b"));
        let port = Redirect {
            port: Some(80),
            host: Some("b.org".into()),
            ..plain.clone()
        };
        assert_eq!(to(port).as_deref(), Some("http://b.org/a/b"));
        let path = Redirect {
            path: Some(PathEdit::Prefix("/c".into())),
            ..plain.clone()
        };
        assert_eq!(to(path).as_deref(), Some("http://example.com:8080/c/b"));
        let query = Origin {
            query: Some("x=1"),
            ..origin("/a", 0)
        };
        assert_eq!(
            location(&plain, query).as_deref(),
            Some("http://example.com:8080/a?x=1")
        );
    }

    #[test]
    fn set_replaces_add_appends_remove_ignores_case() {
        let value = HeaderValue::from_static;
        let mut headers = HeaderMap::new();
        headers.append("x-a", value("1"));
        headers.append("x-a", value("2"));
        headers.append("x-b", value("1"));
        headers.append("x-c", value("1"));
        let edits = HeaderEdits {
            set: vec![(HeaderName::from_static("x-a"), value("3"))],
            add: vec![(HeaderName::from_static("x-b"), value("2"))],
            remove: vec!["X-C".parse().expect("name")],
        };
        edits.apply(&mut headers);
        let all = |name| {
            headers
                .get_all(name)
                .iter()
                .map(|v| v.as_bytes())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("x-a"), [b"3"]);
        assert_eq!(all("x-b"), [b"1", b"2"]);
        assert!(all("x-c").is_empty());
    }
}
