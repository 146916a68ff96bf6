//! From HTTP/2 to HTTP/1.1: whatever stands in the fields of a stream, one valid message comes out.
//!
//! The input is text, a field a line, as a stream's header block would carry it: pseudo fields
//! first, and after an empty line the trailers. What HTTP/2 itself refuses (capital letters, line
//! ends in values) is refused by the types of `http`; everything else is ours to get right.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};

use super::meaning::lossy;
use crate::http1::{Client, Length, Output, Server, settle};
use crate::proxy::check_http2;
use crate::testing::strict::{self, Asked, End, Message};
use crate::upstream::translate::check_response as check_http2_response;

/// A header block.
#[derive(Debug, Default)]
struct Block {
    method: Option<Method>,
    status: Option<StatusCode>,
    scheme: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    headers: HeaderMap,
    trailers: HeaderMap,
}

/// A request and a response made of the same fields, each written and judged.
pub fn h2_to_h1(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    let block = block(text);
    let body: &[u8] = match choice % 3 {
        0 => b"",
        1 => b"hello",
        _ => b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    };
    let length = match choice & 0x80 {
        0 => Length::Exact(body.len() as u64),
        _ => Length::Unknown,
    };
    if let Some(request) = request(&block) {
        check_request(&request, body, length, &block.trailers);
    }
    for method in ["GET", "HEAD"] {
        for minor in [0, 1] {
            let asked = Asked {
                minor,
                ..Asked::with(method)
            };
            check_response(&block, &asked, body, length);
        }
    }
}

fn block(text: &[u8]) -> Block {
    let mut block = Block::default();
    let mut in_head = true;
    // HTTP/2 has no lines: NUL ends a field here, so that anything else may stand in it.
    for field in text.split(|&byte| byte == 0) {
        if field.is_empty() {
            in_head = false;
            continue;
        }
        let from = usize::from(field.first() == Some(&b':'));
        let colon = field.iter().skip(from).position(|&byte| byte == b':');
        let Some(colon) = colon.map(|colon| colon + from) else {
            continue;
        };
        let (name, value) = field.split_at(colon);
        let value = value.get(1..).unwrap_or(&[]);
        match name {
            b":method" => block.method = Method::from_bytes(value).ok(),
            b":status" => block.status = StatusCode::from_bytes(value).ok(),
            b":scheme" => block.scheme = Some(value.to_vec()),
            b":authority" => block.authority = Some(value.to_vec()),
            b":path" => block.path = Some(value.to_vec()),
            _ => {
                let name = HeaderName::from_lowercase(name);
                let value = HeaderValue::from_bytes(value);
                if let (Ok(name), Ok(value)) = (name, value) {
                    match in_head {
                        true => block.headers.append(name, value),
                        false => block.trailers.append(name, value),
                    };
                }
            }
        }
    }
    block
}

/// What h2 makes of a block.
fn request(block: &Block) -> Option<Request<()>> {
    let mut uri = http::uri::Parts::default();
    if let Some(scheme) = &block.scheme {
        uri.scheme = Some(scheme.as_slice().try_into().ok()?);
    }
    if let Some(authority) = &block.authority {
        uri.authority = Some(authority.as_slice().try_into().ok()?);
    }
    if let Some(path) = &block.path {
        uri.path_and_query = Some(path.as_slice().try_into().ok()?);
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.method_mut() = block.method.clone()?;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = block.headers.clone();
    Some(request)
}

fn check_request(request: &Request<()>, body: &[u8], length: Length, trailers: &HeaderMap) {
    let mut request = request.clone();
    if check_http2(&mut request).is_err() {
        return;
    }
    let method = request.method().clone();
    let mut uri = request.uri().clone();
    let settled = settle(&method, Version::HTTP_2, &mut uri, request.headers_mut());
    *request.uri_mut() = uri;
    if settled.is_err() || method == Method::CONNECT {
        return;
    }
    let mut out = Output::default();
    let mut client = Client::default();
    client.request(&request, length, &mut out);
    let body = Bytes::copy_from_slice(body);
    client
        .data(body.clone(), &mut out)
        .expect("as long as it was said");
    client
        .end(Some(trailers), &mut out)
        .expect("as long as it was said");
    let wire = out.copy_to_bytes(out.remaining());
    let parsed = strict::requests(&wire);
    assert_eq!(parsed.end, End::Clean, "{:?}", lossy(&wire));
    let [message] = parsed.messages.as_slice() else {
        panic!("{} requests: {:?}", parsed.messages.len(), lossy(&wire));
    };
    assert_eq!(message.method(), method.as_str().as_bytes());
    assert_eq!(message.body, body);
    check_fields(message, request.headers(), &wire);
}

fn check_response(block: &Block, asked: &Asked, body: &[u8], length: Length) {
    let Some(status) = block
        .status
        .filter(|status| (200..600).contains(&status.as_u16()))
    else {
        return;
    };
    let mut server = Server::default();
    let text = format!(
        "{} / HTTP/1.{}\r\nhost: a\r\n\r\n",
        lossy(&asked.method),
        asked.minor
    );
    let mut input = BytesMut::from(text.as_bytes());
    let head = server.head(&mut input).expect("a valid request");
    assert!(head.is_some(), "a whole request");
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    head.headers = block.headers.clone();
    let response = Response::from_parts(head, ());
    if check_http2_response(&response).is_err() {
        return; // answered with 502
    }
    let (mut head, ()) = response.into_parts();
    // h2 refuses lengths that are none, or differ.
    head.headers.remove("content-length");
    let mut out = Output::default();
    server.answer(&head, length, b"Sun, 06 Nov 1994 08:49:37 GMT", &mut out);
    server
        .data(Bytes::copy_from_slice(body), &mut out)
        .expect("as long as it was said");
    server
        .end(Some(&block.trailers), &mut out)
        .expect("as long as it was said");
    let wire = out.copy_to_bytes(out.remaining());
    let parsed = strict::responses(&wire, std::slice::from_ref(asked), true);
    assert_eq!(parsed.end, End::Clean, "{:?}", lossy(&wire));
    let [message] = parsed.messages.as_slice() else {
        panic!("{} responses: {:?}", parsed.messages.len(), lossy(&wire));
    };
    let is_bodiless = asked.method == b"HEAD" || matches!(status.as_u16(), 204 | 304);
    assert_eq!(message.body, if is_bodiless { b"" } else { body });
    check_fields(message, &block.headers, &wire);
}

/// Nothing is there that was not put there, or is written by the codec itself.
fn check_fields(message: &Message, headers: &HeaderMap, wire: &[u8]) {
    const WRITTEN: [&str; 7] = [
        "connection",
        "content-length",
        "date",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    for (name, value) in &message.headers {
        let name = lossy(name);
        let given = headers
            .get_all(&name)
            .iter()
            .any(|it| it.as_bytes().trim_ascii() == value.trim_ascii());
        assert!(
            given || WRITTEN.contains(&&*name),
            "{name}: {:?}",
            lossy(wire)
        );
    }
}
