//! Bodies: chunks, their sizes, extensions and trailers; bodies that end too early; expectations.

use super::{After, Vector, chunked, passed, post, refused, vector};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = good_chunks();
    all.extend(bad_chunks());
    all.extend(trailers());
    all.extend(cut_short());
    all.extend(expectations());
    all
}

#[rustfmt::skip] // a row a line
fn good_chunks() -> Vec<Vector> {
    vec![
        passed("no chunk", chunked("0\r\n\r\n")),
        passed("one chunk", chunked("5\r\nhello\r\n0\r\n\r\n")),
        passed("two chunks", chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")),
        passed("sizes in both cases", chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n")),
        passed("leading zeros", chunked("0005\r\nhello\r\n000\r\n\r\n")),
        passed("sixteen digits", chunked("0000000000000005\r\nhello\r\n0\r\n\r\n")),
        passed("an extension", chunked("5;a\r\nhello\r\n0\r\n\r\n")),
        passed("an extension with a value", chunked("5;a=b;c=d\r\nhello\r\n0;e\r\n\r\n")),
        passed("an extension with a string", chunked("5;a=\"b;c\\\"\"\r\nhello\r\n0\r\n\r\n")),
        passed("line ends in a chunk", chunked("a\r\n\r\n\r\n0\r\n\r\nx\r\n0\r\n\r\n")),
        passed("chunks of one byte", chunked(&format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(300)))),
        passed("a chunk of 100 KiB", chunked(&format!("19000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x19000)))),
        passed("chunks for GET", "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ]
}

#[rustfmt::skip] // a row a line
fn bad_chunks() -> Vec<Vector> {
    let size = |name: &'static str, size: &str| {
        let body = format!("{size}\r\nhello\r\n0\r\n\r\n");
        vector(name, chunked(&body), 0, After::Broken)
    };
    let body = |name: &'static str, body: &str| vector(name, chunked(body), 0, After::Broken);
    vec![
        size("no size", ""),
        size("a sign", "+5"),
        size("a minus", "-5"),
        size("a size of minus nothing", "-0"),
        size("a prefix", "0x5"),
        size("a space before a size", " 5"),
        size("a space after a size", "5 "),
        size("a tab after a size", "5\t"),
        size("a space in a size", "5 0"),
        size("no hexadecimal digit", "5g"),
        size("a word for a size", "five"),
        size("an underscore", "0_5"),
        size("a comma", "5,5"),
        size("a quote", "\"5\""),
        size("seventeen digits", "00000000000000005"),
        size("a size of 65 bits", "10000000000000005"),
        size("a size of many digits", &"f".repeat(100)),
        size("a digit of another script", "\u{665}"),
        size("NUL after a size", "5\0"),
        size("an extension without a name", "5;"),
        size("two semicolons", "5;;a"),
        size("an extension that is no token", "5;a b"),
        size("an extension without a value", "5;a="),
        size("an extension that opens a string", "5;a=\"b"),
        size("a string and more", "5;a=\"b\"c"),
        size("NUL in an extension", "5;a=\0"),
        size("a control byte in an extension", "5;a=\x01"),
        size("CR in an extension", "5;a\rb"),
        size("LF in an extension", "5;a\nb"),
        size("LF in a string", "5;a=\"\n\""),
        size("extensions of 100 KiB", &format!("5;a={}", "b".repeat(100 * 1024))),
        body("LF after a size", "5\nhello\r\n0\r\n\r\n"),
        body("LF after an extension", "5;a\nhello\r\n0\r\n\r\n"),
        body("CR after a size", "5\rhello\r\n0\r\n\r\n"),
        body("LF after a chunk", "5\r\nhello\n0\r\n\r\n"),
        body("nothing after a chunk", "5\r\nhello0\r\n\r\n"),
        body("a chunk that is longer than its size", "5\r\nhello!\r\n0\r\n\r\n"),
        body("two bytes instead of a line end", "5\r\nhelloxx0\r\n\r\n"),
        body("LF CR after a chunk", "5\r\nhello\n\r0\r\n\r\n"),
        body("LF after the last chunk", "0\n\r\n"),
        body("LF at the end", "0\r\n\n"),
        body("CR at the end", "0\r\n\rx\r\n\r\n"),
        body("a request where a size should be", "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"),
    ]
}

#[rustfmt::skip] // a row a line
fn trailers() -> Vec<Vector> {
    let bad = |name: &'static str, trailer: &str| {
        let body = format!("2\r\nok\r\n0\r\n{trailer}\r\n\r\n");
        vector(name, chunked(&body), 0, After::Broken)
    };
    let good = |name: &'static str, trailer: &str| {
        let body = format!("2\r\nok\r\n0\r\n{trailer}\r\n\r\n");
        passed(
            name,
            post(
                "te: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked",
                &body,
            ),
        )
    };
    vec![
        good("a trailer", "x-sum: 1"),
        good("two trailers", "x-sum: 1\r\nx-other: 2"),
        bad("a trailer that would frame", "content-length: 9"),
        bad("a trailer that would code", "transfer-encoding: chunked"),
        bad("a trailer that would route", "host: b"),
        good("a trailer that would let in", "authorization: b"),
        good("a trailer that would vouch", "x-forwarded-for: 1.2.3.4"),
        bad("a trailer for one hop", "connection: close"),
        bad("a trailer without a colon", "x"),
        bad("a trailer with a space before its colon", "x : 1"),
        bad("a folded trailer", "x: 1\r\n 2"),
        bad("a trailer that begins with a space", " x: 1"),
        bad("LF after a trailer", "x: 1\ny: 2"),
        bad("NUL in a trailer", "x: \0"),
        bad("CR in a trailer", "x: a\rb"),
        bad("a pseudo trailer", ":path: /"),
        bad("a trailer of 100 KiB", &format!("x: {}", "v".repeat(100 * 1024))),
    ]
}

#[rustfmt::skip] // a row a line
fn cut_short() -> Vec<Vector> {
    let cut = |name: &'static str, bytes: Vec<u8>| vector(name, bytes, 0, After::CutShort);
    vec![
        cut("half a head", b"GET / HTTP/1.1\r\nhost: a\r\n".to_vec()),
        cut("half a word", b"GE".to_vec()),
        cut("a body without its end", post("content-length: 9", "hello")),
        cut("a body without its beginning", post("content-length: 9", "")),
        cut("chunks without a last one", chunked("5\r\nhello\r\n")),
        cut("half a size", chunked("5\r\nhello\r\n1")),
        cut("half a chunk", chunked("5\r\nhel")),
        cut("a last chunk without its end", chunked("5\r\nhello\r\n0\r\n")),
        cut("half a trailer", chunked("5\r\nhello\r\n0\r\nx: 1")),
        cut("a chunk of nearly 2^64 bytes", chunked("ffffffffffffffff\r\nhello")),
        cut("a length of nearly 2^64 bytes", post("content-length: 18446744073709551615", "hello")),
    ]
}

#[rustfmt::skip] // a row a line
fn expectations() -> Vec<Vector> {
    vec![
        passed("100-continue with its body", post("expect: 100-continue\r\ncontent-length: 5", "hello")),
        passed("100-Continue in capitals", post("expect: 100-Continue\r\ncontent-length: 5", "hello")),
        passed("100-continue without a body", "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n"),
        passed("100-continue over HTTP/1.0", "POST / HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello"),
        refused("an unknown expectation", 417, post("expect: tea\r\ncontent-length: 5", "hello")),
        refused("two lines of expectations", 417, post("expect: 100-continue\r\nexpect: tea\r\ncontent-length: 5", "hello")),
        refused("two expectations", 417, post("expect: 100-continue, tea\r\ncontent-length: 5", "hello")),
    ]
}
