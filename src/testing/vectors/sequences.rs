//! Several requests in one breath: answered in order, and never past one that is wrong.

use super::{After, Vector, vector};

const A: &str = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";
const B: &str = "POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
const C: &str =
    "POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
const BAD: &str = "GET /bad HTTP/1.1\r\nhost : a\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[rustfmt::skip] // a row a line
pub(super) fn vectors() -> Vec<Vector> {
    let all = |parts: &[&str]| parts.concat();
    let good = |name, parts: &[&str]| vector(name, all(parts), parts.len(), After::Nothing);
    let bad = |name, parts: &[&str], passed, status| {
        vector(name, all(parts), passed, After::Refused(status))
    };
    vec![
        good("two requests", &[A, A]),
        good("one of each", &[A, B, C, A]),
        good("bodies in a row", &[B, C, B, C]),
        good("HEAD between others", &[A, "HEAD /h HTTP/1.1\r\nhost: a\r\n\r\n", A]),
        good("twenty requests", &[A; 20]),
        good("the last one last", &[A, LAST]),
        bad("a bad one after a good one", &[A, BAD], 1, 400),
        bad("a bad one after a body", &[B, BAD], 1, 400),
        bad("a bad one after chunks", &[C, BAD], 1, 400),
        bad("a bad one between good ones", &[A, BAD, A], 1, 400),
        bad("a bad one before good ones", &[BAD, A, A], 0, 400),
        bad("two framings after a good one", &[A, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", A], 1, 400),
        bad("no Host after a good one", &[A, "GET / HTTP/1.1\r\n\r\n"], 1, 400),
        bad("another version after a good one", &[A, "GET / HTTP/2.0\r\nhost: a\r\n\r\n"], 1, 505),
        bad("CONNECT after a good one", &[A, "CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", A], 1, 405),
        bad("HTTP/2 after a good one", &[A, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], 1, 505),
        bad("garbage after a body", &[B, "\0\0\0\r\n\r\n"], 1, 400),
        vector("a bad chunk after a good one", all(&[A, "POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", A]), 1, After::Broken),
        vector("half a request after a good one", all(&[A, "GET /half HTTP/1.1\r\nho"]), 1, After::CutShort),
        vector("a request after the last", all(&[LAST, A]), 1, After::Ignored),
        vector("a bad request after the last", all(&[LAST, BAD]), 1, After::Ignored),
        vector("garbage after the last", all(&[LAST, "\0\0\0"]), 1, After::Ignored),
        vector("a request after HTTP/1.0", all(&["GET / HTTP/1.0\r\n\r\n", A]), 1, After::Ignored),
        good("HTTP/1.0 kept alive", &["GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", A]),
    ]
}
