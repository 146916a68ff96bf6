//! `weight set` and `weight reset`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::answers::{healthy, over, problem, route, routes, rule, split};
use crate::api::Api;

const SPLIT: &str = "/api/v1/routes/podinfo/rules/everyone/split";

/// An API that does what it is told: `podinfo` goes from 5 to 20 percent, and back to 50.
fn obedient() -> Api {
    Api::start(|asked| {
        let now = split(12, 5, &over());
        match (
            asked.method.as_str(),
            asked.target.trim_end_matches("?dryRun=true"),
        ) {
            ("GET", "/api/v1/routes/podinfo") => (200, route("podinfo", &[rule("everyone", &now)])),
            ("PUT" | "PATCH", SPLIT) => (200, split(13, 20, &over())),
            ("DELETE", SPLIT) => (200, split(13, 50, &Value::Null)),
            _ => (404, problem(404, "unknown route", "")),
        }
    })
}

#[test]
fn naming_every_backend_sets_the_split() {
    let api = obedient();
    let ran = api.run(&[
        "weight",
        "set",
        "podinfo",
        "primary=80",
        "canary=20",
        "--reason",
        "looks fine",
        "--expires-in",
        "30m",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "podinfo/everyone: revision 12 → 13\n");
    insta::assert_snapshot!(ran.stdout, @"
    BACKEND    WEIGHT           SHARE
    primary   95 → 80   95.0% → 80.0%
    canary     5 → 20    5.0% → 20.0%
    ");
    let put = &api.asked()[1];
    assert!(put.is("PUT", SPLIT), "{put:?}");
    assert_eq!(put.header("if-match"), Some("\"12\""));
    assert_eq!(put.header("x-pointsman-actor"), Some("cli:ada"));
    let weights = json!({"primary": 80, "canary": 20});
    let change = json!({"weights": weights, "reason": "looks fine", "expiresIn": "30m"});
    assert_eq!(put.json(), change);
}

#[test]
fn naming_some_backends_changes_those() {
    let api = obedient();
    let ran = api.run(&[
        "weight",
        "set",
        "podinfo/everyone",
        "canary=20",
        "-o",
        "json",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(said["revision"], 13);
    let patch = &api.asked()[1];
    assert!(patch.is("PATCH", SPLIT), "{patch:?}");
    assert_eq!(patch.json(), json!({"weights": {"canary": 20}}));
}

#[test]
fn a_dry_run_says_that_it_is_one() {
    let api = obedient();
    let ran = api.run(&["weight", "set", "podinfo", "canary=20", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "podinfo/everyone: dry run, nothing was changed\n"
    );
    assert!(ran.stdout.contains("5 → 20"), "{ran:?}");
    assert!(api.asked()[1].is("PATCH", &format!("{SPLIT}?dryRun=true")));
}

#[test]
fn a_reset_drops_the_override() {
    let api = obedient();
    let ran = api.run(&["weight", "reset", "podinfo"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("5 → 50"), "{ran:?}");
    assert!(api.asked()[1].is("DELETE", SPLIT));
}

#[test]
fn a_stale_revision_is_a_conflict_with_code_7() {
    let api = Api::start(|asked| match asked.method.as_str() {
        "GET" => (
            200,
            route("podinfo", &[rule("everyone", &split(12, 5, &over()))]),
        ),
        _ => {
            let detail = "The split is at revision 12; look at it again.";
            (412, problem(412, "stale revision", detail))
        }
    });
    let ran = api.run(&["weight", "set", "podinfo", "canary=20", "--if-match", "9"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.stderr.contains("is at revision 12"), "{ran:?}");
    let asked = api.asked();
    assert_eq!(
        (asked.len(), asked[1].header("if-match")),
        (2, Some("\"9\""))
    );
    // Without a revision of one's own it is tried on, but not for ever.
    let ran = api.run(&["weight", "set", "podinfo", "canary=20"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert_eq!(api.asked().len(), 2 + 6);
}

#[test]
fn a_change_that_was_overtaken_is_tried_again() {
    let revision = Arc::new(AtomicU64::new(12));
    let api = Api::start(move |asked| match asked.method.as_str() {
        "GET" => {
            let now = split(revision.fetch_add(1, Ordering::Relaxed), 5, &over());
            (200, route("podinfo", &[rule("everyone", &now)]))
        }
        _ if asked.header("if-match") == Some("\"13\"") => (200, split(14, 20, &over())),
        _ => (412, problem(412, "stale revision", "")),
    });
    let ran = api.run(&["weight", "set", "podinfo", "canary=20"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "podinfo/everyone: revision 13 → 14\n");
}

#[test]
fn a_route_with_several_rules_asks_which() {
    let ran = healthy().run(&["weight", "set", "shop", "canary=20"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "error: route shop has 2 rules with a split: say which one\n  shop/insiders\n  \
         shop/everyone\n"
    );
}

#[test]
fn an_unknown_rule_is_compared_with_the_known_ones() {
    let ran = healthy().run(&["weight", "reset", "shop/evryone"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "error: route shop has no rule evryone\n  its rules: insiders, everyone\nhint: did you \
         mean shop/everyone?\n"
    );
}

#[test]
fn every_error_of_a_problem_is_told() {
    let api = Api::start(|asked| match asked.method.as_str() {
        "GET" => (
            200,
            route("podinfo", &[rule("everyone", &split(12, 5, &over()))]),
        ),
        _ => {
            let mut problem = problem(400, "bad weights", "Nothing was changed.");
            problem["errors"] = json!([
                {"pointer": "/weights/canry", "message": "no such backend", "hint": "canary?"},
            ]);
            (400, problem)
        }
    });
    let ran = api.run(&["weight", "set", "podinfo", "canry=20"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "error: Nothing was changed.\n  /weights/canry: no such backend\n    hint: \
         canary?\n"
    );
}

#[test]
fn a_backend_with_two_weights_is_a_mistake() {
    let ran = healthy().run(&["weight", "set", "podinfo", "canary=1", "canary=2"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("canary is given two weights"),
        "{ran:?}"
    );
}

#[test]
fn a_parked_override_can_be_dropped_too() {
    let api = Api::start_raw(|asked| match asked.method.as_str() {
        "DELETE" if asked.target.contains("/old/rules/everyone/") => (204, String::new()),
        "GET" if asked.target == "/api/v1/routes" => (200, routes().to_string()),
        _ => (
            404,
            problem(404, "Not Found", "there is no such thing").to_string(),
        ),
    });
    let ran = api.run(&["weight", "reset", "old/everyone", "--reason", "it is gone"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "old/everyone: the parked override was dropped\n"
    );
    let deleted = &api.asked()[1];
    assert!(
        deleted.target.ends_with("/split?reason=it%20is%20gone"),
        "{deleted:?}"
    );
    assert_eq!(deleted.header("if-match"), None);
    let ran = api.run(&["weight", "reset", "podinf/everyone"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "error: there is no route podinf\nhint: did you mean podinfo?\n"
    );
}

#[test]
fn warnings_of_a_change_are_passed_on() {
    let api = Api::start(|asked| match asked.method.as_str() {
        "GET" => (
            200,
            route("podinfo", &[rule("everyone", &split(12, 5, &over()))]),
        ),
        _ => {
            let mut changed = split(13, 20, &over());
            changed["warnings"] = json!(["every weight is 0"]);
            (200, changed)
        }
    });
    let ran = api.run(&["weight", "set", "podinfo", "canary=0"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr.starts_with("warning: every weight is 0\n"),
        "{ran:?}"
    );
}
