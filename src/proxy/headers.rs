//! Headers at the two edges: what is refused, what is taken off, what is put on.
//!
//! Hop-by-hop fields are for one connection only (RFC 9110, 7.6.1). What says where a request comes
//! from is the business of [`forwarding`].

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TE, TRANSFER_ENCODING, VIA,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use rand::Rng;

use super::forwarding::{self, Client};
use crate::model::Fault;
use crate::upstream::RequestBody;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is passed on; a longer one is replaced.
const REQUEST_ID_LENGTH_MAX: usize = 128;

/// Never taken off because a `Connection` header names them: that would let a client strip what
/// backends rely on. Beside them, whatever says where a request comes from.
const PROTECTED: [HeaderName; 5] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    COOKIE,
    http::header::AUTHORIZATION,
];

/// Refuses what must not be forwarded, and settles where the host is named: in `Host`.
///
/// # Errors
/// [`Fault::BadRequest`] for a request whose host or framing is ambiguous,
/// [`Fault::MethodRefused`] for CONNECT.
pub(super) fn check(request: &mut Request<RequestBody>) -> Result<(), Fault> {
    if request.method() == Method::CONNECT {
        return Err(Fault::MethodRefused);
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    if codings
        .next()
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return Err(Fault::BadRequest);
    }
    // The target's authority wins over `Host` (RFC 9112, 3.2.2); HTTP/2 has nothing else.
    if let Some(authority) = request.uri().authority() {
        if authority.as_str().contains('@') {
            return Err(Fault::BadRequest);
        }
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Fault::BadRequest)?;
        if request.version() == Version::HTTP_2
            && request
                .headers()
                .get(HOST)
                .is_some_and(|named| named != host)
        {
            return Err(Fault::BadRequest);
        }
        let target = request.uri().path_and_query().cloned();
        let path = target.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path();
    let everything = path == "*" && request.method() == Method::OPTIONS;
    if !path.starts_with('/') && !everything {
        return Err(Fault::BadRequest);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if valid_host(host) => Ok(()),
        (None, _) if request.version() == Version::HTTP_10 => Ok(()),
        _ => Err(Fault::BadRequest),
    }
}

fn valid_host(host: &HeaderValue) -> bool {
    let legal = |b: &u8| LEGAL_IN_HOST.get(usize::from(*b)).copied().unwrap_or(false);
    host.as_bytes().iter().all(legal) && !host.is_empty()
}

/// Bytes that a host with a port may consist of (RFC 3986, 3.2.2), as a table.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time, where a wrong index does not compile"
)]
const LEGAL_IN_HOST: [bool; 256] = {
    let mut legal = [false; 256];
    let marks = b"-._~%!$&'()*+;=:[]";
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

/// How many headers a request gets on its way, at most.
const ADDED_HEADERS: usize = 5;

/// Makes the head of a request fit for a backend.
pub(super) fn prepare(request: &mut Request<RequestBody>, client: &Client, random: &mut impl Rng) {
    let via = match request.version() {
        Version::HTTP_2 => HeaderValue::from_static("2.0 pointsman"),
        Version::HTTP_10 => HeaderValue::from_static("1.0 pointsman"),
        _ => HeaderValue::from_static("1.1 pointsman"),
    };
    if request.version() == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    // Once for all that is put on, instead of growing twice.
    headers.reserve(ADDED_HEADERS);
    let trailers = headers
        .get(TE)
        .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip(headers, |name| {
        is_hop_by_hop(name) || client.takes_off(name)
    });
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let host = headers.get(HOST).cloned();
    if host.is_none() {
        // HTTP/1.0 may leave it out; HTTP/1.1, which is what the backend is spoken to, may not.
        headers.insert(HOST, HeaderValue::from_static("localhost"));
    }
    forwarding::apply(headers, client, host);
    headers.append(VIA, via);
    let id = headers.get(&REQUEST_ID);
    if id.is_none_or(|id| id.is_empty() || id.len() > REQUEST_ID_LENGTH_MAX) {
        headers.insert(REQUEST_ID, request_id(random));
    }
}

/// 128 random bits as 32 hexadecimal digits.
fn request_id(random: &mut impl Rng) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
    let mut text = [0_u8; 32];
    for place in &mut text {
        *place = DIGITS.get((bits & 15) as usize).copied().unwrap_or(b'0');
        bits >>= 4;
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// Makes the head of a response fit for a client.
///
/// # Errors
/// [`Fault::UpstreamProtocol`] for a switch to another protocol, which nobody asked for.
pub(super) fn clean<B>(response: &mut Response<B>) -> Result<(), Fault> {
    if response.status().is_informational() {
        return Err(Fault::UpstreamProtocol);
    }
    // HTTP/1.0 is the backend's affair: said to the client, it would end the client's connection.
    *response.version_mut() = Version::HTTP_11;
    strip(response.headers_mut(), is_hop_by_hop);
    Ok(())
}

/// Takes off what is there, found by looking at each name once: that costs less than a look-up of
/// each name that is not there.
fn strip(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| goes(name)).cloned() {
        if name == CONNECTION {
            strip_named(headers);
        }
        if name == TRANSFER_ENCODING {
            // Beside chunks a length means nothing (RFC 9112, 6.3); alone it would be believed.
            headers.remove(CONTENT_LENGTH);
        }
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Takes off what `Connection` names.
fn strip_named(headers: &mut HeaderMap) {
    // Nearly always it names an option and no field.
    let option = |line: &HeaderValue| {
        [&b"keep-alive"[..], b"close"]
            .iter()
            .any(|it| line.as_bytes().eq_ignore_ascii_case(it))
    };
    let lines = headers
        .get_all(CONNECTION)
        .iter()
        .filter(|line| !option(line));
    let lines: Vec<HeaderValue> = lines.cloned().collect();
    let names = lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','));
    for name in names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()) {
        let relied_on = PROTECTED.contains(&name) || forwarding::is_protected(&name);
        if !relied_on && name != CONNECTION {
            headers.remove(name);
        }
    }
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
    use std::rc::Rc;

    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<RequestBody> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(RequestBody::Empty).expect("valid")
    }

    fn prepared(headers: &[(&str, &str)]) -> HeaderMap {
        let mut request = request("/", headers);
        let client = Client::new([192, 0, 2, 7].into(), 80, &Rc::default());
        prepare(&mut request, &client, &mut SmallRng::seed_from_u64(1));
        request.headers().clone()
    }

    #[test]
    fn ambiguous_requests_are_refused() {
        for (uri, headers) in [
            ("/", &[][..]),
            ("/", &[("host", "a"), ("host", "b")]),
            ("/", &[("host", "")]),
            ("/", &[("host", "a b")]),
            ("/", &[("host", "a/b")]),
            ("/", &[("host", "user@a")]),
            ("http://user@a/", &[("host", "a")]),
            (
                "/",
                &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
            ),
            (
                "/",
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "x"),
                ],
            ),
        ] {
            let refused = check(&mut request(uri, headers));
            assert_eq!(refused, Err(Fault::BadRequest), "{uri} {headers:?}");
        }
        let mut connect = request("a:80", &[("host", "a")]);
        *connect.method_mut() = Method::CONNECT;
        assert_eq!(check(&mut connect), Err(Fault::MethodRefused));
    }

    #[test]
    fn an_absolute_target_names_the_host() {
        let mut absolute = request("http://b.org:81/x?y=1", &[("host", "a")]);
        assert_eq!(check(&mut absolute), Ok(()));
        assert_eq!(absolute.uri(), "/x?y=1");
        assert_eq!(absolute.headers()[HOST], "b.org:81");
    }

    #[test]
    fn hop_by_hop_fields_stay_on_their_hop() {
        let headers = prepared(&[
            ("host", "a"),
            ("connection", "close, X-Secret , host"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("x-stays", "1"),
        ]);
        for gone in ["connection", "x-secret", "x-other", "keep-alive", "upgrade"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!(headers["host"], "a");
        assert_eq!(headers["te"], "trailers");
        assert_eq!(headers["x-stays"], "1");
    }

    #[test]
    fn forwarding_fields_tell_the_truth_and_ids_are_kept() {
        let headers = prepared(&[
            ("host", "a:8080"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("via", "1.1 other"),
        ]);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "a:8080");
        assert_eq!(headers.get_all("via").iter().count(), 2);
        assert_eq!(headers["x-request-id"].len(), 32);
        assert_eq!(
            prepared(&[("x-request-id", "mine")])["x-request-id"],
            "mine"
        );
        assert_eq!(
            prepared(&[("x-request-id", &"x".repeat(129))])["x-request-id"].len(),
            32
        );
    }

    #[test]
    fn cookie_crumbs_become_one_line() {
        let mut headers = request("/", &[("cookie", "a=1"), ("cookie", "b=2; c=3")]);
        join_cookies(headers.headers_mut());
        let all: Vec<_> = headers.headers().get_all(COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2; c=3"]);
    }
}
