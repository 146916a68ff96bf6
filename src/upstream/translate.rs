//! What differs between HTTP/1.1 and HTTP/2 on the way to a backend and back.
//!
//! Pure, over `http`'s types. What cannot be said in the other protocol without a second meaning is
//! a fault of whoever said it; nothing is made up in its place.

use http::header::{HOST, HeaderName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};

use crate::http1::{are_named_well, is_trailer};
use crate::model::Fault;

/// Makes a request one of HTTP/2: the host moves into the target.
///
/// # Errors
/// [`Fault::BadRequest`] when the host is none that a target can carry.
pub(crate) fn to_http2<B>(request: &mut Request<B>) -> Result<(), Fault> {
    let host = request.headers().get(HOST).ok_or(Fault::BadRequest)?;
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| Fault::BadRequest)?;
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts
        .path_and_query
        .get_or_insert_with(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Fault::BadRequest)?;
    request.headers_mut().remove(HOST);
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Refuses the head of a response of HTTP/2 that another protocol would read differently.
///
/// # Errors
/// [`Fault::UpstreamProtocol`].
pub(crate) fn check_response<B>(response: &Response<B>) -> Result<(), Fault> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers();
    if switches || !are_named_well(headers) || headers.values().any(surrounded) {
        return Err(Fault::UpstreamProtocol);
    }
    Ok(())
}

/// Whether a value begins or ends with a blank, which is not part of it in HTTP/1.1 and malformed
/// in HTTP/2 (RFC 9113, 8.2.1).
pub(crate) fn surrounded(value: &HeaderValue) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    blank(value.as_bytes().first()) || blank(value.as_bytes().last())
}

/// Takes off what must not come after a body, because it would have to be known before: framing,
/// routing, authentication, and what says how to read the content (RFC 9110, 6.5.1). Fields of the
/// connection are among it: HTTP/2 has none, and HTTP/1.1 has them in front. What comes over HTTP/1.1
/// is clean already.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap) {
    let forbidden = |name: &&HeaderName| !is_trailer(name.as_str());
    while let Some(name) = trailers.keys().find(forbidden).cloned() {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_backend(target: &str, host: Option<&str>) -> Result<Request<()>, Fault> {
        let mut request = Request::builder().uri(target);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let mut request = request.body(()).expect("valid");
        to_http2(&mut request).map(|()| request)
    }

    #[test]
    fn the_host_becomes_the_authority() {
        for (target, host, whole) in [
            ("/a?b=c", "x.org", "http://x.org/a?b=c"),
            ("/", "x.org:81", "http://x.org:81/"),
            ("/", "[::1]:81", "http://[::1]:81/"),
            ("//a", "x", "http://x//a"),
        ] {
            let request = to_backend(target, Some(host)).expect("it can be said");
            assert_eq!(request.uri().to_string(), whole);
            assert!(!request.headers().contains_key(HOST));
            assert_eq!(request.version(), Version::HTTP_2);
        }
        let everything = to_backend("*", Some("x")).expect("it can be said");
        assert_eq!(everything.uri().path(), "*");
        assert_eq!(everything.uri().host(), Some("x"));
    }

    #[test]
    fn no_host_is_made_up() {
        for host in [
            None,
            Some(""),
            Some("a b"),
            Some("a:b:c"),
            Some("[::1"),
            Some("a/b"),
        ] {
            assert_eq!(
                to_backend("/", host).map(drop),
                Err(Fault::BadRequest),
                "{host:?}"
            );
        }
    }

    #[test]
    fn responses_that_another_protocol_would_read_differently_are_refused() {
        let response = |status: u16, value: &'static str| {
            let response = Response::builder().status(status).header("x", value);
            check_response(&response.body(()).expect("valid"))
        };
        assert_eq!(response(200, "a b"), Ok(()));
        for (status, value) in [(101, "a"), (200, " a"), (200, "a\t")] {
            assert_eq!(
                response(status, value),
                Err(Fault::UpstreamProtocol),
                "{status} {value:?}"
            );
        }
    }

    #[test]
    fn trailers_are_about_what_is_known_in_the_end() {
        let mut trailers = HeaderMap::new();
        for name in [
            "content-length",
            "Transfer-Encoding",
            "host",
            "set-cookie",
            "te",
            "x-forwarded-for",
        ] {
            let name = HeaderName::try_from(name).expect("a name");
            trailers.append(name.clone(), HeaderValue::from_static("1"));
            trailers.append(name, HeaderValue::from_static("2"));
        }
        for name in ["grpc-status", "grpc-message", "digest", "server-timing"] {
            trailers.insert(name, HeaderValue::from_static("0"));
        }
        clean_trailers(&mut trailers);
        assert_eq!(trailers.len(), 4, "{trailers:?}");
    }
}
