//! Host patterns and the host of a request.
//!
//! `example.com` is exact, `*.example.com` takes every name below it at any depth but not the bare
//! parent (Gateway API), nothing at all means any host. Hosts compare without case, without port
//! and without the root dot.

use std::fmt;

/// Longest host name in bytes (RFC 1035, 2.3.4); a longer one matches only routes for any host.
const HOST_LENGTH_MAX: usize = 253;

/// Which hosts a route answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    Any,
    /// Lower-case, without port.
    Exact(Box<str>),
    /// The part behind `*.`, lower-case.
    Below(Box<str>),
}

/// Why a text is no host pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    Empty,
    TooLong,
    Port,
    Wildcard,
    Character(char),
    Label,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a host must not be empty"),
            Self::TooLong => write!(f, "a host has at most {HOST_LENGTH_MAX} characters"),
            Self::Port => write!(f, "a host is matched without its port: leave the port out"),
            Self::Wildcard => {
                write!(
                    f,
                    "`*` may only stand alone or as the first label, as in `*.example.com`"
                )
            }
            Self::Character(c) => write!(f, "{c:?} cannot be part of a host name"),
            Self::Label => write!(
                f,
                "a host name has no empty labels and no `-` at a label's edge"
            ),
        }
    }
}

impl std::error::Error for HostError {}

impl HostPattern {
    /// Reads `example.com`, `*.example.com`, `*`, `127.0.0.1` or `[::1]`.
    ///
    /// # Errors
    /// Says which law of host names the text breaks.
    pub(crate) fn parse(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.starts_with('[') && text.ends_with(']') {
            return Ok(Self::Exact(text.to_ascii_lowercase().into()));
        }
        let (wild, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        check_name(name)?;
        let name = name.to_ascii_lowercase().into();
        Ok(if wild {
            Self::Below(name)
        } else {
            Self::Exact(name)
        })
    }
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > HOST_LENGTH_MAX {
        return Err(HostError::TooLong);
    }
    for c in name.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' => {}
            ':' => return Err(HostError::Port),
            '*' => return Err(HostError::Wildcard),
            other => return Err(HostError::Character(other)),
        }
    }
    let bad = |label: &str| label.is_empty() || label.starts_with('-') || label.ends_with('-');
    if name.split('.').any(bad) {
        Err(HostError::Label)
    } else {
        Ok(())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// The host in an authority as it is looked up: lower-case, without port and root dot
/// (`Example.com.:8080` → `example.com`); written to `scratch` where the case differs. A host that
/// is too long to be one becomes the empty host, which only routes for any host answer.
pub(super) fn request_host<'a>(authority: &'a str, scratch: &'a mut String) -> &'a str {
    let name = if is_plain(authority.as_bytes()) {
        authority
    } else {
        without_port(authority)
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > HOST_LENGTH_MAX {
        return "";
    }
    if is_plain(name.as_bytes()) {
        return name;
    }
    scratch.clear();
    scratch.push_str(name);
    scratch.make_ascii_lowercase();
    scratch
}

/// Neither a port nor a capital, as nearly always. Without an early end, so that the compiler
/// looks at many bytes at once.
fn is_plain(authority: &[u8]) -> bool {
    let odd = |byte: u8| byte == b':' || byte.is_ascii_uppercase();
    !authority.iter().fold(false, |any, &byte| any | odd(byte))
}

fn without_port(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        // An IPv6 literal: everything up to the bracket, brackets included.
        Some(rest) => match rest.find(']') {
            Some(end) => authority.get(..end + 2).unwrap_or(authority),
            None => authority,
        },
        None => authority
            .split_once(':')
            .map_or(authority, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_and_shown_as_written() {
        for good in [
            "example.com",
            "*.example.com",
            "*",
            "127.0.0.1",
            "[::1]",
            "a_b.local",
        ] {
            assert_eq!(
                HostPattern::parse(good).map(|h| h.to_string()),
                Ok(good.into())
            );
        }
        assert_eq!(HostPattern::parse(""), Err(HostError::Empty));
        assert_eq!(HostPattern::parse("a:80"), Err(HostError::Port));
        assert_eq!(HostPattern::parse("a.*.com"), Err(HostError::Wildcard));
        assert_eq!(HostPattern::parse("a..com"), Err(HostError::Label));
        assert_eq!(HostPattern::parse("a/b"), Err(HostError::Character('/')));
    }

    #[test]
    fn a_request_host_loses_case_port_and_root_dot() {
        for (authority, host) in [
            ("Example.COM", "example.com"),
            ("example.com:8080", "example.com"),
            ("example.com.:8080", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(
                request_host(authority, &mut String::new()),
                host,
                "{authority}"
            );
        }
        assert_eq!(request_host(&"a".repeat(254), &mut String::new()), "");
        assert_eq!(request_host(&"A".repeat(254), &mut String::new()), "");
    }
}
