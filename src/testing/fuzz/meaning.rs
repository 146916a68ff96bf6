//! Whether two readers understand the same: the codec, and the strict parser.

use std::collections::BTreeSet;

use http::{HeaderMap, Request, Response, Version};

use crate::testing::strict::{self, Field, Message};

/// A request or response as the codec understood it.
#[derive(Clone, Debug)]
pub(super) struct Heard<H> {
    pub(super) head: H,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
    /// The bytes of the stream that it was read from.
    pub(super) span: std::ops::Range<usize>,
}

/// What can be compared between runs.
pub(super) fn text_of_request(request: &Request<()>) -> String {
    let (method, uri, version) = (request.method(), request.uri(), request.version());
    format!("{method} {uri} {version:?} {:?}", request.headers())
}

pub(super) fn text_of_response(response: &Response<()>) -> String {
    let (status, version) = (response.status(), response.version());
    format!("{status} {version:?} {:?}", response.headers())
}

/// Fields of one connection, or settled elsewhere.
const SETTLED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Fields that no `Connection` may take off.
const PROTECTED: [&str; 6] = [
    "authorization",
    "cookie",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Panics where the codec understood something else than the strict parser.
pub(super) fn same_request(heard: &Heard<Request<()>>, strict: &Message) {
    let request = &heard.head;
    assert_eq!(
        request.method().as_str().as_bytes(),
        strict.method(),
        "method"
    );
    let minor = u8::from(request.version() != Version::HTTP_10);
    assert_eq!(minor, strict.minor, "version");
    if strict.method() != b"CONNECT" {
        let (host, target) = meant(strict);
        let read = request.uri().path_and_query().map_or("", |it| it.as_str());
        assert_eq!(lossy(read.as_bytes()), lossy(&target), "target");
        let hosts: Vec<_> = request.headers().get_all("host").iter().collect();
        let read = hosts.first().map(|host| host.as_bytes().to_vec());
        assert!(hosts.len() <= 1, "{hosts:?}");
        assert_eq!(read, host, "host");
    }
    same_fields(request.headers(), strict);
    same_body(heard.body.as_slice(), &heard.trailers, strict);
}

/// The same for a response.
pub(super) fn same_response(heard: &Heard<Response<()>>, strict: &Message) {
    assert_eq!(heard.head.status().as_u16(), strict.status(), "status");
    same_fields(heard.head.headers(), strict);
    same_body(heard.body.as_slice(), &heard.trailers, strict);
}

fn same_fields(headers: &HeaderMap, strict: &Message) {
    let named: BTreeSet<String> = strict
        .headers
        .iter()
        .map(|(name, _)| lossy(name).to_lowercase())
        .chain(headers.keys().map(|name| name.as_str().to_owned()))
        .collect();
    for name in named.iter().filter(|name| !SETTLED.contains(&&***name)) {
        let read: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|it| it.as_bytes())
            .collect();
        if strict.has_option(name) && !PROTECTED.contains(&&**name) {
            assert!(read.is_empty(), "{name} is of one hop only");
        } else {
            assert_eq!(read, strict.values(name), "{name}");
        }
    }
    for name in ["connection", "transfer-encoding", "upgrade", "keep-alive"] {
        assert!(!headers.contains_key(name), "{name} goes no further");
    }
}

fn same_body(body: &[u8], trailers: &HeaderMap, strict: &Message) {
    assert_eq!(body, strict.body, "body");
    for (name, value) in trailers {
        let field = |(other, it): &&Field| {
            name.as_str().as_bytes().eq_ignore_ascii_case(other) && value.as_bytes() == it
        };
        assert!(
            strict.trailers.iter().any(|it| field(&it)),
            "{name} was not sent"
        );
        assert!(
            !strict::belongs_into_head(name.as_str().as_bytes()),
            "{name} in a trailer"
        );
    }
    for (name, value) in &strict.trailers {
        let kept = trailers.get_all(lossy(name).to_lowercase());
        let kept = kept.iter().any(|it| it.as_bytes() == value);
        assert!(
            kept || strict::belongs_into_head(name),
            "{} is lost",
            lossy(name)
        );
    }
}

/// Host and target of what was meant (RFC 9112, 3.2.2 and 3.2.4).
fn meant(strict: &Message) -> (Option<Vec<u8>>, Vec<u8>) {
    let target = strict.target();
    if matches!(target, [b'/', ..] | b"*") {
        return (strict.value("host").map(<[u8]>::to_vec), target.to_vec());
    }
    let colon = target.iter().position(|&byte| byte == b':').unwrap_or(0);
    let rest = target.get(colon + 3..).unwrap_or(&[]);
    let end = rest.iter().position(|byte| b"/?".contains(byte));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    let path = match path {
        [] if strict.method() == b"OPTIONS" => b"*".to_vec(),
        [b'/', ..] => path.to_vec(),
        _ => [b"/", path].concat(),
    };
    (Some(authority.to_vec()), path)
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
