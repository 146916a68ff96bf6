//! What is asked for wrongly, by the command line and by hand: refused in words, nothing changed.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::{Api, SPLIT};
use crate::fixture::{Home, Pointsman, Ran, Versions};

/// A running Pointsman with live weights, and what it looks like when nobody changed it.
struct Steady {
    pointsman: Pointsman,
    _home: Home,
    _versions: Versions,
    events: Vec<(String, String)>,
    revision: u64,
}

impl Steady {
    async fn start() -> Self {
        let versions = Versions::start().await;
        let home = Home::with(&versions.config(""));
        let pointsman = home.start().await;
        let api = pointsman.api();
        api.weigh(9, 1).await;
        api.weigh(8, 2).await;
        Self {
            events: api.events().await,
            revision: api.revision().await,
            pointsman,
            _home: home,
            _versions: versions,
        }
    }

    fn api(&self) -> Api {
        self.pointsman.api()
    }

    async fn is_unchanged(&self, after: &str) {
        let api = self.api();
        assert_eq!(api.weights().await, (8, 2), "{after}");
        assert_eq!(api.revision().await, self.revision, "{after}");
        assert_eq!(api.events().await, self.events, "{after}");
    }
}

/// Arguments, exit code, and words of the complaint.
type Refused<'a> = (&'a [&'a str], i32, &'a [&'a str]);
/// Headers, status and kind of the problem.
type Foreign<'a> = (&'a [(&'a str, &'a str)], StatusCode, &'a str);

#[track_caller]
fn told(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in:\n{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_refuses_in_words_and_changes_nothing() {
    let steady = Steady::start().await;
    let whole = "a whole number from 0 to 1000000";
    let cases: [Refused<'_>; 12] = [
        (
            &["shpo", "canary=5"],
            1,
            &["there is no route shpo", "did you mean shop?"],
        ),
        (&["shop/evryone", "canary=5"], 1, &["evryone", "everyone"]),
        (
            &["shop/everyone", "canray=5"],
            1,
            &["canray", "primary", "canary"],
        ),
        (&["shop", "canary=-1"], 2, &["canary=-1", whole]),
        (&["shop", "canary=0.5"], 2, &["canary=0.5", whole]),
        (&["shop", "canary=1000001"], 2, &["canary=1000001", whole]),
        (&["shop", "canary=99999999999999999999"], 2, &[whole]),
        (&["shop", "canary=5%"], 2, &["not a percentage"]),
        (&["shop", "canary"], 2, &["BACKEND=N"]),
        (
            &["shop", "canary=1", "canary=2"],
            2,
            &["canary is given two weights"],
        ),
        (
            &["shop", "canary=5", "--if-match", "1"],
            7,
            &["shop/everyone", "has changed meanwhile", "look at it again"],
        ),
        (&["shop", "canary=5", "--expires-in", "soon"], 2, &["soon"]),
    ];
    for (arguments, code, words) in cases {
        let all = [&["weight", "set"], arguments].concat();
        told(&steady.pointsman.cli(&all), code, words);
        steady.is_unchanged(&arguments.join(" ")).await;
    }
    let reset = steady.pointsman.cli(&["weight", "reset", "shop/nobody"]);
    told(&reset, 1, &["nobody"]);
    steady.is_unchanged("reset").await;
    // The same words with nothing wrong in them do work, at the revision that is current.
    let split = steady
        .api()
        .get(SPLIT)
        .await
        .number("/revision")
        .to_string();
    let set = steady
        .pointsman
        .cli(&["weight", "set", "shop", "canary=5", "--if-match", &split]);
    assert_eq!(set.code, Some(0), "{set:?}");
    assert_eq!(steady.api().weights().await, (8, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_api_that_is_not_there_is_named_with_its_address() {
    let steady = Steady::start().await;
    let address = steady.pointsman.control().to_string();
    steady.pointsman.kill();
    let ran = crate::fixture::run(&["get", "routes", "--server", &address]);
    told(&ran, 69, &[&address, "connection refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_refuses_weights_that_are_none_and_says_where() {
    let steady = Steady::start().await;
    let api = steady.api();
    for (weight, word) in [
        (json!(-1), "-1"),
        (json!(0.5), "0.5"),
        (json!(1_000_001), "1000001"),
        (json!(1e300), "1e+300"),
        (json!(u64::MAX), "18446744073709551615"),
    ] {
        let reply = api
            .put(SPLIT, &json!({"weights": {"primary": 1, "canary": weight}}))
            .await;
        assert_eq!(
            reply.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            reply.text
        );
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        assert_eq!(
            (reply.said("/type"), reply.said("/errors/0/pointer")),
            ("bad-change", "/weights/canary")
        );
        let message = reply.said("/errors/0/message");
        assert!(
            message.contains("a whole number from 0 to 1000000"),
            "{message}"
        );
        assert!(message.contains(word), "{message}");
    }
    // Everything that is wrong is told at once.
    let body = json!({"weights": {"primary": -1, "canray": 2}, "expiresIn": "soon"});
    let reply = api.put(SPLIT, &body).await;
    assert_eq!(
        reply.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        reply.text
    );
    for word in [
        "/weights/primary",
        "/weights/canray",
        "is not in this split",
        "primary, canary",
        "the weight of canary is missing",
        "/expiresIn",
    ] {
        assert!(reply.text.contains(word), "no {word:?} in {}", reply.text);
    }
    steady.is_unchanged("bad weights").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_refuses_what_is_unknown_stale_or_no_json() {
    let steady = Steady::start().await;
    let api = steady.api();
    let good = json!({"weights": {"primary": 1, "canary": 1}}).to_string();
    let put = async |path: &str, headers: &[(&str, &str)], body: &str| {
        let sent = api
            .send(Method::PUT, path, headers, Some(body.to_owned()))
            .await;
        sent.expect("the control API answers")
    };
    let reply = put("/api/v1/routes/shpo/rules/everyone/split", &[], &good).await;
    assert_eq!(
        (reply.status, reply.said("/type")),
        (StatusCode::NOT_FOUND, "unknown-route")
    );
    assert!(reply.said("/detail").contains("shpo"), "{}", reply.text);
    let reply = put("/api/v1/routes/shop/rules/nobody/split", &[], &good).await;
    assert_eq!(
        (reply.status, reply.said("/type")),
        (StatusCode::NOT_FOUND, "unknown-rule")
    );
    assert!(reply.said("/detail").contains("nobody"), "{}", reply.text);

    let reply = put(SPLIT, &[("if-match", "\"1\"")], &good).await;
    assert_eq!(
        (reply.status, reply.said("/type")),
        (StatusCode::PRECONDITION_FAILED, "stale")
    );
    let current = api.get(SPLIT).await;
    assert_eq!(
        reply.number("/current/revision"),
        current.number("/revision")
    );
    assert_eq!(
        reply.body.pointer("/current/weights"),
        Some(&json!({"primary": 8, "canary": 2}))
    );
    assert!(
        reply.said("/detail").contains("look at it again"),
        "{}",
        reply.text
    );
    assert_eq!(
        current.headers["etag"],
        format!("\"{}\"", current.number("/revision"))
    );

    for body in [
        "",
        "{",
        "[]",
        "{\"weights\": {\"primary\": 1, \"primary\": 2}}",
        "{\"wieghts\": {}}",
    ] {
        let reply = put(SPLIT, &[], body).await;
        assert!(reply.status.is_client_error(), "{body}: {}", reply.text);
        assert_ne!(reply.body, Value::Null, "{body}: {}", reply.text);
    }
    steady.is_unchanged("unknown, stale, no JSON").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_cannot_steer() {
    let steady = Steady::start().await;
    let api = steady.api();
    let good = json!({"weights": {"primary": 0, "canary": 1}}).to_string();
    let port = steady.pointsman.control().port();
    let rebound = format!("evil.example:{port}");
    let cases: [Foreign<'_>; 4] = [
        (
            &[("host", &rebound)],
            StatusCode::MISDIRECTED_REQUEST,
            "foreign-host",
        ),
        (
            &[("origin", "http://evil.example")],
            StatusCode::FORBIDDEN,
            "foreign-origin",
        ),
        (
            &[("origin", "null")],
            StatusCode::FORBIDDEN,
            "foreign-origin",
        ),
        (
            &[("sec-fetch-site", "cross-site")],
            StatusCode::FORBIDDEN,
            "foreign-origin",
        ),
    ];
    for (headers, status, kind) in cases {
        for (method, path) in [(Method::PUT, SPLIT), (Method::GET, "/api/v1/routes")] {
            let body = (method == Method::PUT).then(|| good.clone());
            let reply = api
                .send(method, path, headers, body)
                .await
                .expect("an answer");
            assert_eq!(
                (reply.status, reply.said("/type")),
                (status, kind),
                "{headers:?}"
            );
            assert!(!reply.said("/detail").is_empty());
        }
    }
    // No form of a page can send this type, so nothing else is taken.
    let plain = [("content-type", "text/plain")];
    let sent = api
        .send(Method::PATCH, SPLIT, &plain, None)
        .await
        .expect("an answer");
    assert_eq!(
        sent.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "{}",
        sent.text
    );
    steady.is_unchanged("other sites").await;
}
