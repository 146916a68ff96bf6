//! The numbers: counted once each, for the version they were meant for.

use std::time::Duration;

use pointsman::testing::{Api, Behaviour, Config, Origin, Proxy};

use crate::{all_to, backend_with, behaving, eventually, in_front_of, origin, scripted};

const APP: (&str, &str) = ("backend", "app");

/// Waits until a metric has this value.
pub(crate) async fn becomes(api: Api, name: &str, labels: &[(&str, &str)], value: f64) {
    let mut last = None;
    let close = async || {
        last = api.metrics().await.value(name, labels);
        last.filter(|now| (now - value).abs() < 1e-9)
    };
    eventually(&format!("{name} {labels:?} is {value}"), close).await;
}

async fn ask(proxy: &Proxy, count: usize) {
    let mut client = proxy.client().await;
    for _ in 0..count {
        client.get("/").await.expect("an answer");
    }
}

/// An origin that fails every fourth request.
async fn failing() -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    scripted(
        move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 4 {
            3 => Behaviour::Status(503),
            _ => Behaviour::Answer,
        },
    )
    .await
}

#[tokio::test]
async fn every_request_is_counted_once_by_route_rule_backend_and_code() {
    let app = failing().await;
    let proxy = in_front_of(&app).await;
    ask(&proxy, 20).await;
    let labels = |code| [("route", "app"), ("rule", "everyone"), APP, ("code", code)];
    becomes(
        proxy.api(),
        "pointsman_requests_total",
        &labels("200"),
        15.0,
    )
    .await;
    becomes(proxy.api(), "pointsman_requests_total", &labels("503"), 5.0).await;
    becomes(proxy.api(), "pointsman_requests_total", &[], 20.0).await;
}

#[tokio::test]
async fn the_histogram_holds_every_duration() {
    let app = behaving(Behaviour::Delay(Duration::from_millis(30))).await;
    let proxy = in_front_of(&app).await;
    ask(&proxy, 5).await;
    becomes(
        proxy.api(),
        "pointsman_request_duration_seconds_count",
        &[APP],
        5.0,
    )
    .await;
    let metrics = proxy.api().metrics().await;
    let bucket = |edge| {
        metrics.value(
            "pointsman_request_duration_seconds_bucket",
            &[APP, ("le", edge)],
        )
    };
    assert_eq!(
        (bucket("0.025"), bucket("60"), bucket("+Inf")),
        (Some(0.0), Some(5.0), Some(5.0))
    );
    let sum = metrics
        .value("pointsman_request_duration_seconds_sum", &[APP])
        .expect("a sum");
    assert!(sum >= 0.15, "{sum}");
}

#[tokio::test]
async fn the_windows_tell_success_and_latency_of_each_version() {
    let (good, bad) = (
        behaving(Behaviour::Delay(Duration::from_millis(20))).await,
        failing().await,
    );
    let config = Config::new()
        .backend("good", good.address())
        .backend("bad", bad.address());
    let proxy = Proxy::start(&config.split(&[("good", 1), ("bad", 1)])).await;
    ask(&proxy, 40).await;
    let seen = |backend| [("backend", backend), ("window", "1m")];
    becomes(
        proxy.api(),
        "pointsman_window_requests",
        &seen("good"),
        good.count() as f64,
    )
    .await;
    becomes(
        proxy.api(),
        "pointsman_window_requests",
        &seen("bad"),
        bad.count() as f64,
    )
    .await;
    let metrics = proxy.api().metrics().await;
    assert_eq!(
        metrics.value("pointsman_success_ratio", &seen("good")),
        Some(1.0)
    );
    let wanted = 1.0 - (bad.count() / 4) as f64 / bad.count() as f64;
    let ratio = metrics
        .value("pointsman_success_ratio", &seen("bad"))
        .expect("a ratio");
    assert!((ratio - wanted).abs() < 1e-9, "{ratio} {wanted}");
    let p99 = [("backend", "good"), ("window", "1m"), ("q", "0.99")];
    let p99 = metrics
        .value("pointsman_request_latency_seconds", &p99)
        .expect("a quantile");
    assert!((0.019..5.0).contains(&p99), "{p99}");
}

#[tokio::test]
async fn the_split_shows_what_was_wanted_and_what_was_seen() {
    let (a, b) = (origin("a").await, origin("b").await);
    let config = Config::new()
        .backend("a", a.address())
        .backend("b", b.address());
    let proxy = Proxy::start(&config.split(&[("a", 3), ("b", 1)])).await;
    let kind = |kind| [("rule", "everyone"), ("backend", "b"), ("kind", kind)];
    becomes(
        proxy.api(),
        "pointsman_split_weight",
        &kind("desired"),
        0.25,
    )
    .await;
    ask(&proxy, 200).await;
    let observed = async || {
        let metrics = proxy.api().metrics().await;
        let all = metrics.value(
            "pointsman_window_requests",
            &[("window", "1m"), ("rule", "everyone")],
        );
        let share = metrics.value("pointsman_split_weight", &kind("observed"));
        all.filter(|&all| all == 200.0).and(share)
    };
    let share = eventually("the window has all of them", observed).await;
    assert!((share - 0.25).abs() <= 3.0 / 200.0, "{share}");
    let split = proxy.api().split().await;
    assert_eq!(
        (
            &split["entries"][1]["desired"],
            &split["entries"][1]["observed"]
        ),
        (&0.25.into(), &share.into())
    );
}

#[tokio::test]
async fn a_failure_of_the_proxy_counts_against_the_version_it_was_meant_for() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    app.stop().await;
    ask(&proxy, 3).await;
    becomes(
        proxy.api(),
        "pointsman_requests_total",
        &[APP, ("code", "502")],
        3.0,
    )
    .await;
    becomes(
        proxy.api(),
        "pointsman_request_faults_total",
        &[APP, ("reason", "connect")],
        3.0,
    )
    .await;
    becomes(
        proxy.api(),
        "pointsman_success_ratio",
        &[APP, ("window", "1m")],
        0.0,
    )
    .await;
    becomes(
        proxy.api(),
        "pointsman_upstream_connects_total",
        &[APP, ("outcome", "failed")],
        3.0,
    )
    .await;
}

#[tokio::test]
async fn a_client_that_left_is_no_failure() {
    let app = behaving(Behaviour::Hang).await;
    let proxy = in_front_of(&app).await;
    let mut client = proxy.client().await;
    let waiting = tokio::spawn(async move { client.get("/").await.map(drop) });
    app.wait_for(1, crate::LIMIT).await.expect("it arrives");
    waiting.abort();
    becomes(
        proxy.api(),
        "pointsman_requests_total",
        &[APP, ("code", "499")],
        1.0,
    )
    .await;
    app.set(Behaviour::Answer);
    ask(&proxy, 1).await;
    becomes(
        proxy.api(),
        "pointsman_window_requests",
        &[APP, ("window", "1m")],
        1.0,
    )
    .await;
    becomes(
        proxy.api(),
        "pointsman_success_ratio",
        &[APP, ("window", "1m")],
        1.0,
    )
    .await;
}

#[tokio::test]
async fn what_no_rule_takes_is_counted_under_no_name() {
    let proxy = Proxy::start(&Config::new()).await;
    ask(&proxy, 2).await;
    let nothing = [
        ("route", ""),
        ("rule", ""),
        ("backend", ""),
        ("code", "404"),
    ];
    becomes(proxy.api(), "pointsman_requests_total", &nothing, 2.0).await;
    becomes(
        proxy.api(),
        "pointsman_request_faults_total",
        &[("reason", "no_route")],
        2.0,
    )
    .await;
}

#[tokio::test]
async fn redistributed_requests_are_counted_where_they_were_meant_to_go() {
    let app = origin("app").await;
    let rule =
        "name: everyone, split: [{backend: app}, {backend: none}], onUnavailable: redistribute";
    let config = Config::new()
        .backend("app", app.address())
        .backend_of("name: none, endpoints: []");
    let proxy = Proxy::start(&config.rule(rule)).await;
    ask(&proxy, 20).await;
    let metrics = proxy.api().metrics().await;
    let moved = metrics.value("pointsman_redistributed_total", &[("backend", "none")]);
    assert!(
        moved.is_some_and(|moved| (7.0..=13.0).contains(&moved)),
        "{moved:?}"
    );
    becomes(proxy.api(), "pointsman_requests_total", &[APP], 20.0).await;
}

#[tokio::test]
async fn connections_on_both_sides_are_counted_while_they_are_open() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    let clients = [proxy.client().await, proxy.client().await];
    becomes(
        proxy.api(),
        "pointsman_downstream_connections",
        &[("worker", "0")],
        2.0,
    )
    .await;
    drop(clients);
    ask(&proxy, 1).await;
    becomes(proxy.api(), "pointsman_upstream_connections", &[APP], 1.0).await;
    becomes(
        proxy.api(),
        "pointsman_downstream_connections",
        &[("worker", "0")],
        0.0,
    )
    .await;
    becomes(
        proxy.api(),
        "pointsman_downstream_connections_total",
        &[],
        3.0,
    )
    .await;
    app.stop().await;
    becomes(proxy.api(), "pointsman_upstream_connections", &[APP], 0.0).await;
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_counted() {
    let app = origin("app").await;
    let proxy = in_front_of(&app).await;
    crate::raw::exchange(proxy.address(), "NO HTTP\r\n\r\n").await;
    becomes(
        proxy.api(),
        "pointsman_downstream_protocol_errors_total",
        &[],
        1.0,
    )
    .await;
}

#[tokio::test]
async fn revision_and_overrides_follow_the_changes() {
    let (a, b) = (origin("a").await, origin("b").await);
    let config = Config::new()
        .backend("a", a.address())
        .backend("b", b.address());
    let proxy = Proxy::start(&config.split(&[("a", 1), ("b", 1)])).await;
    becomes(
        proxy.api(),
        "pointsman_overrides",
        &[("state", "applied")],
        0.0,
    )
    .await;
    let before = proxy
        .api()
        .metrics()
        .await
        .value("pointsman_config_revision", &[])
        .expect("a revision");
    proxy.api().put_split(&[("a", 1), ("b", 0)]).await;
    becomes(proxy.api(), "pointsman_config_revision", &[], before + 1.0).await;
    becomes(
        proxy.api(),
        "pointsman_overrides",
        &[("state", "applied")],
        1.0,
    )
    .await;
    becomes(
        proxy.api(),
        "pointsman_split_weight",
        &[("backend", "b"), ("kind", "desired")],
        0.0,
    )
    .await;
}

#[tokio::test]
async fn the_page_is_what_prometheus_reads() {
    let app = origin("app").await;
    let proxy = Proxy::start(&all_to(&app)).await;
    ask(&proxy, 1).await;
    becomes(proxy.api(), "pointsman_requests_total", &[APP], 1.0).await;
    let page = proxy.api().get("/metrics").await;
    assert_eq!(
        page.header("content-type").map(|kind| &kind[..10]),
        Some("text/plain")
    );
    let text = page.text();
    for line in text.lines() {
        let known = line.starts_with("# HELP ") || line.starts_with("# TYPE ");
        let value = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
        assert!(known || matches!(value, Some(Ok(_))), "{line:?}");
    }
    assert!(text.contains("process_resident_memory_bytes"));
}

#[tokio::test]
async fn connections_that_are_not_needed_are_closed() {
    let app = behaving(Behaviour::Delay(Duration::from_millis(50))).await;
    for (setting, kept) in [("maxIdle: 2", 2.0), ("timeouts: {idle: 1s}", 0.0)] {
        let before = app.connections();
        let proxy = Proxy::start(&backend_with(&app, setting).split(&[("app", 1)])).await;
        futures_util::future::join_all((0..5).map(|_| ask(&proxy, 1))).await;
        assert_eq!(app.connections() - before, 5, "all at the same time");
        becomes(proxy.api(), "pointsman_upstream_connections", &[APP], kept).await;
    }
}
