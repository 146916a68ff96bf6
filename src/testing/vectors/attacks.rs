//! Framing said twice or unclearly: the classes of request smuggling.

use super::{After, Vector, get, passed, post, refused, vector};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = both();
    all.extend(codings());
    all.extend(lengths());
    all
}

#[rustfmt::skip] // a row a line
fn both() -> Vec<Vector> {
    let chunks = format!("0\r\n\r\n{SMUGGLED}");
    vec![
        refused("CL.TE", 400, post("content-length: 6\r\ntransfer-encoding: chunked", &chunks)),
        refused("TE.CL", 400, post("transfer-encoding: chunked\r\ncontent-length: 4", &chunks)),
        refused("CL.TE with agreeing ends", 400, post("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n")),
        refused("CL.0 and TE", 400, post("content-length: 0\r\ntransfer-encoding: chunked", &chunks)),
        refused("CL and an unknown coding", 400, post("content-length: 5\r\ntransfer-encoding: x", "hello")),
        refused("CL and identity", 400, post("content-length: 5\r\ntransfer-encoding: identity", "hello")),
        refused("CL and an empty coding", 400, post("content-length: 5\r\ntransfer-encoding:", "hello")),
        refused("CL and TE in a GET", 400, get("content-length: 5\r\ntransfer-encoding: chunked")),
        refused("TE in HTTP/1.0", 400, "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        refused("CL and TE in HTTP/1.0", 400, "POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        passed("a coding named by something that is no coding", post("content-length: 5\r\nx-transfer-encoding: chunked", "hello")),
        passed("Connection names Content-Length", post("connection: content-length\r\ncontent-length: 5", "hello")),
        passed("Connection names Transfer-Encoding", post("connection: transfer-encoding\r\ntransfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")),
    ]
}

#[rustfmt::skip] // a row a line
fn codings() -> Vec<Vector> {
    let coding = |name: &'static str, value: &str| {
        let line = format!("transfer-encoding:{value}");
        refused(name, 400, post(&line, "0\r\n\r\n"))
    };
    let chunks = "0\r\n\r\n";
    vec![
        passed("a coding in capitals", post("transfer-encoding: CHUNKED", chunks)),
        passed("a coding without a space", post("transfer-encoding:chunked", chunks)),
        passed("a coding between tabs", post("transfer-encoding:\tchunked\t", chunks)),
        coding("xchunked", " xchunked"),
        coding("chunkedx", " chunkedx"),
        coding("a quoted coding", " \"chunked\""),
        coding("a coding in single quotes", " 'chunked'"),
        coding("a coding behind a vertical tab", " \x0bchunked"),
        coding("a coding before a vertical tab", " chunked\x0b"),
        coding("a coding behind NUL", " \0chunked"),
        coding("a coding behind a colon", ": chunked"),
        coding("a coding with a parameter", " chunked;q=1"),
        coding("an empty list and a coding", " ,chunked"),
        coding("a coding and an empty list", " chunked,"),
        coding("gzip, chunked", " gzip, chunked"),
        coding("chunked, gzip", " chunked, gzip"),
        coding("chunked, chunked", " chunked, chunked"),
        coding("identity, chunked", " identity, chunked"),
        coding("chunked, identity", " chunked, identity"),
        coding("identity", " identity"),
        coding("gzip", " gzip"),
        coding("nothing", ""),
        coding("two words", " chunked chunked"),
        coding("a long s", " chun\u{17f}ed"),
        coding("behind CR", " \rchunked"),
        coding("two lines", " chunked\r\ntransfer-encoding: chunked"),
        coding("two lines, one unknown", " chunked\r\ntransfer-encoding: x"),
        coding("two lines, unknown first", " x\r\ntransfer-encoding: chunked"),
        coding("two lines, one identity", " identity\r\ntransfer-encoding: chunked"),
        coding("two lines, one empty", " chunked\r\ntransfer-encoding:"),
        coding("folded", "\r\n chunked"),
        refused("a coding with a space before its colon", 400, post("transfer-encoding : chunked", chunks)),
        refused("a coding with a space before its name", 400, post("x: 1\r\n transfer-encoding: chunked", chunks)),
        refused("a length, and a coding with a space before its colon", 400, post("content-length: 5\r\ntransfer-encoding : chunked", chunks)),
        refused("a length, and a coding behind LF", 400, post("content-length: 5\r\nx: y\ntransfer-encoding: chunked", chunks)),
        refused("a length, and a coding behind CR", 400, post("content-length: 5\r\nx: y\rtransfer-encoding: chunked", chunks)),
    ]
}

#[rustfmt::skip] // a row a line
fn lengths() -> Vec<Vector> {
    let length = |name: &'static str, value: &str| {
        let line = format!("content-length:{value}");
        refused(name, 400, post(&line, "hello"))
    };
    vec![
        passed("a length", post("content-length: 5", "hello")),
        passed("a length with leading zeros", post("content-length: 0005", "hello")),
        passed("a length without a space", post("content-length:5", "hello")),
        passed("no length is no body", post("x: 1", "")),
        passed("a length of nothing", post("content-length: 0", "")),
        length("+5", " +5"),
        length("-5", " -5"),
        length("-0", " -0"),
        length("0x5", " 0x5"),
        length("5, 5", " 5, 5"),
        length("5,5", " 5,5"),
        length("5,6", " 5,6"),
        length("5;", " 5;"),
        length("5.0", " 5.0"),
        length("5e0", " 5e0"),
        length("0o5", " 0o5"),
        length("1_0", " 1_0"),
        length("a space inside", " 1 2"),
        length("a tab inside", " 1\t2"),
        length("an empty length", ""),
        length("a length of spaces", "   "),
        length("a quoted length", " \"5\""),
        length("a word", " five"),
        length("2^64", " 18446744073709551616"),
        length("digits and a letter", " 5x"),
        length("a length over all", " 99999999999999999999999999999999"),
        length("digits of another script", " \u{665}"),
        length("a vertical tab", " \x0b5"),
        length("NUL", " 5\0"),
        length("two lines that agree", " 5\r\ncontent-length: 5"),
        length("two lines that differ", " 5\r\ncontent-length: 6"),
        length("two lines, one empty", " 5\r\ncontent-length:"),
        length("a second colon", ": 5"),
        refused("a length with a space before its colon", 400, post("content-length : 5", "hello")),
        passed("a request in a body stays there", post(&format!("content-length: {}", SMUGGLED.len()), SMUGGLED)),
        vector("a body that is longer than its length is a bad request", post("content-length: 5", "helloX\r\n\r\n"), 1, After::Refused(400)),
    ]
}
