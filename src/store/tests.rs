//! The promises of the store, one test each.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::history::HISTORY_MAX;
use super::*;
use crate::config::Base;
use crate::model::{Revision, RouteName, RuleId, RuleName, Weight};
use crate::snapshot::Reader;

const CONFIG: &str = r#"
apiVersion: pointsman.dev/v1
listeners:
  - {name: web, address: "127.0.0.1:0"}
routes:
  - name: podinfo
    rules:
      - name: insiders
        matches: [{headers: [{name: x-canary, exact: insider}]}]
        split: [{backend: canary}]
      - name: everyone
        split: [{backend: primary, weight: 95}, {backend: canary, weight: 5}]
  - name: old
    hosts: [old.example.com]
    rules:
      - name: gone
        filters: {redirect: {hostname: new.example.com}}
backends:
  - {name: primary, endpoints: ["127.0.0.1:9898"]}
  - {name: canary, endpoints: ["127.0.0.1:9899"]}
"#;

pub(super) fn base(text: &str) -> Base {
    Base::parse("test.yaml", text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub(super) fn open_with(dir: &Path, text: &str) -> Result<(Store, Reader), StoreError> {
    std::fs::create_dir_all(dir).expect("directory");
    let file = dir.join("config.yaml");
    if !file.exists() {
        std::fs::write(&file, text).expect("write the config");
    }
    Store::open(StoreOptions {
        state_dir: Some(dir.join("state")),
        base: base(text),
        origin: Origin::File(file),
    })
}

pub(super) fn open(dir: &Path) -> (Store, Reader) {
    open_with(dir, CONFIG).unwrap_or_else(|why| panic!("{why}"))
}

pub(super) fn rule(rule: &str) -> RuleId {
    RuleId {
        route: RouteName::parse("podinfo").expect("a name"),
        rule: RuleName::parse(rule).expect("a name"),
    }
}

pub(super) fn set(weights: &[(&str, u64)]) -> SetSplit {
    let weights = weights.iter().map(|(backend, weight)| {
        let weight = Weight::new(*weight).map_err(|why| why.to_string());
        ((*backend).to_owned(), weight)
    });
    SetSplit {
        rule: rule("everyone"),
        scope: Scope::Whole,
        weights: weights.collect(),
        condition: Condition::Always,
        actor: Actor::parse("cli:test").expect("an actor"),
        reason: Some("because".to_owned()),
        expires_at: None,
        dry_run: false,
    }
}

fn reset() -> ResetSplit {
    ResetSplit {
        rule: rule("everyone"),
        condition: Condition::Always,
        actor: Actor::parse("cli:test").expect("an actor"),
        reason: None,
        dry_run: false,
    }
}

async fn weigh(store: &Store, primary: u64, canary: u64) -> Applied {
    let set = set(&[("primary", primary), ("canary", canary)]);
    store.apply(Change::SetSplit(set)).await.expect("applied")
}

/// What the rule `everyone` weighs in the snapshot that serves.
fn serving(reader: &Reader) -> String {
    let snapshot = reader.current();
    words::weights(snapshot.rule(&rule("everyone")).expect("the rule"))
}

async fn kinds(store: &Store) -> Vec<&'static str> {
    let history = store.events(None, 1000).await.expect("history");
    history
        .events
        .iter()
        .map(|event| event.kind.as_str())
        .collect()
}

#[tokio::test]
async fn an_answered_change_serves_already_and_survives_a_restart() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    assert_eq!(serving(&reader), "primary 95, canary 5");
    let first = reader.current().revision;
    let applied = weigh(&store, 50, 50).await;
    assert_eq!(serving(&reader), "primary 50, canary 50");
    assert_eq!(applied.desired.revision, first.next());
    assert_eq!(reader.current().revision, first.next());
    assert_eq!(applied.events.len(), 1);
    store.close().await;

    let (store, reader) = open(dir.path());
    assert_eq!(serving(&reader), "primary 50, canary 50");
    assert_eq!(
        reader.current().revision,
        first.next(),
        "nothing changed meanwhile"
    );
    let over = store.desired().overrides[&rule("everyone")].clone();
    assert_eq!(over.actor.as_str(), "cli:test");
    assert_eq!(over.reason.as_deref(), Some("because"));
    assert_eq!(kinds(&store).await, ["Started", "SplitSet", "Started"]);
    store
        .apply(Change::ResetSplit(reset()))
        .await
        .expect("applied");
    assert_eq!(serving(&reader), "primary 95, canary 5");
    assert!(store.desired().overrides.is_empty());
    let again = store
        .apply(Change::ResetSplit(reset()))
        .await
        .expect("nothing to do");
    assert!(again.events.is_empty());
}

#[tokio::test]
async fn a_second_connection_sees_every_change_before_it_serves() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let disk = Connection::open(dir.path().join("state/state.db")).expect("open");
    let watching = std::thread::spawn(move || {
        let mut cache = reader.cache();
        let mut seen = Vec::new();
        while seen.last() != Some(&21) {
            // First what serves, then what is on the disk: the disk may only be ahead.
            let serving = cache.load().revision.get();
            let stored: i64 = disk
                .query_row(
                    "SELECT value FROM state WHERE key = 'revision'",
                    [],
                    |row| row.get(0),
                )
                .expect("read");
            assert!(
                stored.cast_unsigned() >= serving,
                "{serving} serves, {stored} is stored"
            );
            if seen.last() != Some(&serving) {
                seen.push(serving);
            }
            std::thread::yield_now();
        }
        seen
    });
    for step in 1..=20 {
        weigh(&store, 100 - step, step).await;
    }
    let seen = tokio::task::spawn_blocking(|| watching.join().expect("watched")).await;
    assert!(seen.expect("joined").is_sorted());
}

#[tokio::test]
async fn sqlite_grants_the_durability_that_was_asked_for() {
    let dir = TempDir::new().expect("directory");
    let journal = journal::Journal::open(Some(dir.path())).expect("opens");
    assert_eq!(journal.durability().expect("reads"), ("wal".to_owned(), 2));
}

#[tokio::test]
async fn everything_wrong_with_a_change_is_told_at_once_and_nothing_is_changed() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let mut bad = set(&[("nobody", 1)]);
    bad.weights
        .insert("canary".into(), Err("a weight is whole, not 0.5".into()));
    bad.reason = Some("x".repeat(1001));
    bad.expires_at = Some(Timestamp::now() - SignedDuration::from_secs(1));
    let Err(Refusal::Faults(faults)) = store.apply(Change::SetSplit(bad)).await else {
        panic!("it was accepted");
    };
    let told: BTreeMap<_, _> = faults
        .iter()
        .map(|fault| (&*fault.message, &*fault.pointer))
        .collect();
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(told["nobody is not in this split"], "/weights/nobody");
    assert_eq!(
        told["canary: a weight is whole, not 0.5"],
        "/weights/canary"
    );
    assert_eq!(told["the weight of primary is missing"], "/weights");
    assert_eq!(serving(&reader), "primary 95, canary 5");
    assert_eq!(kinds(&store).await, ["Started"]);
}

#[tokio::test]
async fn a_part_of_a_split_leaves_the_rest_and_a_dry_run_leaves_everything() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let mut part = set(&[("canary", 20)]);
    part.scope = Scope::Part;
    part.dry_run = true;
    let dry = store
        .apply(Change::SetSplit(part.clone()))
        .await
        .expect("would work");
    assert_eq!(dry.differences, ["primary 95, canary 5 → 20"]);
    assert_eq!(
        words::weights(dry.desired.rule(&part.rule).expect("rule")),
        "primary 95, canary 20"
    );
    assert_eq!(serving(&reader), "primary 95, canary 5");
    assert_eq!(kinds(&store).await, ["Started"]);
    part.dry_run = false;
    store.apply(Change::SetSplit(part)).await.expect("works");
    assert_eq!(serving(&reader), "primary 95, canary 20");
    let closed = weigh(&store, 0, 0).await;
    assert!(
        closed.warnings[0].contains("the split is closed"),
        "{:?}",
        closed.warnings
    );
}

#[tokio::test]
async fn a_rule_that_does_not_exist_or_redirects_has_no_weights() {
    let dir = TempDir::new().expect("directory");
    let (store, _reader) = open(dir.path());
    let mut nowhere = set(&[("primary", 1)]);
    nowhere.rule = rule("nowhere");
    let refusal = store.apply(Change::SetSplit(nowhere)).await;
    assert!(
        matches!(refusal, Err(Refusal::UnknownRule(_))),
        "{refusal:?}"
    );
    let mut redirects = set(&[("primary", 1)]);
    redirects.rule = RuleId {
        route: RouteName::parse("old").expect("a name"),
        rule: RuleName::parse("gone").expect("a name"),
    };
    let refusal = store.apply(Change::SetSplit(redirects)).await;
    assert!(matches!(refusal, Err(Refusal::NoSplit(_))), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_writers_exactly_one_wins_each_revision() {
    let dir = TempDir::new().expect("directory");
    let (store, _reader) = open(dir.path());
    let before = store.desired().split_revision(&rule("everyone"));
    for round in 0..3 {
        let current = store.desired().split_revision(&rule("everyone"));
        let writers = (0..50u64).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut set = set(&[("primary", writer), ("canary", round)]);
                set.condition = Condition::AnyOf(vec![current]);
                store.apply(Change::SetSplit(set)).await
            })
        });
        let writers: Vec<_> = writers.collect();
        let mut winners = 0;
        for writer in writers {
            match writer.await.expect("no panic") {
                Ok(_) => winners += 1,
                Err(Refusal::Stale { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners, 1, "round {round}");
    }
    assert_eq!(
        store.desired().split_revision(&rule("everyone")).get(),
        before.get() + 3
    );
}

#[tokio::test]
async fn a_revision_belongs_to_its_split_and_untouched_rules_are_shared() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let before = reader.current();
    let insiders = store.desired().split_revision(&rule("insiders"));
    weigh(&store, 1, 1).await;
    let desired = store.desired();
    assert_eq!(desired.split_revision(&rule("insiders")), insiders);
    assert_eq!(desired.split_revision(&rule("everyone")), desired.revision);
    let pair = |name| {
        let now = reader.current();
        let of = |snapshot: &crate::snapshot::Snapshot| {
            Arc::clone(snapshot.rule(&rule(name)).expect("rule"))
        };
        (of(&before), of(&now))
    };
    let (old, new) = pair("insiders");
    assert!(Arc::ptr_eq(&old, &new));
    let (old, new) = pair("everyone");
    assert!(!Arc::ptr_eq(&old, &new));
}

#[tokio::test]
async fn a_reload_keeps_live_weights_and_is_refused_when_it_drops_what_they_name() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let file = dir.path().join("config.yaml");
    weigh(&store, 50, 50).await;
    let tag = store.desired().split_revision(&rule("everyone"));

    std::fs::write(&file, CONFIG.replace("hostname: new", "hostname: newer")).expect("write");
    let applied = store.reload(Actor::file(), false).await.expect("reloads");
    assert_eq!(applied.differences, ["rule old/gone changed"]);
    assert_eq!(serving(&reader), "primary 50, canary 50");
    assert_eq!(
        store.desired().split_revision(&rule("everyone")),
        tag,
        "it did not change"
    );

    let unchanged = store.reload(Actor::file(), false).await.expect("reloads");
    assert!(unchanged.events.is_empty());

    let without = CONFIG.replace(", {backend: canary, weight: 5}]", "]");
    std::fs::write(&file, &without).expect("write");
    let refusal = store
        .reload(Actor::file(), false)
        .await
        .expect_err("refused");
    let text = refusal.to_string();
    assert!(
        text.contains("backend canary in the split of podinfo/everyone"),
        "{text}"
    );
    assert!(
        text.contains("pointsman weight reset podinfo/everyone"),
        "{text}"
    );
    assert_eq!(serving(&reader), "primary 50, canary 50");
    assert!(!store.last_reload_successful());

    std::fs::write(&file, "routes: [").expect("write");
    for _ in 0..3 {
        let refusal = store.reload(Actor::file(), false).await;
        assert!(matches!(refusal, Err(Refusal::Config(_))), "{refusal:?}");
    }

    store
        .apply(Change::ResetSplit(reset()))
        .await
        .expect("reset");
    std::fs::write(&file, &without).expect("write");
    store
        .reload(Actor::file(), false)
        .await
        .expect("nothing stands in the way any more");
    assert_eq!(serving(&reader), "primary 95");
    assert!(store.last_reload_successful());
    let kinds = kinds(&store).await;
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == "ConfigRefused")
            .count(),
        2,
        "once for each reason: {kinds:?}"
    );
}

#[tokio::test]
async fn an_override_that_the_config_lacks_is_parked_until_the_config_has_it_again() {
    let dir = TempDir::new().expect("directory");
    let (store, _reader) = open(dir.path());
    weigh(&store, 50, 50).await;
    store.close().await;

    let without = CONFIG.replace(", {backend: canary, weight: 5}]", "]");
    let (store, reader) = open_with(dir.path(), &without).expect("opens");
    assert_eq!(serving(&reader), "primary 95");
    assert!(store.desired().overrides.is_empty());
    assert_eq!(store.desired().parked.len(), 1);
    assert!(kinds(&store).await.contains(&"OverrideParked"));
    store.close().await;

    let (store, reader) = open_with(dir.path(), &without).expect("opens");
    let parked = kinds(&store)
        .await
        .into_iter()
        .filter(|kind| *kind == "OverrideParked");
    assert_eq!(parked.count(), 1, "told once");
    // The file still holds the config with the canary.
    store.reload(Actor::file(), false).await.expect("reloads");
    assert_eq!(serving(&reader), "primary 50, canary 50");
    assert!(store.desired().parked.is_empty());
    assert!(kinds(&store).await.contains(&"OverrideUnparked"));
}

#[tokio::test]
async fn an_override_that_ended_while_pointsman_was_down_never_serves_again() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let mut short = set(&[("primary", 1), ("canary", 1)]);
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    short.expires_at = Some(end);
    store.apply(Change::SetSplit(short)).await.expect("applied");
    assert_eq!(serving(&reader), "primary 1, canary 1");
    store.close().await;
    // The hour passes while nothing runs.
    let disk = Connection::open(dir.path().join("state/state.db")).expect("open");
    disk.execute(
        "UPDATE overrides SET expires_at = '2026-01-01T00:00:00Z'",
        [],
    )
    .expect("write");
    drop(disk);
    let (store, reader) = open(dir.path());
    assert_eq!(serving(&reader), "primary 95, canary 5");
    let expected = ["Started", "SplitSet", "OverrideExpired", "Started"];
    assert_eq!(kinds(&store).await, expected);
}

#[tokio::test]
async fn the_guard_drops_an_override_when_its_time_is_over() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let mut events = store.subscribe();
    let guard = tokio::spawn(crate::guard::run(store.clone(), std::future::pending()));
    let mut short = set(&[("primary", 1), ("canary", 1)]);
    short.expires_at = Some(Timestamp::now() + SignedDuration::from_millis(1500));
    store.apply(Change::SetSplit(short)).await.expect("applied");
    let expired =
        async { while events.recv().await.expect("events").kind != EventKind::OverrideExpired {} };
    tokio::time::timeout(Duration::from_secs(10), expired)
        .await
        .expect("in time");
    assert_eq!(serving(&reader), "primary 95, canary 5");
    guard.abort();
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_changes_nothing() {
    let dir = TempDir::new().expect("directory");
    let (store, reader) = open(dir.path());
    let other = Connection::open(dir.path().join("state/state.db")).expect("open");
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("takes the file");
    let set = set(&[("primary", 1), ("canary", 1)]);
    let refusal = store
        .apply(Change::SetSplit(set))
        .await
        .expect_err("refused");
    assert!(matches!(refusal, Refusal::Journal(_)), "{refusal:?}");
    assert_eq!(serving(&reader), "primary 95, canary 5");
    assert!(store.desired().overrides.is_empty());
    other.execute_batch("ROLLBACK").expect("lets it go");
    weigh(&store, 1, 1).await;
    assert_eq!(serving(&reader), "primary 1, canary 1");
}

#[tokio::test]
async fn the_history_keeps_the_newest_events_only() {
    let dir = TempDir::new().expect("directory");
    let (store, _reader) = open(dir.path());
    store.close().await;
    let disk = Connection::open(dir.path().join("state/state.db")).expect("open");
    disk.execute(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO events (id, time, revision, kind, actor, message)
         SELECT i, '2026-01-01T00:00:00Z', 1, 'SplitSet', 'test', 'x' FROM n",
        [HISTORY_MAX.cast_signed()],
    )
    .expect("fill");
    drop(disk);
    let (store, _reader) = open(dir.path());
    weigh(&store, 1, 1).await;
    let history = store.events(Some(0), 3).await.expect("history");
    assert_eq!(history.kept, Some((3, HISTORY_MAX + 2)));
    assert_eq!(
        history
            .events
            .iter()
            .map(|event| event.id)
            .collect::<Vec<_>>(),
        [3, 4, 5]
    );
    assert!(history.continues(2) && !history.continues(1) && !history.continues(HISTORY_MAX + 3));
    let newest = store.events(None, 2).await.expect("history");
    assert_eq!(
        newest.events.last().map(|event| event.id),
        Some(HISTORY_MAX + 2)
    );
}

#[tokio::test]
async fn a_closed_store_takes_no_changes_and_lets_the_directory_go() {
    let dir = TempDir::new().expect("directory");
    let (store, _reader) = open(dir.path());
    store.close().await;
    store.close().await;
    let refusal = store.apply(Change::ResetSplit(reset())).await;
    assert!(matches!(refusal, Err(Refusal::Stopped)), "{refusal:?}");
    let (_again, _reader) = open(dir.path());
}

#[test]
fn a_second_pointsman_on_the_same_directory_is_told_who_has_it() {
    let dir = TempDir::new().expect("directory");
    let _held = open(dir.path());
    let error = open_with(dir.path(), CONFIG).expect_err("refused");
    let text = error.to_string();
    assert!(
        text.contains(&dir.path().join("state").display().to_string()),
        "{text}"
    );
    assert!(
        text.contains(&format!("(process {})", std::process::id())),
        "{text}"
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = TempDir::new().expect("directory");
    std::fs::write(dir.path().join("state"), "a file").expect("write");
    let error = open_with(dir.path(), CONFIG).expect_err("refused");
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
    assert!(error.to_string().contains("--state-dir"), "{error}");
}

#[test]
fn a_new_directory_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().expect("directory");
    let _open = open(dir.path());
    let mode = |name: &str| {
        let meta = std::fs::metadata(dir.path().join(name)).expect("exists");
        meta.permissions().mode() & 0o777
    };
    assert_eq!(mode("state"), 0o700);
    assert_eq!(mode("state/state.db"), 0o600);
    assert_eq!(mode("state/lock"), 0o600);
}

#[test]
fn a_state_file_from_a_newer_version_is_left_alone() {
    let dir = closed_state();
    let path = dir.path().join("state/state.db");
    let disk = Connection::open(&path).expect("open");
    disk.pragma_update(None, "user_version", 7).expect("write");
    drop(disk);
    let before = std::fs::read(&path).expect("read");
    let error = open_with(dir.path(), CONFIG).expect_err("refused");
    assert!(
        matches!(
            error,
            StoreError::Newer {
                found: 7,
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

#[test]
fn a_damaged_state_file_is_named_and_never_made_anew() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage); 5] = [
        ("empty", Vec::clear),
        ("no database", |bytes| {
            *bytes = b"not a database at all".repeat(100)
        }),
        ("cut off", |bytes| bytes.truncate(bytes.len() / 2)),
        ("a page of noise", |bytes| bytes[4096..8192].fill(0xa5)),
        ("first page of noise", |bytes| bytes[100..4096].fill(0xa5)),
    ];
    for (name, damage) in cases {
        let dir = closed_state();
        let path = dir.path().join("state/state.db");
        let mut bytes = std::fs::read(&path).expect("read");
        damage(&mut bytes);
        std::fs::write(&path, &bytes).expect("write");
        let error = open_with(dir.path(), CONFIG).expect_err(name);
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{name}: {error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&path.display().to_string()) && text.contains("move it away"),
            "{text}"
        );
        assert_eq!(
            std::fs::read(&path).expect("read"),
            bytes,
            "{name}: left as it was"
        );
    }
}

#[test]
fn a_state_file_with_foreign_content_is_damaged() {
    for change in [
        "UPDATE overrides SET weights = '{\"primary\": -5}'",
        "UPDATE overrides SET weights = 'x'",
        "UPDATE overrides SET since = 'yesterday'",
        "UPDATE overrides SET route = 'No Name'",
        "UPDATE state SET value = 'many' WHERE key = 'revision'",
        "DROP TABLE splits",
        "PRAGMA application_id = 1",
    ] {
        let dir = closed_state();
        let path = dir.path().join("state/state.db");
        Connection::open(&path)
            .expect("open")
            .execute_batch(change)
            .expect("write");
        let error = open_with(dir.path(), CONFIG).expect_err(change);
        assert!(
            matches!(error, StoreError::Damaged { .. }),
            "{change}: {error:?}"
        );
    }
    let dir = closed_state();
    std::fs::remove_file(dir.path().join("state/state.db")).expect("remove");
    std::fs::write(dir.path().join("state/state.db-wal"), "log").expect("write");
    let error = open_with(dir.path(), CONFIG).expect_err("a log without its file");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

/// A state directory with one override in it, closed in good order.
fn closed_state() -> TempDir {
    let dir = TempDir::new().expect("directory");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let (store, _reader) = open(dir.path());
        weigh(&store, 50, 50).await;
        store.close().await;
    });
    dir
}

/// One move of the property test.
#[derive(Clone, Debug)]
enum Move {
    Set(u64, u64),
    Part(u64),
    Reset,
    Reload(usize),
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0u64..3, 0u64..3).prop_map(|(a, b)| Move::Set(a, b)),
        2 => (0u64..3).prop_map(Move::Part),
        1 => Just(Move::Reset),
        2 => (0usize..3).prop_map(Move::Reload),
        1 => Just(Move::Restart),
    ];
    proptest::collection::vec(one, 1..12)
}

fn configs() -> [String; 3] {
    [
        CONFIG.to_owned(),
        CONFIG.replace("weight: 95", "weight: 90"),
        CONFIG.replace(", {backend: canary, weight: 5}]", "]"),
    ]
}

/// Rule, weights, revision of the split.
type Seen = (String, String, u64);

fn fingerprint(desired: &Desired) -> (Revision, Vec<Seen>) {
    let rule = |rule: &Arc<crate::routing::Rule>| {
        let revision = desired.split_revision(&rule.id).get();
        (rule.id.to_string(), words::weights(rule), revision)
    };
    (
        desired.revision,
        desired.rules().map(|(one, _)| rule(one)).collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_changes_reopens_to_what_served(moves in moves()) {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        runtime.block_on(async {
            let dir = TempDir::new().expect("directory");
            let texts = configs();
            let (mut store, _) = open(dir.path());
            let file = dir.path().join("config.yaml");
            for one in moves {
                match one {
                    Move::Set(a, b) => {
                        let change = set(&[("primary", a), ("canary", b)]);
                        drop(store.apply(Change::SetSplit(change)).await);
                    }
                    Move::Part(b) => {
                        let mut change = set(&[("canary", b)]);
                        change.scope = Scope::Part;
                        drop(store.apply(Change::SetSplit(change)).await);
                    }
                    Move::Reset => drop(store.apply(Change::ResetSplit(reset())).await),
                    Move::Reload(which) => {
                        std::fs::write(&file, &texts[which]).expect("write");
                        drop(store.reload(Actor::file(), false).await);
                    }
                    Move::Restart => {
                        let before = fingerprint(&store.desired());
                        let text = store.desired().base.text().to_owned();
                        store.close().await;
                        (store, _) = open_with(dir.path(), &text).expect("reopens");
                        assert_eq!(fingerprint(&store.desired()), before);
                    }
                }
            }
            let before = fingerprint(&store.desired());
            let text = store.desired().base.text().to_owned();
            store.close().await;
            let (store, reader) = open_with(dir.path(), &text).expect("reopens");
            assert_eq!(fingerprint(&store.desired()), before);
            assert_eq!(reader.current().revision, before.0);
        });
    }
}
