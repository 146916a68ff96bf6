//! The shapes of the control API, as its clients see them.
//!
//! Written by the API, read by the CLI and the demo; field names are camelCase in JSON. Durations
//! are seconds unless the name says otherwise, shares are parts of one, times are RFC 3339 in UTC.
//! What has no value yet (a ratio of no requests) is `null`, never 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A list, so that fields can be added beside the items.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    /// Revision that the items show.
    pub(crate) revision: u64,
    pub(crate) items: Vec<T>,
    /// With routes: overrides whose rule or backend the config lacks; kept, not applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parked: Vec<ParkedOverride>,
}

/// A route and its rules.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Route {
    pub(crate) name: String,
    /// Empty: any host.
    pub(crate) hosts: Vec<String>,
    pub(crate) rules: Vec<Rule>,
}

/// A rule: what it matches and how it splits.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// One line for each match, as `explain` words it. Empty: everything.
    pub(crate) matches: Vec<String>,
    /// Where a redirecting rule sends its clients; such a rule has no split.
    pub(crate) redirect: Option<String>,
    pub(crate) split: Split,
}

/// The split of a rule, live.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Split {
    /// Changes with every change of this split; the ETag, without its quotes.
    pub(crate) revision: u64,
    /// What is in force, by backend, in the order of the config: use `entries` for the order.
    pub(crate) weights: BTreeMap<String, u32>,
    pub(crate) entries: Vec<SplitEntry>,
    /// The live layer above the config, if there is one.
    #[serde(rename = "override")]
    pub(crate) over: Option<Override>,
}

/// One backend of a split.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SplitEntry {
    pub(crate) backend: String,
    pub(crate) weight: u32,
    /// What the config says, without the override.
    pub(crate) base_weight: u32,
    /// Share of the requests that the weights ask for, 0..1.
    pub(crate) desired: f64,
    /// Share of the requests that it got in the last minute, 0..1.
    pub(crate) observed: Option<f64>,
    /// Numbers of the last minute.
    pub(crate) last1m: Observation,
    /// Numbers of the last five minutes.
    pub(crate) last5m: Observation,
}

/// What was measured in a window.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Observation {
    /// Finished requests, without those whose client went away.
    pub(crate) samples: u64,
    /// Of them: answered 5xx or a failing gRPC status, or broken off by the backend.
    pub(crate) failures: u64,
    /// 0..1
    pub(crate) success_ratio: Option<f64>,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Seconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// Live weights above the config.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Override {
    pub(crate) weights: BTreeMap<String, u32>,
    /// Who set it.
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    /// When it was set.
    pub(crate) since: String,
    /// When it goes away by itself.
    pub(crate) expires_at: Option<String>,
}

/// Body of `PUT …/split` (names every backend of the split) and `PATCH …/split` (some of them).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SplitChange {
    /// Whole numbers from 0 to 1,000,000.
    #[schema(value_type = BTreeMap<String, u32>)]
    #[serde(deserialize_with = "once_each")]
    pub(crate) weights: BTreeMap<String, serde_json::Number>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Duration such as `30m`; the override is dropped when it has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in: Option<String>,
}

/// Reads a map whose keys come once each; JSON itself would let the last one win.
fn once_each<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, serde_json::Number>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = BTreeMap<String, serde_json::Number>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of backends and their weights")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut weights = BTreeMap::new();
            while let Some((backend, weight)) = map.next_entry::<String, serde_json::Number>()? {
                if weights.contains_key(&backend) {
                    let twice = format!("{backend:?} is weighed twice");
                    return Err(serde::de::Error::custom(twice));
                }
                weights.insert(backend, weight);
            }
            Ok(weights)
        }
    }
    from.deserialize_map(Visitor)
}

/// A change of a split that was carried out, or would be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SplitChanged {
    #[serde(flatten)]
    pub(crate) split: Split,
    /// Nothing was changed; this is what would be.
    pub(crate) dry_run: bool,
    /// The event in the history that tells of it; null when nothing was changed.
    pub(crate) event: Option<u64>,
    /// What is different, in sentences. Empty: it was so before.
    pub(crate) changes: Vec<String>,
    /// Legal, but hardly meant.
    pub(crate) warnings: Vec<String>,
}

/// The config under the overrides.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    pub(crate) revision: u64,
    /// The file it comes from; null: it is built in.
    pub(crate) file: Option<String>,
    /// Whether the file was good when it was last read.
    pub(crate) last_reload_successful: bool,
    /// With every default filled in.
    #[schema(value_type = Object)]
    pub(crate) document: serde_json::Value,
    /// As it was written.
    pub(crate) text: String,
    /// Overrides whose rule or backend the config lacks: kept, not applied.
    pub(crate) parked: Vec<ParkedOverride>,
}

/// An override that waits for a config which has what it names.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParkedOverride {
    pub(crate) route: String,
    pub(crate) rule: String,
    #[serde(rename = "override")]
    pub(crate) over: Override,
}

/// A config that was applied, or would be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigChanged {
    pub(crate) revision: u64,
    /// Nothing was changed; this is what would be.
    pub(crate) dry_run: bool,
    /// What is different, in sentences. Empty: nothing that serves.
    pub(crate) changes: Vec<String>,
    /// Legal, but hardly meant.
    pub(crate) warnings: Vec<ProblemDetail>,
}

/// A backend and its endpoints.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backend {
    pub(crate) name: String,
    /// `http1` or `h2c`.
    pub(crate) protocol: String,
    /// `ready`, `empty` (no endpoints) or `invalid`.
    pub(crate) state: String,
    /// Why it is invalid.
    pub(crate) problem: Option<String>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Requests running now.
    pub(crate) in_flight: u64,
    /// Connections open now.
    pub(crate) connections: u64,
    /// `route/rule` of every split that names it, with its weight.
    pub(crate) used_by: Vec<BackendUse>,
}

/// One address of a backend.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    pub(crate) address: String,
    /// `ready` until probes can say otherwise.
    pub(crate) state: String,
}

/// A split that names a backend.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackendUse {
    pub(crate) route: String,
    pub(crate) rule: String,
    pub(crate) weight: u32,
}

/// Something that happened: who changed what, when, why.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// Grows by one; also the `id:` of the SSE stream.
    pub(crate) id: u64,
    pub(crate) time: String,
    pub(crate) revision: u64,
    /// `SplitSet`, `SplitReset`, `OverrideExpired`, `OverrideParked`, `ConfigReloaded`,
    /// `ConfigRefused`, `Started`.
    pub(crate) kind: String,
    /// Who: `api:127.0.0.1`, `cli:NAME`, `file`, `pointsman`.
    pub(crate) actor: String,
    pub(crate) route: Option<String>,
    pub(crate) rule: Option<String>,
    /// One sentence for people.
    pub(crate) message: String,
    pub(crate) reason: Option<String>,
}

/// Two versions side by side; the verdict comes with the statistics.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    pub(crate) route: String,
    pub(crate) rule: String,
    /// `1m` or `5m`.
    pub(crate) window: String,
    pub(crate) a: ComparisonSide,
    pub(crate) b: ComparisonSide,
}

/// One version of a comparison.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComparisonSide {
    pub(crate) backend: String,
    pub(crate) weight: u32,
    #[serde(flatten)]
    pub(crate) observation: Observation,
}

/// RFC 9457 problem details.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// Short and stable, for programs: `stale`, `unknown-route`, `bad-weights` …
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) status: u16,
    /// What is wrong here and what to do about it.
    pub(crate) detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<ProblemDetail>,
    /// For `stale`: what the split is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<Box<Split>>,
}

/// One of several things that are wrong.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemDetail {
    /// JSON pointer into the body, or `file:line:column`.
    pub(crate) pointer: String,
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// Why a request goes where it goes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    /// In the order of precedence; empty: nothing has this host and path, answered 404.
    pub(crate) considered: Vec<ExplainedMatch>,
    /// `404`, `redirect`, `split` or `closed`.
    pub(crate) outcome: String,
    pub(crate) route: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) redirect: Option<String>,
    /// Where it may go, with the share of each.
    pub(crate) shares: Vec<ExplainedShare>,
}

/// One match that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplainedMatch {
    pub(crate) route: String,
    pub(crate) rule: String,
    /// The match in words.
    #[serde(rename = "match")]
    pub(crate) one: String,
    /// `answers`, `outranked` or `broken`.
    pub(crate) verdict: String,
    /// The condition that does not hold.
    pub(crate) broken: Option<String>,
}

/// One possible destination.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplainedShare {
    pub(crate) backend: String,
    pub(crate) share: f64,
    /// What it would answer if it cannot forward: 500 invalid, 503 no endpoints.
    pub(crate) problem: Option<String>,
}
