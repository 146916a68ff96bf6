//! Bodies pass as they come, and are never held; and what has no body stays without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use pointsman::testing::{Behaviour, Config, Proxy, RequestBody};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::http2::all_combinations;
use crate::raw::{Raw, RawOrigin, exchange};
use crate::{LIMIT, behaving, eventually, in_front_of, origin};

/// A request body that is sent piece by piece.
fn pieces() -> (Sender<Bytes>, RequestBody) {
    let (send, pieces) = channel(1);
    let frames = ReceiverStream::new(pieces).map(|piece| Ok(Frame::data(piece)));
    (send, StreamBody::new(frames).boxed_unsync())
}

/// So many times 64 KiB.
fn large(chunks: usize) -> RequestBody {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let chunks = std::iter::repeat_n(chunk, chunks).map(|chunk| Ok(Frame::data(chunk)));
    StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync()
}

#[tokio::test]
async fn each_piece_passes_before_the_next_one_is_sent_in_both_directions() {
    let app = behaving(Behaviour::Echo).await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        let (send, body) = pieces();
        let response = client
            .start(Request::post("/").body(body).expect("valid"))
            .await;
        let mut echo = response
            .expect("the head comes before the body ends")
            .into_body();
        for piece in ["one", "two", "three"] {
            send.send(Bytes::from(piece)).await.expect("it is taken");
            let frame = tokio::time::timeout(LIMIT, echo.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("{piece} is held back: {down:?} {up:?}"));
            let data = frame.expect("a frame").expect("no error").into_data();
            assert_eq!(data.expect("data"), piece);
        }
        drop(send);
        let rest = echo
            .collect()
            .await
            .expect("the end comes as well")
            .to_bytes();
        assert_eq!(rest, "", "{down:?} {up:?}");
    }
}

#[tokio::test]
async fn fifty_megabytes_pass_in_both_directions() {
    const CHUNKS: usize = 800;
    let app = behaving(Behaviour::Echo).await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        let request = Request::post("/").body(large(CHUNKS)).expect("valid");
        let mut body = client.start(request).await.expect("a head").into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.expect("no error").data_ref().map_or(0, Bytes::len);
        }
        assert_eq!(bytes, CHUNKS * 64 * 1024, "{down:?} {up:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_backend() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let app = RawOrigin::serving(move |mut raw| {
        let counted = Arc::clone(&counted);
        async move {
            raw.head().await;
            raw.send("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
                .await;
            let chunk = "x".repeat(1024 * 1024);
            for _ in 0..100 {
                raw.send(&chunk).await;
                counted.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    });
    let app = app.await;
    let proxy = Proxy::start(
        &Config::new()
            .backend("app", app.address)
            .split(&[("app", 1)]),
    )
    .await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let stalled = stalls(&written).await;
    assert!(
        stalled < 60 << 20,
        "{stalled} bytes were taken from the backend for nobody"
    );
    assert!(
        raw.rest().await.len() > 100 << 20,
        "and then everything comes"
    );
}

#[tokio::test]
async fn a_backend_that_does_not_read_stops_the_client() {
    let app = RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        std::future::pending::<()>().await;
    });
    let app = app.await;
    let proxy = Proxy::start(
        &Config::new()
            .backend("app", app.address)
            .split(&[("app", 1)]),
    )
    .await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let mut raw = Raw::connect(proxy.address()).await;
    let client = tokio::spawn(async move {
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 104857600\r\n\r\n")
            .await;
        loop {
            raw.send(&"x".repeat(1024 * 1024)).await;
            counted.fetch_add(1024 * 1024, Ordering::SeqCst);
        }
    });
    let stalled = stalls(&taken).await;
    assert!(
        stalled < 60 << 20,
        "{stalled} bytes were taken from the client for nobody"
    );
    client.abort();
}

/// Waits until a number has grown and grows no more.
pub(crate) async fn stalls(number: &AtomicUsize) -> usize {
    let (mut last, mut same) = (0, 0);
    eventually("it stalls", async || {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = number.load(Ordering::SeqCst);
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        (same == 15).then_some(now)
    })
    .await
}

#[tokio::test]
async fn a_chunked_upload_arrives_whole_with_its_trailers() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
                   trailer: x-sum\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nx-sum: 5\r\n\r\n";
    let answer = exchange(proxy.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen = app.last().expect("it reached the backend");
    assert_eq!((&seen.body[..], seen.whole), (&b"abcde"[..], true));
}

#[tokio::test]
async fn an_answer_to_head_has_its_length_and_no_body() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let request = "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = exchange(proxy.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-length: 3\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn answers_that_have_no_body_are_not_framed() {
    for (head, kept) in [
        ("HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n", "x-a: 1"),
        (
            "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-length: 10\r\n\r\n",
            "etag: \"1\"",
        ),
    ] {
        let app = RawOrigin::answering(head).await;
        let config = Config::new()
            .backend("app", app.address)
            .split(&[("app", 1)]);
        let proxy = Proxy::start(&config).await;
        let mut raw = Raw::connect(proxy.address()).await;
        for _ in 0..2 {
            raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let answer = raw.head().await;
            assert!(
                answer.starts_with(&head[..12]) && answer.contains(kept),
                "{answer}"
            );
            assert!(!answer.contains("transfer-encoding"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    assert_eq!(raw.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("hello").await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    let seen = app.last().expect("it reached the backend");
    assert_eq!((&seen.body[..], seen.whole), (&b"hello"[..], true));
}

#[tokio::test]
async fn an_http10_client_gets_an_answer_it_understands() {
    let (chunk, every) = (Bytes::from("ab"), Duration::from_millis(1));
    let app = behaving(Behaviour::Trickle {
        chunk,
        chunks: 3,
        every,
    })
    .await;
    let proxy = in_front_of(&app).await;
    for head in [
        "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let answer = exchange(proxy.address(), head).await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\nababab"),
            "not chunked, ended by the close: {answer}"
        );
        let seen = app.last().expect("it reached the backend");
        assert_eq!(
            (seen.version, seen.headers.contains_key("host")),
            (http::Version::HTTP_11, true)
        );
    }
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let app = crate::scripted(|seen| match seen.uri.path() {
        "/slow" => Behaviour::Delay(Duration::from_millis(50)),
        path => Behaviour::Body(Bytes::from(path.to_owned())),
    });
    let app = app.await;
    let proxy = in_front_of(&app).await;
    let ahead = "GET /slow HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n\
                 GET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = exchange(proxy.address(), ahead).await;
    let at = ["\r\n\r\napp", "\r\n\r\n/2", "\r\n\r\n/3"].map(|body| answers.find(body));
    assert!(
        at.iter().all(Option::is_some) && at.is_sorted(),
        "{answers}"
    );
}

#[tokio::test]
async fn a_connection_goes_on_until_the_client_says_close() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    for _ in 0..3 {
        raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(!raw.until("\r\n\r\napp").await.contains("connection:"));
    }
    raw.send("GET / HTTP/1.1\r\nhost: a\r\nConnection: Close\r\n\r\n")
        .await;
    let last = raw.rest().await;
    assert!(
        last.contains("connection: close\r\n") && last.ends_with("app"),
        "{last}"
    );
    assert_eq!(
        app.connections(),
        1,
        "what the client says about its connection is not passed on"
    );
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_is_whole_is_not_lost() {
    let app = RawOrigin::answering("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await;
    let proxy = Proxy::start(
        &Config::new()
            .backend("app", app.address)
            .split(&[("app", 1)]),
    )
    .await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\npart")
        .await;
    assert!(raw.until("\r\n\r\nbig").await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn an_http10_client_that_asks_to_keep_its_connection_keeps_it() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    for _ in 0..3 {
        raw.send("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
            .await;
        let answer = raw.until("\r\n\r\napp").await;
        assert!(answer.contains("connection: keep-alive\r\n"), "{answer}");
    }
}
