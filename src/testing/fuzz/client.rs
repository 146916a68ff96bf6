//! The client's role: any bytes of a backend, and what is shown of them.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::meaning::{self, Heard, lossy, text_of_response};
use super::packets::Packets;
use crate::http1::{Answer, Client, Length, Malformed, Output, Piece, Server, Upgrade};
use crate::testing::strict::{self, Asked, End};

const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// What one run over the answer to one request came to.
#[derive(Debug)]
struct Run {
    interims: Vec<Response<()>>,
    answer: Option<Heard<Response<()>>>,
    is_whole: bool,
    refused: Option<Malformed>,
    is_reusable: bool,
}

/// What was asked for: the third byte of the input chooses.
fn asked(choice: u8) -> Request<()> {
    let method = match choice % 4 {
        0 | 1 => Method::GET,
        2 => Method::HEAD,
        _ => Method::POST,
    };
    let mut request = Request::new(());
    request
        .headers_mut()
        .insert("host", HeaderValue::from_static("a"));
    if choice % 4 == 1 {
        let websocket = Upgrade::to(HeaderValue::from_static("websocket"));
        request
            .extensions_mut()
            .insert(websocket.expect("it is not HTTP/2"));
    }
    *request.method_mut() = method;
    request
}

/// An answer, whatever its packets: the same for all, understood as the strict parser does, and
/// shown to a client as one valid answer. A byte too many, and the connection is not used again.
pub fn client_connection(data: &[u8]) {
    let Some((seed, rest)) = data.split_first_chunk::<2>() else {
        return;
    };
    let Some((choice, bytes)) = rest.split_first() else {
        return;
    };
    let request = asked(*choice);
    let data = [&seed[..], bytes].concat();
    let Some(packets) = Packets::of(&data) else {
        return;
    };
    for ended in [false, true] {
        let runs = packets.ways().map(|pieces| run(&request, &pieces, ended));
        let [whole, others @ ..] = &runs;
        for other in others {
            same_outcome(whole, other, bytes.len());
        }
        check_meaning(whole, &request, bytes, ended);
        check_reuse(whole, bytes);
        for minor in [0, 1] {
            check_shown(whole, &request, minor);
        }
    }
}

/// The head of an answer, alone: what is accepted is written out as something that reads back as
/// the same.
pub fn response_head(data: &[u8]) {
    client_connection(data);
    let Some((choice, bytes)) = data.get(2..).and_then(|rest| rest.split_first()) else {
        return;
    };
    let request = asked(*choice);
    let Some(heard) = run(&request, &[bytes], true).answer else {
        return;
    };
    if heard.head.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let mut server = asked_server(request.method(), 1);
    let mut out = Output::default();
    let (head, ()) = heard.head.into_parts();
    server.answer(&head, Length::Exact(0), DATE, &mut out);
    server.end(None, &mut out).expect("as long as it was said");
    let wire = out.copy_to_bytes(out.remaining());
    let back = run(&request, &[&wire], false);
    let back = back
        .answer
        .unwrap_or_else(|| panic!("{:?}: {:?}", back.refused, lossy(&wire)));
    assert_eq!(back.head.status(), head.status);
    let kept = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        headers.remove("content-length");
        headers
            .entry("date")
            .or_insert(HeaderValue::from_bytes(DATE).expect("a date"));
        // Said to a client, but not to a backend.
        headers.remove("te");
        headers
    };
    assert_eq!(kept(back.head.headers()), kept(&head.headers));
}

/// A server that has been asked for something.
fn asked_server(method: &Method, minor: u8) -> Server {
    let mut server = Server::default();
    let text = format!("{method} / HTTP/1.{minor}\r\nhost: a\r\n\r\n");
    let mut input = BytesMut::from(text.as_bytes());
    let head = server.head(&mut input).expect("a valid request");
    assert!(head.is_some(), "a whole request");
    server
}

fn run(request: &Request<()>, pieces: &[&[u8]], ended: bool) -> Run {
    let mut client = Client::default();
    let mut out = Output::default();
    client.request(request, Length::Exact(0), &mut out);
    let mut run = Run {
        interims: Vec::new(),
        answer: None,
        is_whole: false,
        refused: None,
        is_reusable: false,
    };
    let mut input = BytesMut::new();
    let mut fed = 0;
    for piece in pieces {
        input.extend_from_slice(piece);
        fed += piece.len();
        if run.is_whole || run.refused.is_some() {
            continue;
        }
        let step = step(&mut client, &mut input, &mut run, fed);
        run.refused = step.err();
    }
    if ended && !run.is_whole && run.refused.is_none() {
        match client.input_ends() {
            Ok(()) => {
                run.is_whole = run.answer.is_some();
                if let Some(answer) = &mut run.answer {
                    answer.span.end = fed;
                }
            }
            Err(malformed) => run.refused = Some(malformed),
        }
    }
    assert!(run.is_whole == client.has_read_all() || run.refused.is_some());
    run.is_reusable = client.is_reusable(&input);
    run
}

fn step(
    client: &mut Client,
    input: &mut BytesMut,
    run: &mut Run,
    fed: usize,
) -> Result<(), Malformed> {
    while run.answer.is_none() {
        match client.answer(input)? {
            None => return Ok(()),
            Some(Answer::Interim(response)) => run.interims.push(response),
            Some(Answer::Final(head)) => {
                run.answer = Some(Heard {
                    head,
                    body: Vec::new(),
                    trailers: HeaderMap::new(),
                    span: 0..0,
                });
            }
        }
    }
    let Some(answer) = &mut run.answer else {
        return Ok(());
    };
    loop {
        match client.piece(input)? {
            None => return Ok(()),
            Some(Piece::Data(data)) => answer.body.extend_from_slice(&data),
            Some(Piece::End(trailers)) => {
                answer.trailers = trailers.unwrap_or_default();
                answer.span.end = fed - input.len();
                run.is_whole = true;
                return Ok(());
            }
        }
    }
}

fn same_outcome(one: &Run, other: &Run, bytes: usize) {
    let text = |run: &Run| {
        let interims: Vec<_> = run.interims.iter().map(text_of_response).collect();
        let answer = run.answer.as_ref().map(|it| {
            let head = text_of_response(&it.head);
            format!("{head} {:?} {:?} {:?}", it.body, it.trailers, it.span)
        });
        (interims, answer, run.is_whole, run.is_reusable)
    };
    assert_eq!(text(one), text(other), "it depends on the packets");
    let refused = (one.refused.is_some(), other.refused.is_some());
    assert_eq!(refused.0, refused.1, "it depends on the packets");
    if bytes < 16_384 && one.answer.is_none() {
        assert_eq!(one.refused, other.refused, "it depends on the packets");
    }
}

/// The strict parser reads the same bytes, and means the same.
fn check_meaning(run: &Run, request: &Request<()>, bytes: &[u8], ended: bool) {
    let Some(heard) = run.answer.as_ref().filter(|_| run.is_whole) else {
        return;
    };
    let asked = Asked::with(request.method().as_str());
    let read = bytes.get(..heard.span.end).unwrap_or(&[]);
    // The interim ones before it are messages of their own.
    let mut at = 0;
    for interim in &run.interims {
        let rest = read.get(at..).unwrap_or(&[]);
        let end = rest.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.map_or(rest.len(), |end| end + 4);
        let message = strict::whole_response(rest.get(..end).unwrap_or(&[]), &asked, false);
        let message = message.unwrap_or_else(|why| panic!("{why}: {}", lossy(rest)));
        assert_eq!(message.status(), interim.status().as_u16());
        at += end;
    }
    let last = read.get(at..).unwrap_or(&[]);
    match strict::whole_response(last, &asked, ended) {
        Ok(message) => meaning::same_response(heard, &message),
        Err(violation) => panic!("accepted, but {violation}: {:?}", lossy(last)),
    }
}

/// Only a connection on which nothing is left and nothing was said against it is used again.
fn check_reuse(run: &Run, bytes: &[u8]) {
    if run.is_reusable {
        let end = run.answer.as_ref().map(|it| it.span.end);
        assert!(run.is_whole && run.refused.is_none());
        assert_eq!(end, Some(bytes.len()), "bytes are left on the connection");
    }
}

/// Shown to a client, it is one answer and a valid one.
fn check_shown(run: &Run, request: &Request<()>, minor: u8) {
    let Some(heard) = &run.answer else {
        return;
    };
    if heard.head.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let method = request.method();
    let mut server = asked_server(method, minor);
    let mut out = Output::default();
    for interim in &run.interims {
        server.interim(interim, &mut out);
    }
    let mut head = Response::new(());
    *head.status_mut() = heard.head.status();
    *head.headers_mut() = heard.head.headers().clone();
    let (head, ()) = head.into_parts();
    let known = head.headers.get("content-length").is_some() && !head.status.is_informational();
    let is_bodiless = method == Method::HEAD || matches!(head.status.as_u16(), 204 | 304);
    let length = match known && run.is_whole && !is_bodiless {
        true => Length::Exact(heard.body.len() as u64),
        false if is_bodiless => Length::Exact(0),
        false => Length::Unknown,
    };
    server.answer(&head, length, DATE, &mut out);
    let body = Bytes::copy_from_slice(&heard.body);
    server.data(body, &mut out).expect("as long as it was said");
    if run.is_whole {
        server
            .end(Some(&heard.trailers), &mut out)
            .expect("as long as it was said");
    }
    let wire = out.copy_to_bytes(out.remaining());
    let asked = Asked {
        minor,
        ..Asked::with(method.as_str())
    };
    let parsed = strict::responses(&wire, &[asked], run.is_whole);
    let finals = parsed.messages.iter().filter(|it| it.status() >= 200);
    let finals: Vec<_> = finals.collect();
    assert_eq!(parsed.violation(), None, "{:?}", lossy(&wire));
    match finals.as_slice() {
        [shown] if run.is_whole => {
            assert_eq!(parsed.end, End::Clean, "{:?}", lossy(&wire));
            assert_eq!(shown.body, heard.body);
        }
        [] if !run.is_whole => {}
        // Nothing but a head is ever whole by itself.
        [shown] => assert!(shown.body.is_empty(), "{:?}", lossy(&wire)),
        _ => panic!("{} answers: {:?}", finals.len(), lossy(&wire)),
    }
}
