//! HTTP/2 in front, HTTP/1.1 behind, and the other way round: nothing becomes anything else on the
//! way. The backend keeps every byte and is asked afterwards.

use http::Request;
use pointsman::testing::{Config, Proxy};

use super::recorder::{Recorder, end_of_request};
use super::wire::*;
use crate::raw::Raw;

async fn in_front_of_address(address: std::net::SocketAddr, settings: &str) -> Proxy {
    let config =
        Config::new().backend_of(&format!("name: app, endpoints: [\"{address}\"]{settings}"));
    Proxy::start(&config.split(&[("app", 1)])).await
}

/// The heads of the requests on each connection of a backend, cut by the letter of HTTP/1.1.
fn heads(app: &Recorder) -> Vec<String> {
    let mut all = Vec::new();
    for connection in app.connections() {
        let mut rest = connection.as_str();
        while let Some(end) = end_of_request(rest.as_bytes()) {
            let head = rest.split_once("\r\n\r\n").expect("a head").0;
            all.push(head.to_owned());
            rest = &rest[end..];
        }
        if let Some((head, _)) = rest.split_once("\r\n\r\n") {
            all.push(head.to_owned());
        }
    }
    all
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/");
const HOST: (&str, &str) = (":authority", "a");

/// Attempts to make a second request or another field out of a part of the first.
fn attempts() -> Vec<Vec<u8>> {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let lines = [
        format!("x\r\n\r\n{smuggled}"),
        "x\r\nx-smuggled: 1".to_owned(),
        "x\nx-smuggled: 1".to_owned(),
        "x\rx-smuggled: 1".to_owned(),
        "x\0smuggled".to_owned(),
        "x HTTP/1.1\r\nx-smuggled: 1\r\ny: z".to_owned(),
    ];
    let mut all = Vec::new();
    for line in &lines {
        let path = format!("/{line}");
        for fields in [
            &[(":method", line.as_str()), SCHEME, PATH, HOST][..],
            &[METHOD, (":scheme", line.as_str()), PATH, HOST],
            &[METHOD, SCHEME, (":path", path.as_str()), HOST],
            &[METHOD, SCHEME, PATH, (":authority", line.as_str())],
            &[METHOD, SCHEME, PATH, HOST, ("x", line.as_str())],
            &[METHOD, SCHEME, PATH, HOST, (line.as_str(), "1")],
            &[
                METHOD,
                SCHEME,
                PATH,
                HOST,
                ("cookie", line.as_str()),
                ("cookie", "a"),
            ],
            &[METHOD, SCHEME, PATH, HOST, ("host", line.as_str())],
        ] {
            all.push(headers(1, END_STREAM, fields));
        }
    }
    for more in [
        &[("transfer-encoding", "chunked")][..],
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        &[("transfer-encoding", "identity")],
        &[("connection", "content-length"), ("content-length", "5")],
        &[("connection", "transfer-encoding")],
        &[("content-length", "0")],
        &[("content-length", "5")],
        &[("content-length", "5"), ("content-length", "0")],
        &[("content-length", "+0")],
        &[("content-length", "0x0")],
        &[("content-length ", "0")],
        &[("upgrade", "h2c"), ("http2-settings", "AAMAAABk")],
    ] {
        for body in [format!("0\r\n\r\n{smuggled}"), smuggled.to_owned()] {
            all.push(
                [
                    request(1, 0, "POST", more),
                    data(1, END_STREAM, body.as_bytes()),
                ]
                .concat(),
            );
        }
    }
    all
}

#[tokio::test]
async fn no_part_of_a_request_becomes_a_request_or_a_field() {
    let app = Recorder::start().await;
    let proxy = in_front_of_address(app.address, "").await;
    for attempt in attempts() {
        let mut peer = Peer::client(proxy.address()).await;
        peer.offer(&attempt).await;
        let ending = peer.ending(1).await;
        let refused =
            matches!(ending, Ending::Reset(_) | Ending::GoAway(_)) || ending.status() == Some(400);
        assert!(
            refused,
            "{ending:?} {:?}",
            String::from_utf8_lossy(&attempt)
        );
        // Whoever comes next finds no leftovers on a backend's connection.
        assert_eq!(proxy.get("/after").await.status, 200);
    }
    let heads = heads(&app);
    for head in &heads {
        let line = head.lines().next().expect("a line");
        assert!(
            ["GET /after HTTP/1.1", "POST / HTTP/1.1"].contains(&line),
            "{head}"
        );
        assert!(!head.contains("smuggled"), "{head}");
    }
    let after = heads
        .iter()
        .filter(|head| head.starts_with("GET /after"))
        .count();
    assert_eq!(after, attempts().len());
}

#[tokio::test]
async fn odd_requests_are_answered_400_and_their_connection_goes_on() {
    let app = Recorder::start().await;
    let proxy = in_front_of_address(app.address, "").await;
    let mut peer = Peer::client(proxy.address()).await;
    let long = "M".repeat(33);
    let mut stream = 1;
    for fields in [
        &[METHOD, (":scheme", "ftp"), PATH, HOST][..],
        &[METHOD, SCHEME, PATH, (":authority", "user@a")],
        &[METHOD, SCHEME, PATH, (":authority", "user:secret@a")],
        &[METHOD, SCHEME, PATH, HOST, ("host", "b")],
        &[METHOD, SCHEME, PATH, HOST, ("host", "a"), ("host", "b")],
        &[METHOD, SCHEME, PATH, ("host", "a"), ("host", "a")],
        &[METHOD, SCHEME, PATH],
        &[METHOD, SCHEME, (":path", "*"), HOST],
        &[METHOD, SCHEME, (":path", "?x"), HOST],
        &[METHOD, SCHEME, (":path", "#x"), HOST],
        &[(":method", &long), SCHEME, PATH, HOST],
        &[METHOD, SCHEME, PATH, HOST, ("x", " a")],
        &[METHOD, SCHEME, PATH, HOST, ("x", "a ")],
        &[METHOD, SCHEME, PATH, HOST, ("x", "\ta")],
    ] {
        peer.send(&headers(stream, END_STREAM, fields)).await;
        assert_eq!(peer.ending(stream).await.status(), Some(400), "{fields:?}");
        stream += 2;
    }
    peer.send(&headers(
        stream,
        END_STREAM,
        &[(":method", "CONNECT"), (":authority", "a:80")],
    ))
    .await;
    assert_eq!(peer.ending(stream).await.status(), Some(405));
    assert_eq!(app.text(), "", "nothing of all that reached the backend");
}

#[tokio::test]
async fn a_connect_with_a_length_harms_nobody_else() {
    let app = Recorder::start().await;
    let proxy = in_front_of_address(app.address, "").await;
    let mut peer = Peer::client(proxy.address()).await;
    let connect = [
        (":method", "CONNECT"),
        (":authority", "a:80"),
        ("content-length", "5"),
    ];
    peer.send(&headers(1, 0, &connect)).await;
    assert_eq!(peer.ending(1).await, Ending::Closed);
    assert_eq!(proxy.get("/").await.status, 200);
}

#[tokio::test]
async fn what_is_said_in_pieces_or_twice_is_said_once_and_whole() {
    let app = Recorder::start().await;
    let proxy = in_front_of_address(app.address, "").await;
    let mut peer = Peer::client(proxy.address()).await;
    let said = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/a?b=%20#cut"),
        (":authority", "A.example:80"),
        ("host", "a.EXAMPLE:80"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("content-length", "5"),
        ("content-length", "005"),
        ("te", "trailers"),
        ("x-empty", ""),
        ("x-twice", "1"),
        ("x-twice", "2"),
    ];
    peer.send(&[headers(1, 0, &said), data(1, END_STREAM, b"hello")].concat())
        .await;
    assert_eq!(peer.ending(1).await, Ending::Answer(200, "ok".to_owned()));
    let text = app.text();
    assert!(text.starts_with("POST /a?b=%20 HTTP/1.1\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nhello"), "{text}");
    for (line, count) in [
        ("\r\nhost: A.example:80\r\n", 1),
        ("\r\nhost:", 1),
        ("\r\ncookie: a=1; b=2\r\n", 1),
        ("\r\ncookie:", 1),
        ("\r\ncontent-length: 5\r\n", 1),
        ("\r\ncontent-length:", 1),
        ("\r\nte: trailers\r\n", 1),
        ("\r\nx-twice: ", 2),
        ("transfer-encoding", 0),
        ("\r\n:", 0),
    ] {
        assert_eq!(text.matches(line).count(), count, "{line:?} in {text}");
    }
}

#[tokio::test]
async fn the_asterisk_of_options_stays_one_in_both_directions() {
    let app = Recorder::start().await;
    let proxy = in_front_of_address(app.address, "").await;
    let mut peer = Peer::client(proxy.address()).await;
    peer.send(&headers(
        1,
        END_STREAM,
        &[(":method", "OPTIONS"), SCHEME, (":path", "*"), HOST],
    ))
    .await;
    assert_eq!(peer.ending(1).await.status(), Some(200));
    assert!(
        app.text().starts_with("OPTIONS * HTTP/1.1\r\n"),
        "{}",
        app.text()
    );

    let (send, mut asked) = tokio::sync::mpsc::channel(1);
    let app = Backend::serving(&[], move |_, mut peer| {
        let send = send.clone();
        async move {
            while let Some(asked) = peer.asked().await {
                peer.answer(asked.stream, "ok").await;
                send.send(asked).await.expect("somebody looks");
            }
        }
    })
    .await;
    let proxy = in_front_of_address(app.address, ", protocol: h2c").await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("OPTIONS * HTTP/1.1\r\nhost: b:81\r\nconnection: x-mine\r\nx-mine: 1\r\nte: trailers, gzip\r\nkeep-alive: 5\r\n\r\n").await;
    raw.head().await;
    let seen = asked.recv().await.expect("it came");
    assert_eq!(
        (seen.method.as_str(), &seen.path[..], &seen.authority[..]),
        ("OPTIONS", "*", "b:81")
    );
    for gone in ["host", "connection", "x-mine", "keep-alive"] {
        assert!(!seen.fields.contains_key(gone), "{gone}");
    }
    assert!(seen.end);
}

#[tokio::test]
async fn a_host_that_http2_cannot_carry_is_refused_and_none_made_up() {
    let app = Backend::serving(&[], |_, mut peer| async move { peer.serve("ok").await }).await;
    let proxy = in_front_of_address(app.address, ", protocol: h2c").await;
    for host in ["a:b:c", "[::1", "a]"] {
        let answer = proxy
            .send(
                Request::get("/")
                    .header("host", host)
                    .body(bytes::Bytes::new())
                    .expect("valid"),
            )
            .await;
        assert_eq!(answer.status, 400, "{host}");
    }
    assert_eq!(proxy.get("/").await.status, 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_whole_and_its_backend_connection_never_used_again() {
    let app = Recorder::start().await;
    let proxy = in_front_of_address(app.address, "").await;
    assert_eq!(proxy.get("/first").await.status, 200);
    for more in [&[][..], &[("content-length", "10")]] {
        for ending in [
            reset(1, h2::frame::Reason::NO_ERROR),
            reset(1, h2::frame::Reason::CANCEL),
            // A second HEADERS that does not end the stream breaks it.
            headers(1, 0, &[("x", "1")]),
        ] {
            let mut peer = Peer::client(proxy.address()).await;
            peer.send(&[request(1, 0, "POST", more), data(1, 0, b"half")].concat())
                .await;
            let arrived = async || {
                app.text()
                    .ends_with("half")
                    .then_some(())
                    .or_else(|| app.text().ends_with("half\r\n").then_some(()))
            };
            crate::eventually("half of it arrives", arrived).await;
            peer.send(&ending).await;
            // Nothing is left to wait for on the stream; the next request shows what became of it.
            assert_eq!(proxy.get("/after").await.status, 200);
        }
    }
    for connection in app.connections() {
        if let Some((_, after)) = connection.split_once("half") {
            assert!(["", "\r\n"].contains(&after), "{connection}");
        }
    }
    assert_eq!(
        heads(&app)
            .iter()
            .filter(|head| head.contains("/after"))
            .count(),
        6
    );
}

#[tokio::test]
async fn trailers_carry_nothing_that_had_to_be_known_before() {
    let app = Recorder::start().await;
    let proxy = in_front_of_address(app.address, "").await;
    let mut peer = Peer::client(proxy.address()).await;
    let trailers = [
        (":path", "/smuggled"),
        ("content-length", "9"),
        ("host", "smuggled"),
        ("authorization", "smuggled"),
        ("x-forwarded-for", "smuggled"),
        ("x-sum", "42"),
    ];
    let frames = [
        request(
            1,
            0,
            "POST",
            &[("trailer", "x-sum, host, content-length, authorization")],
        ),
        data(1, 0, b"hello"),
        headers(1, END_STREAM, &trailers),
    ];
    peer.send(&frames.concat()).await;
    assert_eq!(peer.ending(1).await.status(), Some(200));
    let text = app.text();
    let (_, after) = text.split_once("hello").expect("a body");
    assert!(
        !after.contains("smuggled") && !after.contains("content-length"),
        "{text}"
    );
    assert_eq!(heads(&app).len(), 1);
}

#[tokio::test]
async fn answers_of_http1_come_without_what_is_said_about_its_connection() {
    let app = Recorder::answering(
        "HTTP/1.1 200 OK\r\nconnection: close, x-mine\r\nx-mine: 1\r\nkeep-alive: 5\r\nte: gzip\r\n\
         proxy-connection: close\r\nupgrade: h2c\r\ntransfer-encoding: chunked\r\nx-stays: 1\r\n\r\n\
         2\r\nok\r\n0\r\nset-cookie: a=b\r\nx-sum: 42\r\n\r\n",
    )
    .await;
    let proxy = in_front_of_address(app.address, "").await;
    let mut peer = Peer::client(proxy.address()).await;
    peer.send(&request(1, END_STREAM, "GET", &[("te", "trailers")]))
        .await;
    let (status, fields) = peer.head(1).await;
    assert_eq!(
        (status.as_u16(), fields["x-stays"].as_bytes()),
        (200, &b"1"[..])
    );
    for gone in [
        "connection",
        "x-mine",
        "keep-alive",
        "te",
        "proxy-connection",
        "upgrade",
        "transfer-encoding",
        "content-length",
    ] {
        assert!(!fields.contains_key(gone), "{gone}: {fields:?}");
    }
    assert_eq!(peer.piece(1).await, "ok");
    let (trailers, end) = peer.trailers(1).await;
    assert_eq!(
        (trailers.len(), trailers["x-sum"].as_bytes(), end),
        (1, &b"42"[..], true)
    );
}

#[tokio::test]
async fn answers_without_content_end_with_their_head() {
    for (answer, method, length) in [
        (
            "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
            "GET",
            None,
        ),
        (
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
            "GET",
            Some("5"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            "HEAD",
            Some("5"),
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "GET",
            Some("0"),
        ),
    ] {
        let app = Recorder::answering(answer).await;
        let proxy = in_front_of_address(app.address, "").await;
        let mut peer = Peer::client(proxy.address()).await;
        peer.send(&request(1, END_STREAM, method, &[])).await;
        let fields = loop {
            // Interim answers may come before.
            let (status, fields) = peer.head(1).await;
            if !status.is_informational() {
                break fields;
            }
        };
        let said = fields.get("content-length").and_then(|it| it.to_str().ok());
        assert_eq!(said, length, "{answer}");
        peer.send(&request(3, END_STREAM, method, &[])).await;
        assert!(peer.ending(3).await.status().is_some());
    }
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_bad_gateway() {
    let app = Recorder::answering(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    )
    .await;
    let proxy = in_front_of_address(app.address, "").await;
    let mut peer = Peer::client(proxy.address()).await;
    peer.send(&get(1)).await;
    assert_eq!(peer.ending(1).await.status(), Some(502));
}
