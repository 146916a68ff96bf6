//! Conditions beside host and path: method, headers, query parameters, cookies.
//!
//! All conditions of a match must hold (AND); the matches of a rule are alternatives (OR). A
//! header or cookie that comes several times matches when one of its values does; a query
//! parameter counts with its first value (Gateway API).

use std::fmt;

use http::header::{COOKIE, HeaderName};
use http::{HeaderMap, Method};
use regex::Regex;

use super::path::{PathError, compile_regex};

/// What a condition says about a value.
#[derive(Clone, Debug)]
pub(crate) enum TextMatch {
    Exact(Box<str>),
    Prefix(Box<str>),
    /// Anchored at both ends.
    Regex(Regex),
    /// Any value, the empty one included.
    Present,
}

impl TextMatch {
    /// # Errors
    /// When the text is no regular expression, or one too large to compile.
    pub(crate) fn regex(text: &str) -> Result<Self, PathError> {
        compile_regex(text).map(Self::Regex)
    }

    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == value,
            Self::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
            Self::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
            Self::Present => true,
        }
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(value) => write!(f, "= {value}"),
            Self::Prefix(value) => write!(f, "starts with {value}"),
            Self::Regex(regex) => write!(f, "~ {}", regex.as_str()),
            Self::Present => write!(f, "present"),
        }
    }
}

/// One condition on a named value.
#[derive(Clone, Debug)]
pub(crate) struct Condition<N> {
    pub(crate) name: N,
    pub(crate) value: TextMatch,
}

/// Everything a match asks for beside host and path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) method: Option<Method>,
    pub(crate) headers: Vec<Condition<HeaderName>>,
    pub(crate) queries: Vec<Condition<Box<str>>>,
    pub(crate) cookies: Vec<Condition<Box<str>>>,
}

impl Conditions {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            method,
            headers,
            queries,
            cookies,
        } = self;
        method.is_none() && headers.is_empty() && queries.is_empty() && cookies.is_empty()
    }

    #[cfg(test)]
    pub(super) fn hold(&self, method: &Method, headers: &HeaderMap, query: Option<&str>) -> bool {
        self.first_broken(method, headers, query).is_none()
    }

    /// The first condition that does not hold, as a sentence for `explain`.
    pub(super) fn first_broken(
        &self,
        method: &Method,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Option<Broken<'_>> {
        if let Some(wanted) = self.method.as_ref().filter(|wanted| *wanted != method) {
            return Some(Broken::Method(wanted));
        }
        if let Some(broken) = self.headers.iter().find(|c| !header_holds(c, headers)) {
            return Some(Broken::Header(broken));
        }
        if let Some(broken) = self.queries.iter().find(|c| !query_holds(c, query)) {
            return Some(Broken::Query(broken));
        }
        self.cookies
            .iter()
            .find(|c| !cookie_holds(c, headers))
            .map(Broken::Cookie)
    }
}

/// A condition that does not hold.
#[derive(Debug)]
pub(super) enum Broken<'a> {
    Method(&'a Method),
    Header(&'a Condition<HeaderName>),
    Query(&'a Condition<Box<str>>),
    Cookie(&'a Condition<Box<str>>),
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "method = {method}"),
            Self::Header(c) => write!(f, "header {} {}", c.name, c.value),
            Self::Query(c) => write!(f, "query {} {}", c.name, c.value),
            Self::Cookie(c) => write!(f, "cookie {} {}", c.name, c.value),
        }
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.iter().map(Broken::Method);
        let headers = self.headers.iter().map(Broken::Header);
        let queries = self.queries.iter().map(Broken::Query);
        let cookies = self.cookies.iter().map(Broken::Cookie);
        for condition in method.chain(headers).chain(queries).chain(cookies) {
            write!(f, ", {condition}")?;
        }
        Ok(())
    }
}

fn header_holds(condition: &Condition<HeaderName>, headers: &HeaderMap) -> bool {
    headers
        .get_all(&condition.name)
        .iter()
        .any(|value| condition.value.matches(value.as_bytes()))
}

fn cookie_holds(condition: &Condition<Box<str>>, headers: &HeaderMap) -> bool {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| std::str::from_utf8(line.as_bytes()).ok())
        .flat_map(cookie::Cookie::split_parse)
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == &*condition.name)
        .any(|cookie| condition.value.matches(cookie.value_trimmed().as_bytes()))
}

fn query_holds(condition: &Condition<Box<str>>, query: Option<&str>) -> bool {
    let Some(query) = query else { return false };
    let first = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(name, _)| decoded_equals(name, &condition.name));
    let Some((_, value)) = first else {
        return false;
    };
    match &condition.value {
        TextMatch::Exact(exact) => decoded_equals(value, exact),
        TextMatch::Present => true,
        // Prefix and regex look at decoded text; only an escaped value has to be copied for it.
        TextMatch::Prefix(_) | TextMatch::Regex(_) if value.contains(['%', '+']) => {
            condition.value.matches(&decode(value).collect::<Vec<u8>>())
        }
        wanted @ (TextMatch::Prefix(_) | TextMatch::Regex(_)) => wanted.matches(value.as_bytes()),
    }
}

fn decoded_equals(raw: &str, plain: &str) -> bool {
    raw == plain || (raw.contains(['%', '+']) && decode(raw).eq(plain.bytes()))
}

/// Undoes form encoding (`+`, `%41`), byte by byte; a broken escape stays as it is.
fn decode(raw: &str) -> impl Iterator<Item = u8> {
    let mut rest = raw.as_bytes();
    std::iter::from_fn(move || {
        let (byte, length) = match *rest {
            [] => return None,
            [b'%', high, low, ..] => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            [b'+', ..] => (b' ', 1),
            [byte, ..] => (byte, 1),
        };
        rest = rest.get(length..).unwrap_or_default();
        Some(byte)
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| {
                (
                    n.parse::<HeaderName>().expect("name"),
                    v.parse().expect("value"),
                )
            })
            .collect()
    }

    fn text(name: &str, value: TextMatch) -> Vec<Condition<Box<str>>> {
        vec![Condition {
            name: name.into(),
            value,
        }]
    }

    #[test]
    fn all_conditions_of_a_match_must_hold() {
        let conditions = Conditions {
            method: Some(Method::POST),
            headers: vec![Condition {
                name: HeaderName::from_static("x-canary"),
                value: TextMatch::Exact("insider".into()),
            }],
            queries: text("v", TextMatch::Prefix("6.".into())),
            cookies: text("group", TextMatch::Present),
        };
        let good = headers(&[
            ("x-canary", "no"),
            ("x-canary", "insider"),
            ("cookie", "a=b; group="),
        ]);
        assert!(conditions.hold(&Method::POST, &good, Some("a=1&v=6.2.0")));
        assert!(!conditions.hold(&Method::GET, &good, Some("v=6.2.0")));
        assert!(
            !conditions.hold(&Method::POST, &good, Some("v=5&v=6.2.0")),
            "first value counts"
        );
        assert!(!conditions.hold(
            &Method::POST,
            &headers(&[("x-canary", "insider")]),
            Some("v=6.")
        ));
    }

    #[test]
    fn cookies_match_across_lines_and_quotes() {
        let conditions = Conditions {
            cookies: text("canary", TextMatch::Exact("always".into())),
            ..Default::default()
        };
        for line in [
            "canary=always",
            "a=1; canary=always; b=2",
            "canary=\"always\"",
        ] {
            let map = headers(&[("cookie", "x=y"), ("cookie", line)]);
            assert!(conditions.hold(&Method::GET, &map, None), "{line}");
        }
        let map = headers(&[("cookie", "canary2=always; xcanary=always; canary=never")]);
        assert!(!conditions.hold(&Method::GET, &map, None));
    }

    #[test]
    fn query_values_are_compared_decoded() {
        let with = |value| Conditions {
            queries: text("na me", value),
            ..Default::default()
        };
        let exact = with(TextMatch::Exact("a b&c".into()));
        assert!(exact.hold(&Method::GET, &HeaderMap::new(), Some("na+me=a%20b%26c")));
        assert!(!exact.hold(&Method::GET, &HeaderMap::new(), Some("na+me=a%20b%26d")));
        let prefix = with(TextMatch::Prefix("a ".into()));
        assert!(prefix.hold(&Method::GET, &HeaderMap::new(), Some("na%20me=a+b")));
        assert!(with(TextMatch::Present).hold(&Method::GET, &HeaderMap::new(), Some("na%20me")));
        assert!(!with(TextMatch::Present).hold(&Method::GET, &HeaderMap::new(), None));
    }
}
