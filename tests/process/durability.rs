//! `kill -9` at any moment loses no acknowledged change.
//!
//! Writers move splits as fast as they are answered, and write down what they asked for and what
//! was acknowledged. After each kill the next process must show, for every split, the last
//! acknowledged change or one that was asked for and not answered; never an older one, never half
//! of one, and its history must hold every acknowledged revision.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, StatusCode};
use pointsman::testing::Client;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::api::Api;
use crate::fixture::Home;

const ROUNDS: usize = 25;
const RULES: [&str; 3] = ["red", "green", "blue"];
/// Two writers quarrel over the last rule.
const WRITERS: [&str; 4] = ["red", "green", "blue", "blue"];
/// Both weights of a split always add up to this; a torn change would not.
const WHOLE: u64 = 1_000_000;

fn config() -> String {
    let rules = RULES.map(|rule| {
        format!(
            "      - name: {rule}
        matches: [{{path: {{prefix: /{rule}}}}}]
        split: [{{backend: a, weight: 0}}, {{backend: b, weight: {WHOLE}}}]
"
        )
    });
    format!(
        "apiVersion: pointsman.dev/v1
listeners: [{{name: web, address: \"127.0.0.1:0\"}}]
control: {{address: \"127.0.0.1:0\"}}
routes:
  - name: shop
    rules:
{}backends:
  - {{name: a, endpoints: []}}
  - {{name: b, endpoints: []}}
",
        rules.concat()
    )
}

/// What is known about one split.
#[derive(Debug, Default)]
struct Known {
    /// Weight of `a` at the last acknowledged revision.
    acknowledged: (u64, u64),
    /// Asked for and never answered.
    open: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Ledger {
    splits: BTreeMap<&'static str, Known>,
    /// Every weight is asked for once in the whole test.
    tickets: u64,
    revisions: BTreeSet<u64>,
}

type Shared = Arc<Mutex<Ledger>>;

/// Changes one split until the connection breaks.
async fn write(api: std::net::SocketAddr, rule: &'static str, ledger: Shared) {
    let Ok(mut client) = Client::connect(api).await else {
        return;
    };
    loop {
        let ticket = {
            let mut ledger = ledger.lock().expect("no holder panics");
            ledger.tickets += 1;
            let ticket = ledger.tickets;
            ledger.splits.entry(rule).or_default().open.insert(ticket);
            ticket
        };
        let body = json!({"weights": {"a": ticket, "b": WHOLE - ticket}}).to_string();
        let request = Request::put(format!("/api/v1/routes/shop/rules/{rule}/split"))
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .expect("a valid request");
        let Ok(answer) = client.send(request).await else {
            return;
        };
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let revision = said.get("revision").and_then(Value::as_u64);
        let revision = revision.expect("a revision");
        let mut ledger = ledger.lock().expect("no holder panics");
        ledger.revisions.insert(revision);
        let known = ledger.splits.entry(rule).or_default();
        known.open.remove(&ticket);
        known.acknowledged = known.acknowledged.max((revision, ticket));
    }
}

/// Compares the new process with the ledger, and takes over what it says.
async fn check(api: Api, ledger: &Shared, round: usize) {
    let revision = api.revision().await;
    let history = api.get("/api/v1/events?limit=1000").await;
    let events = history.list("/items");
    let kept: BTreeSet<u64> = events
        .iter()
        .filter_map(|event| event.get("revision").and_then(Value::as_u64))
        .collect();
    for rule in RULES {
        let split = api
            .get(&format!("/api/v1/routes/shop/rules/{rule}/split"))
            .await;
        let (at, a, b) = (
            split.number("/revision"),
            split.number("/weights/a"),
            split.number("/weights/b"),
        );
        let mut ledger = ledger.lock().expect("no holder panics");
        let known = ledger.splits.entry(rule).or_default();
        assert_eq!(
            a + b,
            WHOLE,
            "round {round}: {rule} is torn: {}",
            split.text
        );
        let (revision, ticket) = known.acknowledged;
        let as_acknowledged = a == ticket && (at == revision || ticket == 0);
        let later = at > revision && known.open.contains(&a);
        assert!(
            as_acknowledged || later,
            "round {round}: {rule} is {}, not {known:?}",
            split.text
        );
        known.acknowledged = (at, a);
        known.open.clear();
    }
    let mut ledger = ledger.lock().expect("no holder panics");
    let newest = ledger.revisions.last().copied().unwrap_or_default();
    assert!(
        revision >= newest,
        "round {round}: revision {revision} after {newest}"
    );
    let lost: Vec<_> = ledger.revisions.difference(&kept).collect();
    assert!(
        lost.is_empty(),
        "round {round}: not in the history: {lost:?}"
    );
    // The history is bounded; what was checked once need not be there for ever.
    ledger.revisions.clear();
    ledger.revisions.insert(revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_moment_loses_no_acknowledged_change() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let seed = u64::from(now.subsec_nanos()) ^ now.as_secs();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let home = Home::with(&config());
    let ledger = Shared::default();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        if round % 5 == 4 {
            // A start that does not live to serve.
            let stillborn = home.launch();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
            stillborn.kill();
        }
        let pointsman = home.start().await;
        check(pointsman.api(), &ledger, round).await;
        let writers =
            WRITERS.map(|rule| tokio::spawn(write(pointsman.control(), rule, Arc::clone(&ledger))));
        // The moment of the kill is the point of the test, so it is chosen by lot.
        tokio::time::sleep(Duration::from_millis(random.random_range(20..220))).await;
        pointsman.kill();
        for writer in writers {
            writer.await.expect("no answer was wrong");
        }
        acknowledged += ledger.lock().expect("no holder panics").revisions.len();
    }
    let pointsman = home.start().await;
    check(pointsman.api(), &ledger, ROUNDS).await;
    println!("{acknowledged} acknowledged changes survived {ROUNDS} kills");
    assert!(
        acknowledged > ROUNDS,
        "the test was too slow to prove anything: {acknowledged}"
    );
}
