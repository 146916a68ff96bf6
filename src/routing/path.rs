//! Paths: how a rule names them, and the copy of a request's path that is matched.
//!
//! Matching looks at a normalised copy (dot segments resolved, repeated slashes merged,
//! percent-escapes of unreserved characters undone, the others in upper case: RFC 3986, 6.2.2), so
//! that `/admin/../secret` and `//secret` cannot slip past a rule. What is forwarded stays as it
//! came. Nearly every path is normal already and is not copied at all.

use std::fmt;

use regex::Regex;

/// What a rule says about the path.
#[derive(Clone, Debug)]
pub(crate) enum PathMatch {
    Exact(Box<str>),
    /// By segment: `/abc` takes `/abc`, `/abc/` and `/abc/d`, not `/abcd`. Stored without the
    /// trailing slash, so the root is the empty text.
    Prefix(Box<str>),
    /// Anchored at both ends.
    Regex(Regex),
}

/// Why a text cannot be matched against paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    NoSlash,
    NotNormal(String),
    Query,
    Regex(String),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSlash => write!(f, "a path starts with `/`"),
            Self::NotNormal(normal) => write!(
                f,
                "paths are matched in their normal form, so this can never match; write `{normal}`"
            ),
            Self::Query => write!(
                f,
                "a path ends before `?` and `#`; match the query separately"
            ),
            Self::Regex(why) => write!(f, "not a regular expression: {why}"),
        }
    }
}

impl std::error::Error for PathError {}

impl PathMatch {
    /// # Errors
    /// When no request could ever have this path.
    pub(crate) fn exact(text: &str) -> Result<Self, PathError> {
        check_literal(text)?;
        Ok(Self::Exact(text.into()))
    }

    /// # Errors
    /// When no request could ever have this prefix.
    pub(crate) fn prefix(text: &str) -> Result<Self, PathError> {
        check_literal(text)?;
        Ok(Self::Prefix(text.strip_suffix('/').unwrap_or(text).into()))
    }

    /// # Errors
    /// When the text is no regular expression, or one too large to compile.
    pub(crate) fn regex(text: &str) -> Result<Self, PathError> {
        compile_regex(text).map(Self::Regex)
    }

    /// Matches every path.
    pub(crate) fn any() -> Self {
        Self::Prefix("".into())
    }

    /// Whether a path in its normal form fits.
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            // Also `*`, the path of OPTIONS for the whole server.
            Self::Prefix(root) if root.is_empty() => true,
            Self::Prefix(prefix) => path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

impl fmt::Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => write!(f, "path = {path}"),
            Self::Prefix(path) if path.is_empty() => write!(f, "path under /"),
            Self::Prefix(path) => write!(f, "path under {path}"),
            Self::Regex(regex) => write!(f, "path ~ {}", regex.as_str()),
        }
    }
}

/// Compiles an expression that must match the whole text.
///
/// # Errors
/// When the text is no regular expression, or one too large to compile.
pub(super) fn compile_regex(text: &str) -> Result<Regex, PathError> {
    regex::RegexBuilder::new(&format!("^(?:{text})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| PathError::Regex(last_line(&error.to_string())))
}

/// The regex crate draws several lines; its last one says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn check_literal(text: &str) -> Result<(), PathError> {
    if !text.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    if text.contains(['?', '#']) {
        return Err(PathError::Query);
    }
    let mut scratch = Scratch::default();
    match normalise(text, &mut scratch) {
        normal if normal == text => Ok(()),
        normal => Err(PathError::NotNormal(normal.to_owned())),
    }
}

/// Room for the normal forms of an odd host and an odd path; kept by each worker, so that it is
/// allocated once.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(super) host: String,
    pub(super) path: String,
}

/// The normal form of `path`: `path` itself where it is normal already, else written to `scratch`.
pub(crate) fn normalise<'a>(path: &'a str, scratch: &'a mut Scratch) -> &'a str {
    normal_form(path, &mut scratch.path)
}

/// As [`normalise`], written to `out`.
pub(super) fn normal_form<'a>(path: &'a str, out: &'a mut String) -> &'a str {
    if is_normal(path.as_bytes()) {
        return path;
    }
    out.clear();
    for segment in path.split('/') {
        let start = out.len();
        push_unescaped(segment, out);
        match out.get(start..) {
            Some("" | ".") => out.truncate(start),
            Some("..") => {
                out.truncate(start.saturating_sub(1));
                let parent = out.rfind('/').map_or(0, |slash| slash + 1);
                out.truncate(parent);
            }
            _ => out.push('/'),
        }
    }
    // Every segment left a slash behind it; the path wants it in front.
    let directory = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    if !directory {
        out.pop();
    }
    out.insert(0, '/');
    out
}

/// Whether nothing needs to be rewritten: no escapes, no empty segment, no dot segment. Without an
/// early end, so that the compiler looks at many bytes at once.
fn is_normal(path: &[u8]) -> bool {
    let escaped = path.iter().fold(false, |any, &byte| any | (byte == b'%'));
    let pairs = path.iter().zip(path.get(1..).unwrap_or_default());
    let odd = |(&one, &next): (&u8, &u8)| (one == b'/') & ((next == b'/') | (next == b'.'));
    !escaped & !pairs.fold(false, |any, pair| any | odd(pair))
}

/// Undoes escapes of unreserved characters (RFC 3986, 2.3) and writes the others in upper case.
fn push_unescaped(segment: &str, out: &mut String) {
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        let (before, escaped) = rest.split_at(at);
        out.push_str(before);
        let code = escaped
            .get(1..3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
            }
            Some(byte) => {
                out.push('%');
                out.extend([byte >> 4, byte & 15].map(|nibble| {
                    char::from_digit(nibble.into(), 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase()
                }));
            }
            None => out.push('%'),
        }
        rest = escaped
            .get(if code.is_some() { 3 } else { 1 }..)
            .unwrap_or("");
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_matched_in_their_normal_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/.well-known", "/.well-known"),
            ("/a/.../b", "/a/.../b"),
            ("/%61dmin", "/admin"),
            ("/a%2fb", "/a%2Fb"),
            ("/%2e%2e/b", "/b"),
            ("/a%zz", "/a%zz"),
            ("/a%", "/a%"),
            ("/%E4%b8", "/%E4%B8"),
        ] {
            assert_eq!(normalise(path, &mut Scratch::default()), normal, "{path}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        let abc = PathMatch::prefix("/abc/").expect("valid");
        for (path, matches) in [
            ("/abc", true),
            ("/abc/", true),
            ("/abc/d", true),
            ("/abcd", false),
        ] {
            assert_eq!(abc.matches(path), matches, "{path}");
        }
        assert!(PathMatch::prefix("/").expect("valid").matches("/anything"));
    }

    #[test]
    fn a_path_that_can_never_match_is_refused() {
        assert_eq!(PathMatch::exact("a").err(), Some(PathError::NoSlash));
        assert_eq!(PathMatch::exact("/a?b").err(), Some(PathError::Query));
        assert_eq!(
            PathMatch::prefix("/a//b").err(),
            Some(PathError::NotNormal("/a/b".into()))
        );
        assert!(matches!(
            PathMatch::regex("(").err(),
            Some(PathError::Regex(_))
        ));
    }

    #[test]
    fn a_regex_matches_the_whole_path() {
        let regex = PathMatch::regex("/v[0-9]+|/x").expect("valid");
        assert!(regex.matches("/v12"));
        assert!(!regex.matches("/v12/more"));
        assert!(!regex.matches("/a/x"));
    }
}
