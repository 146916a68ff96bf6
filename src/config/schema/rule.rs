//! Routes: hosts and rules; a rule's matches, filters and split.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::{At, Number, Pairs};

/// Hosts, and what happens to requests for them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Route {
    /// Unique among the routes; lower-case letters, digits, `-` and `.`.
    #[schemars(example = &"podinfo")]
    pub(crate) name: At<String>,
    /// Host names without port. `*.example.com` takes every name below `example.com`, but not
    /// `example.com` itself. None: any host.
    #[schemars(example = ["podinfo.example.com", "*.podinfo.example.com"])]
    pub(crate) hosts: Option<Vec<At<String>>>,
    /// What happens to the requests.
    #[schemars(required, length(min = 1))]
    pub(crate) rules: Option<Vec<At<Rule>>>,
}

/// Matches, and what happens to requests that meet one of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// Unique in the route; with the route's name it is the address of the rule in the control
    /// API (`podinfo/everyone`). May be left out if it is the only rule of its route: then it is
    /// called `default`.
    #[schemars(example = &"everyone")]
    pub(crate) name: Option<At<String>>,
    /// Alternatives: one of them must be met. None: every request to the hosts of the route.
    pub(crate) matches: Option<Vec<At<Match>>>,
    /// Changes to requests and responses.
    pub(crate) filters: Option<Filters>,
    /// Where the requests go, each backend with its weight. Left out for a redirect only.
    #[schemars(length(min = 1))]
    pub(crate) split: Option<At<Vec<At<SplitEntry>>>>,
    /// What happens to the share of a backend that cannot take it: `fail` (its requests are
    /// answered 500 or 503), or `redistribute` (the other backends take them).
    #[schemars(extend("default" = "fail"))]
    pub(crate) on_unavailable: Option<OnUnavailable>,
    /// Time limits of a request.
    pub(crate) timeouts: Option<RuleTimeouts>,
}

/// Conditions that must all be met.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Match {
    /// What the path must be; one of `exact`, `prefix` and `regex`. Default: any path.
    pub(crate) path: Option<At<PathMatch>>,
    /// The method, in capitals.
    #[schemars(example = &"GET")]
    pub(crate) method: Option<At<String>>,
    /// Conditions on headers. The case of a name does not matter.
    pub(crate) headers: Option<Vec<At<TextMatch>>>,
    /// Conditions on query parameters; a parameter counts with its first value.
    pub(crate) query: Option<Vec<At<TextMatch>>>,
    /// Conditions on cookies.
    pub(crate) cookies: Option<Vec<At<TextMatch>>>,
}

/// What a path must be. Paths are compared in their normal form: dot segments resolved, repeated
/// slashes merged, unreserved characters unescaped.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PathMatch {
    /// Exactly this path.
    Exact(#[schemars(example = &"/version")] At<String>),
    /// This path and everything below it: `/api` takes `/api` and `/api/info`, not `/apis`.
    Prefix(#[schemars(example = &"/api")] At<String>),
    /// A regular expression for the whole path.
    Regex(#[schemars(example = &"/v[0-9]+/.*")] At<String>),
}

/// A condition on a named value; exactly one of `exact`, `prefix`, `regex` and `present`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["exact"]}, {"required": ["prefix"]},
    {"required": ["regex"]}, {"required": ["present"]},
]))]
pub(crate) struct TextMatch {
    /// Name of the header, query parameter or cookie.
    #[schemars(example = &"x-canary")]
    pub(crate) name: At<String>,
    /// Exactly this value.
    #[schemars(example = &"insider")]
    pub(crate) exact: Option<At<String>>,
    /// A value that starts with this text.
    pub(crate) prefix: Option<At<String>>,
    /// A regular expression for the whole value.
    pub(crate) regex: Option<At<String>>,
    /// `true`: any value.
    #[schemars(extend("const" = true))]
    pub(crate) present: Option<At<bool>>,
}

/// Changes to requests and responses.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Filters {
    /// Headers of the request, before it goes to a backend.
    pub(crate) request_headers: Option<HeaderEdits>,
    /// Headers of the response, before it goes to the client.
    pub(crate) response_headers: Option<HeaderEdits>,
    /// Sends the client elsewhere. Takes the place of `split` and `rewrite`.
    pub(crate) redirect: Option<At<Redirect>>,
    /// Changes host or path before the request goes to a backend.
    pub(crate) rewrite: Option<At<Rewrite>>,
}

/// Changes to headers, applied in the order `remove`, `set`, `add`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HeaderEdits {
    /// Replaces all values of these headers.
    #[schemars(example = serde_json::json!({"x-version": "canary"}))]
    pub(crate) set: Option<Pairs>,
    /// Adds a value to these headers.
    #[schemars(example = serde_json::json!({"vary": "cookie"}))]
    pub(crate) add: Option<Pairs>,
    /// Removes these headers.
    #[schemars(example = ["x-powered-by"])]
    pub(crate) remove: Option<Vec<At<String>>>,
}

/// Where a client is sent; what is left out stays as the client sent it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Redirect {
    /// `http` or `https`.
    #[schemars(extend("enum" = ["http", "https"]))]
    pub(crate) scheme: Option<At<String>>,
    /// Host name without port.
    #[schemars(example = &"www.example.com")]
    pub(crate) hostname: Option<At<String>>,
    /// Port. Default: the one that `scheme` implies, else the listener's.
    #[schemars(extend("minimum" = 1, "maximum" = 65_535))]
    pub(crate) port: Option<At<Number>>,
    /// The new path; one of `full` and `replacePrefix`. The query is kept.
    pub(crate) path: Option<At<PathEdit>>,
    /// Status of the answer.
    #[schemars(extend("default" = 302, "enum" = [301, 302, 303, 307, 308]))]
    pub(crate) status: Option<At<Number>>,
}

/// A new path.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PathEdit {
    /// Replaces the whole path.
    Full(#[schemars(example = &"/index.html")] At<String>),
    /// Replaces the prefix that matched; every match of the rule must be a prefix.
    ReplacePrefix(#[schemars(example = &"/v2")] At<String>),
}

/// What a backend sees instead of what the client sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rewrite {
    /// The new `Host`.
    #[schemars(example = &"podinfo.internal")]
    pub(crate) hostname: Option<At<String>>,
    /// The new path; one of `full` and `replacePrefix`. The query is kept.
    pub(crate) path: Option<At<PathEdit>>,
}

/// A backend and its share.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SplitEntry {
    /// Name of the backend.
    #[schemars(example = &"podinfo-canary")]
    pub(crate) backend: At<String>,
    /// Its share in relation to the sum of all weights; not a percentage. 0 is an ordinary value:
    /// no requests for now. If all are 0, requests are answered 503.
    #[schemars(extend("default" = 1, "maximum" = 1_000_000))]
    pub(crate) weight: Option<At<Number>>,
    /// Headers of requests that go to this backend, after those of the rule's filters.
    pub(crate) request_headers: Option<HeaderEdits>,
    /// Headers of responses that come from this backend, after those of the rule's filters.
    pub(crate) response_headers: Option<HeaderEdits>,
}

/// What happens to the share of a backend that cannot take it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OnUnavailable {
    /// Its requests fail: 500 if it is invalid, 503 if it has no endpoints.
    Fail,
    /// The others take its share.
    Redistribute,
}

/// Time limits of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RuleTimeouts {
    /// From the head of the request to the head of the response; then 504. `0s`: no limit.
    #[schemars(extend("default" = "15s"))]
    pub(crate) request: Option<At<String>>,
}
