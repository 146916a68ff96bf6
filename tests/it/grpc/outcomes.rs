//! What Pointsman makes of a call itself: answers of its own, deadlines, and the numbers.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use pointsman::testing::{Answer, Behaviour, Config, H2Client, Proxy, whole};
use tonic::{Code, Request, Status};

use super::probe::{Backend, Caller, asking, bounded, entry, in_front_of, within};
use crate::binary::Binary;
use crate::metrics::becomes;
use crate::{all_to, behaving, eventually, scripted};

const APP: (&str, &str) = ("backend", "app");
const CALLS: &str = "pointsman_grpc_requests_total";
const FAULTS: &str = "pointsman_request_faults_total";

async fn caller(proxy: &Proxy) -> Caller {
    Caller::connect(proxy.address()).await
}

async fn ask(caller: &mut Caller) -> Result<(), Status> {
    let request = Request::new(Bytes::from("x"));
    caller.unary(request).await.map(drop)
}

/// An empty message, as a call by hand.
fn by_hand(headers: &[(&str, &str)]) -> http::Request<Bytes> {
    let mut request = http::Request::post("/test.Probe/Unary")
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::from_static(&[0; 5])).expect("valid")
}

/// The number and the words of an answer's status, wherever they are.
fn status(answer: &Answer) -> (&str, &str) {
    let field = |name| {
        let trailers = answer.trailers.as_ref();
        let value = trailers.and_then(|trailers| trailers.get(name));
        let value = value.or_else(|| answer.headers.get(name));
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    };
    (field("grpc-status"), field("grpc-message"))
}

/// The proxy's share of calls that ended like this.
async fn counted(proxy: &Proxy, status: &str, fault: Option<&str>) {
    becomes(proxy.api(), CALLS, &[APP, ("grpc_status", status)], 1.0).await;
    if let Some(fault) = fault {
        becomes(proxy.api(), FAULTS, &[APP, ("reason", fault)], 1.0).await;
    }
}

/// The success ratio of a backend.
async fn ratio(proxy: &Proxy, backend: &str, wanted: f64) {
    let labels = [("backend", backend), ("window", "1m")];
    becomes(proxy.api(), "pointsman_success_ratio", &labels, wanted).await;
}

/// An address where nobody listens.
async fn nobody() -> std::net::SocketAddr {
    let held = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    held.and_then(|held| held.local_addr())
        .expect("a free port")
}

#[tokio::test]
async fn a_backend_that_is_down_is_unavailable_to_the_client_and_a_failure_in_the_numbers() {
    let config = Config::new().backend_of(&entry("app", nobody().await));
    let proxy = Proxy::start(&config.split(&[("app", 1)])).await;
    let status = ask(&mut caller(&proxy).await)
        .await
        .expect_err("nobody is there");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.message(), "connect: the backend cannot be reached");
    let fault = status.metadata().get("x-pointsman-fault");
    assert_eq!(fault.expect("it says who speaks"), "connect");
    counted(&proxy, "UNAVAILABLE", Some("connect")).await;
    ratio(&proxy, "app", 0.0).await;
    let requests = [APP, ("code", "200")];
    becomes(proxy.api(), "pointsman_requests_total", &requests, 1.0).await;
}

#[tokio::test]
async fn what_pointsman_answers_itself_is_an_outcome_and_nothing_else() {
    let app = behaving(Behaviour::Answer).await;
    let config = Config::new()
        .backend("app", app.address())
        .backend_of("name: empty, endpoints: []")
        .rule("name: closed, matches: [{headers: [{name: x-to, exact: closed}]}], split: [{backend: app, weight: 0}]")
        .rule("name: empty, matches: [{headers: [{name: x-to, exact: empty}]}], split: [{backend: empty}]")
        .rule("name: some, matches: [{path: {prefix: /other}}], split: [{backend: app}]");
    let proxy = Proxy::start(&config).await;
    let mut client = proxy.h2_client().await;
    for (to, wanted) in [
        ("nowhere", ("12", "no_route: no route matches this request")),
        (
            "closed",
            ("14", "split_closed: every weight of the split is zero"),
        ),
        (
            "empty",
            ("14", "no_endpoints: no endpoint of the backend is ready"),
        ),
    ] {
        let answer = client.send(by_hand(&[("x-to", to)])).await;
        let answer = answer.expect("an answer");
        assert_eq!(status(&answer), wanted);
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, String::new())
        );
        assert_eq!(answer.header("content-type"), Some("application/grpc"));
        assert!(answer.trailers.is_none() && answer.header("content-length").is_none());
        assert!(answer.header("x-pointsman-fault").is_some());
    }
    assert_eq!(app.count(), 0);
    // The same to somebody who does not speak gRPC.
    for content_type in ["application/grpc-web", "application/json"] {
        let mut request = by_hand(&[("x-to", "empty")]);
        let value = content_type.parse().expect("ASCII");
        request.headers_mut().insert("content-type", value);
        let answer = client.send(request).await.expect("an answer");
        assert_eq!(crate::fault(&answer), (503, "no_endpoints"));
        assert_eq!(status(&answer), ("", ""));
    }
}

#[tokio::test]
async fn a_server_that_never_answers_meets_the_timeout_of_the_rule() {
    let backend = Backend::named("app");
    let config = Config::new().backend_of(&backend.entry("app"));
    let rule = "name: everyone, split: [{backend: app}], timeouts: {request: 100ms}";
    let proxy = Proxy::start(&config.rule(rule)).await;
    let request = asking(Bytes::new(), &[("x-hang", "yes")]);
    let status = caller(&proxy).await.unary(request).await.expect_err("late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(
        status.message(),
        "request_timeout: the backend did not answer in time"
    );
    counted(&proxy, "DEADLINE_EXCEEDED", Some("request_timeout")).await;
    ratio(&proxy, "app", 0.0).await;
    let released = async || (backend.seen.cancelled.load(SeqCst) == 1).then_some(());
    eventually("the server hears that nobody waits", released).await;
}

#[tokio::test]
async fn the_sooner_of_timeout_and_deadline_counts() {
    let app = behaving(Behaviour::Hang).await;
    for (rule, client, wanted) in [
        ("60s", "100m", "deadline: the client's deadline has passed"),
        (
            "100ms",
            "60S",
            "request_timeout: the backend did not answer in time",
        ),
    ] {
        let config = Config::new().backend_of(&entry("app", app.address()));
        let rule = format!("name: a, split: [{{backend: app}}], timeouts: {{request: {rule}}}");
        let proxy = Proxy::start(&config.rule(&rule)).await;
        let mut client_side = proxy.h2_client().await;
        let begun = Instant::now();
        let answer = client_side.send(by_hand(&[("grpc-timeout", client)])).await;
        let answer = answer.expect("an answer");
        assert_eq!(status(&answer), ("4", wanted));
        assert!(begun.elapsed() >= Duration::from_millis(100));
        assert_eq!(answer.status, 200);
        let seen = app.last().expect("it reached the backend");
        assert_eq!(
            seen.header("grpc-timeout"),
            Some(client),
            "passed on as it came"
        );
    }
}

#[tokio::test]
async fn a_deadline_ends_a_stream_that_has_begun() {
    let backend = Backend::named("app");
    let proxy = in_front_of(&backend).await;
    let mut caller = caller(&proxy).await;
    for (count, end) in ["hang", "endless"].into_iter().enumerate() {
        let request = asking(Bytes::from("2"), &[("x-end", end)]);
        let request = within(Duration::from_millis(300), request);
        let mut messages = caller.count(request).await.expect("it begins").into_inner();
        let status = loop {
            match bounded(messages.message()).await {
                Ok(message) => assert!(message.is_some(), "no good end"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::DeadlineExceeded, "{end}: {status}");
        let released = async || (backend.seen.cancelled.load(SeqCst) == count + 1).then_some(());
        eventually("the server hears that nobody waits", released).await;
    }
    let labels = [APP, ("grpc_status", "DEADLINE_EXCEEDED")];
    becomes(proxy.api(), CALLS, &labels, 2.0).await;
    becomes(proxy.api(), FAULTS, &[APP, ("reason", "deadline")], 2.0).await;
    ratio(&proxy, "app", 0.0).await;
}

#[tokio::test]
async fn a_deadline_releases_the_server_from_a_client_that_does_not_stop_sending() {
    let backend = Backend::named("app");
    let config = Config::new().backend_of(&backend.entry("app"));
    // The server would end the call itself, if it knew.
    let rule =
        "name: a, split: [{backend: app}], filters: {requestHeaders: {remove: [grpc-timeout]}}";
    let proxy = Proxy::start(&config.rule(rule)).await;
    let mut client = proxy.h2_client().await;
    for method in ["Sum", "Echo"] {
        let request = by_hand(&[("grpc-timeout", "200m"), ("x-hang", "yes")]);
        let (mut head, _) = request.into_parts();
        head.uri = format!("/test.Probe/{method}").parse().expect("a path");
        // One message at once; then the request neither goes on nor ends.
        let body = stream::iter([Ok(Frame::data(Bytes::from_static(&[0; 5])))]);
        let body = StreamBody::new(body.chain(stream::pending())).boxed_unsync();
        let response = client.start(http::Request::from_parts(head, body)).await;
        let answer = Answer::read(response.expect("a head")).await;
        assert_eq!(status(&answer.expect("an end")).0, "4", "{method}");
    }
    let released = async || (backend.seen.cancelled.load(SeqCst) == 2).then_some(());
    eventually("the server hears that nobody waits", released).await;
}

#[tokio::test]
async fn a_client_that_leaves_at_its_deadline_has_waited_in_vain() {
    let app = behaving(Behaviour::Hang).await;
    let config = Config::new().backend_of(&entry("app", app.address()));
    let proxy = Proxy::start(&config.split(&[("app", 1)])).await;
    let mut client = proxy.h2_client().await;
    for (wait, timeout) in [(950, "1S"), (50, "60S")] {
        let request = by_hand(&[("grpc-timeout", timeout)]).map(whole);
        let wait = Duration::from_millis(wait);
        let gone = tokio::time::timeout(wait, client.start(request)).await;
        assert!(gone.is_err(), "it left");
    }
    counted(&proxy, "DEADLINE_EXCEEDED", Some("deadline")).await;
    counted(&proxy, "CANCELLED", None).await;
    ratio(&proxy, "app", 0.0).await;
    let seen = [APP, ("window", "1m")];
    becomes(proxy.api(), "pointsman_window_requests", &seen, 1.0).await;
}

#[tokio::test]
async fn a_version_that_fails_its_calls_shows_it_though_http_says_200() {
    let (good, bad) = (Backend::named("good"), Backend::named("bad"));
    let config = Config::new()
        .backend_of(&good.entry("good"))
        .backend_of(&bad.entry("bad"))
        .rule(
            "name: everyone, split: [{backend: good, weight: 50}, {backend: bad, weight: 50, \
             requestHeaders: {set: {x-fail: \"13\"}}}]",
        );
    let proxy = Proxy::start(&config).await;
    let mut caller = caller(&proxy).await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(ask(&mut caller).await.is_err());
    }
    assert_eq!(failed, bad.seen.calls.load(SeqCst));
    assert!((18..=22).contains(&failed), "{failed}");
    ratio(&proxy, "good", 1.0).await;
    ratio(&proxy, "bad", 0.0).await;
    let (good_count, bad_count) = ((40 - failed) as f64, failed as f64);
    let ok = [("backend", "good"), ("grpc_status", "OK")];
    let internal = [("backend", "bad"), ("grpc_status", "INTERNAL")];
    becomes(proxy.api(), CALLS, &ok, good_count).await;
    becomes(proxy.api(), CALLS, &internal, bad_count).await;
    let all = [("code", "200")];
    becomes(proxy.api(), "pointsman_requests_total", &all, 40.0).await;
}

#[tokio::test]
async fn a_status_speaks_against_the_server_or_not_and_never_twice() {
    let backend = Backend::named("app");
    let proxy = in_front_of(&backend).await;
    let mut caller = caller(&proxy).await;
    for code in 0..=16 {
        let wish = code.to_string();
        let wish = [("x-fail", wish.as_str())];
        let request = asking(Bytes::new(), if code == 0 { &[] } else { &wish });
        let answered = caller.unary(request).await;
        assert_eq!(answered.is_err(), code != 0);
    }
    // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    ratio(&proxy, "app", 11.0 / 17.0).await;
    for status in ["OK", "NOT_FOUND", "UNAUTHENTICATED", "UNIMPLEMENTED"] {
        counted(&proxy, status, None).await;
    }
}

#[tokio::test]
async fn an_answer_without_a_status_is_judged_by_its_http_status() {
    let app = scripted(|seen| match seen.header("x-want") {
        Some("401") => Behaviour::Status(401),
        Some("503") => Behaviour::Status(503),
        Some("cut") => Behaviour::Truncate {
            declared: 100,
            sent: 10,
        },
        _ => Behaviour::Answer,
    })
    .await;
    let config = Config::new().backend_of(&entry("app", app.address()));
    let proxy = Proxy::start(&config.split(&[("app", 1)])).await;
    let mut client = proxy.h2_client().await;
    for (want, wanted) in [("200", 200), ("401", 401), ("503", 503)] {
        let answer = client.send(by_hand(&[("x-want", want)])).await;
        assert_eq!(answer.expect("an answer").status, wanted, "as it came");
    }
    client
        .send(by_hand(&[("x-want", "cut")]))
        .await
        .expect_err("the stream breaks");
    for status in ["UNKNOWN", "UNAUTHENTICATED", "UNAVAILABLE"] {
        counted(&proxy, status, None).await;
    }
    counted(&proxy, "INTERNAL", Some("truncated")).await;
    ratio(&proxy, "app", 0.25).await;
}

#[tokio::test]
async fn requests_that_are_no_calls_are_not_counted_as_calls() {
    let app = behaving(Behaviour::Answer).await;
    let proxy = Proxy::start(&all_to(&app)).await;
    assert_eq!(
        proxy
            .h2_client()
            .await
            .get("/")
            .await
            .expect("an answer")
            .status,
        200
    );
    // gRPC needs HTTP/2: over HTTP/1.1 this is a request like any other.
    assert_eq!(proxy.send(by_hand(&[])).await.status, 200);
    becomes(proxy.api(), "pointsman_requests_total", &[APP], 2.0).await;
    assert_eq!(proxy.api().metrics().await.value(CALLS, &[]), None);
}

#[tokio::test]
async fn the_access_log_tells_how_calls_ended_and_keeps_the_failed_ones() {
    let app = scripted(|seen| match seen.header("x-want") {
        Some("status") => Behaviour::Trailers {
            body: Bytes::from("x"),
            trailers: vec![("grpc-status".to_owned(), "0".to_owned())],
        },
        _ => Behaviour::Answer,
    })
    .await;
    let config = Config::new().backend_of(&entry("app", app.address()));
    let config = config.split(&[("app", 1)]).setting("accessLog: errors");
    let mut binary = Binary::start(&config).await;
    let mut client = H2Client::connect(binary.address).await.expect("it listens");
    for want in ["status", "none"] {
        let answer = client.send(by_hand(&[("x-want", want)])).await;
        assert_eq!(answer.expect("an answer").status, 200);
    }
    binary.stop().await;
    let lines = binary.stdout.all();
    let [line] = lines.as_slice() else {
        panic!("one line: {lines:?}");
    };
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["grpc_status"], "UNKNOWN");
    assert_eq!(
        (&line["status"], &line["fault"]),
        (&200.into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn the_shipped_example_carries_a_call() {
    let (primary, canary) = (Backend::named("primary"), Backend::named("canary"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/grpc.yaml");
    let text = std::fs::read_to_string(file).expect("it is shipped");
    let text = text
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9999", &primary.address.to_string())
        .replace("127.0.0.1:9998", &canary.address.to_string());
    let text = format!("{text}control: {{address: \"127.0.0.1:0\"}}\n");
    let binary = Binary::start_text(&text).await;
    let mut caller = Caller::connect(binary.address).await;
    for _ in 0..100 {
        caller.check_health().await.expect("it serves");
    }
    let calls = |backend: &Backend| backend.seen.calls.load(SeqCst);
    let (primary, canary) = (calls(&primary), calls(&canary));
    assert!(
        primary + canary == 100 && (4..=6).contains(&canary),
        "{canary}"
    );
}
