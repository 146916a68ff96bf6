//! HTTP/2 in, HTTP/1.1 out: what of it reaches a backend, judged by the strict parser.
//!
//! The client is h2 itself, which sends what it is told to. Each row is one stream on a connection
//! of its own; a row that is refused must not leave a byte at the origin.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use pointsman::testing::strict::Message;
use pointsman::testing::{Proxy, Recorder};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::LIMIT;
use crate::wire::recorded;

const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

/// A stream, and whether it may reach the backend.
#[derive(Clone, Debug)]
struct Row {
    name: &'static str,
    method: &'static str,
    uri: &'static str,
    headers: &'static [(&'static str, &'static [u8])],
    body: &'static [u8],
    trailers: &'static [(&'static str, &'static [u8])],
    passes: bool,
}

const PLAIN: Row = Row {
    name: "a plain GET",
    method: "GET",
    uri: "http://a/x?y",
    headers: &[],
    body: b"",
    trailers: &[],
    passes: true,
};

const POST: Row = Row {
    method: "POST",
    body: SMUGGLED,
    ..PLAIN
};

#[rustfmt::skip] // a row a line
const ROWS: [Row; 34] = [
    PLAIN,
    Row { name: "a body that looks like a request", ..POST },
    Row { name: "crumbs of a cookie", headers: &[("cookie", b"a=1"), ("cookie", b"b=2")], ..PLAIN },
    Row { name: "te: trailers", headers: &[("te", b"trailers")], ..PLAIN },
    Row { name: "obs-text", headers: &[("x", b"\xe9\xff")], ..PLAIN },
    Row { name: "a value of white space", headers: &[("x", b"  ")], passes: false, ..PLAIN },
    Row { name: "white space around a value", headers: &[("x", b"\t a ")], passes: false, ..PLAIN },
    Row { name: "all of a token", headers: &[("!#$%&'*+-.^_`|~", b"1")], ..PLAIN },
    Row { name: "the right length", headers: &[("content-length", b"35")], ..POST },
    Row { name: "the same host", headers: &[("host", b"a")], ..PLAIN },
    Row { name: "OPTIONS *", method: "OPTIONS", uri: "*", ..PLAIN },
    Row { name: "a trailer", trailers: &[("x-sum", b"1")], ..POST },
    Row { name: "trailers that frame", trailers: &[("content-length", b"5"), ("trailer", b"x")], ..POST },
    Row { name: "trailers that route", trailers: &[("host", b"b"), ("x-forwarded-for", b"1.2.3.4"), ("forwarded", b"for=1.2.3.4")], ..POST },
    Row { name: "trailers that let in", trailers: &[("authorization", b"b"), ("cookie", b"c=d")], ..POST },
    Row { name: "100-continue", headers: &[("expect", b"100-continue")], ..POST },
    Row { name: "another host", headers: &[("host", b"b")], passes: false, ..PLAIN },
    Row { name: "the same host twice", headers: &[("host", b"a"), ("host", b"a")], ..PLAIN },
    Row { name: "a host that is none", headers: &[("host", b"a b")], passes: false, ..PLAIN },
    Row { name: "user information", uri: "http://user@a/x", passes: false, ..PLAIN },
    Row { name: "a bad port", uri: "http://a:99999/x", passes: false, ..PLAIN },
    Row { name: "a list of hosts", uri: "http://a,b/x", passes: false, ..PLAIN },
    Row { name: "a quote in a name", headers: &[("x\"y", b"1")], passes: false, ..PLAIN },
    Row { name: "a quote in a trailer's name", trailers: &[("x\"y", b"1")], ..POST },
    Row { name: "CONNECT", method: "CONNECT", uri: "a:80", passes: false, ..PLAIN },
    Row { name: "an asterisk for GET", uri: "*", passes: false, ..PLAIN },
    Row { name: "connection", headers: &[("connection", b"close")], passes: false, ..PLAIN },
    Row { name: "connection: keep-alive", headers: &[("keep-alive", b"5")], passes: false, ..PLAIN },
    Row { name: "a transfer coding", headers: &[("transfer-encoding", b"chunked")], passes: false, ..POST },
    Row { name: "an upgrade", headers: &[("upgrade", b"h2c")], passes: false, ..PLAIN },
    Row { name: "te: gzip", headers: &[("te", b"gzip")], passes: false, ..PLAIN },
    Row { name: "a length that is too large", headers: &[("content-length", b"36")], passes: false, ..POST },
    Row { name: "a length that is too small", headers: &[("content-length", b"5")], passes: false, ..POST },
    Row { name: "a length that is none", headers: &[("content-length", b"+35")], passes: false, ..POST },
];

fn fields(pairs: &[(&str, &'static [u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_lowercase(name.as_bytes()).expect("a name");
        map.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    map
}

/// Sends one stream; the status, or none if it was reset.
async fn ask(row: &Row, proxy: &Proxy) -> Option<u16> {
    let stream = TcpStream::connect(proxy.address())
        .await
        .expect("it listens");
    let (sender, connection) = h2::client::handshake(stream)
        .await
        .expect("it speaks HTTP/2");
    let driver = tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("it is open");
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(row.method.as_bytes()).expect("a method");
    *request.uri_mut() = match row.uri {
        "*" => Uri::builder()
            .scheme("http")
            .authority("a")
            .path_and_query("*")
            .build(),
        uri => uri.parse().map_err(Into::into),
    }
    .expect("a target");
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields(row.headers);
    let has_more = !row.body.is_empty() || !row.trailers.is_empty();
    let (response, mut body) = sender.send_request(request, !has_more).ok()?;
    if has_more {
        let data = Bytes::from_static(row.body);
        // A stream that was refused takes no more.
        body.send_data(data, row.trailers.is_empty()).ok();
        if !row.trailers.is_empty() {
            body.send_trailers(fields(row.trailers)).ok();
        }
    }
    let response = timeout(LIMIT, response).await.expect("an end");
    driver.abort();
    response.ok().map(|response| response.status().as_u16())
}

async fn judge(row: &Row, recorder: &Recorder, proxy: &Proxy) -> Result<(), String> {
    let (requests, bytes) = (recorder.count(), recorder.bytes_total());
    let violations = recorder.violations().len();
    let status = ask(row, proxy).await;
    let got = recorder.requests().split_off(requests);
    if let Some((_, violation)) = recorder.violations().get(violations) {
        return Err(format!("the origin got {violation}"));
    }
    let is_success = status == Some(200);
    if is_success != row.passes {
        return Err(format!("{status:?}"));
    }
    match (row.passes, &got[..]) {
        (true, [got]) => check(row, got),
        (false, []) if row.body.is_empty() && recorder.bytes_total() != bytes => {
            Err("bytes of a refused request at the origin".to_owned())
        }
        (false, []) => Ok(()),
        _ => Err(format!("{} requests at the origin", got.len())),
    }
}

fn check(row: &Row, got: &Message) -> Result<(), String> {
    let is_same = got.method() == row.method.as_bytes()
        && got.body == row.body
        && got.value("host") == Some(b"a")
        && matches!(got.target(), b"/x?y" | b"*");
    if !is_same {
        return Err(format!("it became {got}"));
    }
    for (name, value) in row
        .headers
        .iter()
        .filter(|(name, _)| !matches!(*name, "cookie" | "host"))
    {
        let due = value.trim_ascii();
        let expected = *name == "expect" || got.values(name) == [due];
        if !expected {
            return Err(format!("{name}: {got}"));
        }
    }
    if row.name.contains("cookie") && got.values("cookie") != [b"a=1; b=2"] {
        return Err(format!("the cookie: {got}"));
    }
    let sums: Vec<_> = got.trailers.iter().map(|(name, _)| &name[..]).collect();
    match (row.name, &sums[..]) {
        ("a trailer", [b"x-sum"]) => Ok(()),
        ("a trailer", _) => Err("the trailer is lost".to_owned()),
        (_, []) => Ok(()),
        (_, _) => Err(format!("trailers: {:?}", got.trailers)),
    }
}

#[tokio::test]
async fn every_stream_becomes_one_plain_request_or_none() {
    let (recorder, proxy) = recorded().await;
    let mut report = String::new();
    let mut failed = 0;
    for row in &ROWS {
        if let Err(why) = judge(row, &recorder, &proxy).await {
            failed += 1;
            writeln!(report, "  {}: {why}", row.name).expect("text grows");
        }
    }
    let smuggled = recorder
        .requests()
        .iter()
        .any(|it| it.target() == b"/smuggled");
    assert!(
        failed == 0 && !smuggled,
        "{failed} of {} rows:\n{report}",
        ROWS.len()
    );
}
