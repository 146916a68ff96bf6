//! The server's role: any bytes of a client, and what becomes of them.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};

use super::meaning::{self, Heard, lossy, text_of_request};
use super::packets::Packets;
use crate::http1::{Client, Length, Malformed, Output, Piece, Server};
use crate::testing::strict::{self, Asked, End};

const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// A head, and the body so far.
type Begun = (Request<()>, Vec<u8>);

/// What one run over a connection came to.
#[derive(Debug)]
struct Run {
    /// Whole requests.
    requests: Vec<Heard<Request<()>>>,
    /// The one that did not become whole.
    begun: Option<Begun>,
    refused: Option<Malformed>,
    /// What was written to the client.
    out: Vec<u8>,
    /// Whether the connection went on after the last whole request.
    persists: bool,
}

/// The outcome must not depend on packets; what is answered must be valid.
pub fn server_connection(data: &[u8]) {
    let Some(packets) = Packets::of(data) else {
        return;
    };
    let runs = packets.ways().map(|pieces| run(&pieces));
    let [whole, others @ ..] = &runs;
    for other in others {
        same_outcome(whole, other, packets.bytes.len());
    }
    check_answers(whole);
    check_relay(whole);
}

/// A head, alone: accepted or refused whatever the packets; what is accepted is written out as
/// something that reads back as the same.
pub fn request_head(data: &[u8]) {
    let Some(packets) = Packets::of(data) else {
        return;
    };
    let heads = packets.ways().map(|pieces| head(&pieces));
    let [whole, others @ ..] = &heads;
    for other in others {
        let text = |head: &Result<Option<Request<()>>, Malformed>| match head {
            Ok(head) => Ok(head.as_ref().map(text_of_request)),
            Err(malformed) if packets.bytes.len() < 16 * 1024 => Err(Some(*malformed)),
            Err(_) => Err(None),
        };
        assert_eq!(text(whole), text(other), "it depends on the packets");
    }
    if let Ok(Some(request)) = whole
        && request.method() != http::Method::CONNECT
    {
        let bytes = written(request, &[], &HeaderMap::new(), Length::Exact(0));
        let back = head(&[&bytes]);
        let back = back.unwrap_or_else(|why| panic!("{why}: {}", lossy(&bytes)));
        let back = back.unwrap_or_else(|| panic!("not whole: {}", lossy(&bytes)));
        assert_eq!(back.method(), request.method());
        assert_eq!(back.uri(), request.uri());
        let kept = |headers: &HeaderMap| {
            let mut headers = headers.clone();
            headers.remove("content-length");
            headers.remove("expect");
            headers
                .entry("host")
                .or_insert(http::HeaderValue::from_static("localhost"));
            headers
        };
        assert_eq!(kept(back.headers()), kept(request.headers()));
    }
}

/// A body in chunks, alone.
pub fn chunked_body(data: &[u8]) {
    let Some((seed, body)) = data.split_first_chunk::<2>() else {
        return;
    };
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let request = [seed, &head[..], body].concat();
    server_connection(&request);
    differential(&request);
}

/// What the codec accepts, the strict parser accepts with the same meaning; and what the strict
/// parser takes for a request, the codec refuses for a reason of policy or size only.
pub fn differential(data: &[u8]) {
    let Some(packets) = Packets::of(data) else {
        return;
    };
    let run = run(&[packets.bytes]);
    // CONNECT is refused by who asks the codec, whatever its target.
    let tunnels = |heard: &&Heard<Request<()>>| heard.head.method() == http::Method::CONNECT;
    for heard in run.requests.iter().filter(|heard| !tunnels(heard)) {
        let bytes = packets.bytes.get(heard.span.clone()).unwrap_or(&[]);
        // One empty line before a request is overlooked (RFC 9112, 2.2).
        let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        match strict::whole_request(bytes) {
            Ok(message) => meaning::same_request(heard, &message),
            Err(violation) => panic!("accepted, but {violation}: {:?}", lossy(bytes)),
        }
    }
    let parsed = strict::requests(packets.bytes);
    let next = parsed.messages.get(run.requests.len());
    if let (Some(message), Some(why)) = (next, run.refused) {
        let policy = matches!(
            why,
            Malformed::Expectation
                | Malformed::Connection
                | Malformed::TargetLength
                | Malformed::HeadLength
                | Malformed::FieldCount
        );
        let is_long = message.method().len() > 32 || message.span.len() > 256;
        // The types of `http` know fewer targets, and nobody needs IPvFuture.
        let is_odd = message
            .value("host")
            .is_some_and(|host| host.starts_with(b"[v"))
            || message
                .target()
                .iter()
                .any(|byte| b"[`<>\"\\^".contains(byte) || *byte >= 0x80)
            || message.method() == b"CONNECT";
        assert!(
            policy || is_long || is_odd,
            "refused without need, {why}: {:?}",
            lossy(packets.bytes)
        );
    }
}

fn head(pieces: &[&[u8]]) -> Result<Option<Request<()>>, Malformed> {
    let mut server = Server::default();
    let mut input = BytesMut::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Some(head) = server.head(&mut input)? {
            return Ok(Some(head.request));
        }
    }
    Ok(None)
}

/// Feeds a connection and answers everything that is asked.
fn run(pieces: &[&[u8]]) -> Run {
    let mut run = Run {
        requests: Vec::new(),
        begun: None,
        refused: None,
        out: Vec::new(),
        persists: true,
    };
    let mut server = Server::default();
    let mut input = BytesMut::new();
    let mut out = Output::default();
    let mut fed = 0;
    let mut begin = 0;
    for piece in pieces {
        input.extend_from_slice(piece);
        fed += piece.len();
        loop {
            match step(&mut server, &mut input, &mut run.begun) {
                Ok(None) => break,
                Ok(Some(trailers)) => {
                    let Some((head, body)) = run.begun.take() else {
                        break;
                    };
                    let end = fed - input.len();
                    let trailers = trailers.unwrap_or_default();
                    let span = begin..end;
                    run.requests.push(Heard {
                        head,
                        body,
                        trailers,
                        span,
                    });
                    begin = end;
                    answer(&mut server, 200, &mut out);
                    run.persists = server.turn();
                    if !run.persists {
                        break;
                    }
                }
                Err(malformed) => {
                    run.refused = Some(malformed);
                    answer(&mut server, 400, &mut out);
                    assert!(!server.turn(), "a connection goes on after an error");
                    assert!(matches!(server.head(&mut input), Ok(None)), "it reads on");
                    break;
                }
            }
        }
        if !run.persists || run.refused.is_some() {
            break;
        }
    }
    run.out = out.copy_to_bytes(out.remaining()).to_vec();
    run
}

/// Reads on; gives the end of a request with its trailers.
fn step(
    server: &mut Server,
    input: &mut BytesMut,
    begun: &mut Option<Begun>,
) -> Result<Option<Option<HeaderMap>>, Malformed> {
    if begun.is_none() {
        let Some(head) = server.head(input)? else {
            return Ok(None);
        };
        *begun = Some((head.request, Vec::new()));
    }
    let Some((_, body)) = begun else {
        return Ok(None);
    };
    loop {
        match server.piece(input)? {
            None => return Ok(None),
            Some(Piece::Data(data)) => body.extend_from_slice(&data),
            Some(Piece::End(trailers)) => return Ok(Some(trailers)),
        }
    }
}

fn answer(server: &mut Server, status: u16, out: &mut Output) {
    let status = http::StatusCode::from_u16(status).expect("a valid status");
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    server.answer(&head, Length::Exact(2), DATE, out);
    server
        .data(Bytes::from_static(b"ok"), out)
        .expect("as long as it was said");
    server.end(None, out).expect("as long as it was said");
}

fn same_outcome(one: &Run, other: &Run, bytes: usize) {
    let requests = |run: &Run| {
        let requests = run.requests.iter();
        let text = requests.map(|it| {
            let head = text_of_request(&it.head);
            format!("{head} {:?} {:?} {:?}", it.body, it.trailers, it.span)
        });
        text.collect::<Vec<_>>()
    };
    assert_eq!(requests(one), requests(other), "it depends on the packets");
    let begun = |run: &Run| {
        let begun = run.begun.as_ref();
        begun.map(|(head, body)| (text_of_request(head), body.clone()))
    };
    assert_eq!(begun(one), begun(other), "it depends on the packets");
    assert_eq!(one.out, other.out, "it depends on the packets");
    match bytes {
        // Beyond that a limit may be noticed before something else that is wrong.
        ..16_384 => assert_eq!(
            one.refused.map(class),
            other.refused.map(class),
            "it depends on the packets"
        ),
        _ => assert_eq!(one.refused.is_some(), other.refused.is_some()),
    }
}

/// In a body one byte may be wrong for two reasons; everywhere else there is one.
fn class(malformed: Malformed) -> Malformed {
    let in_a_body = [Malformed::LineEnd, Malformed::Chunk, Malformed::Trailer];
    match in_a_body.contains(&malformed) {
        true => Malformed::Chunk,
        false => malformed,
    }
}

/// The client gets one valid answer for each request, and one for the refusal.
fn check_answers(run: &Run) {
    let mut asked: Vec<Asked> = run
        .requests
        .iter()
        .map(|it| Asked {
            method: it.head.method().as_str().as_bytes().to_vec(),
            minor: u8::from(it.head.version() != http::Version::HTTP_10),
        })
        .collect();
    if asked.iter().any(|it| it.method == b"CONNECT") {
        return; // refused by the service, with a status that is not 200
    }
    if run.refused.is_some() {
        // A body that goes wrong is answered as its head asks.
        asked.push(match &run.begun {
            Some((head, _)) => Asked::with(head.method().as_str()),
            None => Asked::with("GET"),
        });
    }
    let parsed = strict::responses(&run.out, &asked, false);
    assert_eq!(parsed.end, End::Clean, "{}", lossy(&run.out));
    assert_eq!(parsed.messages.len(), asked.len());
    let last = parsed.messages.last().map(strict::Message::is_last);
    let due = run.refused.is_some() || !run.persists;
    assert!(last.is_none_or(|last| last == due), "{}", lossy(&run.out));
}

/// Written to a backend, the requests are the same requests, and as many.
fn check_relay(run: &Run) {
    for chunked in [false, true] {
        let mut wire = Vec::new();
        let mut due = Vec::new();
        for heard in &run.requests {
            if heard.head.method() == http::Method::CONNECT {
                continue;
            }
            let length = match chunked {
                false => Length::Exact(heard.body.len() as u64),
                true => Length::Unknown,
            };
            wire.extend(written(&heard.head, &heard.body, &heard.trailers, length));
            due.push(heard);
        }
        let parsed = strict::requests(&wire);
        assert_eq!(parsed.end, End::Clean, "{:?}", lossy(&wire));
        assert_eq!(parsed.messages.len(), due.len(), "{:?}", lossy(&wire));
        for (message, heard) in parsed.messages.iter().zip(due) {
            assert_eq!(message.method(), heard.head.method().as_str().as_bytes());
            assert_eq!(message.body, heard.body);
        }
    }
}

/// A request as the codec writes it to a backend.
fn written(request: &Request<()>, body: &[u8], trailers: &HeaderMap, length: Length) -> Vec<u8> {
    let mut request = request.clone();
    // What the proxy does for HTTP/1.0.
    let host = http::HeaderValue::from_static("localhost");
    request.headers_mut().entry("host").or_insert(host);
    let mut client = Client::default();
    let mut out = Output::default();
    client.request(&request, length, &mut out);
    client
        .data(Bytes::copy_from_slice(body), &mut out)
        .expect("as long as it was said");
    client
        .end(Some(trailers), &mut out)
        .expect("as long as it was said");
    out.copy_to_bytes(out.remaining()).to_vec()
}
