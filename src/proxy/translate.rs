//! What a request that came over HTTP/2 has to be before it may become HTTP/1.1.
//!
//! h2 has looked at the frames: names are lower case (and tokens, but for a quote, which
//! `http1::settle` refuses), values are free of CR, LF and NUL,
//! pseudo headers come first and once, fields of the connection are not there, and the length that
//! was announced is the length that comes. What it lets pass and a backend could read in another
//! way than we do is refused or made plain here (RFC 9113, 8.2 and 8.3). Pure, over `http`'s types,
//! so that it can be tried with anything.

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

use crate::model::Fault;
use crate::upstream::translate::surrounded;

/// Longer ones are nobody's; the longest that is registered has 17 letters.
const METHOD_LENGTH_MAX: usize = 32;

/// Refuses what has no meaning in HTTP/1.1, or more than one.
///
/// # Errors
/// [`Fault::BadRequest`].
pub(crate) fn check<B>(request: &mut Request<B>) -> Result<(), Fault> {
    let method = request.method();
    if method.as_str().len() > METHOD_LENGTH_MAX || !has_plain_target(method, request.uri()) {
        return Err(Fault::BadRequest);
    }
    if request.headers().values().any(surrounded) {
        return Err(Fault::BadRequest);
    }
    if let Some(authority) = request.uri().authority() {
        // Names of hosts are the same in any case; everything else has to be the same letter.
        let same = |host: &HeaderValue| {
            host.as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes())
        };
        if !request.headers().get_all(HOST).iter().all(same) {
            return Err(Fault::BadRequest);
        }
        // It goes on in the authority's spelling.
        request.headers_mut().remove(HOST);
    }
    settle_length(request.headers_mut())?;
    join_cookies(request.headers_mut());
    Ok(())
}

/// `http` or `https`, and a path that begins with a slash, or the asterisk of OPTIONS.
fn has_plain_target(method: &Method, uri: &Uri) -> bool {
    let scheme = uri.scheme_str().unwrap_or("http");
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    matches!(scheme, "http" | "https")
        && (path.starts_with('/') || (path == "*" && *method == Method::OPTIONS))
}

/// One line with one number, however often and with however many zeros it was said.
fn settle_length(headers: &mut HeaderMap) -> Result<(), Fault> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else {
        return Ok(());
    };
    let length = number(first).ok_or(Fault::BadRequest)?;
    let mut repeated = false;
    for line in lines {
        repeated = true;
        if number(line) != Some(length) {
            return Err(Fault::BadRequest);
        }
    }
    let padded = first.len() > 1 && first.as_bytes().starts_with(b"0");
    if repeated || padded {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(())
}

/// Digits and nothing else, which `parse` alone would not ask for: it takes a plus.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// HTTP/2 may send a cookie header in pieces; HTTP/1.1 wants one line (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut whole = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &[u8])]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).expect("a value");
            request = request.header(*name, value);
        }
        request.body(()).expect("valid")
    }

    #[test]
    fn what_has_more_than_one_meaning_is_refused() {
        let long = "M".repeat(33);
        for (method, uri, headers) in [
            ("GET", "ftp://a/", &[][..]),
            ("GET", "*", &[]),
            ("GET", "a:80", &[]),
            (&long, "/", &[]),
            ("GET", "/", &[("x", &b" a"[..])]),
            ("GET", "/", &[("x", b"a\t")]),
            ("GET", "/", &[("x", b" ")]),
            ("GET", "http://a/", &[("host", b"b")]),
            ("GET", "http://a/", &[("host", b"a"), ("host", b"b")]),
            ("POST", "/", &[("content-length", b"+5")]),
            ("POST", "/", &[("content-length", b"")]),
            ("POST", "/", &[("content-length", b"5, 5")]),
            (
                "POST",
                "/",
                &[("content-length", b"5"), ("content-length", b"6")],
            ),
            (
                "POST",
                "/",
                &[("content-length", b"99999999999999999999999")],
            ),
        ] {
            let refused = check(&mut request(method, uri, headers));
            assert_eq!(
                refused,
                Err(Fault::BadRequest),
                "{method} {uri} {headers:?}"
            );
        }
    }

    #[test]
    fn what_is_odd_and_clear_passes() {
        for (method, uri, headers) in [
            ("OPTIONS", "*", &[][..]),
            ("M-SEARCH", "/", &[]),
            (&"M".repeat(32), "https://a/?b#", &[]),
            ("GET", "http://A.org/", &[("host", &b"a.ORG"[..])]),
            ("GET", "/", &[("x", b"")]),
            ("GET", "/", &[("x", b"a b\tc\x80\xff")]),
        ] {
            let passed = check(&mut request(method, uri, headers));
            assert_eq!(passed, Ok(()), "{method} {uri} {headers:?}");
        }
    }

    #[test]
    fn a_length_is_said_once_and_plainly() {
        for lines in [&["5"][..], &["5", "5"], &["05"], &["5", "005"]] {
            let headers: Vec<_> = lines
                .iter()
                .map(|line| ("content-length", line.as_bytes()))
                .collect();
            let mut request = request("POST", "/", &headers);
            assert_eq!(check(&mut request), Ok(()));
            let all: Vec<_> = request.headers().get_all(CONTENT_LENGTH).iter().collect();
            assert_eq!(all, ["5"], "{lines:?}");
        }
    }

    #[test]
    fn cookie_crumbs_become_one_line() {
        let crumbs: &[(&str, &[u8])] = &[("cookie", b"a=1"), ("cookie", b"b=2; c=3")];
        let mut request = request("GET", "/", crumbs);
        assert_eq!(check(&mut request), Ok(()));
        let all: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2; c=3"]);
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..12)
    }

    proptest! {
        /// Whatever passes can be written as HTTP/1.1 and read in one way only.
        #[test]
        fn what_passes_is_one_request_of_http1(
            method in "[A-Z*!-]{1,40}",
            target in "(http://[a-z@:0-9]{1,8}|ftp://a)?[/*?#a-z% -]{0,10}",
            fields in proptest::collection::vec(("(host|cookie|content-length|x-[a-z]{0,3})", bytes()), 0..6),
        ) {
            let mut builder = Request::builder().method(method.as_str()).uri(target.as_str());
            for (name, value) in &fields {
                builder = builder.header(name.as_str(), value.as_slice());
            }
            let Ok(mut request) = builder.body(()) else { return Ok(()) };
            if check(&mut request).is_err() { return Ok(()) }
            let again = request.clone();
            prop_assert_eq!(check(&mut request), Ok(()));
            prop_assert_eq!(again.headers(), request.headers(), "checking twice changes nothing");
            prop_assert!(request.headers().get_all(CONTENT_LENGTH).iter().count() <= 1);
            prop_assert!(request.headers().get_all(COOKIE).iter().count() <= 1);
            for value in request.headers().values() {
                prop_assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
                prop_assert_eq!(value.as_bytes().trim_ascii(), value.as_bytes());
            }
        }
    }
}
