//! The access log: one line of JSON a request on standard output, for those that were asked for.

use http::{Method, Request};
use pointsman::testing::{Behaviour, Client};
use serde_json::Value;

use crate::binary::Binary;
use crate::raw::Raw;
use crate::{all_to, get, origin, scripted};

/// A running program whose backend answers `/fails` with 500 and never answers `/hangs`.
async fn logging(what: &str) -> (Binary, pointsman::testing::Origin) {
    let app = scripted(|seen| match seen.uri.path() {
        "/fails" => Behaviour::Status(500),
        "/hangs" => Behaviour::Hang,
        _ => Behaviour::Answer,
    });
    let app = app.await;
    let binary = Binary::start(&all_to(&app).setting(&format!("accessLog: {what}"))).await;
    (binary, app)
}

async fn ask(binary: &Binary, request: Request<bytes::Bytes>) -> u16 {
    let mut client = Client::connect(binary.address).await.expect("it listens");
    client
        .send(request)
        .await
        .expect("an answer")
        .status
        .as_u16()
}

/// Stops the program; gives back all lines of the log.
async fn lines(mut binary: Binary) -> Vec<Value> {
    binary.stop().await;
    let parsed =
        |line: &String| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    binary.stdout.all().iter().map(parsed).collect()
}

fn paths(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .filter_map(|line| line["path"].as_str())
        .collect()
}

#[tokio::test]
async fn every_request_is_a_line_of_json_when_all_are_logged() {
    let (binary, _app) = logging("all").await;
    let headers = [
        ("host", "shop.example.com"),
        ("x-request-id", "mine"),
        ("user-agent", "test/1"),
    ];
    assert_eq!(ask(&binary, get("/a?token=secret", &headers)).await, 200);
    assert_eq!(ask(&binary, get("/fails", &[])).await, 500);
    let lines = lines(binary).await;
    assert_eq!(paths(&lines), ["/a", "/fails"]);
    let one = &lines[0];
    for (field, value) in [
        ("msg", "request"),
        ("request_id", "mine"),
        ("client_ip", "127.0.0.1"),
        ("method", "GET"),
        ("host", "shop.example.com"),
        ("protocol", "HTTP/1.1"),
        ("route", "app"),
        ("rule", "everyone"),
        ("backend", "app"),
        ("user_agent", "test/1"),
    ] {
        assert_eq!(one[field], value, "{field} in {one}");
    }
    assert_eq!(
        (&one["status"], &one["bytes_out"], &one["fault"]),
        (&200.into(), &3.into(), &Value::Null)
    );
    assert!(
        one["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0),
        "{one}"
    );
    assert!(
        one["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')),
        "{one}"
    );
}

#[tokio::test]
async fn only_what_failed_is_a_line_when_errors_are_logged() {
    let (binary, _app) = logging("errors").await;
    for (path, status) in [("/fine", 200), ("/fails", 500), ("/fine", 200)] {
        assert_eq!(ask(&binary, get(path, &[])).await, status);
    }
    let mut post = get("/refused", &[("host", "a/b")]);
    *post.method_mut() = Method::POST;
    assert_eq!(ask(&binary, post).await, 400);
    let lines = lines(binary).await;
    assert_eq!(paths(&lines), ["/fails", "/refused"]);
    assert_eq!(
        (&lines[0]["fault"], &lines[1]["fault"]),
        (&Value::Null, &"bad_request".into())
    );
}

#[tokio::test]
async fn nothing_is_written_when_the_log_is_off() {
    let (binary, _app) = logging("off").await;
    assert_eq!(ask(&binary, get("/fails", &[])).await, 500);
    assert_eq!(lines(binary).await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_client_that_left_is_logged_as_499() {
    let (binary, app) = logging("all").await;
    let mut raw = Raw::connect(binary.address).await;
    raw.send("GET /hangs HTTP/1.1\r\nhost: a\r\n\r\n").await;
    app.wait_for(1, crate::LIMIT).await.expect("it arrives");
    drop(raw);
    let line = binary.stdout.line("/hangs").await;
    assert!(line.contains("\"status\":499"), "{line}");
}

#[tokio::test]
async fn the_log_says_why_a_backend_could_not_be_reached() {
    let app = origin("app").await;
    let binary = Binary::start(&all_to(&app)).await;
    app.stop().await;
    assert_eq!(ask(&binary, get("/", &[])).await, 502);
    let line: Value = serde_json::from_str(&binary.stdout.line("\"connect\"").await).expect("JSON");
    let cause = line["cause"].as_str().unwrap_or_default().to_lowercase();
    assert!(cause.contains("refused"), "{line}");
}

#[tokio::test]
async fn no_secret_reaches_the_log() {
    let (binary, _app) = logging("all").await;
    let secrets = [
        ("cookie", "sid=hunter2"),
        ("authorization", "Bearer hunter2"),
    ];
    ask(&binary, get("/?password=hunter2", &secrets)).await;
    let line = binary.stdout.line("\"request\"").await;
    assert!(!line.contains("hunter2"), "{line}");
}
