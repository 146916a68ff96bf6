//! Where a request goes: its target and its host, settled into one place each.
//!
//! A target comes in four forms (RFC 9112, 3.2). Inside Pointsman there is one: the path in the
//! URI, the authority in `Host`. HTTP/2 has the same facts in pseudo header fields, and is settled
//! by the same rules.

use std::net::Ipv6Addr;
use std::str;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderValue, Method, Version};

use super::error::Malformed;
use super::fields::are_named_well;

/// Reads a request target as it stands in the request line.
///
/// # Errors
/// [`Malformed::Target`] for what is none of the four forms. Also for a fragment, which a target
/// cannot have, and which `http` would drop in silence.
pub(super) fn parse(method: &Method, target: &Bytes) -> Result<Uri, Malformed> {
    if memchr::memchr(b'#', target).is_some() {
        return Err(Malformed::Target);
    }
    if target.first() == Some(&b'/') || (target == "*" && method == Method::OPTIONS) {
        let path = PathAndQuery::from_maybe_shared(target.clone());
        return path.map(Uri::from).map_err(|_| Malformed::Target);
    }
    let uri = Uri::from_maybe_shared(target.clone()).map_err(|_| Malformed::Target)?;
    let authority_form = uri.scheme().is_none() && uri.path_and_query().is_none();
    let legal = match uri.scheme_str() {
        Some("http" | "https") => true,
        Some(_) => false,
        None => authority_form && method == Method::CONNECT,
    };
    if legal {
        with_path(method, uri, target)
    } else {
        Err(Malformed::Target)
    }
}

/// Spells out the path that an absolute target may leave out: everything for OPTIONS (RFC 9112,
/// 3.2.4), the root otherwise.
fn with_path(method: &Method, uri: Uri, target: &[u8]) -> Result<Uri, Malformed> {
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Ok(uri);
    };
    let ends_with_authority = scheme.len() + 3 + authority.as_str().len() == target.len();
    let path = match uri.query() {
        _ if ends_with_authority && method == Method::OPTIONS => PathAndQuery::from_static("*"),
        Some(query) if !is_rooted(&uri) => {
            let path = PathAndQuery::try_from(format!("/?{query}"));
            path.map_err(|_| Malformed::Target)?
        }
        _ => return Ok(uri),
    };
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| Malformed::Target)
}

/// Whether the target begins with a slash as it will be written, not only in the eyes of `http`.
fn is_rooted(uri: &Uri) -> bool {
    let target = uri.path_and_query();
    uri.path().starts_with('/') && target.is_some_and(|it| it.as_str().starts_with('/'))
}

/// Settles where the host is named: in `Host`, with the target in origin form. The target's
/// authority wins over `Host` (RFC 9112, 3.2.2), except that HTTP/2 says both or one, and the same.
///
/// # Errors
/// [`Malformed::Host`], [`Malformed::Target`] and, of HTTP/2, [`Malformed::Field`].
pub(crate) fn settle(
    method: &Method,
    version: Version,
    uri: &mut Uri,
    headers: &mut HeaderMap,
) -> Result<(), Malformed> {
    if version == Version::HTTP_2 && !are_named_well(headers) {
        return Err(Malformed::Field);
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => {}
        (None, _) if version != Version::HTTP_11 => {}
        _ => return Err(Malformed::Host),
    }
    if let Some(authority) = uri.authority() {
        let host = authority.as_str();
        if !is_host(host.as_bytes()) {
            return Err(Malformed::Host);
        }
        let host = HeaderValue::from_str(host).map_err(|_| Malformed::Host)?;
        if version == Version::HTTP_2 && headers.get(HOST).is_some_and(|named| named != host) {
            return Err(Malformed::Host);
        }
        let path = uri.path_and_query().cloned();
        let origin_form = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        *uri = Uri::from(origin_form);
        headers.insert(HOST, host);
    } else if version == Version::HTTP_2 && !headers.contains_key(HOST) {
        return Err(Malformed::Host);
    }
    let everything = uri.path() == "*" && method == Method::OPTIONS;
    if is_rooted(uri) || everything || method == Method::CONNECT {
        Ok(())
    } else {
        Err(Malformed::Target)
    }
}

/// Whether this is a host with or without a port (RFC 9110, 7.2; RFC 3986, 3.2.2).
pub(super) fn is_host(text: &[u8]) -> bool {
    let (name, port) = match text.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = memchr::memchr(b']', rest) else {
                return false;
            };
            let (literal, after) = rest.split_at(end);
            let literal = str::from_utf8(literal).ok();
            if literal.is_none_or(|literal| literal.parse::<Ipv6Addr>().is_err()) {
                return false;
            }
            match after.get(1..) {
                Some([]) | None => return true,
                Some([b':', port @ ..]) => return is_port(port),
                Some(_) => return false,
            }
        }
        None => match memchr::memchr(b':', text) {
            Some(colon) => {
                let (name, port) = text.split_at(colon);
                (name, port.get(1..))
            }
            None => (text, None),
        },
    };
    let legal = |b: &u8| LEGAL_IN_HOST.get(usize::from(*b)).copied().unwrap_or(false);
    !name.is_empty()
        && name.iter().all(legal)
        && has_whole_escapes(name)
        && port.is_none_or(is_port)
}

/// Whether two hexadecimal digits follow every percent.
fn has_whole_escapes(name: &[u8]) -> bool {
    let mut after = name.split(|b| *b == b'%').skip(1);
    after.all(|rest| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// Digits that are a port. None at all is legal as well (RFC 3986, 3.2.3).
fn is_port(digits: &[u8]) -> bool {
    let value = digits.iter().try_fold(0_u32, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(value * 10 + digit).filter(|value| *value <= 65_535)
    });
    value.is_some()
}

/// Bytes that a host name may consist of (RFC 3986, 3.2.2), as a table.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time, where a wrong index does not compile"
)]
const LEGAL_IN_HOST: [bool; 256] = {
    let mut legal = [false; 256];
    let marks = b"-._~%!$&'()*+;=";
    let mut at = 0;
    while at < marks.len() {
        legal[marks[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            legal[byte] = true;
        }
        byte += 1;
    }
    legal
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_what_only_looks_like_one() {
        for good in [
            "a",
            "a:80",
            "a:",
            "1.2.3.4:65535",
            "[::1]",
            "[::1]:8080",
            "x_y.example",
            "%41",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a:65536", "a:80:80", "a b", "a/b", "u@a", "a,b", "[::1", "[]", "[::1]x",
            "a:8x", "a\\b", "a?b", "a#b", "[::g]", "[v1.x]", "é",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_target_is_one_of_four_forms() {
        let parse = |method: Method, text: &'static str| {
            parse(&method, &Bytes::from_static(text.as_bytes()))
        };
        for good in ["/", "/a?b=c", "//a", "/%00", "http://a/b", "https://a"] {
            assert!(parse(Method::GET, good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:80",
            "*",
            "?x",
            "/a#b",
            "ftp://a/",
            "http://",
            "http:///x",
            "/a b",
        ] {
            assert!(parse(Method::GET, bad).is_err(), "{bad}");
        }
        assert!(parse(Method::OPTIONS, "*").is_ok());
        assert!(parse(Method::CONNECT, "a:80").is_ok());
    }

    #[test]
    fn the_targets_authority_is_the_host() {
        let settled = |version, uri: &str, hosts: &[&'static str]| {
            let mut uri: Uri = uri.parse().expect("a URI");
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_static(host));
            }
            settle(&Method::GET, version, &mut uri, &mut headers)?;
            let host = headers
                .get(HOST)
                .map(|host| host.to_str().expect("text").to_owned());
            Ok((uri.to_string(), host))
        };
        let ok = |uri: &str, host: &str| Ok((uri.to_owned(), Some(host.to_owned())));
        let host = Err(Malformed::Host);
        assert_eq!(settled(Version::HTTP_11, "/x", &["a"]), ok("/x", "a"));
        assert_eq!(
            settled(Version::HTTP_11, "http://b:81/x", &["a"]),
            ok("/x", "b:81")
        );
        assert_eq!(settled(Version::HTTP_11, "http://b", &["a"]), ok("/", "b"));
        assert_eq!(settled(Version::HTTP_11, "http://b/x", &[]), host);
        assert_eq!(settled(Version::HTTP_11, "/", &["a", "a"]), host);
        assert_eq!(settled(Version::HTTP_11, "http://u@b/", &["a"]), host);
        assert_eq!(
            settled(Version::HTTP_10, "/", &[]),
            Ok(("/".to_owned(), None))
        );
        assert_eq!(settled(Version::HTTP_2, "http://b/x", &[]), ok("/x", "b"));
        assert_eq!(
            settled(Version::HTTP_2, "http://b/x", &["b"]),
            ok("/x", "b")
        );
        assert_eq!(settled(Version::HTTP_2, "http://b/x", &["c"]), host);
        assert_eq!(settled(Version::HTTP_2, "/x", &[]), host);
        assert_eq!(settled(Version::HTTP_2, "/x", &["c"]), ok("/x", "c"));
    }
}
