//! The embedded origin over real sockets, both protocols.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::origin::{Origin, OriginOptions};
use crate::testing::{Answer, Client, H2Client};

async fn origin() -> Origin {
    Origin::start(OriginOptions::local("6.1.8", "podinfo-primary"))
        .await
        .unwrap()
}

async fn client(origin: &Origin) -> Client {
    Client::connect(origin.address()).await.unwrap()
}

fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(body.into())
        .unwrap()
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn every_answer_names_its_version_on_both_protocols() {
    let origin = origin().await;
    let mut one = client(&origin).await;
    let mut two = H2Client::connect(origin.address()).await.unwrap();
    for path in [
        "/",
        "/version",
        "/api/info",
        "/nowhere",
        "/status/503",
        "/healthz",
    ] {
        for answer in [one.get(path).await.unwrap(), two.get(path).await.unwrap()] {
            assert_eq!(answer.header("x-podinfo-version"), Some("6.1.8"), "{path}");
            let length = answer.header("content-length").unwrap();
            assert_eq!(length, answer.body.len().to_string(), "{path}");
        }
    }
}

#[tokio::test]
async fn the_endpoints_answer_as_podinfo_does() {
    let origin = origin().await;
    let mut client = client(&origin).await;
    let info = json_of(&client.get("/api/info").await.unwrap());
    assert_eq!(info["hostname"], "podinfo-primary");
    assert_eq!(info["message"], "greetings from podinfo v6.1.8");
    assert_eq!(json_of(&client.get("/").await.unwrap())["version"], "6.1.8");
    let version = json_of(&client.get("/version").await.unwrap());
    assert_eq!(version, json!({"commit": "unknown", "version": "6.1.8"}));
    for (path, status) in [
        ("/status/418", 418),
        ("/status/204", 204),
        ("/status/99", 400),
        ("/status/100", 400),
        ("/status/abc", 400),
        ("/delay/0.01", 200),
        ("/delay/61", 400),
        ("/delay/-1", 400),
        ("/delay/NaN", 400),
        ("/nowhere", 404),
        ("/echo", 405),
        ("/healthz", 200),
    ] {
        assert_eq!(client.get(path).await.unwrap().status, status, "{path}");
    }
    let asked = Request::get("/headers")
        .header("x-canary", "always")
        .body(Bytes::new())
        .unwrap();
    let headers = json_of(&client.send(asked).await.unwrap());
    assert_eq!(headers["x-canary"], json!(["always"]));
}

#[tokio::test]
async fn head_answers_the_head_alone() {
    let origin = origin().await;
    let mut one = client(&origin).await;
    let whole = one.get("/api/info").await.unwrap();
    let mut two = H2Client::connect(origin.address()).await.unwrap();
    for answer in [
        one.send(request(Method::HEAD, "/version", ""))
            .await
            .unwrap(),
        two.send(request(Method::HEAD, "/version", ""))
            .await
            .unwrap(),
    ] {
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert!(length > 10 && length < whole.body.len());
    }
    assert_eq!(
        one.get("/version").await.unwrap().status,
        200,
        "the connection is still in step"
    );
}

#[tokio::test]
async fn echo_streams_a_body_of_any_size_back() {
    let origin = origin().await;
    let body = Bytes::from(vec![b'x'; 8 * 1024 * 1024]);
    let mut one = client(&origin).await;
    let mut two = H2Client::connect(origin.address()).await.unwrap();
    for answer in [
        one.send(request(Method::POST, "/echo", body.clone()))
            .await
            .unwrap(),
        two.send(request(Method::PUT, "/echo", body.clone()))
            .await
            .unwrap(),
    ] {
        assert_eq!(answer.status, 202);
        assert!(answer.body == body);
    }
}

#[tokio::test]
async fn the_fault_switch_fails_users_and_spares_probes() {
    let origin = origin().await;
    let mut client = client(&origin).await;
    let fault = request(Method::PUT, "/fault", r#"{"errorRate": 0.25}"#);
    assert_eq!(client.send(fault).await.unwrap().status, 200);
    let mut failures = 0;
    for _ in 0..100 {
        failures += u32::from(client.get("/").await.unwrap().status == 500);
        assert_eq!(client.get("/readyz").await.unwrap().status, 200);
    }
    assert!((24..=26).contains(&failures), "{failures} of 100");
    let current = json_of(&client.get("/fault").await.unwrap());
    assert_eq!(current, json!({"errorRate": 0.25, "delayMs": 0}));
    client
        .send(request(Method::DELETE, "/fault", ""))
        .await
        .unwrap();
    assert_eq!(client.get("/").await.unwrap().status, 200);
    for wrong in [r#"{"errorRate": 2}"#, r#"{"errrorRate": 1}"#, "errors"] {
        let answer = client
            .send(request(Method::POST, "/fault", wrong))
            .await
            .unwrap();
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn readiness_is_a_switch() {
    let origin = origin().await;
    let mut client = client(&origin).await;
    for (path, ready) in [("/readyz/disable", 503), ("/readyz/enable", 200)] {
        assert_eq!(client.get(path).await.unwrap().status, 202);
        assert_eq!(client.get("/readyz").await.unwrap().status, ready);
    }
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight() {
    let origin = origin().await;
    let mut busy = client(&origin).await;
    let idle = client(&origin).await;
    let answer = tokio::spawn(async move { busy.get("/delay/0.3").await });
    // Long enough for the request to arrive, short enough for it to be still waiting.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    origin.stop().await;
    assert_eq!(answer.await.unwrap().unwrap().status, 200);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "an idle connection is not waited for"
    );
    drop(idle);
}
