//! Every metric Pointsman exports, by name: the contract with dashboards and alerts.
//!
//! A change of a name, a unit or a label here is a breaking change for users. The table in
//! `docs/guide/metrics.md` is checked against this one.

use prometheus::proto::MetricType;

/// What a metric is called, what it says, and what tells its series apart.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: MetricType,
    pub(crate) labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal,)+) => {
        $(pub(crate) const $id: Metric = Metric {
            name: $name,
            help: $help,
            kind: MetricType::$kind,
            labels: &[$($label),*],
        };)+

        /// All of them, in the order in which they are exported.
        pub(crate) const ALL: &[&Metric] = &[$(&$id),+];
    };
}

metrics! {
    BUILD_INFO: GAUGE "pointsman_build_info" ["version"]
        "Always 1; the label says which version runs.",
    REQUESTS: COUNTER "pointsman_requests_total" ["route", "rule", "backend", "code"]
        "Requests finished, by status code; 499 is a client that went away.",
    DURATION: HISTOGRAM "pointsman_request_duration_seconds" ["route", "rule", "backend"]
        "Time from the request's head to the last byte of the answer.",
    FAULTS: COUNTER "pointsman_request_faults_total" ["route", "rule", "backend", "reason"]
        "Answers that Pointsman made itself or broke off, by reason.",
    GRPC_REQUESTS: COUNTER "pointsman_grpc_requests_total"
        ["route", "rule", "backend", "grpc_status"]
        "gRPC calls finished, by gRPC status; counted in pointsman_requests_total, too.",
    SUCCESS_RATIO: GAUGE "pointsman_success_ratio" ["route", "rule", "backend", "window"]
        "Part of the requests in the window that did not fail: by 5xx, gRPC status or breaking off.",
    LATENCY: GAUGE "pointsman_request_latency_seconds"
        ["route", "rule", "backend", "window", "q"]
        "Quantile of the request duration in the window, at most 5 % off.",
    WINDOW_REQUESTS: GAUGE "pointsman_window_requests" ["route", "rule", "backend", "window"]
        "Requests that the window's ratio and quantiles are made of.",
    SPLIT_WEIGHT: GAUGE "pointsman_split_weight" ["route", "rule", "backend", "kind"]
        "Share of the split, 0 to 1: what the weights ask for, and what was seen in a minute.",
    REDISTRIBUTED: COUNTER "pointsman_redistributed_total" ["route", "rule", "backend"]
        "Requests of a backend without endpoints that other backends of the split took over.",
    IN_FLIGHT: GAUGE "pointsman_upstream_in_flight" ["backend"]
        "Requests running at the backend now.",
    CONNECTIONS: GAUGE "pointsman_upstream_connections" ["backend"]
        "Connections open to the backend now.",
    CONNECTS: COUNTER "pointsman_upstream_connects_total" ["backend", "outcome"]
        "Attempts to connect to the backend, by outcome: ok, failed, timeout.",
    RETRIES: COUNTER "pointsman_upstream_retries_total" ["backend"]
        "Requests sent again because an idle connection turned out to be closed.",
    TUNNELS: GAUGE "pointsman_upstream_tunnels" ["backend"]
        "Upgraded connections (WebSocket) open through to the backend now.",
    TUNNELS_OPENED: COUNTER "pointsman_upstream_tunnels_total" ["backend"]
        "Connections upgraded and passed through to the backend.",
    ENDPOINT_HEALTHY: GAUGE "pointsman_endpoint_healthy" ["backend", "endpoint"]
        "1 when the endpoint may take requests.",
    DOWNSTREAM_ACCEPTED: COUNTER "pointsman_downstream_connections_total" ["worker"]
        "Client connections taken.",
    DOWNSTREAM_OPEN: GAUGE "pointsman_downstream_connections" ["worker"]
        "Client connections open now.",
    ACCEPT_ERRORS: COUNTER "pointsman_downstream_accept_errors_total" ["worker"]
        "Client connections that could not be taken, for want of file descriptors mostly.",
    PROTOCOL_ERRORS: COUNTER "pointsman_downstream_protocol_errors_total" ["worker"]
        "Client connections closed because they broke the protocol, PROXY headers included.",
    DRAIN_CUT: COUNTER "pointsman_drain_cut_total" ["worker"]
        "Client connections that were still busy when the time to drain was over.",
    LOG_DROPPED: COUNTER "pointsman_access_log_dropped_total" ["worker"]
        "Access log lines dropped because the reader of the log is too slow.",
    CONFIG_REVISION: GAUGE "pointsman_config_revision" []
        "Number of the snapshot that serves.",
    CONFIG_RELOAD_OK: GAUGE "pointsman_config_last_reload_successful" []
        "1 when the last reload of the config file was applied, 0 when it was refused.",
    CONFIG_RELOAD_TIME: GAUGE "pointsman_config_last_reload_success_timestamp_seconds" []
        "When the config was last applied, in seconds since 1970.",
    OVERRIDES: GAUGE "pointsman_overrides" ["state"]
        "Live weights above the config, by state: applied, or parked because the config lost them.",
    WORKERS: GAUGE "pointsman_workers" []
        "Threads that serve requests.",
}
