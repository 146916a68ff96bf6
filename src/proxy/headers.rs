//! Headers at the two edges: what is refused, what is taken off, what is put on.
//!
//! Hop-by-hop fields are for one connection only (RFC 9110, 7.6.1). What says where a request comes
//! from is the business of [`forwarding`].

use http::header::{CONTENT_LENGTH, HOST, HeaderName, TE, VIA};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use rand::Rng;

use super::forwarding::{self, Client};
use super::translate;
use crate::http1::{self, Upgrade};
use crate::model::{Connect, Fault};
use crate::upstream::RequestBody;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is passed on; a longer one is replaced.
const REQUEST_ID_LENGTH_MAX: usize = 128;

/// Refuses what must not be forwarded, and settles where the host is named: in `Host`.
///
/// # Errors
/// [`Fault::BadRequest`] for a request whose host or framing is ambiguous,
/// [`Fault::MethodRefused`] for CONNECT, unless it is to be forwarded.
pub(super) fn check(request: &mut Request<RequestBody>, connect: Connect) -> Result<(), Fault> {
    let version = request.version();
    let is_connect = request.method() == Method::CONNECT;
    if is_connect && connect == Connect::Refuse {
        return Err(Fault::MethodRefused);
    }
    if version == Version::HTTP_2 {
        // HTTP/1.1 comes settled from its codec.
        if !is_connect {
            translate::check(request)?;
        }
        let mut uri = std::mem::take(request.uri_mut());
        let mut headers = std::mem::take(request.headers_mut());
        let settled = http1::settle(request.method(), version, &mut uri, &mut headers);
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        settled.map_err(|_| Fault::BadRequest)?;
    }
    Ok(())
}

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
        strip_hop_by_hop(request.headers_mut());
    }
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    // Once for all that is put on, instead of growing twice.
    headers.reserve(ADDED_HEADERS);
    strip(headers, |name| client.takes_off(name));
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
    let switches = response.extensions().get::<Upgrade>().is_some();
    if response.status().is_informational() && !switches {
        return Err(Fault::UpstreamProtocol);
    }
    if response.version() == Version::HTTP_2 {
        strip_hop_by_hop(response.headers_mut());
    }
    if response.status() == StatusCode::NO_CONTENT {
        // It has no content, so a length would be somebody else's (RFC 9110, 8.6).
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    // HTTP/1.0 is the backend's affair: said to the client, it would end the client's connection.
    *response.version_mut() = Version::HTTP_11;
    Ok(())
}

/// Takes off what HTTP/2 should not have carried. HTTP/1.1 comes without from its codec.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let trailers = headers
        .get(TE)
        .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip(headers, |name| http1::is_for_one_hop(name.as_str()));
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Takes off what is there, found by looking at each name once: that costs less than a look-up of
/// each name that is not there.
fn strip(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| goes(name)).cloned() {
        headers.remove(name);
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
}
