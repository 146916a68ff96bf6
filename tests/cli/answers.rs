//! What the fake control API says.

use serde_json::{Value, json};

use crate::api::{Api, Asked};

/// An RFC 3339 time, `seconds` ago.
pub(crate) fn ago(seconds: i64) -> String {
    let now = jiff::Timestamp::now();
    let then = jiff::Timestamp::from_second(now.as_second() - seconds);
    then.expect("a time in range").to_string()
}

fn entry(backend: &str, weight: u32, desired: f64, good: bool) -> Value {
    let observed = json!({
        "samples": if good { 1204 } else { 0 },
        "failures": 0,
        "successRatio": if good { json!(0.9994) } else { Value::Null },
        "rate": if good { 96.04 } else { 0.0 },
        "p50": if good { json!(0.0042) } else { Value::Null },
        "p90": if good { json!(0.051) } else { Value::Null },
        "p99": if good { json!(0.398) } else { Value::Null },
    });
    json!({
        "backend": backend, "weight": weight, "baseWeight": 50, "desired": desired,
        "observed": if good { json!(0.952) } else { Value::Null },
        "last1m": observed, "last5m": observed,
    })
}

/// A split of two with `canary` percent for the canary.
pub(crate) fn split(revision: u64, canary: u32, over: &Value) -> Value {
    let primary = 100 - canary;
    json!({
        "revision": revision,
        "weights": {"primary": primary, "canary": canary},
        "entries": [
            entry("primary", primary, f64::from(primary) / 100.0, true),
            entry("canary", canary, f64::from(canary) / 100.0, false),
        ],
        "override": over,
    })
}

pub(crate) fn rule(name: &str, split: &Value) -> Value {
    json!({"name": name, "matches": ["path under /"], "redirect": null, "split": split})
}

pub(crate) fn redirect(name: &str) -> Value {
    json!({
        "name": name, "matches": ["path = /old"], "redirect": "https://example.com/",
        "split": {"revision": 1, "weights": {}, "entries": [], "override": null},
    })
}

pub(crate) fn route(name: &str, rules: &[Value]) -> Value {
    json!({"name": name, "hosts": ["podinfo.example.com"], "rules": rules})
}

pub(crate) fn over() -> Value {
    json!({
        "weights": {"primary": 95, "canary": 5}, "actor": "cli:ada", "reason": "look closer",
        "since": ago(45 * 60 + 20), "expiresAt": null,
    })
}

/// `podinfo` with one rule, and `shop` with two and a redirect.
pub(crate) fn routes() -> Value {
    let podinfo = route("podinfo", &[rule("everyone", &split(12, 5, &over()))]);
    let plain = split(1, 0, &Value::Null);
    let rules = [
        rule("insiders", &plain),
        rule("everyone", &plain),
        redirect("old"),
    ];
    json!({"revision": 12, "items": [podinfo, route("shop", &rules)]})
}

fn nth_route(at: usize) -> Value {
    let route = routes().pointer(&format!("/items/{at}")).cloned();
    route.expect("there are two")
}

pub(crate) fn backends() -> Value {
    json!({"revision": 12, "items": [
        {
            "name": "primary", "protocol": "http1", "state": "ready", "problem": null,
            "endpoints": [
                {"address": "127.0.0.1:9898", "state": "ready"},
                {"address": "127.0.0.1:9899", "state": "ready"},
            ],
            "inFlight": 3, "connections": 17,
            "usedBy": [{"route": "podinfo", "rule": "everyone", "weight": 95}],
        },
        {
            "name": "canary", "protocol": "h2c", "state": "empty", "problem": null,
            "endpoints": [], "inFlight": 0, "connections": 0, "usedBy": [],
        },
    ]})
}

pub(crate) fn event(id: u64, route: Option<&str>, message: &str) -> Value {
    json!({
        "id": id, "time": ago(45 * 60 + 20), "revision": id, "kind": "SplitSet", "actor": "cli:ada",
        "route": route, "rule": route.map(|_| "everyone"), "message": message, "reason": null,
    })
}

pub(crate) fn problem(status: u16, title: &str, detail: &str) -> Value {
    json!({"type": "a-problem", "title": title, "status": status, "detail": detail})
}

/// A control API where nothing is wrong.
pub(crate) fn healthy() -> Api {
    Api::start(|asked: &Asked| match asked.target.as_str() {
        "/api/v1/routes" => (200, routes()),
        "/api/v1/routes/podinfo" => (200, nth_route(0)),
        "/api/v1/routes/shop" => (200, nth_route(1)),
        "/api/v1/backends" => (200, backends()),
        "/api/v1/events" | "/api/v1/events?limit=1000" => {
            let events = [
                event(7, Some("podinfo"), "canary 5 -> 10"),
                event(6, Some("shop"), "canary 0 -> 5"),
                event(5, None, "config reloaded"),
            ];
            (200, json!({"revision": 7, "items": events}))
        }
        "/readyz" | "/livez" => (200, json!({})),
        _ => {
            let detail = "There is no route podinf; did you mean podinfo?";
            (404, problem(404, "unknown route", detail))
        }
    })
}
