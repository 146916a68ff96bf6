//! How many requests go where, exactly.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use pointsman::testing::{Behaviour, Client, Config, Proxy};

use crate::{LIMIT, behaving, fault, origin};

/// The `x-origin` of so many requests one after the other on one connection; faults by their word.
async fn answers(proxy: &Proxy, count: usize) -> Vec<String> {
    let mut client = proxy.client().await;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let answer = client.get("/").await.expect("an answer");
        let origin = answer
            .header("x-origin")
            .unwrap_or_else(|| fault(&answer).1);
        all.push(origin.to_owned());
    }
    all
}

fn count(answers: &[String], origin: &str) -> usize {
    answers.iter().filter(|answer| *answer == origin).count()
}

/// Checks that `origin` got within 3 of `share` in each window of so many answers.
#[track_caller]
fn assert_exact(answers: &[String], window: usize, origin: &str, share: f64) {
    for some in answers.windows(window) {
        let (seen, wanted) = (count(some, origin) as f64, share * window as f64);
        assert!(
            (seen - wanted).abs() <= 3.0,
            "{seen} instead of {wanted} for {origin}"
        );
    }
}

/// Three origins `a`, `b`, `c` with these weights.
async fn three(weights: [u32; 3], answered: usize) -> Vec<String> {
    let (a, b, c) = (origin("a").await, origin("b").await, origin("c").await);
    let config = Config::new()
        .backend("a", a.address())
        .backend("b", b.address())
        .backend("c", c.address())
        .split(&[("a", weights[0]), ("b", weights[1]), ("c", weights[2])]);
    answers(&Proxy::start(&config).await, answered).await
}

#[tokio::test]
async fn every_thousand_requests_are_split_within_three_of_the_weights() {
    let seen = three([950, 45, 5], 2_500).await;
    assert_exact(&seen, 1_000, "a", 0.95);
    assert_exact(&seen, 1_000, "b", 0.045);
    assert_exact(&seen, 1_000, "c", 0.005);
}

#[tokio::test]
async fn weights_are_shares_of_their_sum_and_a_weight_of_zero_gets_nothing() {
    let seen = three([3, 0, 1], 400).await;
    assert_eq!(count(&seen, "b"), 0);
    assert_exact(&seen, 400, "a", 0.75);
    assert_exact(&seen, 400, "c", 0.25);
}

#[tokio::test]
async fn a_weight_of_zero_against_one_gets_nothing_at_all() {
    let seen = three([0, 0, 1], 100).await;
    assert_eq!(count(&seen, "c"), 100);
}

#[tokio::test]
async fn a_split_whose_weights_are_all_zero_is_closed() {
    let app = origin("app").await;
    let config = Config::new()
        .backend("app", app.address())
        .split(&[("app", 0)]);
    let answer = Proxy::start(&config).await.get("/").await;
    assert_eq!(fault(&answer), (503, "split_closed"));
    assert!(
        answer.text().starts_with("503 split_closed: "),
        "{}",
        answer.text()
    );
    assert_eq!(app.count(), 0);
}

/// `app` with a share of three quarters, the rest for a backend that cannot take it.
async fn with_a_bad_quarter(bad: &str, rule: &str) -> Vec<String> {
    let app = origin("app").await;
    let config = Config::new()
        .backend("app", app.address())
        .backend_of(&format!("name: bad, {bad}"));
    let split = "split: [{backend: app, weight: 3}, {backend: bad, weight: 1}]";
    let config = config.rule(&format!("name: everyone, {split}{rule}"));
    answers(&Proxy::start(&config).await, 400).await
}

#[tokio::test]
async fn an_invalid_backend_is_answered_500_for_exactly_its_share() {
    let seen = with_a_bad_quarter("invalid: no such service", "").await;
    assert_exact(&seen, 400, "app", 0.75);
    assert_exact(&seen, 400, "backend_invalid", 0.25);
}

#[tokio::test]
async fn a_backend_without_endpoints_is_answered_503_for_exactly_its_share() {
    let seen = with_a_bad_quarter("endpoints: []", "").await;
    assert_exact(&seen, 400, "app", 0.75);
    assert_exact(&seen, 400, "no_endpoints", 0.25);
}

#[tokio::test]
async fn the_others_take_the_share_of_a_bad_backend_where_the_rule_says_so() {
    for bad in ["endpoints: []", "invalid: no such service"] {
        let seen = with_a_bad_quarter(bad, ", onUnavailable: redistribute").await;
        assert_eq!(count(&seen, "app"), 400, "{bad}");
    }
}

#[tokio::test]
async fn a_bad_backend_with_nobody_to_take_its_share_is_still_told_by_name() {
    for (bad, status, word) in [
        ("endpoints: []", 503, "no_endpoints"),
        ("invalid: gone", 500, "backend_invalid"),
    ] {
        let config = Config::new()
            .backend_of(&format!("name: bad, {bad}"))
            .rule("name: everyone, split: [{backend: bad}], onUnavailable: redistribute");
        let answer = Proxy::start(&config).await.get("/").await;
        assert_eq!(fault(&answer), (status, word));
    }
}

/// A proxy in front of one backend with two endpoints.
async fn balanced(endpoints: [SocketAddr; 2], balance: &str) -> Proxy {
    let [a, b] = endpoints;
    let backend = format!("name: app, endpoints: [\"{a}\", \"{b}\"], balance: {balance}");
    Proxy::start(&Config::new().backend_of(&backend).split(&[("app", 1)])).await
}

#[tokio::test]
async fn round_robin_asks_one_endpoint_after_the_other() {
    let (a, b) = (origin("a").await, origin("b").await);
    let proxy = balanced([a.address(), b.address()], "roundRobin").await;
    let seen = answers(&proxy, 10).await;
    assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
}

#[tokio::test]
async fn power_of_two_avoids_the_endpoint_that_is_busy() {
    let (slow, quick) = (behaving(Behaviour::Hang).await, origin("quick").await);
    let proxy = balanced([slow.address(), quick.address()], "powerOfTwo").await;
    let mut stuck = tokio::task::JoinSet::new();
    while slow.count() == 0 {
        let mut client = proxy.client().await;
        stuck.spawn(async move { client.get("/").await.map(drop) });
        let total = stuck.len() as u64;
        let arrived = async || slow.count() + quick.count() == total;
        crate::eventually("it arrives", async || arrived().await.then_some(())).await;
    }
    // While one request hangs there, the other endpoint is always the less busy one.
    let seen = answers(&proxy, 30).await;
    assert_eq!(count(&seen, "quick"), 30);
}

#[tokio::test]
async fn the_workers_together_split_as_exactly_as_one() {
    let (a, b) = (origin("a").await, origin("b").await);
    let config = Config::new()
        .backend("a", a.address())
        .backend("b", b.address());
    let proxy = Proxy::start_with(&config.split(&[("a", 9), ("b", 1)]), 2, None).await;
    let load = pointsman::testing::Load::keep_alive(proxy.address())
        .connections(8)
        .start();
    load.wait_for(1_000, LIMIT).await.expect("answers");
    let counts = load.stop().await;
    assert_eq!(counts.status(StatusCode::OK.as_u16()), counts.answered);
    let (seen, wanted) = (counts.from("b") as f64, counts.answered as f64 / 10.0);
    assert!((seen - wanted).abs() <= 6.0, "{seen} instead of {wanted}");
}

#[tokio::test]
async fn connections_to_a_backend_are_kept_and_used_again() {
    let app = origin("app").await;
    let proxy = crate::in_front_of(&app).await;
    for _ in 0..5 {
        // A new client each time: the connections are the worker's, not the client's.
        let mut client = Client::connect(proxy.address()).await.expect("it listens");
        tokio::time::timeout(Duration::from_secs(5), client.get("/"))
            .await
            .expect("soon")
            .expect("ok");
    }
    assert_eq!((app.count(), app.connections()), (5, 1));
}
