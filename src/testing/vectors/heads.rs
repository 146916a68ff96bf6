//! Heads: request lines, targets, versions, hosts, field lines, sizes.

use super::{Vector, get, host, line, passed, refused};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = lines();
    all.extend(targets());
    all.extend(hosts());
    all.extend(fields());
    all.extend(line_ends());
    all.extend(sizes());
    all.extend(connection_fields());
    all
}

#[rustfmt::skip] // a row a line
fn lines() -> Vec<Vector> {
    vec![
        passed("a plain GET", line("GET / HTTP/1.1")),
        passed("HEAD", line("HEAD / HTTP/1.1")),
        passed("an extension method", line("M-SEARCH / HTTP/1.1")),
        passed("a method in small letters is another method", line("get / HTTP/1.1")),
        refused("CONNECT", 405, "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"),
        refused("a method with a separator", 400, line("G@T / HTTP/1.1")),
        refused("a method with NUL", 400, line("G\0T / HTTP/1.1")),
        refused("a method of 40 letters", 400, line(&format!("{} / HTTP/1.1", "M".repeat(40)))),
        refused("no method", 400, line(" / HTTP/1.1")),
        refused("a space before the method", 400, line(" GET / HTTP/1.1")),
        refused("a tab before the method", 400, line("\tGET / HTTP/1.1")),
        refused("two spaces before the target", 400, line("GET  / HTTP/1.1")),
        refused("two spaces before the version", 400, line("GET /  HTTP/1.1")),
        refused("a tab between the words", 400, line("GET\t/ HTTP/1.1")),
        refused("a tab before the version", 400, line("GET /\tHTTP/1.1")),
        refused("a space after the version", 400, line("GET / HTTP/1.1 ")),
        refused("a fourth word", 400, line("GET / HTTP/1.1 x")),
        refused("a vertical tab between the words", 400, line("GET\x0b/ HTTP/1.1")),
        refused("HTTP/0.9", 400, "GET /\r\n\r\n"),
        refused("no target", 400, line("GET HTTP/1.1")),
        refused("an empty target", 400, line("GET  HTTP/1.1")),
        refused("version 0.9 in full", 505, line("GET / HTTP/0.9")),
        refused("version 1.2", 505, line("GET / HTTP/1.2")),
        refused("version 2.0", 505, line("GET / HTTP/2.0")),
        refused("version 3.0", 505, line("GET / HTTP/3.0")),
        refused("version 1.10", 400, line("GET / HTTP/1.10")),
        refused("version 01.1", 400, line("GET / HTTP/01.1")),
        refused("version 1", 400, line("GET / HTTP/1")),
        refused("version 1,1", 400, line("GET / HTTP/1,1")),
        refused("version +1.1", 400, line("GET / HTTP/+1.1")),
        refused("a version in small letters", 400, line("GET / http/1.1")),
        refused("another protocol", 400, line("GET / ICY/1.1")),
        refused("a version with a space", 400, line("GET / HTTP /1.1")),
        refused("a response", 400, "HTTP/1.1 200 OK\r\nhost: a\r\n\r\n"),
        refused("TLS", 400, &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..]),
        refused("almost HTTP/2", 505, "PRI * HTTP/2.0\r\nhost: a\r\n\r\n"),
        refused("garbage", 400, "\0\x01\x02\x03\r\n\r\n"),
    ]
}

#[rustfmt::skip] // a row a line
fn targets() -> Vec<Vector> {
    let absolute = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
    vec![
        passed("a query", line("GET /a/b?c=d&e[]=%20 HTTP/1.1")),
        passed("what browsers send as it is", line("GET /{a}|b?[c] HTTP/1.1")),
        passed("UTF-8 in the path", line("GET /b\u{fc}cher HTTP/1.1")),
        passed("a backslash in the path", line("GET /a\\b HTTP/1.1")),
        refused("bytes in the path that are no UTF-8", 400, &b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n"[..]),
        refused("angle brackets in the path", 400, line("GET /<a> HTTP/1.1")),
        refused("a backtick in the path", 400, line("GET /`a HTTP/1.1")),
        passed("dot segments stay", line("GET /a/../b/./c HTTP/1.1")),
        passed("two slashes stay a path", line("GET //b/c HTTP/1.1")),
        passed("OPTIONS *", line("OPTIONS * HTTP/1.1")),
        passed("absolute", absolute("http://a/x?y")),
        passed("absolute in capitals", absolute("HTTP://a/x")),
        passed("absolute without a path", absolute("http://a")),
        passed("absolute with a query and no path", absolute("http://a?x")),
        passed("absolute with a port", "GET http://a:81/ HTTP/1.1\r\nhost: a:81\r\n\r\n"),
        passed("absolute for another host than Host", absolute("http://b.example/x")),
        passed("OPTIONS for all of a host", line("OPTIONS http://a HTTP/1.1")),
        passed("OPTIONS for the root of a host", line("OPTIONS http://a/ HTTP/1.1")),
        passed("absolute over HTTP/1.0", "GET http://a/x HTTP/1.0\r\n\r\n"),
        refused("absolute without Host", 400, "GET http://a/x HTTP/1.1\r\n\r\n"),
        refused("absolute with two Hosts", 400, "GET http://a/ HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
        refused("absolute with a bad Host", 400, "GET http://a/ HTTP/1.1\r\nhost: a b\r\n\r\n"),
        refused("absolute with user information", 400, absolute("http://user@a/")),
        refused("absolute with a password", 400, absolute("http://user:pw@a/")),
        refused("absolute with an empty host", 400, absolute("http:///x")),
        refused("absolute with a bad port", 400, absolute("http://a:99999/")),
        refused("absolute with an open bracket", 400, absolute("http://[::1/")),
        refused("absolute with a list of hosts", 400, absolute("http://a,b/")),
        refused("another scheme", 400, absolute("ftp://a/x")),
        refused("a scheme alone", 400, absolute("http:")),
        refused("a scheme and one slash", 400, absolute("http:/a")),
        refused("a relative path", 400, line("GET foo HTTP/1.1")),
        refused("a relative path with a slash", 400, line("GET foo/bar HTTP/1.1")),
        refused("a query alone", 400, line("GET ?x HTTP/1.1")),
        refused("an authority for GET", 400, line("GET a:80 HTTP/1.1")),
        refused("an asterisk for GET", 400, line("GET * HTTP/1.1")),
        refused("an asterisk and more", 400, line("OPTIONS *x HTTP/1.1")),
        refused("a path for CONNECT", 405, line("CONNECT /x HTTP/1.1")),
        refused("a fragment", 400, line("GET /a#b HTTP/1.1")),
        refused("a fragment in an absolute target", 400, absolute("http://a/x#y")),
        refused("a space in the target", 400, line("GET /a b HTTP/1.1")),
        refused("NUL in the target", 400, line("GET /a\0b HTTP/1.1")),
        refused("DEL in the target", 400, line("GET /a\x7fb HTTP/1.1")),
        refused("a control byte in the target", 400, line("GET /a\x01b HTTP/1.1")),
        refused("CR in the target", 400, line("GET /a\rb HTTP/1.1")),
    ]
}

#[rustfmt::skip] // a row a line
fn hosts() -> Vec<Vector> {
    vec![
        passed("a host with a port", host("shop.example.com:8080")),
        passed("an IPv6 host", host("[::1]:80")),
        passed("an underscore in the host", host("a_b")),
        passed("white space around the host", host(" \t a \t ")),
        passed("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n"),
        passed("HTTP/1.0 with Host", "GET / HTTP/1.0\r\nhost: a\r\n\r\n"),
        passed("HTTP/1.0 kept alive", "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n"),
        refused("HTTP/1.0 with two Hosts", 400, "GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n"),
        refused("HTTP/1.0 with a bad Host", 400, "GET / HTTP/1.0\r\nhost: a/b\r\n\r\n"),
        refused("no Host", 400, "GET / HTTP/1.1\r\n\r\n"),
        refused("two Hosts", 400, get("host: b")),
        refused("the same Host twice", 400, get("Host: a")),
        refused("an empty Host", 400, host("")),
        refused("a Host with a path", 400, host("a/b")),
        refused("a Host with a query", 400, host("a?b")),
        refused("a Host with a fragment", 400, host("a#b")),
        refused("a Host that is a list", 400, host("a,b")),
        refused("a Host that is a list with spaces", 400, host("a, b")),
        refused("a space in Host", 400, host("a b")),
        refused("a user in Host", 400, host("u@a")),
        refused("a backslash in Host", 400, host("a\\b")),
        refused("a scheme in Host", 400, host("http://a")),
        refused("a word for a port", 400, host("a:http")),
        refused("a negative port", 400, host("a:-1")),
        refused("a port of 17 bits", 400, host("a:65536")),
        refused("two ports", 400, host("a:80:80")),
        refused("a port alone", 400, host(":80")),
        refused("an open bracket", 400, host("[::1")),
        refused("bytes after a bracket", 400, host("[::1]x")),
        refused("an IPv6 host without brackets", 400, host("::1")),
        refused("a broken percent", 400, host("a%2")),
        refused("UTF-8 in Host", 400, host("b\u{fc}cher")),
        refused("a tab in Host", 400, host("a\tb")),
    ]
}

#[rustfmt::skip] // a row a line
fn fields() -> Vec<Vector> {
    vec![
        passed("no space after the colon", get("x:1")),
        passed("tabs around a value", get("x:\t1\t")),
        passed("an empty value", get("x:")),
        passed("a value of spaces", get("x:    ")),
        passed("a colon in a value", get("x: a:b: c")),
        passed("all of a token", get("!#$%&'*+-.^`|~09az: 1")),
        passed("obs-text in a value", [&b"GET / HTTP/1.1\r\nhost: a\r\nx: \xe9\xff\r\n\r\n"[..]].concat()),
        passed("the same field twice", get("x: 1\r\nx: 2")),
        refused("a space before the colon", 400, get("x : 1")),
        refused("a tab before the colon", 400, get("x\t: 1")),
        refused("a space before the colon of Host", 400, "GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
        refused("a space in a name", 400, get("x y: 1")),
        refused("no colon", 400, get("x")),
        refused("no name", 400, get(": 1")),
        refused("a name of a space", 400, get(" : 1")),
        refused("a separator in a name", 400, get("x(y): 1")),
        refused("a slash in a name", 400, get("x/y: 1")),
        refused("a quote in a name", 400, get("\"x\": 1")),
        refused("NUL in a name", 400, get("x\0y: 1")),
        refused("obs-text in a name", 400, get("x\u{e9}: 1")),
        refused("NUL in a value", 400, get("x: a\0b")),
        refused("a bell in a value", 400, get("x: a\x07b")),
        refused("a vertical tab in a value", 400, get("x: a\x0bb")),
        refused("a form feed in a value", 400, get("x: a\x0cb")),
        refused("ESC in a value", 400, get("x: a\x1bb")),
        refused("DEL in a value", 400, get("x: a\x7fb")),
        refused("a folded first line", 400, "GET / HTTP/1.1\r\n host: a\r\nhost: b\r\n\r\n"),
        refused("a folded first line with a tab", 400, "GET / HTTP/1.1\r\n\tx: 1\r\nhost: a\r\n\r\n"),
        refused("a folded line", 400, get("x: 1\r\n 2")),
        refused("a folded line with a tab", 400, get("x: 1\r\n\t2")),
        refused("a folded line of white space", 400, get("x: 1\r\n \r\ny: 2")),
        refused("a folded Host", 400, "GET / HTTP/1.1\r\nhost:\r\n a\r\n\r\n"),
        refused("a folded length", 400, get("content-length: 1\r\n 2")),
        refused("a folded coding", 400, get("transfer-encoding:\r\n chunked")),
        refused("a pseudo header", 400, get(":path: /x")),
    ]
}

#[rustfmt::skip] // a row a line
fn line_ends() -> Vec<Vector> {
    vec![
        passed("an empty line before the request", "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("LF before the request", 400, "\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("CR before the request", 400, "\rGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("LF everywhere", 400, "GET / HTTP/1.1\nhost: a\n\n"),
        refused("LF after the request line", 400, "GET / HTTP/1.1\nhost: a\r\n\r\n"),
        refused("LF after a field", 400, "GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n"),
        refused("LF after the last field", 400, "GET / HTTP/1.1\r\nhost: a\n\r\n"),
        refused("LF at the end of the head", 400, "GET / HTTP/1.1\r\nhost: a\r\n\n"),
        refused("CR after the request line", 400, "GET / HTTP/1.1\rhost: a\r\n\r\n"),
        refused("CR in a value", 400, get("x: a\rb")),
        refused("CR at the end of a value", 400, get("x: a\r")),
        refused("CR before the colon", 400, get("x\r: a")),
        refused("CR after the colon", 400, get("x:\ra")),
        refused("CR for a line end", 400, get("x: a\ry: b")),
        refused("CR CR LF", 400, "GET / HTTP/1.1\r\nhost: a\r\r\n\r\n"),
        refused("CR in the last line", 400, "GET / HTTP/1.1\r\nhost: a\r\n\rx\r\n\r\n"),
        refused("LF CR", 400, "GET / HTTP/1.1\n\rhost: a\n\r\n\r"),
        refused("a header smuggled behind LF", 400, get("x: a\ntransfer-encoding: chunked")),
    ]
}

#[rustfmt::skip] // a row a line
fn sizes() -> Vec<Vector> {
    let fields = |count: usize| {
        let lines: Vec<String> = (0..count).map(|at| format!("x-{at}: 1")).collect();
        get(&lines.join("\r\n"))
    };
    let path = |length: usize| line(&format!("GET /{} HTTP/1.1", "p".repeat(length - 1)));
    vec![
        passed("a path of 8 KiB", path(8 * 1024)),
        refused("a path of 17 KiB", 414, path(17 * 1024)),
        refused("a path of 100 KiB", 414, path(100 * 1024)),
        passed("a field of 32 KiB", get(&format!("x: {}", "v".repeat(32 * 1024)))),
        refused("a field of 70 KiB", 431, get(&format!("x: {}", "v".repeat(70 * 1024)))),
        refused("a name of 70 KiB", 431, get(&format!("{}: v", "n".repeat(70 * 1024)))),
        passed("90 fields", fields(90)),
        refused("101 fields", 431, fields(101)),
        refused("10,000 fields", 431, fields(10_000)),
        refused("a head of 40 fields of 2 KiB", 431, get(&vec![format!("x: {}", "v".repeat(2048)); 40].join("\r\n"))),
    ]
}

#[rustfmt::skip] // a row a line
fn connection_fields() -> Vec<Vector> {
    vec![
        passed("Connection names a field", get("connection: x-hop\r\nx-hop: 1")),
        passed("Connection names Host", get("connection: host")),
        passed("Connection names what protects", get("connection: authorization, cookie, x-forwarded-for\r\nauthorization: b\r\ncookie: c=d")),
        passed("Connection in two lines", get("connection: x-a\r\nconnection: x-b, X-C\r\nx-a: 1\r\nx-b: 1\r\nx-c: 1")),
        passed("Connection with empty elements", get("connection: ,, x-a ,\r\nx-a: 1")),
        passed("hop-by-hop fields", get("keep-alive: timeout=5\r\nproxy-connection: x\r\nte: trailers, gzip")),
        passed("h2c is not for us", get("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA")),
        passed("an upgrade that is not asked for in Connection", get("upgrade: websocket")),
        passed("close", get("connection: close")),
        passed("close among others", get("connection: x, Close\r\nx: 1")),
        passed("te: trailers", get("connection: te\r\nte: trailers")),
    ]
}
