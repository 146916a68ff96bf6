//! The points move while traffic flows.

use std::time::Duration;

use http::Method;
use pointsman::testing::{
    Api, Behaviour, Client, Config, Load, Origin, Proxy, SPLIT, split_change,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::binary::Binary;
use crate::raw::Raw;
use crate::{LIMIT, behaving, eventually, fault, origin};

/// Two origins, and a config that splits between them.
async fn two(weights: [u32; 2]) -> (Origin, Origin, Config) {
    let (old, new) = (origin("old").await, origin("new").await);
    let config = split_between(&old, &new, weights);
    (old, new, config)
}

fn split_between(old: &Origin, new: &Origin, [a, b]: [u32; 2]) -> Config {
    let config = Config::new()
        .backend("old", old.address())
        .backend("new", new.address());
    config.split(&[("old", a), ("new", b)])
}

/// Who answers the next request of this client.
async fn who(client: &mut Client) -> String {
    client.get("/").await.expect("an answer").text()
}

fn weights(split: &Value) -> (u64, u64) {
    let weight = |name: &str| {
        split
            .pointer(&format!("/weights/{name}"))
            .and_then(Value::as_u64)
    };
    (
        weight("old").expect("a weight"),
        weight("new").expect("a weight"),
    )
}

async fn kinds(api: Api) -> Vec<String> {
    let events = api.get_json("/api/v1/events").await;
    let events = events
        .get("items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let kinds = events.filter_map(|event| event.get("kind").and_then(Value::as_str));
    kinds.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_change_serves_the_very_next_request_of_a_kept_connection() {
    let (_old, _new, config) = two([1, 0]).await;
    let proxy = Proxy::start(&config).await;
    let mut client = proxy.client().await;
    for _ in 0..50 {
        assert_eq!(who(&mut client).await, "old");
        proxy.api().put_split(&[("old", 0), ("new", 1)]).await;
        assert_eq!(who(&mut client).await, "new");
        proxy.api().put_split(&[("old", 1), ("new", 0)]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_changes_under_load_lose_nothing_and_serve_at_once() {
    let (_old, _new, config) = two([1, 0]).await;
    let state = tempfile::tempdir().expect("a directory");
    let proxy = Proxy::start_with(&config, 2, Some(state.path().to_owned())).await;
    let load = Load::keep_alive(proxy.address())
        .connections(4)
        .pause(Duration::from_millis(1));
    let load = load.start();
    // The kernel spreads connections over the workers, so some of these are on each.
    let mut probes = Vec::new();
    for _ in 0..4 {
        probes.push(proxy.client().await);
    }
    for change in 0..1_000_u32 {
        let new = (change + 1) % 2;
        proxy
            .api()
            .put_split(&[("old", 1 - new), ("new", new)])
            .await;
        let probe = &mut probes[change as usize / 2 % 4];
        assert_eq!(
            who(probe).await,
            ["old", "new"][new as usize],
            "change {change}"
        );
    }
    let counts = load.stop().await;
    assert_eq!(
        (counts.failed, counts.status(200)),
        (0, counts.answered),
        "{counts:?}"
    );
    assert!(
        counts.answered > 500 && counts.from("new") > 0 && counts.from("old") > 0,
        "{counts:?}"
    );
    proxy.stop().await;
}

#[tokio::test]
async fn a_request_that_runs_is_not_disturbed_by_a_change() {
    let (old, _new, config) = two([1, 0]).await;
    old.set(Behaviour::Delay(Duration::from_millis(300)));
    let proxy = Proxy::start(&config).await;
    let mut client = proxy.client().await;
    let running = tokio::spawn(async move { who(&mut client).await });
    old.wait_for(1, LIMIT).await.expect("it arrives");
    proxy.api().put_split(&[("old", 0), ("new", 1)]).await;
    assert_eq!(proxy.get("/").await.text(), "new");
    assert!(!running.is_finished(), "it still waits for the old one");
    assert_eq!(running.await.expect("no panic"), "old");
}

#[tokio::test]
async fn dropping_the_live_weights_goes_back_to_the_configs() {
    let (_old, _new, config) = two([1, 0]).await;
    let proxy = Proxy::start(&config).await;
    proxy.api().put_split(&[("old", 0), ("new", 1)]).await;
    assert_eq!(proxy.get("/").await.text(), "new");
    proxy.api().delete_split().await;
    assert_eq!(proxy.get("/").await.text(), "old");
    assert_eq!(proxy.api().split().await["override"], Value::Null);
    assert_eq!(
        kinds(proxy.api()).await,
        ["Started", "SplitSet", "SplitReset"]
    );
}

#[tokio::test]
async fn a_stale_change_is_refused_and_moves_nothing() {
    let (_old, _new, config) = two([1, 0]).await;
    let proxy = Proxy::start(&config).await;
    let api = proxy.api();
    let tag = api
        .get(SPLIT)
        .await
        .header("etag")
        .expect("a tag")
        .to_owned();
    let put = async |weights: [u32; 2]| {
        let body = split_change(&[("old", weights[0]), ("new", weights[1])]);
        api.call(Method::PUT, SPLIT, &[("if-match", &tag)], body)
            .await
    };
    let first = put([1, 1]).await;
    assert_eq!(first.status, 200);
    assert_ne!(first.header("etag"), Some(&*tag));
    assert_eq!(put([0, 1]).await.status, 412);
    assert_eq!(weights(&api.split().await), (1, 1));
}

#[tokio::test]
async fn what_is_refused_or_only_tried_moves_nothing() {
    let (_old, _new, config) = two([1, 0]).await;
    let proxy = Proxy::start(&config).await;
    let dry = format!("{SPLIT}?dryRun=true");
    for (path, body, status) in [
        (&*dry, r#"{"weights": {"old": 0, "new": 1}}"#, 200),
        (SPLIT, r#"{"weights": {"old": 0}}"#, 422),
        (
            SPLIT,
            r#"{"weights": {"old": 0, "new": 1, "other": 1}}"#,
            422,
        ),
        (SPLIT, r#"{"weights": {"old": -1, "new": 1}}"#, 422),
        (SPLIT, r#"{"weights": {"old": 0.5, "new": 1}}"#, 422),
        (SPLIT, r#"{"weights": {"old": 0, "new": 1000001}}"#, 422),
        (
            "/api/v1/routes/app/rules/nobody/split",
            r#"{"weights": {"old": 0, "new": 1}}"#,
            404,
        ),
    ] {
        let answer = proxy
            .api()
            .call(Method::PUT, path, &[], body.to_owned())
            .await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    assert_eq!(proxy.get("/").await.text(), "old");
    assert_eq!(kinds(proxy.api()).await, ["Started"]);
}

#[tokio::test]
async fn live_weights_that_expire_go_away_by_themselves() {
    let (_old, _new, config) = two([1, 0]).await;
    let proxy = Proxy::start(&config).await;
    let body = json!({"weights": {"old": 0, "new": 1}, "expiresIn": "700ms", "reason": "a try"});
    let answer = proxy
        .api()
        .call(Method::PUT, SPLIT, &[], body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut client = proxy.client().await;
    assert_eq!(who(&mut client).await, "new");
    let back = async || Some(who(&mut client).await).filter(|who| who == "old");
    eventually("the old weights are back", back).await;
    assert_eq!(
        kinds(proxy.api()).await,
        ["Started", "SplitSet", "OverrideExpired"]
    );
}

#[tokio::test]
async fn a_split_can_be_closed_and_opened_again() {
    let (_old, _new, config) = two([1, 1]).await;
    let proxy = Proxy::start(&config).await;
    let answer = proxy.api().put_split(&[("old", 0), ("new", 0)]).await;
    assert!(
        answer.text().contains("closed"),
        "it warns: {}",
        answer.text()
    );
    assert_eq!(fault(&proxy.get("/").await), (503, "split_closed"));
    proxy.api().put_split(&[("old", 0), ("new", 5)]).await;
    assert_eq!(proxy.get("/").await.text(), "new");
}

#[tokio::test]
async fn some_weights_can_be_changed_alone() {
    let (_old, _new, config) = two([95, 5]).await;
    let proxy = Proxy::start(&config).await;
    let body = json!({"weights": {"new": 20}}).to_string();
    let answer = proxy.api().call(Method::PATCH, SPLIT, &[], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(weights(&proxy.api().split().await), (95, 20));
}

#[tokio::test]
async fn a_watcher_hears_of_every_change_with_its_actor_and_reason() {
    let (_old, _new, config) = two([1, 0]).await;
    let proxy = Proxy::start(&config).await;
    let mut raw = Raw::connect(proxy.api().address()).await;
    let watch = "GET /api/v1/watch HTTP/1.1\r\nhost: localhost\r\nlast-event-id: 0\r\n\r\n";
    raw.send(watch).await;
    raw.until("event: Started\n").await;
    let body = json!({"weights": {"old": 1, "new": 1}, "reason": "half"}).to_string();
    let actor = [("x-pointsman-actor", "cli:ada")];
    proxy.api().call(Method::PUT, SPLIT, &actor, body).await;
    raw.until("event: SplitSet\n").await;
    let event = raw.until("\n\n").await;
    let data = event
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .expect("data");
    let event: Value = serde_json::from_str(data).expect("JSON");
    assert_eq!(
        (&event["actor"], &event["reason"]),
        (&"cli:ada".into(), &"half".into()),
        "{event}"
    );
    proxy.api().delete_split().await;
    raw.until("event: SplitReset\n").await;
}

#[tokio::test]
async fn two_versions_can_be_compared() {
    let (_old, new, config) = two([1, 1]).await;
    new.set(Behaviour::Status(500));
    let proxy = Proxy::start(&config).await;
    let mut client = proxy.client().await;
    for _ in 0..20 {
        client.get("/").await.expect("an answer");
    }
    let compared = eventually("the window has them", async || {
        let seen = proxy
            .api()
            .get_json("/api/v1/compare?route=app&a=old&b=new")
            .await;
        (seen["a"]["samples"].as_u64()? + seen["b"]["samples"].as_u64()? == 20).then_some(seen)
    });
    let compared = compared.await;
    assert_eq!(compared["a"]["successRatio"], 1.0, "{compared}");
    assert_eq!(compared["b"]["successRatio"], 0.0, "{compared}");
}

#[tokio::test]
async fn a_change_of_the_file_is_taken_over_and_keeps_the_live_weights() {
    let (old, new, config) = two([1, 0]).await;
    let binary = Binary::start(&config).await;
    binary.api.put_split(&[("old", 0), ("new", 1)]).await;
    let added = "name: added, hosts: [added.example.com], rules: [{split: [{backend: old}]}]";
    binary.rewrite(&split_between(&old, &new, [3, 1]).route(added));
    let routed = async || {
        let client = Client::connect(binary.address).await.expect("it listens");
        let answer = client.host("added.example.com").get("/").await;
        answer.ok().filter(|answer| answer.text() == "old")
    };
    eventually("the new route serves", routed).await;
    let split = binary.api.split().await;
    assert_eq!(weights(&split), (0, 1), "{split}");
    assert_eq!(split["entries"][0]["baseWeight"], 3, "{split}");
    binary.api.delete_split().await;
    assert_eq!(weights(&binary.api.split().await), (3, 1));
}

#[tokio::test]
async fn a_hang_up_signal_reads_the_file_again_and_keeps_the_live_weights() {
    let (_old, _new, config) = two([1, 0]).await;
    let binary = Binary::start(&config).await;
    binary.api.put_split(&[("old", 0), ("new", 1)]).await;
    binary.signal(Signal::HUP);
    binary.stderr.line("the config was reloaded").await;
    assert_eq!(weights(&binary.api.split().await), (0, 1));
    let mut client = Client::connect(binary.address).await.expect("it listens");
    assert_eq!(who(&mut client).await, "new");
}

#[tokio::test]
async fn a_broken_file_is_refused_with_its_place_and_the_old_one_serves_on() {
    let (old, new, config) = two([1, 0]).await;
    let binary = Binary::start(&config).await;
    binary.rewrite(&split_between(&old, &new, [0, 1]).setting("listenrs: []"));
    binary.stderr.line("the config was refused").await;
    binary.stderr.line("listenrs").await;
    let mut client = Client::connect(binary.address).await.expect("it listens");
    assert_eq!(who(&mut client).await, "old");
    let reload = binary
        .api
        .call(Method::POST, "/api/v1/reload", &[], String::new())
        .await;
    assert_eq!(reload.status, 422, "{}", reload.text());
    let failed = binary
        .api
        .metrics()
        .await
        .value("pointsman_config_last_reload_successful", &[]);
    assert_eq!(failed, Some(0.0));
}

#[tokio::test]
async fn reloads_under_load_lose_no_request() {
    let (old, new, config) = two([1, 1]).await;
    let binary = Binary::start(&config).await;
    let load = Load::keep_alive(binary.address)
        .connections(4)
        .pause(Duration::from_millis(1))
        .start();
    for weight in 2..12 {
        binary.rewrite(&split_between(&old, &new, [1, weight]));
        let reload = binary
            .api
            .call(Method::POST, "/api/v1/reload", &[], String::new())
            .await;
        assert_eq!(reload.status, 200, "{}", reload.text());
        assert_eq!(weights(&binary.api.split().await), (1, u64::from(weight)));
    }
    let counts = load.stop().await;
    assert_eq!(
        (counts.failed, counts.status(200)),
        (0, counts.answered),
        "{counts:?}"
    );
}

#[tokio::test]
async fn live_weights_survive_a_restart() {
    let (_old, _new, config) = two([1, 0]).await;
    let binary = Binary::start(&config).await;
    binary.api.put_split(&[("old", 0), ("new", 1)]).await;
    let binary = binary.restart().await;
    let mut client = Client::connect(binary.address).await.expect("it listens");
    assert_eq!(who(&mut client).await, "new");
    binary.stderr.line("live weights are in force").await;
}

#[tokio::test]
async fn a_backend_that_changes_its_address_is_followed_and_the_others_keep_their_connections() {
    let (old, new, config) = two([1, 1]).await;
    let binary = Binary::start(&config).await;
    let mut client = Client::connect(binary.address).await.expect("it listens");
    for _ in 0..10 {
        who(&mut client).await;
    }
    let moved = behaving(Behaviour::Answer).await;
    binary.rewrite(&split_between(&old, &moved, [1, 1]));
    let reload = binary
        .api
        .call(Method::POST, "/api/v1/reload", &[], String::new())
        .await;
    assert_eq!(reload.status, 200, "{}", reload.text());
    let before = new.count();
    for _ in 0..10 {
        who(&mut client).await;
    }
    assert!(new.count() == before && moved.count() >= 3);
    assert_eq!(old.connections(), 1);
}
