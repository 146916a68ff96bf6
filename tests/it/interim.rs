//! What comes before the answer, and answers that come before their time.

use std::time::Duration;

use pointsman::testing::{Config, Proxy};

use crate::raw::{Raw, RawOrigin, exchange};
use crate::{LIMIT, behaving, eventually, origin};
use pointsman::testing::Behaviour;

async fn before(app: &RawOrigin) -> Proxy {
    let config = Config::new()
        .backend("app", app.address)
        .split(&[("app", 1)]);
    Proxy::start(&config).await
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn who_waits_for_100_continue_gets_it_from_the_backend_and_sends_then() {
    let app = RawOrigin::serving(|mut raw| async move {
        let head = raw.head().await;
        assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
        assert_eq!(raw.unread(), "", "the body came before it was asked for");
        raw.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        raw.until("hello").await;
        raw.send(ANSWER).await;
    })
    .await;
    let proxy = before(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    assert_eq!(raw.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("hello").await;
    assert!(raw.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn who_waits_for_100_continue_in_vain_may_send_after_a_while() {
    let app = RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        raw.until("hello").await;
        raw.send(ANSWER).await;
    })
    .await;
    let proxy = before(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    raw.send("hello").await;
    assert!(raw.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_final_answer_instead_of_100_continue_ends_the_matter() {
    let app = RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        raw.send("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
            .await;
        // Not a byte of the body may come.
        assert_eq!(raw.rest().await, "");
    })
    .await;
    let proxy = before(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    let head = raw.head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn a_backend_behind_http2_is_waited_for_by_nobody() {
    let app = behaving(Behaviour::Echo).await;
    let proxy = crate::in_front_of_h2c(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    assert_eq!(raw.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("hello").await;
    assert!(raw.until("hello").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn early_hints_come_early_and_http_1_0_never_hears_of_them() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x\r\nx: 1\r\n\r\n";
    let app = RawOrigin::serving(move |mut raw| async move {
        raw.head().await;
        raw.send(hints).await;
        raw.until("go on").await;
        raw.send(ANSWER).await;
    })
    .await;
    let proxy = before(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n")
        .await;
    assert_eq!(
        raw.head().await,
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
    );
    raw.send("go on").await;
    assert!(raw.until("ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let old = exchange(
        proxy.address(),
        "POST / HTTP/1.0\r\ncontent-length: 5\r\n\r\ngo on",
    )
    .await;
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n"), "{old}");
}

#[tokio::test]
async fn an_unknown_expectation_is_answered_417() {
    let app = origin("app").await;
    let proxy = crate::in_front_of(&app).await;
    let ask = "GET / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n";
    let answer = exchange(proxy.address(), ask).await;
    assert!(answer.starts_with("HTTP/1.1 417 "), "{answer}");
    assert_eq!(app.count(), 0);
}

/// A body too long for every buffer on its way.
fn endless() -> String {
    "x".repeat(32 * 1024 * 1024)
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_read_reaches_the_client_whole() {
    let app = RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        raw.send(
            "HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large",
        )
        .await;
    })
    .await;
    let proxy = before(&app).await;
    let body = endless();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut raw = Raw::connect(proxy.address()).await;
    raw.offer(&format!("{head}{body}")).await;
    let answer = raw.rest().await;
    assert!(
        answer.starts_with("HTTP/1.1 413 "),
        "{:?}",
        answer.get(..80)
    );
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("too large"), "{answer}");
    // The proxy goes on, and so does the backend.
    assert!(
        exchange(
            proxy.address(),
            &head.replace("host: a", "host: a\r\nconnection: close")
        )
        .await
        .starts_with("HTTP/1.1 413 ")
    );
}

#[tokio::test]
async fn both_ways_may_flow_at_once() {
    let app = RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        raw.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        for word in ["one", "two", "three"] {
            raw.until(word).await;
            raw.send(&format!("{:x}\r\n{word}\r\n", word.len())).await;
        }
        raw.send("0\r\n\r\n").await;
    })
    .await;
    let proxy = before(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    assert!(raw.head().await.starts_with("HTTP/1.1 200 OK\r\n"));
    for word in ["one", "two", "three"] {
        raw.send(&format!("{:x}\r\n{word}\r\n", word.len())).await;
        raw.until(word).await;
    }
    raw.send("0\r\n\r\n").await;
    assert_eq!(raw.until("0\r\n\r\n").await, "\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_closes_its_half_after_its_last_word_is_answered() {
    let app = behaving(Behaviour::Delay(Duration::from_millis(150))).await;
    let proxy = crate::in_front_of(&app).await;
    for request in [
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send(request).await;
        raw.close_half().await;
        let answer = raw.rest().await;
        assert!(answer.contains(" 200 OK\r\n"), "{request:?}: {answer}");
    }
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send(&"GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3))
        .await;
    raw.close_half().await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let app = behaving(Behaviour::Hang).await;
    let proxy = crate::in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    app.wait_for(1, LIMIT).await.expect("it arrives");
    drop(raw);
    let quiet = async || {
        let metrics = proxy.api().metrics().await;
        let running = metrics.value("pointsman_upstream_in_flight", &[("backend", "app")]);
        (running == Some(0.0)).then_some(())
    };
    eventually("nothing runs", quiet).await;
}

#[tokio::test]
async fn a_request_that_nobody_wanted_does_not_cost_its_connection_when_its_body_is_here() {
    let proxy = Proxy::start(&Config::new()).await;
    let mut raw = Raw::connect(proxy.address()).await;
    for body in [
        "content-length: 5\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        raw.send(&format!("POST / HTTP/1.1\r\nhost: a\r\n{body}"))
            .await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        assert!(!head.contains("connection: close"), "{head}");
        raw.until("matches this request\n").await;
    }
    // With the rest of it still to come, it does: what comes next might be body.
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nhello")
        .await;
    assert!(raw.rest().await.contains("\r\nconnection: close\r\n"));
}

#[tokio::test]
async fn a_client_that_breaks_off_in_the_middle_of_both_is_not_the_backends_fault() {
    let app = RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        raw.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
            .await;
        raw.rest().await;
    })
    .await;
    let proxy = before(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nhello")
        .await;
    raw.until("one").await;
    raw.close_half().await;
    let labels = [("backend", "app"), ("code", "499")];
    eventually("it is counted as a client that went away", async || {
        proxy
            .api()
            .metrics()
            .await
            .value("pointsman_requests_total", &labels)
    })
    .await;
    let faults = proxy
        .api()
        .metrics()
        .await
        .value("pointsman_request_faults_total", &[("backend", "app")]);
    assert_eq!(faults, None);
}
