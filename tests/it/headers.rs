//! The headers at the two edges: what stays behind, what is put on, what is refused.

use pointsman::testing::{Behaviour, Seen};

use crate::raw::{Raw, RawOrigin, exchange};
use crate::{behaving, fault, get, in_front_of, origin};

/// What a backend sees of a GET with these headers.
async fn forwarded(headers: &[(&str, &str)]) -> Seen {
    let app = origin("app").await;
    let answer = in_front_of(&app).await.send(get("/", headers)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    app.last().expect("it reached the backend")
}

/// The whole exchange of one request's text, whose connection ends with the answer.
async fn answer_to(request: &str) -> String {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    exchange(proxy.address(), request).await
}

#[tokio::test]
async fn what_concerns_one_connection_stays_on_it() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, x-secret\r\nx-secret: 1\r\n\
                   keep-alive: 5\r\nproxy-connection: x\r\nte: gzip\r\nx-stays: 1\r\n\r\n";
    let answer = exchange(proxy.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen = app.last().expect("it reached the backend");
    for gone in [
        "connection",
        "x-secret",
        "keep-alive",
        "proxy-connection",
        "te",
        "upgrade",
    ] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert_eq!(seen.header("x-stays"), Some("1"));
}

#[tokio::test]
async fn what_concerns_the_backends_connection_stays_on_that() {
    let app = RawOrigin::answering(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close, x-hop\r\nx-hop: 1\r\n\
         keep-alive: timeout=5\r\nproxy-connection: close\r\nx-stays: 1\r\n\r\nok",
    )
    .await;
    let config = pointsman::testing::Config::new()
        .backend("app", app.address)
        .split(&[("app", 1)]);
    let proxy = pointsman::testing::Proxy::start(&config).await;
    let mut client = proxy.client().await;
    for _ in 0..2 {
        let answer = client
            .get("/")
            .await
            .expect("the client's connection goes on");
        for gone in ["connection", "x-hop", "keep-alive", "proxy-connection"] {
            assert_eq!(answer.header(gone), None, "{gone}");
        }
        assert_eq!(
            (answer.header("x-stays"), answer.text()),
            (Some("1"), "ok".to_owned())
        );
    }
}

#[tokio::test]
async fn backends_are_told_who_asked_and_how() {
    let seen = forwarded(&[("host", "shop.example.com:8080")]).await;
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(
        seen.header("x-forwarded-host"),
        Some("shop.example.com:8080")
    );
    assert_eq!(seen.header("via"), Some("1.1 pointsman"));
    assert_eq!(seen.header("host"), Some("shop.example.com:8080"));
}

#[tokio::test]
async fn nobody_can_claim_to_be_somebody_else() {
    let lies = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example.com"),
        ("host", "a.example.com"),
    ];
    let seen = forwarded(&lies).await;
    for (name, truth) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a.example.com"),
    ] {
        let all: Vec<_> = seen.headers.get_all(name).iter().collect();
        assert_eq!(all, [truth], "{name}");
    }
}

#[tokio::test]
async fn proxies_before_us_stay_in_the_via_list() {
    let seen = forwarded(&[("via", "1.0 edge")]).await;
    let all: Vec<_> = seen.headers.get_all("via").iter().collect();
    assert_eq!(all, ["1.0 edge", "1.1 pointsman"]);
}

#[tokio::test]
async fn a_request_id_is_kept_if_there_is_one_and_made_if_not() {
    assert_eq!(
        forwarded(&[("x-request-id", "mine")])
            .await
            .header("x-request-id"),
        Some("mine")
    );
    let first = forwarded(&[]).await;
    let first = first.header("x-request-id").expect("one is made");
    assert!(
        first.len() == 32 && first.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{first}"
    );
    assert_ne!(forwarded(&[]).await.header("x-request-id"), Some(first));
    let long = "x".repeat(1_000);
    assert_eq!(
        forwarded(&[("x-request-id", &long)])
            .await
            .header("x-request-id")
            .map(str::len),
        Some(32)
    );
}

#[tokio::test]
async fn a_connection_header_cannot_strip_what_backends_rely_on() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nauthorization: x\r\ncookie: a=b\r\n\
                   connection: close, authorization, cookie, x-forwarded-for, host\r\n\r\n";
    exchange(proxy.address(), request).await;
    let seen = app.last().expect("it reached the backend");
    for kept in ["host", "authorization", "cookie", "x-forwarded-for"] {
        assert!(seen.header(kept).is_some(), "{kept}");
    }
}

#[tokio::test]
async fn several_values_and_bytes_beyond_ascii_pass_unchanged() {
    let headers = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-name", "Zürich"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let app = behaving(Behaviour::Headers(headers.to_vec())).await;
    let answer = in_front_of(&app).await.get("/").await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.headers["x-name"].as_bytes(), "Zürich".as_bytes());
}

#[tokio::test]
async fn ambiguous_requests_are_refused_and_reach_nobody() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx\0y: 1\r\n",
        "G ET / HTTP/1.1\r\nhost: a\r\n",
    ] {
        let answer = exchange(proxy.address(), &format!("{head}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer:?}");
    }
    let answer = exchange(proxy.address(), "GET / HTTP/1.1\r\n\r\n").await;
    let says = "400 bad_request: the host is missing, repeated or not valid\n";
    assert!(answer.ends_with(says), "{answer}");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn connect_is_not_served() {
    let answer = answer_to("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(
        answer.contains("x-pointsman-fault: method_refused"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    raw.offer(&head).await;
    let answer = raw.head().await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(app.count(), 0);
}

#[tokio::test]
async fn an_error_of_our_own_is_not_cached_and_names_its_reason() {
    let proxy = pointsman::testing::Proxy::start(&pointsman::testing::Config::new()).await;
    let answer = proxy.get("/").await;
    assert_eq!(fault(&answer), (404, "no_route"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        answer.text(),
        "404 no_route: no route matches this request\n"
    );
}

#[tokio::test]
async fn options_for_the_server_itself_reach_the_backend() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let request = "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = exchange(proxy.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(app.last().expect("it reached the backend").uri, "*");
}
