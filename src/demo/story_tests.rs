//! The story against a control API made of a few lines: the numbers in, the lines out.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::control::ControlClient;
use super::screen::{Screen, Versions};
use super::story::{Ending, Pace, Story};
use crate::demo::desk;
use crate::demo::screen::Look;
use crate::testing::{Behaviour, Origin as Server};

const VERSIONS: Versions = Versions {
    primary: "6.1.8",
    canary: "6.2.0",
};

/// Tells the story and answers the ending, the lines, and what the desk was asked to do.
async fn told(fail: bool) -> (Ending, String, Server) {
    let server = desk::open(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let control = ControlClient::new(server.address());
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, Look::Plain, VERSIONS);
    let mut story = Story {
        control: &control,
        screen: &mut screen,
        versions: VERSIONS,
        pace: Pace::with_step(Duration::from_millis(200)),
        victim: fail.then_some(server.address()),
    };
    let ending = tokio::time::timeout(Duration::from_secs(10), story.tell()).await;
    let ending = ending.unwrap().unwrap();
    drop(screen);
    (ending, String::from_utf8(out).unwrap(), server)
}

fn puts(server: &Server) -> Vec<Value> {
    let puts = server
        .seen()
        .into_iter()
        .filter(|seen| seen.method == Method::PUT);
    puts.map(|seen| serde_json::from_slice(&seen.body).unwrap())
        .collect()
}

#[tokio::test]
async fn a_good_canary_is_promoted_step_by_step() {
    let (ending, text, desk) = told(false).await;
    assert_eq!(ending, Ending::Promoted, "{text}");
    for (line, expected) in text
        .lines()
        .zip(["5 % observed 5.0 %", "50 % observed 50.0 %"])
    {
        assert!(
            line.contains(expected) && line.contains("success 100.00%"),
            "{text}"
        );
    }
    assert!(
        text.contains("promoted: podinfo 6.2.0 takes 100 %"),
        "{text}"
    );
    let weights: Vec<Value> = puts(&desk)
        .iter()
        .map(|put| put["weights"]["canary"].clone())
        .collect();
    assert_eq!(weights, [5, 50, 100]);
    let put = desk
        .seen()
        .into_iter()
        .find(|seen| seen.method == Method::PUT)
        .unwrap();
    assert_eq!(put.header("if-match"), Some("\"7\""));
    assert_eq!(
        put.uri.path(),
        "/api/v1/routes/podinfo/rules/everyone/split"
    );
}

#[tokio::test]
async fn a_failing_canary_goes_back_and_the_story_says_why() {
    let (ending, text, desk) = told(true).await;
    assert_eq!(ending, Ending::RolledBack, "{text}");
    for expected in [
        "podinfo 6.2.0 starts to fail: 30 % of its answers become 500",
        "< 99 %",
        "failed check 3 of 3",
        "rolled back from 50 % to 0 %",
        "weight desired 0 % observed 0.0 %",
        "podinfo 6.1.8 serves everyone again.",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let last = puts(&desk).pop().unwrap();
    assert_eq!(last["weights"], json!({"primary": 100, "canary": 0}));
    assert_eq!(last["reason"], "demo: 6.2.0 failed its checks");
}

#[tokio::test]
async fn a_control_api_that_says_no_is_quoted() {
    let problem = json!({
        "type": "stale", "title": "Stale", "status": 412, "detail": "someone else was faster",
    });
    let server = Server::behaving("desk", Behaviour::Status(412))
        .await
        .unwrap();
    let control = ControlClient::new(server.address());
    assert!(
        control
            .split()
            .await
            .unwrap_err()
            .to_string()
            .contains("412")
    );
    server.set(Behaviour::Canned(412, problem.to_string().into()));
    let error = control.split().await.unwrap_err().to_string();
    assert!(error.contains("someone else was faster"), "{error}");
    server.stop().await;
    let error = control.split().await.unwrap_err().to_string();
    assert!(error.contains("onnection refused"), "{error}");
}
