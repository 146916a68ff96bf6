//! What a backend may come up with, and what of it a client may see.

/// Bytes of a backend in answer to one request, and what the client is shown.
#[derive(Clone, Debug)]
pub struct Answered {
    pub name: &'static str,
    /// The method that was asked with.
    pub method: &'static str,
    pub bytes: Vec<u8>,
    /// Whether the backend closes after them.
    pub closes: bool,
    pub shown: Shown,
}

/// What the client gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A whole answer with this status and body.
    Whole(u16, &'static str),
    /// A whole answer with this status and a body of this length.
    Long(u16, usize),
    /// 502, made by the proxy.
    BadGateway,
    /// A good head with a body that is not: no whole answer, but the proxy's own 502 if it is early
    /// enough for that.
    Broken,
}

/// Every odd answer.
pub fn answers() -> Vec<Answered> {
    let mut all = good();
    all.extend(framings());
    all.extend(heads());
    all.extend(bodies());
    all.extend(strays());
    all
}

fn kept(name: &'static str, bytes: impl Into<Vec<u8>>, shown: Shown) -> Answered {
    Answered {
        name,
        method: "GET",
        bytes: bytes.into(),
        closes: false,
        shown,
    }
}

fn closed(name: &'static str, bytes: impl Into<Vec<u8>>, shown: Shown) -> Answered {
    Answered {
        closes: true,
        ..kept(name, bytes, shown)
    }
}

fn head(name: &'static str, bytes: impl Into<Vec<u8>>, shown: Shown) -> Answered {
    Answered {
        method: "HEAD",
        ..kept(name, bytes, shown)
    }
}

/// 200 with these lines in its head, and this body.
fn ok(lines: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n{body}")
}

const HELLO: Shown = Shown::Whole(200, "hello");
const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

#[rustfmt::skip] // a row a line
fn good() -> Vec<Answered> {
    vec![
        kept("a length", ok("content-length: 5", "hello"), HELLO),
        kept("chunks", ok("transfer-encoding: chunked", CHUNKS), HELLO),
        kept("chunks in capitals", ok("Transfer-Encoding: Chunked", CHUNKS), HELLO),
        kept("an extension", ok("transfer-encoding: chunked", "5;a=b\r\nhello\r\n0\r\n\r\n"), HELLO),
        kept("trailers", ok("transfer-encoding: chunked", "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), HELLO),
        kept("trailers that frame", ok("transfer-encoding: chunked", "5\r\nhello\r\n0\r\ncontent-length: 9\r\n\r\n"), Shown::Broken),
        kept("no reason", "HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\nhello", HELLO),
        kept("leading zeros", ok("content-length: 005", "hello"), HELLO),
        kept("an unknown status", "HTTP/1.1 299 x\r\ncontent-length: 5\r\n\r\nhello", Shown::Whole(299, "hello")),
        kept("204", "HTTP/1.1 204 No Content\r\n\r\n", Shown::Whole(204, "")),
        kept("304 with a length", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Shown::Whole(304, "")),
        kept("hints before the answer", format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{}", ok("content-length: 5", "hello")), HELLO),
        kept("100 before the answer", format!("HTTP/1.1 100 Continue\r\n\r\n{}", ok("content-length: 5", "hello")), HELLO),
        closed("until the end of the connection", ok("x: 1", "hello"), HELLO),
        closed("HTTP/1.0 until the end", "HTTP/1.0 200 OK\r\n\r\nhello", HELLO),
        closed("HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", HELLO),
        closed("close", ok("connection: close\r\ncontent-length: 5", "hello"), HELLO),
        head("HEAD with a length", ok("content-length: 5", ""), Shown::Whole(200, "")),
        head("HEAD with a coding", ok("transfer-encoding: chunked", ""), Shown::Whole(200, "")),
        head("HEAD without either", ok("x: 1", ""), Shown::Whole(200, "")),
    ]
}

#[rustfmt::skip] // a row a line
fn framings() -> Vec<Answered> {
    let length = |name, value: &str| {
        kept(
            name,
            ok(&format!("content-length:{value}"), "hello"),
            Shown::BadGateway,
        )
    };
    let coding = |name, value: &str| {
        closed(
            name,
            ok(&format!("transfer-encoding:{value}"), CHUNKS),
            Shown::BadGateway,
        )
    };
    vec![
        kept("CL.TE", ok("content-length: 5\r\ntransfer-encoding: chunked", CHUNKS), Shown::BadGateway),
        kept("TE.CL", ok("transfer-encoding: chunked\r\ncontent-length: 5", CHUNKS), Shown::BadGateway),
        length("two lengths", " 5\r\ncontent-length: 6"),
        length("the same length twice", " 5\r\ncontent-length: 5"),
        length("a list of lengths", " 5, 5"),
        length("+5", " +5"),
        length("-5", " -5"),
        length("0x5", " 0x5"),
        length("no length", ""),
        length("2^64", " 18446744073709551616"),
        coding("gzip, chunked", " gzip, chunked"),
        coding("chunked, gzip", " chunked, gzip"),
        coding("xchunked", " xchunked"),
        coding("identity", " identity"),
        coding("no coding", ""),
        coding("chunked twice", " chunked\r\ntransfer-encoding: chunked"),
        coding("behind a vertical tab", " \x0bchunked"),
        closed("chunks over HTTP/1.0", format!("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{CHUNKS}"), Shown::BadGateway),
    ]
}

#[rustfmt::skip] // a row a line
fn heads() -> Vec<Answered> {
    let bad = |name, bytes: &str| kept(name, bytes, Shown::BadGateway);
    let line = |name, line: &str| {
        kept(
            name,
            format!("{line}\r\ncontent-length: 5\r\n\r\nhello"),
            Shown::BadGateway,
        )
    };
    let field = |name, field: &str| {
        kept(
            name,
            ok(&format!("{field}\r\ncontent-length: 5"), "hello"),
            Shown::BadGateway,
        )
    };
    vec![
        line("status 99", "HTTP/1.1 99 x"),
        line("status 600", "HTTP/1.1 600 x"),
        line("status 000", "HTTP/1.1 000 x"),
        line("four digits", "HTTP/1.1 2000 x"),
        line("two digits", "HTTP/1.1 20 x"),
        line("letters for a status", "HTTP/1.1 OK 200"),
        line("a sign before the status", "HTTP/1.1 +20 x"),
        line("two spaces before the status", "HTTP/1.1  200 OK"),
        line("HTTP/2.0", "HTTP/2.0 200 OK"),
        line("HTTP/1.2", "HTTP/1.2 200 OK"),
        line("HTTP/0.9", "HTTP/0.9 200 OK"),
        line("ICY", "ICY 200 OK"),
        line("NUL in the reason", "HTTP/1.1 200 O\0K"),
        line("CR in the reason", "HTTP/1.1 200 O\rK"),
        field("a folded line", "x: 1\r\n 2"),
        field("a folded line with a tab", "x: 1\r\n\t2"),
        field("a folded first line", " x: 1"),
        field("a space before the colon", "x : 1"),
        field("no colon", "x"),
        field("no name", ": 1"),
        field("NUL in a value", "x: a\0b"),
        field("NUL in a name", "x\0: a"),
        field("CR in a value", "x: a\rb"),
        field("LF after a field", "x: a\ny: b"),
        field("DEL in a value", "x: \x7f"),
        field("a pseudo header", ":status: 200"),
        bad("LF everywhere", "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello"),
        bad("LF at the end of the head", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\nhello"),
        bad("garbage", "\0\x01\x02\x03\x04\x05\r\n\r\n"),
        bad("a request", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        bad("another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        bad("TLS", "\x15\x03\x03\0\x02\x02\r\n\r\n"),
        bad("HTTP/0.9", "<html>hello</html>\r\n\r\n"),
        kept("a field of 1 MiB", ok(&format!("x: {}", "v".repeat(1 << 20)), ""), Shown::BadGateway),
        kept("20,000 fields", ok(&vec!["x: 1"; 20_000].join("\r\n"), ""), Shown::BadGateway),
        closed("nothing", "", Shown::BadGateway),
        closed("half a line", "HTTP/1.1 20", Shown::BadGateway),
        closed("half a head", "HTTP/1.1 200 OK\r\ncontent-le", Shown::BadGateway),
        closed("hints and no answer", "HTTP/1.1 103 Early Hints\r\n\r\n", Shown::BadGateway),
    ]
}

#[rustfmt::skip] // a row a line
fn bodies() -> Vec<Answered> {
    let chunks = |name, chunks: &str| {
        closed(
            name,
            ok(
                "transfer-encoding: chunked",
                &format!("5\r\nhello\r\n{chunks}"),
            ),
            Shown::Broken,
        )
    };
    vec![
        closed("a body that is too short", ok("content-length: 9", "hello"), Shown::Broken),
        chunks("no last chunk", ""),
        chunks("half a size", "1"),
        chunks("half a chunk", "5\r\nhel"),
        chunks("a last chunk without its end", "0\r\n"),
        chunks("half a trailer", "0\r\nx: 1"),
        chunks("a bad size", "x\r\n"),
        chunks("a size with a prefix", "0x1\r\na\r\n0\r\n\r\n"),
        chunks("a size with a sign", "+1\r\na\r\n0\r\n\r\n"),
        chunks("a size and a space", "1 \r\na\r\n0\r\n\r\n"),
        chunks("a size of 65 bits", "10000000000000001\r\na\r\n0\r\n\r\n"),
        chunks("LF after a size", "1\na\r\n0\r\n\r\n"),
        chunks("LF after a chunk", "1\r\na\n0\r\n\r\n"),
        chunks("NUL in an extension", "1;\0\r\na\r\n0\r\n\r\n"),
        chunks("an extension without a name", "1;\r\na\r\n0\r\n\r\n"),
        chunks("a bad trailer", "0\r\nx : 1\r\n\r\n"),
        chunks("LF at the end", "0\r\n\n"),
        kept("a long body", ok("content-length: 300000", &"x".repeat(300_000)), Shown::Long(200, 300_000)),
        kept("a long chunk", ok("transfer-encoding: chunked", &format!("493e0\r\n{}\r\n0\r\n\r\n", "x".repeat(300_000))), Shown::Long(200, 300_000)),
    ]
}

/// Bytes that belong to no answer. What comes before them is an answer; what comes after them on
/// that connection is nobody's.
#[rustfmt::skip] // a row a line
fn strays() -> Vec<Answered> {
    const EVIL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let then = |answer: String| format!("{answer}{EVIL}");
    vec![
        kept("an answer after a length", then(ok("content-length: 5", "hello")), HELLO),
        kept("an answer after chunks", then(ok("transfer-encoding: chunked", CHUNKS)), HELLO),
        kept("garbage after a length", ok("content-length: 5", "hello\0\0\0"), HELLO),
        kept("a line end after a length", ok("content-length: 5", "hello\r\n"), HELLO),
        kept("an answer after 204", then("HTTP/1.1 204 No Content\r\n\r\n".to_owned()), Shown::Whole(204, "")),
        kept("an answer after 304", then("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n".to_owned()), Shown::Whole(304, "")),
        kept("a body after 204", "HTTP/1.1 204 No Content\r\n\r\nhello", Shown::Whole(204, "")),
        kept("a body after 304", "HTTP/1.1 304 Not Modified\r\n\r\nhello", Shown::Whole(304, "")),
        kept("204 with a length", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", Shown::Whole(204, "")),
        kept("204 with a coding", format!("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n{CHUNKS}"), Shown::Whole(204, "")),
        head("204 with a length to HEAD", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Shown::Whole(204, "")),
        head("HEAD with a body", ok("content-length: 5", "hello"), Shown::Whole(200, "")),
        head("HEAD with chunks", ok("transfer-encoding: chunked", CHUNKS), Shown::Whole(200, "")),
        head("HEAD and another answer", then(ok("content-length: 5", "")), Shown::Whole(200, "")),
        kept("101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbytes", Shown::BadGateway),
        kept("100 for ever", "HTTP/1.1 100 Continue\r\n\r\n".repeat(5_000), Shown::BadGateway),
        kept("hints for ever", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(5_000), Shown::BadGateway),
    ]
}
