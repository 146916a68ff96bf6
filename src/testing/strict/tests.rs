//! The judge is judged: the RFCs' own examples pass, and every rule is broken once.

use super::{Asked, End, Framing, Parsed, requests, responses};

fn get(head: &str) -> Parsed {
    requests(format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n").as_bytes())
}

fn chunked(body: &str) -> Parsed {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    requests(format!("{head}{body}").as_bytes())
}

fn rule(parsed: &Parsed) -> &'static str {
    parsed
        .violation()
        .map_or("none", |violation| violation.rule)
}

fn answers(bytes: &str, method: &str) -> Parsed {
    responses(bytes.as_bytes(), &[Asked::with(method)], true)
}

#[test]
#[rustfmt::skip] // a row a line
fn the_examples_of_the_rfcs_pass() {
    for (example, target) in [
        // RFC 9112, 2.1 and 3.2.
        ("GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\nAccept-Language: en, mi\r\n\r\n", "/hello.txt"),
        ("GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "/where?q=now"),
        ("GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\nHost: www.example.org\r\n\r\n", "http://www.example.org/pub/WWW/TheProject.html"),
        ("OPTIONS * HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n", "*"),
        // RFC 9110, 7.8 and 10.1.1.
        ("GET /hello HTTP/1.1\r\nHost: www.example.com\r\nConnection: upgrade\r\nUpgrade: websocket, IRC/6.9, RTA/x11\r\n\r\n", "/hello"),
        ("PUT /somewhere/fun HTTP/1.1\r\nHost: origin.example.com\r\nContent-Type: video/h264\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody", "/somewhere/fun"),
    ] {
        let parsed = requests(example.as_bytes());
        assert_eq!(
            (parsed.messages.len(), &parsed.end),
            (1, &End::Clean),
            "{example}"
        );
        assert_eq!(parsed.messages[0].target(), target.as_bytes());
    }
    let connect =
        requests(b"CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com:80\r\n\r\nbytes");
    assert_eq!((connect.messages.len(), connect.end), (1, End::Tunnel(65)));
    let response = "HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nServer: Apache\r\n\
        Last-Modified: Wed, 22 Jul 2009 19:15:56 GMT\r\nETag: \"34aa387-d-1568eb00\"\r\nAccept-Ranges: bytes\r\n\
        Content-Length: 51\r\nVary: Accept-Encoding\r\nContent-Type: text/plain\r\n\r\n\
        Hello World! My content includes a trailing CRLF.\r\n";
    let parsed = answers(response, "GET");
    assert_eq!((parsed.messages[0].status(), parsed.end), (200, End::Clean));
}

#[test]
fn chunks_extensions_and_trailers_are_read() {
    let parsed = chunked(
        "4\r\nWiki\r\n005 ; a ;b = c;d=\"; \\\" x\"\r\npedia\r\nA\r\n0123456789\r\n0;last\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    );
    assert_eq!(parsed.end, End::Clean);
    assert_eq!(parsed.messages[0].body, b"Wikipedia0123456789");
    assert_eq!(
        parsed.messages[0].trailers,
        [(b"X-Sum".to_vec(), b"1".to_vec())]
    );
    assert_eq!(parsed.messages[0].framing, Framing::Chunked);
    assert_eq!(parsed.messages[1].minor, 0);
}

#[test]
#[rustfmt::skip] // a row a line
fn heads_that_two_readers_could_read_differently_are_refused() {
    for (head, broken) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", "Content-Length with Transfer-Encoding"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1", "Content-Length with Transfer-Encoding"),
        ("Content-Length: 1\r\nContent-Length: 1", "more than one Content-Length"),
        ("Content-Length: 1, 1", "a Content-Length that is no number of 64 bits"),
        ("Content-Length: +1", "a Content-Length that is no number of 64 bits"),
        ("Content-Length: ", "a Content-Length that is no number of 64 bits"),
        ("Content-Length: 1 1", "a Content-Length that is no number of 64 bits"),
        ("Content-Length: 18446744073709551616", "a Content-Length that is no number of 64 bits"),
        ("Transfer-Encoding: gzip, chunked", "a transfer coding other than chunked"),
        ("Transfer-Encoding: xchunked", "a transfer coding other than chunked"),
        ("Transfer-Encoding: \"chunked\"", "a transfer coding other than chunked"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "more than one Transfer-Encoding"),
        ("Transfer-Encoding: \x0bchunked", "control byte in a line"),
        ("X: a\0b", "control byte in a line"),
        ("X: a\x7fb", "control byte in a line"),
        ("X: a\rb", "CR without LF"),
        ("X: a\nY: b", "LF without CR"),
        ("X: a\r\n b", "a field line that begins with white space (obs-fold)"),
        ("X: a\r\n\tb", "a field line that begins with white space (obs-fold)"),
        ("X : a", "white space before the colon"),
        ("X\t: a", "white space before the colon"),
        (": a", "an empty field name"),
        ("X", "a field line without a colon"),
        ("X Y: a", "a field name that is no token"),
        ("X(): a", "a field name that is no token"),
        ("X\u{e9}: a", "a field name that is no token"),
        ("Host: a", "more than one Host"),
    ] {
        assert_eq!(rule(&get(head)), broken, "{head:?}");
    }
    for fine in [
        "X:a",
        "X: \t a \t ",
        "X: \u{e9}",
        "X:",
        "Content-Length: 0",
        "Content-Length: 000",
    ] {
        assert_eq!(rule(&get(fine)), "none", "{fine:?}");
    }
    let old = requests(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(rule(&old), "Transfer-Encoding in an HTTP/1.0 message");
}

#[test]
fn hosts_are_hosts() {
    let host = |host: &str| {
        rule(&requests(
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(),
        ))
    };
    for fine in [
        "a",
        "a:80",
        "a:",
        "a.b-c_d~e",
        "127.0.0.1:65535",
        "[::1]",
        "[::1]:80",
        "[v1.a:b]",
        "a%20b",
        "xn--bcher-kva.example",
    ] {
        assert_eq!(host(fine), "none", "{fine}");
    }
    for wrong in [
        "", "a b", "a,b", "a/b", "a?b", "a#b", "u@a", "a:b", "a:65536", "a:+1", "a:80:80", "::1",
        "[::1", "[::1]a", "[::g]", "a%2", "a\\b", "\u{e9}", ":80", "[]",
    ] {
        assert_eq!(host(wrong), "a Host that is no host", "{wrong}");
    }
    assert_eq!(
        rule(&requests(b"GET / HTTP/1.1\r\n\r\n")),
        "no Host in an HTTP/1.1 request"
    );
}

#[test]
#[rustfmt::skip] // a row a line
fn request_lines_are_three_words_of_known_form() {
    let line = |line: &str| rule(&requests(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()));
    for (text, broken) in [
        ("GET /", "a request line that is not three words"),
        ("GET  / HTTP/1.1", "a request line that is not three words"),
        ("GET /\tHTTP/1.1", "a request line that is not three words"),
        (" GET / HTTP/1.1", "a request line that is not three words"),
        ("GET / HTTP/1.1 ", "a request line that is not three words"),
        ("GET /a b HTTP/1.1", "a request line that is not three words"),
        ("", "a request line that is not three words"),
        ("G(T / HTTP/1.1", "a method that is no token"),
        ("GET / HTTP/2.0", "a version that is neither HTTP/1.0 nor HTTP/1.1"),
        ("GET / HTTP/1.2", "a version that is neither HTTP/1.0 nor HTTP/1.1"),
        ("GET / HTTP/01.1", "a version that is neither HTTP/1.0 nor HTTP/1.1"),
        ("GET / http/1.1", "a version that is neither HTTP/1.0 nor HTTP/1.1"),
        ("GET /#x HTTP/1.1", "a target with bytes that end it for some"),
        ("GET * HTTP/1.1", "an asterisk for another method than OPTIONS"),
        ("GET foo HTTP/1.1", "a target of no known form"),
        ("GET ftp://a/ HTTP/1.1", "a target of no known form"),
        ("GET http://u@a/ HTTP/1.1", "an absolute target without a valid authority"),
        ("GET http:///x HTTP/1.1", "an absolute target without a valid authority"),
        ("GET http://b/ HTTP/1.1", "a Host that is not the target's authority"),
        ("CONNECT a HTTP/1.1", "CONNECT without a host and a port"),
    ] {
        assert_eq!(line(text), broken, "{text:?}");
    }
    for fine in [
        "GET http://a HTTP/1.1",
        "GET HTTP://A?x HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "x-y!z / HTTP/1.1",
        "GET /%7b|\"[]%zz HTTP/1.1",
    ] {
        assert_eq!(line(fine), "none", "{fine:?}");
    }
}

#[test]
#[rustfmt::skip] // a row a line
fn bad_chunks_are_refused_where_they_stand() {
    for (body, broken) in [
        ("\r\n", "a chunk without a size"),
        (" 1\r\n", "a chunk without a size"),
        ("+1\r\n", "a chunk without a size"),
        ("-1\r\n", "a chunk without a size"),
        ("0x1\r\n", "bytes after a chunk size that are no extension"),
        ("1 \r\n", "bytes after a chunk size that are no extension"),
        ("g\r\n", "a chunk without a size"),
        ("00000000000000001\r\n", "a chunk size of more than 64 bits"),
        ("1;\r\n", "a chunk extension whose name is no token"),
        ("1;a=\r\n", "a chunk extension whose value is neither token nor string"),
        ("1;a=\"\r\n", "a chunk extension whose value is neither token nor string"),
        ("1;a=\"b\"c\r\n", "a chunk extension whose value is neither token nor string"),
        ("1;a \r\n", "a chunk extension whose name is no token"),
        ("1;a=b \r\n", "a chunk extension whose value is neither token nor string"),
        ("1 ;a\n", "LF without CR"),
        ("1;a\n", "LF without CR"),
        ("1\n", "LF without CR"),
        ("1;a\rb\r\n", "CR without LF"),
        ("1;a=\0\r\n", "control byte in a line"),
        ("1\r\nab\r\n", "no CRLF after the data of a chunk"),
        ("1\r\na\n0", "no CRLF after the data of a chunk"),
        ("1\r\na\r0", "no CRLF after the data of a chunk"),
        ("0\r\nContent-Length: 1\r\n\r\n", "a trailer field that belongs into the head"),
        ("0\r\nhost: b\r\n\r\n", "a trailer field that belongs into the head"),
        ("0\r\nX : b\r\n\r\n", "white space before the colon"),
        ("0\r\n:path: b\r\n\r\n", "an empty field name"),
    ] {
        assert_eq!(rule(&chunked(body)), broken, "{body:?}");
    }
    for unfinished in [
        "",
        "1",
        "1\r",
        "1\r\n",
        "1\r\na",
        "1\r\na\r\n",
        "0\r\n",
        "0\r\nX: 1\r\n",
        "ffffffffffffffff\r\n",
    ] {
        assert_eq!(
            chunked(unfinished).end,
            End::Incomplete(0),
            "{unfinished:?}"
        );
    }
}

#[test]
fn every_prefix_of_a_good_stream_is_incomplete_or_clean() {
    let stream = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nT: 1\r\n\r\n\
        PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let whole = requests(stream);
    assert_eq!((whole.messages.len(), whole.end), (3, End::Clean));
    for length in 0..stream.len() {
        let parsed = requests(&stream[..length]);
        assert_eq!(parsed.violation(), None, "{length}");
        assert_eq!(parsed.messages[..], whole.messages[..parsed.messages.len()]);
    }
    let more = [&stream[..], b"G"].concat();
    assert_eq!(rule(&requests(&more)), "bytes after the last request");
}

#[test]
#[rustfmt::skip] // a row a line
fn responses_are_framed_by_what_was_asked() {
    for (bytes, method, framing, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", Framing::Length(2), "ok"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", Framing::Nothing, ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "GET", Framing::Nothing, ""),
        ("HTTP/1.1 204 \r\n\r\n", "GET", Framing::Nothing, ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "GET", Framing::Chunked, "a"),
        ("HTTP/1.0 200 OK\r\n\r\nall", "GET", Framing::UntilClose, "all"),
    ] {
        let parsed = answers(bytes, method);
        assert_eq!(parsed.end, End::Clean, "{bytes}");
        let message = &parsed.messages[0];
        assert_eq!(
            (message.framing, &message.body[..]),
            (framing, body.as_bytes()),
            "{bytes}"
        );
    }
    let open = responses(b"HTTP/1.1 200 OK\r\n\r\nall", &[Asked::with("GET")], false);
    assert_eq!(open.end, End::Incomplete(0));
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answers(interim, "GET").messages.len(), 3);
    assert_eq!(
        answers("HTTP/1.1 101 Switching Protocols\r\n\r\nbytes", "GET").end,
        End::Tunnel(36)
    );
}

#[test]
#[rustfmt::skip] // a row a line
fn responses_that_break_a_rule_are_refused() {
    for (bytes, method, broken) in [
        ("HTTP/1.1 200\r\n\r\n", "GET", "a status line without its second space"),
        ("HTTP/1.1 99 x\r\n\r\n", "GET", "a status that is not between 100 and 599"),
        ("HTTP/1.1 600 x\r\n\r\n", "GET", "a status that is not between 100 and 599"),
        ("HTTP/1.1 20x x\r\n\r\n", "GET", "a status that is not between 100 and 599"),
        ("HTTP/2 200 x\r\n\r\n", "GET", "a version that is neither HTTP/1.0 nor HTTP/1.1"),
        ("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", "GET", "a framing in a response that never has a body"),
        ("HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "a framing in a response that never has a body"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx", "GET", "a response that nobody asked for"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\nx", "GET", "bytes after the last response"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "GET", "more than one Content-Length"),
    ] {
        assert_eq!(rule(&answers(bytes, method)), broken, "{bytes:?}");
    }
    let old = Asked {
        method: b"GET".to_vec(),
        minor: 0,
    };
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(
        rule(&responses(chunks, &[old], true)),
        "chunks for an HTTP/1.0 client"
    );
}
