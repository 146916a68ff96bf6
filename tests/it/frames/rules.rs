//! RFC 9113 from section to section: what is done about each thing that a client must not do.

use h2::frame::Reason;
use pointsman::testing::Proxy;

use super::wire::*;
use crate::{in_front_of, origin};

/// A thing that a client must not do on stream 1, and how that ends.
type Rule = (&'static str, Vec<u8>, Ending);

const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;

fn resets(reason: Reason) -> Ending {
    Ending::Reset(reason)
}

fn ends(reason: Reason) -> Ending {
    Ending::GoAway(reason)
}

fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.concat()
}

/// Each rule on a connection of its own. An error of a stream leaves the connection as it was; an
/// error of a connection leaves every other connection as it was.
async fn hold(rules: Vec<Rule>) {
    let app = origin("app").await;
    let proxy: Proxy = in_front_of(&app).await;
    let mut bystander = Peer::client(proxy.address()).await;
    let (mut wrong, mut next) = (Vec::new(), 1);
    for (rule, bytes, expected) in rules {
        let mut peer = Peer::client(proxy.address()).await;
        peer.offer(&bytes).await;
        let ending = peer.ending(1).await;
        if matches!(ending, Ending::Reset(_) | Ending::Answer(..)) {
            peer.offer(&get(101)).await;
            if peer.ending(101).await.status() != Some(200) {
                wrong.push(format!("{rule}: the connection is of no use afterwards"));
            }
        }
        if ending != expected {
            wrong.push(format!("{rule}: {ending:?} instead of {expected:?}"));
        }
        bystander.send(&get(next)).await;
        assert_eq!(bystander.ending(next).await.status(), Some(200), "{rule}");
        next += 2;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn frames_have_their_size_and_their_place() {
    let large = vec![0; 16 * 1024 + 1];
    #[rustfmt::skip] // a table, a row a line
    let rules = vec![
        ("4.2 a frame larger than allowed", data(1, 0, &large), ends(Reason::FRAME_SIZE_ERROR)),
        ("4.3 a header block that is none", frame(HEADERS, 5, 1, &[0xff; 8]), ends(PROTOCOL)),
        ("5.1 DATA on an idle stream", data(1, END_STREAM, b"x"), ends(PROTOCOL)),
        ("5.1 RST_STREAM on an idle stream", reset(1, Reason::CANCEL), ends(PROTOCOL)),
        ("5.1 WINDOW_UPDATE on an idle stream", window_update(1, 1), ends(PROTOCOL)),
        ("5.1 CONTINUATION on an idle stream", frame(CONTINUATION, 4, 1, &[]), ends(PROTOCOL)),
        ("5.1.1 a stream of the server's", get(2), ends(PROTOCOL)),
        ("5.1.1 a stream out of order", joined(&[get(3), get(1)]), ends(PROTOCOL)),
        ("5.3.1 a stream that depends on itself", frame(HEADERS, 0x25, 1, &joined(&[vec![0, 0, 0, 1, 0], block(&[(":method", "GET")])])), resets(PROTOCOL)),
        ("6.1 DATA on stream 0", data(0, 0, b"x"), ends(PROTOCOL)),
        ("6.1 more padding than frame", joined(&[request(1, 0, "POST", &[]), frame(DATA, PADDED, 1, &[9, 0, 0])]), ends(PROTOCOL)),
        ("6.2 HEADERS on stream 0", get(0), ends(PROTOCOL)),
        ("6.2 more padding than headers", frame(HEADERS, 0xd, 1, &[9, 0]), ends(PROTOCOL)),
        ("6.2 another frame in the middle of headers", joined(&[frame(HEADERS, 1, 1, &block(&[(":method", "GET")])), frame(PING, 0, 0, &[0; 8])]), ends(PROTOCOL)),
        ("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0; 5]), ends(PROTOCOL)),
        ("6.3 PRIORITY of the wrong size", frame(PRIORITY, 0, 1, &[0; 4]), ends(PROTOCOL)),
        ("6.4 RST_STREAM on stream 0", reset(0, Reason::CANCEL), ends(PROTOCOL)),
        ("6.4 RST_STREAM of the wrong size", joined(&[request(1, 0, "POST", &[]), frame(RST_STREAM, 0, 1, &[0; 3])]), ends(PROTOCOL)),
        ("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), ends(PROTOCOL)),
        ("6.10 CONTINUATION of another stream", joined(&[frame(HEADERS, 1, 1, &block(&[(":method", "GET")])), frame(CONTINUATION, 4, 3, &[])]), ends(PROTOCOL)),
        ("6.10 CONTINUATION after the end of headers", joined(&[request(1, 0, "POST", &[]), frame(CONTINUATION, 4, 1, &[])]), ends(PROTOCOL)),
    ];
    hold(rules).await;
}

#[tokio::test]
async fn settings_pings_windows_and_promises_are_as_they_have_to_be() {
    let overflow = joined(&[request(1, 0, "POST", &[]), window_update(1, (1 << 31) - 1)]);
    #[rustfmt::skip] // a table, a row a line
    let rules = vec![
        ("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), ends(PROTOCOL)),
        ("6.5 an acknowledgement that says something", frame(SETTINGS, ACK, 0, &[0; 6]), ends(PROTOCOL)),
        ("6.5 half a setting", frame(SETTINGS, 0, 0, &[0; 5]), ends(PROTOCOL)),
        ("6.5.2 ENABLE_PUSH neither on nor off", settings(&[(2, 2)]), ends(PROTOCOL)),
        ("6.5.2 a window that is too large", settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)]), ends(PROTOCOL)),
        ("6.5.2 a frame size that is too small", settings(&[(5, 16_383)]), ends(PROTOCOL)),
        ("6.5.2 a setting that nobody knows", joined(&[settings(&[(0xff, 1)]), get(1)]), Ending::Answer(200, "app".to_owned())),
        ("6.6 PUSH_PROMISE from a client", frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]), ends(PROTOCOL)),
        ("6.7 PING on a stream", frame(PING, 0, 1, &[0; 8]), ends(PROTOCOL)),
        ("6.7 PING of the wrong size", frame(PING, 0, 0, &[0; 6]), ends(PROTOCOL)),
        ("6.9 WINDOW_UPDATE by nothing", window_update(0, 0), ends(PROTOCOL)),
        ("6.9 WINDOW_UPDATE of the wrong size", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), ends(PROTOCOL)),
        ("6.9.1 the connection's window overflows", window_update(0, (1 << 31) - 1), ends(Reason::FLOW_CONTROL_ERROR)),
        ("6.9.1 a stream's window overflows", overflow, resets(Reason::FLOW_CONTROL_ERROR)),
        ("5.5 a frame that nobody knows", joined(&[frame(0xbe, 0xff, 1, b"?"), get(1)]), Ending::Answer(200, "app".to_owned())),
    ];
    hold(rules).await;
}

#[tokio::test]
async fn a_malformed_request_is_reset_and_an_undecodable_one_ends_its_connection() {
    let get = |more: &[(&str, &str)]| request(1, END_STREAM, "GET", more);
    let only = |fields: &[(&str, &str)]| headers(1, END_STREAM, fields);
    let (method, scheme) = ((":method", "GET"), (":scheme", "http"));
    let (path, host) = ((":path", "/"), (":authority", "a"));
    #[rustfmt::skip] // a table, a row a line
    let mut rules = vec![
        ("8.2.1 a name in upper case", get(&[("X-Upper", "1")]), ends(PROTOCOL)),
        ("8.2.1 a name with a blank", get(&[("x y", "1")]), ends(PROTOCOL)),
        ("8.2.1 a name with a colon", get(&[("x:y", "1")]), ends(PROTOCOL)),
        ("8.2.1 a name with a newline", get(&[("x\r\ny", "1")]), ends(PROTOCOL)),
        ("8.2.1 no name", get(&[("", "1")]), ends(PROTOCOL)),
        ("8.2.1 a value with CR", get(&[("x", "a\rb")]), ends(PROTOCOL)),
        ("8.2.1 a value with LF", get(&[("x", "a\nb")]), ends(PROTOCOL)),
        ("8.2.1 a value with NUL", get(&[("x", "a\0b")]), ends(PROTOCOL)),
        ("8.2.2 connection", get(&[("connection", "close")]), resets(PROTOCOL)),
        ("8.2.2 keep-alive", get(&[("keep-alive", "5")]), resets(PROTOCOL)),
        ("8.2.2 proxy-connection", get(&[("proxy-connection", "close")]), resets(PROTOCOL)),
        ("8.2.2 transfer-encoding", get(&[("transfer-encoding", "chunked")]), resets(PROTOCOL)),
        ("8.2.2 upgrade", get(&[("upgrade", "h2c")]), resets(PROTOCOL)),
        ("8.2.2 te: gzip", get(&[("te", "gzip")]), resets(PROTOCOL)),
        ("8.3 an unknown pseudo header", get(&[(":x", "1")]), ends(PROTOCOL)),
        ("8.3 a pseudo header of answers", get(&[(":status", "200")]), resets(PROTOCOL)),
        ("8.3 a pseudo header after a field", only(&[method, scheme, path, ("x", "1"), host]), resets(PROTOCOL)),
        ("8.3.1 no method", only(&[scheme, path, host]), resets(PROTOCOL)),
        ("8.3.1 no scheme", only(&[method, path, host]), resets(PROTOCOL)),
        ("8.3.1 no path", only(&[method, scheme, host]), resets(PROTOCOL)),
        ("8.3.1 an empty path", only(&[method, scheme, host, (":path", "")]), resets(PROTOCOL)),
        ("8.3.1 a path without a slash", only(&[method, scheme, host, (":path", "x")]), resets(PROTOCOL)),
        ("8.3.1 a path with a blank", only(&[method, scheme, host, (":path", "/a b")]), resets(PROTOCOL)),
        ("8.3.1 a path with a newline", only(&[method, scheme, host, (":path", "/a\r\nx: y")]), resets(PROTOCOL)),
        ("8.3.1 a path with NUL", only(&[method, scheme, host, (":path", "/\0")]), resets(PROTOCOL)),
        ("8.3.1 an authority with a path", only(&[method, scheme, path, (":authority", "a/b")]), resets(PROTOCOL)),
        ("8.3.1 an empty authority", only(&[method, scheme, path, (":authority", "")]), resets(PROTOCOL)),
        ("8.3.1 a scheme that is none", only(&[method, (":scheme", "ht tp"), path, host]), resets(PROTOCOL)),
        ("8.5 :protocol without leave", get(&[(":protocol", "websocket")]), resets(PROTOCOL)),
    ];
    for twice in [method, scheme, path, host] {
        let fields = [method, scheme, path, host, twice];
        rules.push(("8.3 a pseudo header twice", only(&fields), resets(PROTOCOL)));
    }
    hold(rules).await;
}

#[tokio::test]
async fn what_a_body_is_said_to_be_and_what_it_is_have_to_agree() {
    let post = |length: &str| request(1, 0, "POST", &[("content-length", length)]);
    let with = |length: &str, bytes: &[u8]| joined(&[post(length), data(1, END_STREAM, bytes)]);
    let two = |one: &str, other: &str| {
        request(
            1,
            END_STREAM,
            "POST",
            &[("content-length", one), ("content-length", other)],
        )
    };
    let trailers = |fields: &[(&str, &str)]| {
        joined(&[
            post("5"),
            data(1, 0, b"hello"),
            headers(1, END_STREAM, fields),
        ])
    };
    #[rustfmt::skip] // a table, a row a line
    let rules = vec![
        ("8.1.1 less than was said", with("5", b"four"), resets(PROTOCOL)),
        ("8.1.1 more than was said", with("5", b"sixsix"), resets(PROTOCOL)),
        ("8.1.1 nothing where something was said", request(1, END_STREAM, "POST", &[("content-length", "5")]), resets(PROTOCOL)),
        ("8.1.1 a length that is none", request(1, 0, "POST", &[("content-length", "5x")]), resets(PROTOCOL)),
        ("8.1.1 a list of lengths", request(1, 0, "POST", &[("content-length", "5, 5")]), resets(PROTOCOL)),
        ("8.1.1 two lengths", two("5", "6"), resets(PROTOCOL)),
        ("5.1 DATA after the end", joined(&[get(1), data(1, 0, b"x")]), ends(PROTOCOL)),
        ("5.1 HEADERS after the end", joined(&[get(1), get(1)]), ends(PROTOCOL)),
        ("8.1 trailers that are not the end", joined(&[post("5"), data(1, 0, b"hello"), headers(1, 0, &[("x", "1")])]), resets(PROTOCOL)),
        ("8.1 trailers with a pseudo header", trailers(&[(":path", "/x")]), Ending::Answer(200, "app".to_owned())),
        ("8.2.2 trailers with a field of the connection", trailers(&[("transfer-encoding", "chunked")]), resets(PROTOCOL)),
    ];
    hold(rules).await;
}

#[tokio::test]
async fn what_comes_for_a_stream_that_was_reset_is_ignored_and_for_an_ended_one_an_error() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut peer = Peer::client(proxy.address()).await;
    let lie = [
        request(1, 0, "POST", &[("content-length", "1")]),
        data(1, 0, b"two"),
    ];
    peer.send(&joined(&lie)).await;
    assert_eq!(peer.ending(1).await, resets(PROTOCOL));
    // The client may not have heard of it yet.
    let late = [
        data(1, 0, b"more"),
        headers(1, END_STREAM, &[("x", "1")]),
        window_update(1, 1),
    ];
    peer.send(&joined(&late)).await;
    peer.send(&get(3)).await;
    assert_eq!(peer.ending(3).await.status(), Some(200));
    peer.send(&joined(&[
        window_update(3, 1),
        reset(3, Reason::CANCEL),
        get(5),
    ]))
    .await;
    assert_eq!(
        peer.ending(5).await.status(),
        Some(200),
        "these may cross the end"
    );
    peer.send(&data(5, END_STREAM, b"x")).await;
    assert_eq!(peer.ending(5).await, resets(Reason::STREAM_CLOSED));
}

#[tokio::test]
async fn a_preface_that_is_none_is_told_so_and_closed() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    for preface in [
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
    ] {
        let mut raw = crate::raw::Raw::connect(proxy.address()).await;
        raw.send(preface).await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 505 "), "{preface:?}: {answer}");
    }
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn the_stream_after_the_hundredth_is_refused_and_safe_to_repeat() {
    let app = crate::behaving(pointsman::testing::Behaviour::Hang).await;
    let proxy = in_front_of(&app).await;
    let mut peer = Peer::client(proxy.address()).await;
    let all: Vec<u8> = (0..101).flat_map(|at| get(2 * at + 1)).collect();
    peer.send(&all).await;
    assert_eq!(peer.ending(201).await, resets(Reason::REFUSED_STREAM));
    app.wait_for(100, crate::LIMIT)
        .await
        .expect("all others arrive");
    peer.send(&reset(1, Reason::CANCEL)).await;
    app.set(pointsman::testing::Behaviour::Answer);
    peer.send(&get(203)).await;
    assert_eq!(
        peer.ending(203).await.status(),
        Some(200),
        "one has made room"
    );
}
