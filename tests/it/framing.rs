//! Where a message ends: nothing may be read differently by the two sides of the proxy.

use http::{Method, Request};
use pointsman::testing::{Config, Proxy};

use crate::http2::{Down, all_combinations};
use crate::raw::{Raw, RawOrigin, exchange};
use crate::{fault, in_front_of, origin};

/// A proxy in front of an origin that answers every request with these bytes.
async fn answering(bytes: &'static str) -> (RawOrigin, Proxy) {
    let app = RawOrigin::answering(bytes).await;
    let config = Config::new()
        .backend("app", app.address)
        .split(&[("app", 1)]);
    let proxy = Proxy::start(&config).await;
    (app, proxy)
}

#[tokio::test]
async fn a_request_with_two_framings_is_refused_or_sent_on_with_one() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    for lengths in [
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "content-length: 30\r\ntransfer-encoding: chunked\r\n",
    ] {
        let before = app.count();
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lengths}\r\n");
        let answer = exchange(proxy.address(), &format!("{head}5\r\nhello\r\n0\r\n\r\n")).await;
        if answer.starts_with("HTTP/1.1 400 ") {
            assert_eq!(app.count(), before);
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 200 "), "{lengths:?}: {answer}");
        let seen = app.last().expect("it was sent on");
        assert_eq!(
            (&seen.body[..], seen.header("content-length")),
            (&b"hello"[..], None)
        );
    }
}

#[tokio::test]
async fn an_answer_with_two_framings_reaches_the_client_with_one() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let (_app, proxy) = answering(head).await;
        let answer = proxy.client().await.get("/").await;
        match answer {
            Ok(answer) if answer.status == 502 => {}
            Ok(answer) => assert_eq!(
                (answer.header("content-length"), &*answer.text()),
                (None, "hello")
            ),
            Err(error) => panic!("{error}"),
        }
        let answer = proxy.h2_client().await.get("/").await.expect("an answer");
        assert!(
            answer.status == 502 || answer.text() == "hello",
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn bytes_after_an_answer_are_not_the_next_answer() {
    let (_app, proxy) = answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    )
    .await;
    let mut client = proxy.client().await;
    for _ in 0..10 {
        let answer = client.get("/").await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, "ok".to_owned())
        );
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_passed_whole() {
    for head in [
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
    ] {
        let (_app, proxy) = answering(head).await;
        let mut client = proxy.client().await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.expect("an answer").text(), "hello");
        }
    }
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let (_app, proxy) = answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let answer = proxy.get("/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, "ok".to_owned())
    );
}

#[tokio::test]
async fn switching_protocols_that_nobody_asked_for_is_a_fault() {
    let (_app, proxy) = answering(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbytes",
    )
    .await;
    let answer = proxy.get("/").await;
    assert_eq!(fault(&answer), (502, "upstream_protocol"));
}

#[tokio::test]
async fn requests_without_a_body_stay_without_one_in_every_combination() {
    let app = origin("app").await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        for method in [Method::GET, Method::DELETE, Method::POST] {
            let request = Request::builder().method(&method).uri("/");
            let body = pointsman::testing::whole(bytes::Bytes::new());
            let response = client.start(request.body(body).expect("valid")).await;
            assert_eq!(response.expect("an answer").status(), 200);
            let seen = app.last().expect("it was sent on");
            let framed = seen.header("transfer-encoding").is_some();
            assert!(
                !framed && seen.body_bytes == 0,
                "{method} {down:?} {up:?}: {seen:?}"
            );
        }
    }
}

#[tokio::test]
async fn answers_to_head_have_no_body_in_every_combination() {
    let app = origin("app").await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        for _ in 0..2 {
            let body = pointsman::testing::whole(bytes::Bytes::new());
            let response = client
                .start(Request::head("/").body(body).expect("valid"))
                .await;
            let response = response.unwrap_or_else(|why| panic!("{why}: {down:?} {up:?}"));
            let length = response.headers().get("content-length");
            assert_eq!(
                length.map(|length| length.as_bytes()),
                Some(&b"3"[..]),
                "{down:?} {up:?}"
            );
            let answer = pointsman::testing::Answer::read(response)
                .await
                .expect("an end");
            assert_eq!(answer.text(), "");
        }
    }
}

#[tokio::test]
async fn a_get_with_a_body_keeps_it() {
    let app = origin("app").await;
    for (down, up, mut client, _proxy) in all_combinations(&app).await {
        let body = pointsman::testing::whole(bytes::Bytes::from("query"));
        client
            .start(Request::get("/").body(body).expect("valid"))
            .await
            .expect("an answer");
        let seen = app.last().expect("it was sent on");
        assert_eq!(seen.body, "query", "{down:?} {up:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_silent_or_too_slow_is_let_go() {
    let app = origin("app").await;
    let proxy = Proxy::start(&crate::all_to(&app).setting("clientIdleTimeout: 300ms")).await;
    for part in [
        "GET / HTTP/1.1\r\nhost: a\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send(part).await;
        let begun = std::time::Instant::now();
        raw.rest().await;
        let waited = begun.elapsed();
        assert!(
            (250..5_000).contains(&waited.as_millis()),
            "{waited:?} after {part:?}"
        );
    }
}

#[tokio::test]
async fn our_own_answers_to_head_have_no_body_either() {
    let proxy = Proxy::start(&Config::new()).await;
    let mut clients = [
        Down::One(proxy.client().await),
        Down::Two(proxy.h2_client().await),
    ];
    for client in &mut clients {
        for _ in 0..2 {
            let body = pointsman::testing::whole(bytes::Bytes::new());
            let response = client
                .start(Request::head("/").body(body).expect("valid"))
                .await;
            let answer = pointsman::testing::Answer::read(response.expect("an answer")).await;
            let answer = answer.expect("an end");
            assert_eq!(
                (fault(&answer), answer.text()),
                ((404, "no_route"), String::new())
            );
            assert_eq!(answer.header("content-length"), Some("44"));
        }
    }
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_still_sends() {
    let proxy = Proxy::start(&Config::new()).await;
    for _ in 0..30 {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 8388608\r\n\r\n")
            .await;
        for _ in 0..8 {
            raw.offer(&"x".repeat(1024 * 1024)).await;
        }
        let answer = raw.head().await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}
