//! Backends and clients that misbehave: each fault has its status and its word.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use pointsman::testing::{Accept, Answer, Behaviour, Client, Config, Origin, Proxy, whole};

use crate::raw::{Raw, RawOrigin};
use crate::{
    LIMIT, all_to, backend_with, behaving, eventually, fault, get, in_front_of, in_front_of_h2c,
    origin, scripted,
};

fn to(address: SocketAddr) -> Config {
    Config::new().backend("app", address).split(&[("app", 1)])
}

fn post(body: &'static str) -> Request<Bytes> {
    Request::post("/").body(Bytes::from(body)).expect("valid")
}

/// A port that nobody listens on.
fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket")
}

/// A listener whose queue is full: the kernel drops further attempts to connect.
fn full() -> (socket2::Socket, Vec<socket2::Socket>) {
    let stream = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = stream().expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("a free port");
    listener.listen(0).expect("it listens");
    let address = listener.local_addr().expect("a bound socket");
    let waiting = (0..8).map(|_| {
        let socket = stream().expect("a socket");
        socket.set_nonblocking(true).expect("an open socket");
        drop(socket.connect(&address));
        socket
    });
    let waiting = waiting.collect();
    (listener, waiting)
}

#[tokio::test]
async fn a_backend_that_refuses_is_502() {
    for protocol in ["http1", "h2c"] {
        let backend = format!(
            "name: app, endpoints: [\"{}\"], protocol: {protocol}",
            refusing()
        );
        let proxy = Proxy::start(&Config::new().backend_of(&backend).split(&[("app", 1)])).await;
        let answer = proxy.get("/").await;
        assert_eq!(fault(&answer), (502, "connect"), "{protocol}");
        assert!(
            answer.text().starts_with("502 connect: "),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_backend_that_does_not_accept_in_time_is_504() {
    let (listener, _waiting) = full();
    let address = listener
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("an IP address");
    let backend = format!("name: app, endpoints: [\"{address}\"], timeouts: {{connect: 200ms}}");
    let proxy = Proxy::start(&Config::new().backend_of(&backend).split(&[("app", 1)])).await;
    let begun = Instant::now();
    assert_eq!(fault(&proxy.get("/").await), (504, "connect_timeout"));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let metrics = proxy.api().metrics().await;
    let timeouts = metrics.value(
        "pointsman_upstream_connects_total",
        &[("outcome", "timeout")],
    );
    assert_eq!(timeouts, Some(1.0));
}

#[tokio::test]
async fn a_backend_that_does_not_answer_in_time_is_504_and_is_let_go() {
    let app = behaving(Behaviour::Hang).await;
    let rule = "name: everyone, split: [{backend: app}], timeouts: {request: 100ms}";
    for config in [
        Config::new().backend("app", app.address()),
        backend_with(&app, "protocol: h2c"),
    ] {
        let proxy = Proxy::start(&config.rule(rule)).await;
        assert_eq!(fault(&proxy.get("/").await), (504, "request_timeout"));
        idle(&proxy).await;
    }
}

/// Waits until nothing runs at the backend.
async fn idle(proxy: &Proxy) {
    eventually("nothing is in flight", async || {
        let metrics = proxy.api().metrics().await;
        metrics
            .value("pointsman_upstream_in_flight", &[])
            .filter(|&count| count == 0.0)
    })
    .await;
}

#[tokio::test]
async fn a_slow_body_is_not_cut_by_the_request_timeout() {
    let (chunk, every) = (Bytes::from("ab"), Duration::from_millis(60));
    let app = behaving(Behaviour::Trickle {
        chunk,
        chunks: 5,
        every,
    })
    .await;
    let rule = "name: everyone, split: [{backend: app}], timeouts: {request: 100ms}";
    let proxy = Proxy::start(&Config::new().backend("app", app.address()).rule(rule)).await;
    assert_eq!(proxy.get("/").await.text(), "ababababab");
}

#[tokio::test]
async fn a_backend_that_closes_or_resets_before_its_answer_is_502() {
    for behaviour in [Behaviour::Close, Behaviour::Reset] {
        let app = behaving(behaviour.clone()).await;
        for proxy in [in_front_of(&app).await, in_front_of_h2c(&app).await] {
            assert_eq!(
                fault(&proxy.send(post("x")).await),
                (502, "upstream_reset"),
                "{behaviour:?}"
            );
        }
        assert_eq!(app.count(), 2, "each was sent once: {behaviour:?}");
    }
}

#[tokio::test]
async fn a_backend_that_closes_a_fresh_connection_is_502_and_is_not_asked_twice() {
    // A reset may come while the connection is still being opened.
    for (accept, words) in [
        (Accept::Close, &["upstream_reset"][..]),
        (Accept::Reset, &["upstream_reset", "connect"]),
    ] {
        let app = origin("app").await;
        app.set_accept(accept);
        let proxy = in_front_of(&app).await;
        let answer = proxy.get("/").await;
        let (status, word) = fault(&answer);
        assert!(status == 502 && words.contains(&word), "{accept:?}: {word}");
        assert_eq!(app.connections(), 1, "{accept:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_502() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
    ] {
        let app = RawOrigin::answering(garbage).await;
        let answer = Proxy::start(&to(app.address)).await.get("/").await;
        assert_eq!(fault(&answer), (502, "upstream_protocol"), "{garbage:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_for_the_client_and_counted() {
    let app = behaving(Behaviour::Truncate {
        declared: 100,
        sent: 10,
    })
    .await;
    for proxy in [in_front_of(&app).await, in_front_of_h2c(&app).await] {
        let mut one = proxy.client().await;
        let response = one
            .start(get("/", &[]).map(whole))
            .await
            .expect("the head passes");
        assert_eq!(response.headers()["content-length"], "100");
        assert!(Answer::read(response).await.is_err());
        assert!(proxy.h2_client().await.get("/").await.is_err());
        let broken = async || {
            let metrics = proxy.api().metrics().await;
            metrics.value("pointsman_request_faults_total", &[("reason", "truncated")])
        };
        eventually("both are counted", async || {
            broken().await.filter(|&count| count == 2.0)
        })
        .await;
    }
}

#[tokio::test]
async fn a_chunked_answer_that_breaks_off_does_not_look_complete() {
    let app =
        RawOrigin::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let app = app.await;
    let proxy = Proxy::start(&to(app.address)).await;
    let answer = proxy.client().await.get("/").await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn a_kept_connection_that_the_backend_closed_never_surfaces() {
    let app = RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        // Closed without a word, as a server does whose keep-alive time is over.
    });
    let app = app.await;
    let proxy = Proxy::start(&to(app.address)).await;
    let mut client = proxy.client().await;
    for _ in 0..200 {
        let answer = client.get("/").await.expect("an answer");
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, "ok".to_owned())
        );
    }
}

/// Answers one request, then reads another and closes: the race that a proxy cannot see coming.
async fn closing_on_the_second_request() -> RawOrigin {
    RawOrigin::serving(|mut raw| async move {
        raw.head().await;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        raw.until("\r\n\r\n").await;
    })
    .await
}

#[tokio::test]
async fn a_get_that_met_a_closing_connection_is_sent_again() {
    let app = closing_on_the_second_request().await;
    let proxy = Proxy::start(&to(app.address)).await;
    let mut client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.expect("an answer").text(), "ok");
    }
    let retries = proxy
        .api()
        .metrics()
        .await
        .value("pointsman_upstream_retries_total", &[]);
    assert!(retries.is_some_and(|count| count >= 10.0), "{retries:?}");
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let app = scripted(|seen| match seen.method.as_str() {
        "POST" => Behaviour::Close,
        _ => Behaviour::Answer,
    });
    let app = app.await;
    let proxy = in_front_of(&app).await;
    let mut client = proxy.client().await;
    for posts in 1..=3 {
        client
            .get("/")
            .await
            .expect("an answer on a connection that is kept");
        let answer = client.send(post("pay")).await.expect("an answer");
        assert_eq!(fault(&answer), (502, "upstream_reset"));
        assert_eq!(app.count(), posts * 2);
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let app = behaving(Behaviour::Hang).await;
    for proxy in [in_front_of(&app).await, in_front_of_h2c(&app).await] {
        let count = app.count();
        let mut client = proxy.client().await;
        let waiting = tokio::spawn(async move { client.get("/").await.map(drop) });
        app.wait_for(count + 1, LIMIT)
            .await
            .expect("it reaches the backend");
        waiting.abort();
        gone(&proxy, 1.0).await;
        let mut client = proxy.h2_client().await;
        let waiting = tokio::spawn(async move { client.get("/").await.map(drop) });
        app.wait_for(count + 2, LIMIT)
            .await
            .expect("it reaches the backend");
        waiting.abort();
        gone(&proxy, 2.0).await;
        idle(&proxy).await;
    }
}

/// Waits until so many requests are counted whose client went away.
async fn gone(proxy: &Proxy, count: f64) {
    eventually("a client that is gone is counted", async || {
        let metrics = proxy.api().metrics().await;
        let gone = metrics.value(
            "pointsman_requests_total",
            &[("code", "499"), ("backend", "app")],
        );
        gone.filter(|&gone| gone == count)
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_answer_is_not_the_backends_failure() {
    let (chunk, every) = (Bytes::from(vec![b'x'; 1024]), Duration::from_millis(5));
    let app = behaving(Behaviour::Trickle {
        chunk,
        chunks: 10_000,
        every,
    })
    .await;
    let proxy = in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    raw.head().await;
    drop(raw);
    gone(&proxy, 1.0).await;
    idle(&proxy).await;
    let faults = proxy
        .api()
        .metrics()
        .await
        .value("pointsman_request_faults_total", &[("backend", "app")]);
    assert_eq!(faults.unwrap_or_default(), 0.0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_the_clients_fault() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let mut raw = Raw::connect(proxy.address()).await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n")
        .await;
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    let broken = async || {
        let metrics = proxy.api().metrics().await;
        metrics.value(
            "pointsman_request_faults_total",
            &[("reason", "request_body")],
        )
    };
    eventually("it is counted", async || {
        broken().await.filter(|&count| count == 1.0)
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_comes_back_is_used_at_once() {
    let address = refusing();
    let proxy = Proxy::start(&to(address)).await;
    assert_eq!(fault(&proxy.get("/").await), (502, "connect"));
    let _app = Origin::at(address, "back")
        .await
        .expect("the port is still free");
    assert_eq!(proxy.get("/").await.text(), "back");
}

#[tokio::test]
async fn a_fault_leaves_the_clients_connection_open() {
    let app = behaving(Behaviour::Close).await;
    let proxy = Proxy::start(&all_to(&app)).await;
    let mut client: Client = proxy.client().await;
    assert_eq!(
        fault(&client.get("/").await.expect("an answer")),
        (502, "upstream_reset")
    );
    app.set(Behaviour::Answer);
    assert_eq!(
        client.get("/").await.expect("the same connection").status,
        200
    );
}

#[tokio::test]
async fn an_upload_that_breaks_off_does_not_look_complete_to_the_backend() {
    let app = origin("app").await;
    for (proxy, framing) in [
        (
            in_front_of(&app).await,
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
        (in_front_of(&app).await, "content-length: 10\r\n\r\nhello"),
        (
            in_front_of_h2c(&app).await,
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
        (
            in_front_of_h2c(&app).await,
            "content-length: 10\r\n\r\nhello",
        ),
    ] {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send(&format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}"))
            .await;
        let busy = async || {
            proxy
                .api()
                .metrics()
                .await
                .value("pointsman_upstream_in_flight", &[])
        };
        eventually("it runs", async || {
            busy().await.filter(|&count| count == 1.0)
        })
        .await;
        drop(raw);
        idle(&proxy).await;
    }
    proxy_serves_on(&app).await;
    let uploads: Vec<_> = app
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "POST")
        .collect();
    assert!(uploads.iter().all(|seen| !seen.whole), "{uploads:?}");
}

async fn proxy_serves_on(app: &Origin) {
    assert_eq!(in_front_of(app).await.get("/").await.status, 200);
}
