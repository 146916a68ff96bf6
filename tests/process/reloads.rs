//! The config changes while Pointsman runs: all of it or none of it, and live weights stay.

use std::time::Duration;

use http::StatusCode;
use pointsman::testing::{Client, Load};
use rustix::process::Signal;

use crate::api::Api;
use crate::fixture::{Home, LIMIT, Pointsman, Versions, happens, until};

const SPLIT_LINE: &str = "split: [{backend: primary, weight: 1}, {backend: canary, weight: 0}]";
const REWRITES: usize = 50;

async fn has_event(api: Api, kind: &str, words: &str) {
    let mut seen = Vec::new();
    let wanted = |(one, message): &(String, String)| one == kind && message.contains(words);
    let found = happens(async || {
        seen = api.events().await;
        seen.iter().any(wanted)
    })
    .await;
    assert!(found, "no event {kind} with {words:?}: {seen:?}");
}

async fn serves(pointsman: &Pointsman, wanted: &str) {
    let mut client = Client::connect(pointsman.address())
        .await
        .expect("a connection");
    for _ in 0..10 {
        assert_eq!(client.get("/").await.expect("an answer").text(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broken_file_changes_nothing_and_is_told_in_full() {
    let versions = Versions::start().await;
    let home = Home::with(&versions.config(""));
    let pointsman = home.start().await;
    let api = pointsman.api();
    api.weigh(0, 1).await;
    let revision = api.revision().await;
    let broken = versions.config("").replace(
        SPLIT_LINE,
        "split: [{backend: primary, weight: -1}, {backend: canary}, {backend: canry}]",
    );
    home.write(&broken);

    pointsman.signal(Signal::HUP);
    has_event(api, "ConfigRefused", "2 problems").await;
    pointsman
        .logs("the config was refused, the old one serves on")
        .await;
    let reply = api.post("/api/v1/reload").await;
    assert_eq!(
        reply.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        reply.text
    );
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(reply.said("/type"), "bad-config");
    assert!(
        reply
            .said("/detail")
            .contains("the old config keeps serving"),
        "{}",
        reply.text
    );
    let errors = reply.body["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 2, "{}", reply.text);
    for error in errors {
        let place = error["pointer"].as_str().expect("a place");
        assert!(place.contains("pointsman.yaml:"), "{place}");
    }
    assert!(
        reply.text.contains("canry") && reply.text.contains("canary"),
        "{}",
        reply.text
    );

    assert_eq!(
        (api.revision().await, api.weights().await),
        (revision, (0, 1))
    );
    assert_eq!(
        api.get("/api/v1/config").await.body["lastReloadSuccessful"],
        false
    );
    assert_eq!(
        api.metric("pointsman_config_last_reload_successful").await,
        Some(0.0)
    );
    serves(&pointsman, "canary").await;

    home.write(&versions.config("clientIdleTimeout: 60s"));
    assert_eq!(api.post("/api/v1/reload").await.status, StatusCode::OK);
    assert_eq!(
        api.metric("pointsman_config_last_reload_successful").await,
        Some(1.0)
    );
    assert_eq!(api.weights().await, (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_drops_what_an_override_names_is_refused_with_the_way_out() {
    let versions = Versions::start().await;
    let home = Home::with(&versions.config(""));
    let pointsman = home.start().await;
    let api = pointsman.api();
    api.weigh(0, 1).await;
    let revision = api.revision().await;
    let without = versions
        .config("")
        .replace(SPLIT_LINE, "split: [{backend: primary}]");
    let way_out = "pointsman weight reset shop/everyone";
    home.write(&without);

    pointsman.signal(Signal::HUP);
    has_event(api, "ConfigRefused", way_out).await;
    pointsman.logs(way_out).await;
    let reply = api.post("/api/v1/reload").await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text);
    assert_eq!(reply.said("/type"), "override-in-use");
    assert_eq!(reply.said("/errors/0/hint"), way_out);
    assert!(reply.said("/detail").contains("canary"), "{}", reply.text);
    assert_eq!(
        (api.revision().await, api.weights().await),
        (revision, (0, 1))
    );
    serves(&pointsman, "canary").await;

    // The way out is one: what the message says to type works.
    let arguments: Vec<&str> = way_out.split(' ').skip(1).collect();
    let ran = pointsman.cli(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(api.post("/api/v1/reload").await.status, StatusCode::OK);
    serves(&pointsman, "primary").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_start_without_what_an_override_names_parks_it_until_it_fits_again() {
    let versions = Versions::start().await;
    let config = versions.config("");
    let without = config.replace(SPLIT_LINE, "split: [{backend: primary}]");
    let home = Home::with(&config);
    let pointsman = home.start().await;
    pointsman.api().weigh(0, 1).await;
    pointsman.kill();

    home.write(&without);
    let pointsman = home.start().await;
    let api = pointsman.api();
    has_event(api, "OverrideParked", "canary").await;
    assert!(
        pointsman.log().contains("live weights are parked"),
        "{}",
        pointsman.log()
    );
    assert_eq!(
        api.metric("pointsman_overrides{state=\"parked\"}").await,
        Some(1.0)
    );
    assert_eq!(
        api.metric("pointsman_overrides{state=\"applied\"}").await,
        Some(0.0)
    );
    let shown = api.get("/api/v1/config").await;
    assert_eq!(shown.said("/parked/0/rule"), "everyone", "{}", shown.text);
    serves(&pointsman, "primary").await;
    let ran = pointsman.cli(&["get", "routes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("shop/everyone") && said.contains("parked"),
        "{ran:?}"
    );
    pointsman.kill();

    // It waits through another start, and applies when the config has the backend again.
    let pointsman = home.start().await;
    let api = pointsman.api();
    assert_eq!(
        api.metric("pointsman_overrides{state=\"parked\"}").await,
        Some(1.0)
    );
    home.write(&config);
    pointsman.signal(Signal::HUP);
    has_event(api, "OverrideUnparked", "applies again").await;
    assert_eq!(api.weights().await, (0, 1));
    assert_eq!(
        api.metric("pointsman_overrides{state=\"parked\"}").await,
        Some(0.0)
    );
    serves(&pointsman, "canary").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reloads_fails_no_request_and_keeps_live_weights() {
    let versions = Versions::start().await;
    let home = Home::with(&versions.config(""));
    let pointsman = home.start().await;
    let (api, address) = (pointsman.api(), pointsman.address());
    api.weigh(1, 1).await;
    let pause = Duration::from_millis(2);
    let kept = Load::keep_alive(address)
        .connections(4)
        .pause(pause)
        .start();
    let fresh = Load::fresh(address).connections(2).pause(pause).start();
    kept.wait_for(20, LIMIT).await.expect("the load runs");
    let mut last = String::new();
    for rewrite in 1..=REWRITES {
        // Rules and backends come and go; the one with live weights stays.
        let extra = format!("  - {{name: extra-{rewrite}, endpoints: []}}");
        last = versions.config(&extra).replace(
            SPLIT_LINE,
            &format!(
                "split: [{{backend: primary, weight: {rewrite}}}, {{backend: canary, weight: 0}}]
      - name: rule-{rewrite}
        matches: [{{path: {{exact: /extra-{rewrite}}}}}]
        split: [{{backend: extra-{rewrite}}}]"
            ),
        );
        home.write(&last);
        pointsman.signal(Signal::HUP);
        let before = kept.counts().answered;
        kept.wait_for(before + 5, LIMIT)
            .await
            .expect("the load runs");
    }
    until("the last rewrite serves", async || {
        api.get("/api/v1/config").await.said("/text") == last
    })
    .await;
    let (kept, fresh) = (kept.stop().await, fresh.stop().await);
    for counts in [kept, fresh] {
        assert_eq!(
            (counts.failed, counts.status(200)),
            (0, counts.answered),
            "{counts:?}"
        );
        let (primary, canary) = (counts.from("primary"), counts.from("canary"));
        assert!(
            primary.abs_diff(canary) <= 2 * REWRITES as u64,
            "{counts:?}"
        );
    }
    assert_eq!(api.weights().await, (1, 1));
    let events = api.events().await;
    let count = |kind: &str| events.iter().filter(|(one, _)| one == kind).count();
    assert_eq!(count("ConfigRefused"), 0, "{events:?}");
    assert!(count("ConfigReloaded") >= 2, "{events:?}");
    assert_eq!(
        api.metric("pointsman_config_last_reload_successful").await,
        Some(1.0)
    );
}
