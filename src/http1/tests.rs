//! The codec on plain bytes: every rule a vector, every vector whole, cut at every byte, and in
//! random pieces, always with the same outcome.

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::*;

/// What comes out of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    /// First line and fields, the body, the trailer fields.
    Message(String, Vec<u8>, Vec<String>),
    /// A head whose body never came to its end.
    Half(String),
    Interim(StatusCode),
    Refused(Malformed),
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", text(value)))
        .collect()
}

fn request_text(request: &Request<()>) -> String {
    let first = format!("{} {}", request.method(), request.uri());
    let mut all = vec![first];
    all.extend(lines(request.headers()));
    if let Some(upgrade) = request.extensions().get::<Upgrade>() {
        all.push(format!("(upgrade {})", upgrade.as_bytes().escape_ascii()));
    }
    all.join("|")
}

/// Reads everything as a server, and answers each request at its end.
fn serve<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut codec = Server::default();
    let mut input = BytesMut::new();
    let mut events = Vec::new();
    let mut open: Option<(String, Vec<u8>)> = None;
    let mut pieces = pieces.into_iter();
    loop {
        match step(&mut codec, &mut input, &mut open) {
            Ok(Some(event)) => {
                events.push(event);
                answer(&mut codec);
                if !codec.turn() {
                    return events;
                }
            }
            Ok(None) => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => break,
            },
            Err(malformed) => {
                events.extend(open.take().map(|(head, _)| Event::Half(head)));
                events.push(Event::Refused(malformed));
                return events;
            }
        }
    }
    events.extend(open.map(|(head, _)| Event::Half(head)));
    events
}

fn step(
    codec: &mut Server,
    input: &mut BytesMut,
    open: &mut Option<(String, Vec<u8>)>,
) -> Result<Option<Event>, Malformed> {
    if open.is_none() {
        let Some(RequestHead { request, .. }) = codec.head(input)? else {
            return Ok(None);
        };
        *open = Some((request_text(&request), Vec::new()));
    }
    while let Some(piece) = codec.piece(input)? {
        match piece {
            Piece::Data(data) => {
                open.as_mut()
                    .expect("a head came before")
                    .1
                    .extend_from_slice(&data);
            }
            Piece::End(trailers) => {
                let (head, body) = open.take().expect("a head came before");
                let trailers = trailers.as_ref().map(lines).unwrap_or_default();
                return Ok(Some(Event::Message(head, body, trailers)));
            }
        }
    }
    Ok(None)
}

fn answer(codec: &mut Server) {
    let (head, ()) = Response::new(()).into_parts();
    codec.answer(&head, Length::Exact(0), b"now", &mut Output::default());
}

/// Reads everything as the client that asked with these methods, one after the other.
fn listen<'a>(
    methods: &[Method],
    pieces: impl IntoIterator<Item = &'a [u8]>,
    closes: bool,
) -> Vec<Event> {
    let mut codec = Client::default();
    let mut input = BytesMut::new();
    let mut events = Vec::new();
    let mut pieces = pieces.into_iter();
    for method in methods {
        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        codec.request(&request, Length::Exact(0), &mut Output::default());
        loop {
            match hear(&mut codec, &mut input, &mut events) {
                Ok(true) => break,
                Ok(false) => match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None if closes && !codec.has_read_all() => match codec.input_ends() {
                        Ok(()) => break,
                        Err(malformed) => {
                            events.push(Event::Refused(malformed));
                            return events;
                        }
                    },
                    None => return events,
                },
                Err(malformed) => {
                    events.push(Event::Refused(malformed));
                    return events;
                }
            }
        }
        if !codec.is_reusable(&BytesMut::new()) {
            break;
        }
    }
    events
}

fn hear(
    codec: &mut Client,
    input: &mut BytesMut,
    events: &mut Vec<Event>,
) -> Result<bool, Malformed> {
    while let Some(answer) = codec.answer(input)? {
        match answer {
            Answer::Interim(response) => events.push(Event::Interim(response.status())),
            Answer::Final(response) => {
                let mut all = vec![response.status().as_str().to_owned()];
                all.extend(lines(response.headers()));
                events.push(Event::Message(all.join("|"), Vec::new(), Vec::new()));
            }
        }
    }
    while let Some(piece) = codec.piece(input)? {
        let Some(Event::Message(_, body, trailers)) = events.last_mut() else {
            return Ok(false);
        };
        match piece {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::End(fields) => {
                *trailers = fields.as_ref().map(lines).unwrap_or_default();
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The outcome, which must not depend on where the bytes are cut.
fn however_cut(bytes: &[u8], run: impl Fn(Vec<&[u8]>) -> Vec<Event>) -> Vec<Event> {
    let whole = run(vec![bytes]);
    for at in 1..bytes.len() {
        let (left, right) = bytes.split_at(at);
        assert_eq!(
            run(vec![left, right]),
            whole,
            "cut at {at}: {}",
            bytes.escape_ascii()
        );
    }
    assert_eq!(
        run(bytes.chunks(1).collect()),
        whole,
        "byte by byte: {}",
        bytes.escape_ascii()
    );
    let mut dice = SmallRng::seed_from_u64(7);
    for _ in 0..20 {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(dice.random_range(1..=rest.len().min(40)));
            pieces.push(piece);
            rest = later;
        }
        assert_eq!(run(pieces), whole, "in pieces: {}", bytes.escape_ascii());
    }
    whole
}

fn served(text: &str) -> Vec<Event> {
    however_cut(text.as_bytes(), |pieces| serve(pieces))
}

fn message(head: &str, body: &str) -> Event {
    Event::Message(head.to_owned(), body.as_bytes().to_vec(), Vec::new())
}

#[test]
fn requests_that_leave_no_doubt_are_read() {
    for (text, expected) in [
        (
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            message("GET /|host: a", ""),
        ),
        ("GET /a?b=c HTTP/1.0\r\n\r\n", message("GET /a?b=c", "")),
        (
            "\r\nGET / HTTP/1.1\r\nHost:a\r\n\r\n",
            message("GET /|host: a", ""),
        ),
        (
            "GET http://b/x HTTP/1.1\r\nhost: a\r\n\r\n",
            message("GET /x|host: b", ""),
        ),
        (
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
            message("OPTIONS *|host: a", ""),
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
            message("POST /|host: a|content-length: 3", "abc"),
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0003\r\n\r\nabc",
            message("POST /|host: a|content-length: 0003", "abc"),
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"\\\"y\" ; z\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n",
            message("POST /|host: a", "abc0123456789"),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: x-one, Keep-Alive,, host\r\nx-one: 1\r\nkeep-alive: 5\r\nx-two: 2\r\n\r\n",
            message("GET /|host: a|x-two: 2", ""),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent_length: 5\r\nTransfer_Encoding: chunked\r\nProxy: evil\r\n\r\n",
            message("GET /|host: a", ""),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nte: gzip;q=1, trailers\r\n\r\n",
            message("GET /|host: a|te: trailers", ""),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            message("GET /|host: a|(upgrade websocket)", ""),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n\r\n",
            message("GET /|host: a", ""),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n",
            message("GET /|host: a", ""),
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nx: \t padded \t\r\n\r\n",
            message("GET /|host: a|x: padded", ""),
        ),
    ] {
        assert_eq!(served(text), [expected], "{text:?}");
    }
    let text = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\ncookie: no\r\n\r\n";
    let trailers = vec!["x-sum: 1".to_owned()];
    let expected = Event::Message("POST /|host: a".to_owned(), b"a".to_vec(), trailers);
    assert_eq!(served(text), [expected]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, a row a request")]
fn requests_that_two_readers_could_read_in_two_ways_are_refused() {
    use Malformed as M;
    let get = |lines: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n");
    for (text, because) in [
        (
            get("content-length: 1\r\ntransfer-encoding: chunked"),
            M::TwoFramings,
        ),
        (
            get("transfer-encoding: chunked\r\ncontent-length: 1"),
            M::TwoFramings,
        ),
        (
            get("content-length: 1\r\ncontent-length: 1"),
            M::ContentLength,
        ),
        (get("content-length: 1, 1"), M::ContentLength),
        (get("content-length: +1"), M::ContentLength),
        (get("content-length: -1"), M::ContentLength),
        (get("content-length: 0x1"), M::ContentLength),
        (get("content-length: 1 1"), M::ContentLength),
        (get("content-length:"), M::ContentLength),
        (
            get("content-length: 18446744073709551616"),
            M::ContentLength,
        ),
        (get("transfer-encoding: gzip, chunked"), M::TransferEncoding),
        (
            get("transfer-encoding: chunked, chunked"),
            M::TransferEncoding,
        ),
        (get("transfer-encoding: identity"), M::TransferEncoding),
        (get("transfer-encoding: xchunked"), M::TransferEncoding),
        (get("transfer-encoding: \"chunked\""), M::TransferEncoding),
        (get("transfer-encoding:"), M::TransferEncoding),
        (
            get("transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
            M::TransferEncoding,
        ),
        (
            "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
            M::TransferEncoding,
        ),
        (get("x: 1\r\n folded"), M::Field),
        (get("x : 1"), M::Field),
        (get(" x: 1"), M::Field),
        (get(": 1"), M::Field),
        (get("x"), M::Field),
        (get("x\0: 1"), M::Field),
        (get("x: \0"), M::Field),
        (get("x: a\rb"), M::Field),
        (get("x: \x7f"), M::Field),
        (get("x: 1\ny: 2"), M::LineEnd),
        ("GET / HTTP/1.1\nhost: a\n\n".to_owned(), M::LineEnd),
        (
            "\n\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            M::LineEnd,
        ),
        ("GET / HTTP/1.1\r\nhost: a\r\n\n".to_owned(), M::LineEnd),
        (
            "\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            M::StartLine,
        ),
        (
            "GET  / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            M::StartLine,
        ),
        ("GET /\r\nhost: a\r\n\r\n".to_owned(), M::StartLine),
        ("GET / HTTP/1.1 \r\nhost: a\r\n\r\n".to_owned(), M::LineEnd),
        ("G(T / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), M::StartLine),
        ("GET / http/1.1\r\nhost: a\r\n\r\n".to_owned(), M::StartLine),
        (
            format!("{} / HTTP/1.1\r\nhost: a\r\n\r\n", "M".repeat(33)),
            M::StartLine,
        ),
        ("GET / HTTP/1.2\r\nhost: a\r\n\r\n".to_owned(), M::Version),
        ("GET / HTTP/2.0\r\nhost: a\r\n\r\n".to_owned(), M::Version),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), M::Host),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned(),
            M::Host,
        ),
        ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n".to_owned(), M::Host),
        ("GET / HTTP/1.1\r\nhost:\r\n\r\n".to_owned(), M::Host),
        (
            "GET http://u@b/ HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            M::Host,
        ),
        ("GET foo HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), M::Target),
        ("GET * HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), M::Target),
        ("GET /#x HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), M::Target),
        (
            "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
            M::Target,
        ),
        (get("connection: a b"), M::Connection),
        (get("expect: 200-ok"), M::Expectation),
    ] {
        assert_eq!(served(&text), [Event::Refused(because)], "{text:?}");
    }
}

#[test]
fn limits_are_kept() {
    let head = |lines: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n");
    let fields = |count: usize| {
        (0..count)
            .map(|n| format!("x{n}: 1\r\n"))
            .collect::<String>()
    };
    let one = |text: String| serve([text.as_bytes()]).pop();
    let refused = |because| Some(Event::Refused(because));
    let target = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(16 * 1024));
    assert_eq!(one(target), refused(Malformed::TargetLength));
    assert_eq!(one("x".repeat(20_000)), refused(Malformed::TargetLength));
    assert_eq!(
        one(head(&format!("x: {}", "x".repeat(64 * 1024)))),
        refused(Malformed::HeadLength)
    );
    assert_eq!(one(head(&fields(100))), refused(Malformed::FieldCount));
    let fits = one(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", fields(99)));
    assert!(matches!(fits, Some(Event::Message(..))), "{fits:?}");
}

#[test]
fn chunks_are_sizes_data_and_nothing_else() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in [
        "x\r\n",
        "-1\r\n",
        "+1\r\na\r\n",
        " 1\r\na\r\n",
        "0x1\r\n",
        "1\na\r\n",
        "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "11111111111111111\r\n",
        "1;\r\na\r\n",
        "1;a=\r\na\r\n",
        "1;a=\"\r\na\r\n",
        "1;a\0\r\na\r\n",
        "1;a b\r\na\r\n",
        "\r\n",
        "g\r\n",
        "1\r\na\r\n\r\n",
        "0\r\ncontent-length: 1\r\n\r\n",
        "0\r\nx : 1\r\n\r\n",
        "0\r\nx: 1\n\r\n",
        "0\r\n x: 1\r\n\r\n",
        "0\r\ntransfer-encoding: chunked\r\n\r\n",
        "1\r\na\r0\r\n\r\n",
        "1\r\r\na\r\n",
    ] {
        let events = served(&format!("{head}{body}"));
        assert_eq!(events.len(), 2, "{body:?}: {events:?}");
        assert!(matches!(events[0], Event::Half(_)), "{body:?}: {events:?}");
        assert!(
            matches!(events[1], Event::Refused(_)),
            "{body:?}: {events:?}"
        );
    }
    let long = format!("{head}1;{}\r\na\r\n", "x".repeat(300));
    assert!(matches!(
        serve([long.as_bytes()])[1],
        Event::Refused(Malformed::Chunk)
    ));
    let many = format!(
        "{head}{}",
        format!("1;{}\r\na\r\n", "x".repeat(200)).repeat(100)
    );
    assert!(matches!(
        serve([many.as_bytes()])[1],
        Event::Refused(Malformed::Chunk)
    ));
    let trailers = format!("{head}0\r\n{}", "x: 1\r\n".repeat(5000));
    assert!(matches!(
        serve([trailers.as_bytes()])[1],
        Event::Refused(Malformed::Trailer)
    ));
}

#[test]
fn pipelined_requests_come_out_one_by_one_and_nothing_follows_a_bad_one() {
    let good = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n";
    let post = "POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok";
    let two = [
        message("GET /1|host: a", ""),
        message("POST /2|host: a|content-length: 2", "ok"),
    ];
    assert_eq!(served(&format!("{good}{post}")), two);
    assert_eq!(
        served(&format!("{post}\r\n{good}")),
        [two[1].clone(), two[0].clone()]
    );
    let bad = "GET /3 HTTP/1.1\r\n\r\n";
    let [first, ..] = two;
    assert_eq!(
        served(&format!("{good}{bad}{good}")),
        [first.clone(), Event::Refused(Malformed::Host)]
    );
    let last = "GET /1 HTTP/1.1\r\nhost: a\r\nconnection: Close\r\n\r\n";
    assert_eq!(served(&format!("{last}{good}")), [first]);
    assert_eq!(
        served(&format!("GET /1 HTTP/1.0\r\n\r\n{good}")),
        [message("GET /1", "")]
    );
    let kept = "GET /1 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    assert_eq!(served(&format!("{kept}{kept}")).len(), 2);
}

fn heard(method: &Method, text: &str, closes: bool) -> Vec<Event> {
    however_cut(text.as_bytes(), |pieces| {
        listen(std::slice::from_ref(method), pieces, closes)
    })
}

#[test]
fn responses_end_where_they_say() {
    for (method, text, expected) in [
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokmore",
            message("200|content-length: 2", "ok"),
        ),
        (
            Method::GET,
            "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
            message("200|content-length: 0", ""),
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            message("200", "ok"),
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\n\r\nuntil close",
            message("200", "until close"),
        ),
        (
            Method::GET,
            "HTTP/1.0 200 OK\r\n\r\nuntil close",
            message("200", "until close"),
        ),
        (
            Method::HEAD,
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            message("200|content-length: 5", ""),
        ),
        (
            Method::HEAD,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            message("200", ""),
        ),
        (
            Method::GET,
            "HTTP/1.1 204 No\r\nconnection: x\r\nx: 1\r\n\r\nbody",
            message("204", ""),
        ),
        (
            Method::GET,
            "HTTP/1.1 304 No\r\ncontent-length: 5\r\n\r\n",
            message("304|content-length: 5", ""),
        ),
    ] {
        assert_eq!(heard(&method, text, true), [expected], "{text:?}");
    }
    let interim = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(
        heard(&Method::POST, interim, false),
        [
            Event::Interim(StatusCode::CONTINUE),
            Event::Interim(StatusCode::EARLY_HINTS),
            message("200|content-length: 0", "")
        ]
    );
}

#[test]
fn responses_that_leave_a_doubt_are_refused() {
    use Malformed as M;
    for (text, because) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
            M::TwoFramings,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
            M::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            M::TransferEncoding,
        ),
        (
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            M::TransferEncoding,
        ),
        (
            "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            M::Switch,
        ),
        ("HTTP/1.1 20 OK\r\n\r\n", M::StartLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", M::StartLine),
        ("HTTP/1.1 099 OK\r\n\r\n", M::StartLine),
        ("garbage\r\n\r\n", M::StartLine),
        ("HTTP/1.1 200 OK\nx: 1\n\n", M::LineEnd),
        ("HTTP/1.1 200 OK\r\nx: 1\r\n y\r\n\r\n", M::Field),
        ("HTTP/1.1 200 OK\r\nx: \0\r\n\r\n", M::Field),
        ("HTTP/1.1 200 OK\r\n", M::Incomplete),
        ("", M::Incomplete),
    ] {
        assert_eq!(
            heard(&Method::GET, text, true),
            [Event::Refused(because)],
            "{text:?}"
        );
    }
    for cut_short in [
        "content-length: 9\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let events = heard(
            &Method::GET,
            &format!("HTTP/1.1 200 OK\r\n{cut_short}"),
            true,
        );
        assert_eq!(
            events.last(),
            Some(&Event::Refused(M::Incomplete)),
            "{cut_short:?}"
        );
    }
    let for_ever = "HTTP/1.1 100 C\r\n\r\n".repeat(40);
    let events = listen(&[Method::GET], [for_ever.as_bytes()], false);
    assert_eq!(events.last(), Some(&Event::Refused(M::InterimCount)));
}

fn websocket() -> Upgrade {
    Upgrade::to(http::HeaderValue::from_static("websocket")).expect("not HTTP/2")
}

#[test]
fn a_switch_of_protocols_is_for_those_who_asked() {
    let mut request = Request::new(());
    request.extensions_mut().insert(websocket());
    let mut codec = Client::default();
    let mut out = Output::default();
    codec.request(&request, Length::Exact(0), &mut out);
    assert_eq!(
        written(out),
        b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    let mut input = BytesMut::from(
        &b"HTTP/1.1 101 S\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nframes"[..],
    );
    let Ok(Some(Answer::Final(response))) = codec.answer(&mut input) else {
        panic!("a final answer");
    };
    assert_eq!(response.status(), 101);
    assert_eq!(&input[..], b"frames");
    assert!(!codec.is_reusable(&BytesMut::new()));
}

#[test]
fn a_connection_carries_another_request_only_when_both_are_whole_and_nothing_is_left() {
    let reusable = |text: &str, wrote_all: bool| {
        let mut codec = Client::default();
        let mut out = Output::default();
        let length = if wrote_all {
            Length::Exact(0)
        } else {
            Length::Exact(5)
        };
        codec.request(&Request::new(()), length, &mut out);
        let mut input = BytesMut::from(text.as_bytes());
        codec.answer(&mut input).expect("a response");
        while let Some(Piece::Data(_)) = codec.piece(&mut input).expect("a body") {}
        codec.is_reusable(&input)
    };
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert!(reusable(answer, true));
    assert!(!reusable(answer, false));
    assert!(!reusable(&format!("{answer}HTTP/1.1 200"), true));
    assert!(!reusable(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        true
    ));
    assert!(!reusable(
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        true
    ));
    assert!(!reusable("HTTP/1.1 200 OK\r\n\r\n", true));
}

fn written(mut output: Output) -> Vec<u8> {
    use bytes::Buf as _;
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// What a server writes for an answer with this body, in these parts.
fn answered(
    request: &str,
    response: Response<()>,
    length: Length,
    body: &[&str],
) -> (String, bool) {
    let mut codec = Server::default();
    let mut input = BytesMut::from(request.as_bytes());
    codec
        .head(&mut input)
        .expect("a request")
        .expect("a whole one");
    let mut out = Output::default();
    let (head, ()) = response.into_parts();
    codec.answer(&head, length, b"now", &mut out);
    for part in body {
        codec
            .data(Bytes::copy_from_slice(part.as_bytes()), &mut out)
            .expect("it fits");
    }
    codec.end(None, &mut out).expect("it is whole");
    let stays = codec.turn();
    (String::from_utf8(written(out)).expect("text"), stays)
}

#[test]
fn answers_are_framed_for_those_who_get_them() {
    let get = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let status = |status: u16| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        response.headers_mut().insert(CONTENT_LENGTH, 7.into());
        response
    };
    let ok = |request: &str, length, body: &[&str]| answered(request, status(200), length, body);
    let head = "HTTP/1.1 200 OK\r\ndate: now\r\n";
    assert_eq!(
        ok(get, Length::Exact(2), &["ok"]),
        (format!("{head}content-length: 2\r\n\r\nok"), true)
    );
    assert_eq!(
        ok(get, Length::Unknown, &["ok", "", "0123456789abcdef!"]),
        (
            format!(
                "{head}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n11\r\n0123456789abcdef!\r\n0\r\n\r\n"
            ),
            true
        )
    );
    assert_eq!(
        ok("GET / HTTP/1.0\r\n\r\n", Length::Unknown, &["ok"]),
        (
            "HTTP/1.0 200 OK\r\ndate: now\r\nconnection: close\r\n\r\nok".to_owned(),
            false
        )
    );
    assert_eq!(
        ok(
            "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
            Length::Exact(2),
            &["ok"]
        ),
        (
            "HTTP/1.0 200 OK\r\ndate: now\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok"
                .to_owned(),
            true
        )
    );
    assert_eq!(
        ok("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", Length::Exact(0), &[]),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\ndate: now\r\n\r\n".to_owned(),
            true
        )
    );
    assert_eq!(
        answered(get, status(304), Length::Exact(0), &[]),
        (
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\ndate: now\r\n\r\n".to_owned(),
            true
        )
    );
    assert_eq!(
        answered(get, status(204), Length::Exact(0), &["x"]),
        (
            "HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n".to_owned(),
            true
        )
    );
    // Answered before the request's body came: whatever comes next may be body.
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    assert_eq!(
        ok(post, Length::Exact(2), &["ok"]),
        (
            format!("{head}content-length: 2\r\nconnection: close\r\n\r\nok"),
            false
        )
    );
}

#[test]
fn a_body_of_another_length_than_it_said_is_noticed() {
    let mut codec = Client::default();
    let mut out = Output::default();
    codec.request(&Request::new(()), Length::Exact(3), &mut out);
    assert!(codec.data(Bytes::from_static(b"ab"), &mut out).is_ok());
    assert!(codec.end(None, &mut out).is_err());
    assert!(codec.data(Bytes::from_static(b"cd"), &mut out).is_err());
}

fn token() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,12}".prop_map(|name| format!("x-{name}"))
}

fn value() -> impl Strategy<Value = String> {
    // Without the mark that the lines of a head are joined with.
    "[!-{}~]([ -{}~]{0,30}[!-{}~])?"
}

/// A head's fields, a body in parts (unknown length where the flag says so), trailer fields.
type Written = (
    Vec<(String, String)>,
    Vec<Vec<u8>>,
    bool,
    Vec<(String, String)>,
);

fn written_message() -> impl Strategy<Value = Written> {
    (
        prop::collection::vec((token(), value()), 0..6),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 0..4),
        any::<bool>(),
        prop::collection::vec((token(), value()), 0..3),
    )
}

fn header_map(fields: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, value.parse().expect("a value"));
    }
    headers
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written by one role is read by the other as it was, and messages on one
    /// connection do not bleed into each other.
    #[test]
    fn what_is_written_is_read_as_it_was(
        messages in prop::collection::vec((written_message(), "/[!-\"$-{}~]{0,20}"), 1..4),
        cut in 1_usize..500,
    ) {
        let mut client = Client::default();
        let mut out = Output::default();
        let mut expected = Vec::new();
        for ((fields, body, counted, trailers), path) in &messages {
            let mut request = Request::new(());
            *request.method_mut() = Method::PUT;
            let Ok(uri) = path.parse() else { continue };
            *request.uri_mut() = uri;
            *request.headers_mut() = header_map(fields);
            request.headers_mut().insert("host", "a".parse().expect("a host"));
            let whole: Vec<u8> = body.concat();
            let length = if *counted { Length::Exact(whole.len() as u64) } else { Length::Unknown };
            client.request(&request, length, &mut out);
            for part in body {
                client.data(Bytes::copy_from_slice(part), &mut out).expect("it fits");
            }
            let trailers = if *counted { HeaderMap::new() } else { header_map(trailers) };
            client.end(Some(&trailers), &mut out).expect("it is whole");
            expected.push((request.uri().to_string(), lines(request.headers()), whole, lines(&trailers)));
        }
        let bytes = written(out);
        let events = serve(bytes.chunks(cut));
        prop_assert_eq!(events.len(), expected.len());
        for (event, (uri, fields, body, trailers)) in events.into_iter().zip(expected) {
            let Event::Message(head, seen, seen_trailers) = event else {
                return Err(TestCaseError::fail(format!("{event:?}")));
            };
            let mut head: Vec<String> = head.split('|').map(str::to_owned).collect();
            prop_assert_eq!(head.remove(0), format!("PUT {uri}"));
            head.retain(|line| !line.starts_with("content-length"));
            prop_assert_eq!(sorted(head), sorted(fields));
            prop_assert_eq!(seen, body);
            prop_assert_eq!(sorted(seen_trailers), sorted(trailers));
        }
    }

    #[test]
    fn what_is_answered_is_heard_as_it_was(
        messages in prop::collection::vec((written_message(), 200_u16..600), 1..4),
        cut in 1_usize..500,
    ) {
        let mut server = Server::default();
        let mut out = Output::default();
        let mut expected = Vec::new();
        for ((fields, body, counted, trailers), status) in &messages {
            let mut input = BytesMut::from(&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..]);
            server.head(&mut input).expect("a request").expect("a whole one");
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(*status).expect("a status");
            *response.headers_mut() = header_map(fields);
            response.headers_mut().insert("date", "then".parse().expect("a date"));
            let (head, ()) = response.into_parts();
            let bodiless = matches!(status, 204 | 304);
            let whole: Vec<u8> = if bodiless { Vec::new() } else { body.concat() };
            let length = if *counted { Length::Exact(whole.len() as u64) } else { Length::Unknown };
            server.answer(&head, length, b"now", &mut out);
            for part in body {
                server.data(Bytes::copy_from_slice(part), &mut out).expect("it fits");
            }
            let none = *counted || bodiless;
            let trailers = if none { HeaderMap::new() } else { header_map(trailers) };
            server.end(Some(&trailers), &mut out).expect("it is whole");
            prop_assert!(server.turn());
            expected.push((*status, lines(&head.headers), whole, lines(&trailers)));
        }
        let bytes = written(out);
        let methods = vec![Method::GET; messages.len()];
        let events = listen(&methods, bytes.chunks(cut), false);
        prop_assert_eq!(events.len(), expected.len());
        for (event, (status, fields, body, trailers)) in events.into_iter().zip(expected) {
            let Event::Message(head, seen, seen_trailers) = event else {
                return Err(TestCaseError::fail(format!("{event:?}")));
            };
            let mut head: Vec<String> = head.split('|').map(str::to_owned).collect();
            prop_assert_eq!(head.remove(0), status.to_string());
            head.retain(|line| !line.starts_with("content-length"));
            prop_assert_eq!(sorted(head), sorted(fields));
            prop_assert_eq!(seen, body);
            prop_assert_eq!(sorted(seen_trailers), sorted(trailers));
        }
    }
}
