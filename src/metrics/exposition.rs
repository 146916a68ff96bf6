//! The numbers as Prometheus reads them.
//!
//! The cells are turned into the `prometheus` crate's families when somebody asks, and its encoder
//! writes them; nothing here is on the request path.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Sample, MetricFamily, MetricType,
};

use super::handles::{SeriesCells, WorkerCells};
use super::histogram::edge_seconds;
use super::names::{self, Metric};
use super::registry::{Inner, Registry, Series, SeriesKey};
use super::window::Window;
use crate::model::{BackendName, RuleId};

/// Upper edges that are exported, in seconds; each is an edge of the internal histogram too, so
/// every bucket is an exact count.
const EXPORTED_EDGES: [f64; 16] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

const QUANTILES: [(f64, &str); 4] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (0.999, "0.999")];

/// What only the control plane knows.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) revision: u64,
    pub(crate) last_reload_ok: bool,
    /// Seconds since 1970.
    pub(crate) last_reload_time: f64,
    pub(crate) overrides_applied: u64,
    pub(crate) overrides_parked: u64,
    /// Desired share of every backend of every split, 0..=1.
    pub(crate) desired: Vec<(RuleId, BackendName, f64)>,
    /// Every endpoint, and whether it may take requests.
    pub(crate) endpoints: Vec<(BackendName, String, bool)>,
}

/// Families in the making, in the order of their names' table.
#[derive(Default)]
struct Page(BTreeMap<usize, MetricFamily>);

impl Page {
    fn family(&mut self, metric: &Metric) -> &mut MetricFamily {
        let at = names::ALL
            .iter()
            .position(|one| one.name == metric.name)
            .unwrap_or(usize::MAX);
        self.0.entry(at).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(metric.kind);
            family
        })
    }

    fn add(&mut self, metric: &Metric, labels: &[&str], fill: impl FnOnce(&mut Sample)) {
        let mut sample = Sample::default();
        let pairs = metric.labels.iter().zip(labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        sample.set_label(pairs.collect());
        fill(&mut sample);
        self.family(metric).mut_metric().push(sample);
    }

    /// One value of a counter or gauge.
    fn value(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        self.add(metric, labels, |sample| {
            if metric.kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
        });
    }
}

impl Registry {
    /// Everything, in the Prometheus text format 0.0.4.
    pub(crate) fn render(&self, facts: &Facts) -> String {
        let mut page = Page::default();
        page.value(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        {
            let inner = self.lock();
            for (key, series) in &inner.series {
                add_series(&mut page, key, series, inner.now);
            }
            add_backends(&mut page, &inner);
            add_shares(&mut page, &inner, facts);
        }
        for (at, cells) in self.workers().iter().enumerate() {
            add_worker(&mut page, &at.to_string(), cells);
        }
        page.value(&names::WORKERS, &[], self.workers().len() as f64);
        add_facts(&mut page, facts);
        let mut families: Vec<MetricFamily> = page.0.into_values().collect();
        families.extend(ProcessCollector::for_self().collect());
        // The encoder fails on families without samples only, and none is made without one.
        TextEncoder::new()
            .encode_to_string(&families)
            .unwrap_or_default()
    }
}

fn labels(key: &SeriesKey) -> [&str; 3] {
    let (route, rule) = match &key.rule {
        Some(id) => (id.route.as_str(), id.rule.as_str()),
        None => ("", ""),
    };
    [
        route,
        rule,
        key.backend.as_ref().map_or("", BackendName::as_str),
    ]
}

fn add_series(page: &mut Page, key: &SeriesKey, series: &Series, now: u64) {
    let [route, rule, backend] = labels(key);
    let mut codes = BTreeMap::<String, u64>::new();
    let mut faults = BTreeMap::<&str, u64>::new();
    let mut calls = BTreeMap::<usize, (&str, u64)>::new();
    for (_, cells) in &series.shards {
        cells
            .codes()
            .for_each(|(code, n)| *codes.entry(code).or_default() += n);
        cells
            .faults()
            .for_each(|(reason, n)| *faults.entry(reason).or_default() += n);
        for (status, n) in cells.calls() {
            let call = calls.entry(status.number());
            let (_, count) = call.or_insert_with(|| (status.label(), 0));
            *count += n;
        }
    }
    for (code, count) in &codes {
        page.value(
            &names::REQUESTS,
            &[route, rule, backend, code],
            *count as f64,
        );
    }
    for (status, count) in calls.values() {
        page.value(
            &names::GRPC_REQUESTS,
            &[route, rule, backend, status],
            *count as f64,
        );
    }
    for (reason, count) in &faults {
        page.value(
            &names::FAULTS,
            &[route, rule, backend, reason],
            *count as f64,
        );
    }
    let cells = || series.shards.iter().map(|(_, cells)| cells);
    let redistributed: u64 = cells().map(|cells| cells.redistributed.read()).sum();
    if redistributed > 0 {
        page.value(
            &names::REDISTRIBUTED,
            &[route, rule, backend],
            redistributed as f64,
        );
    }
    if !codes.is_empty() {
        let sum =
            cells().map(|cells: &std::sync::Arc<SeriesCells>| cells.latencies().sum_seconds());
        let histogram = histogram(&series.latency_counts(), sum.sum());
        page.add(&names::DURATION, &[route, rule, backend], |s| {
            s.set_histogram(histogram)
        });
    }
    for window in Window::ALL {
        add_window(page, [route, rule, backend], series, window, now);
    }
}

fn add_window(page: &mut Page, labels: [&str; 3], series: &Series, window: Window, now: u64) {
    let [route, rule, backend] = labels;
    let seen = series.observe(window, now);
    let labels = [route, rule, backend, window.label()];
    page.value(&names::WINDOW_REQUESTS, &labels, seen.samples as f64);
    if let Some(ratio) = seen.success_ratio() {
        page.value(&names::SUCCESS_RATIO, &labels, ratio);
    }
    for (q, label) in QUANTILES {
        if let Some(latency) = seen.quantile(q) {
            let labels = [route, rule, backend, window.label(), label];
            page.value(&names::LATENCY, &labels, latency.as_secs_f64());
        }
    }
}

fn histogram(counts: &[u64], sum: f64) -> Histogram {
    let mut cumulative = 0;
    let mut cells = counts.iter().enumerate().peekable();
    let buckets = EXPORTED_EDGES.map(|edge| {
        while let Some((_, count)) = cells.next_if(|(cell, _)| edge_seconds(*cell) <= edge) {
            cumulative += count;
        }
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(edge);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum);
    histogram.set_bucket(buckets.into());
    histogram
}

fn add_backends(page: &mut Page, inner: &Inner) {
    for (name, shards) in &inner.backends {
        let backend = name.as_str();
        let sum = |read: fn(&super::BackendCells) -> u64| -> f64 {
            shards.iter().map(|(_, cells)| read(cells)).sum::<u64>() as f64
        };
        page.value(&names::IN_FLIGHT, &[backend], sum(|c| c.in_flight.read()));
        page.value(
            &names::CONNECTIONS,
            &[backend],
            sum(|c| c.connections.read()),
        );
        page.value(
            &names::CONNECTS,
            &[backend, "ok"],
            sum(|c| c.connected.read()),
        );
        page.value(
            &names::CONNECTS,
            &[backend, "failed"],
            sum(|c| c.connect_failed.read()),
        );
        page.value(
            &names::CONNECTS,
            &[backend, "timeout"],
            sum(|c| c.connect_timeout.read()),
        );
        page.value(&names::RETRIES, &[backend], sum(|c| c.retries.read()));
        page.value(&names::TUNNELS, &[backend], sum(|c| c.tunnels.read()));
        let opened = sum(|c| c.tunnels_opened.read());
        page.value(&names::TUNNELS_OPENED, &[backend], opened);
    }
}

/// Desired and observed shares side by side.
fn add_shares(page: &mut Page, inner: &Inner, facts: &Facts) {
    let samples = |rule: &RuleId, backend: &BackendName| {
        let series = inner.series.get(&SeriesKey::new(rule, backend));
        series.map_or(0, |series| {
            series.observe(Window::OneMinute, inner.now).samples
        })
    };
    let mut totals = BTreeMap::<&RuleId, u64>::new();
    for (rule, backend, _) in &facts.desired {
        *totals.entry(rule).or_default() += samples(rule, backend);
    }
    for (rule, backend, desired) in &facts.desired {
        let label = |kind| {
            [
                rule.route.as_str(),
                rule.rule.as_str(),
                backend.as_str(),
                kind,
            ]
        };
        page.value(&names::SPLIT_WEIGHT, &label("desired"), *desired);
        let total = totals.get(rule).copied().unwrap_or_default();
        if total > 0 {
            let observed = samples(rule, backend) as f64 / total as f64;
            page.value(&names::SPLIT_WEIGHT, &label("observed"), observed);
        }
    }
}

fn add_worker(page: &mut Page, worker: &str, cells: &WorkerCells) {
    for (metric, cell) in [
        (&names::DOWNSTREAM_ACCEPTED, &cells.accepted),
        (&names::DOWNSTREAM_OPEN, &cells.open),
        (&names::ACCEPT_ERRORS, &cells.accept_errors),
        (&names::PROTOCOL_ERRORS, &cells.protocol_errors),
        (&names::DRAIN_CUT, &cells.cut),
        (&names::LOG_DROPPED, &cells.log_dropped),
    ] {
        page.value(metric, &[worker], cell.read() as f64);
    }
}

fn add_facts(page: &mut Page, facts: &Facts) {
    page.value(&names::CONFIG_REVISION, &[], facts.revision as f64);
    page.value(
        &names::CONFIG_RELOAD_OK,
        &[],
        f64::from(u8::from(facts.last_reload_ok)),
    );
    page.value(&names::CONFIG_RELOAD_TIME, &[], facts.last_reload_time);
    page.value(
        &names::OVERRIDES,
        &["applied"],
        facts.overrides_applied as f64,
    );
    page.value(
        &names::OVERRIDES,
        &["parked"],
        facts.overrides_parked as f64,
    );
    for (backend, endpoint, healthy) in &facts.endpoints {
        let labels = [backend.as_str(), endpoint.as_str()];
        page.value(
            &names::ENDPOINT_HEALTHY,
            &labels,
            f64::from(u8::from(*healthy)),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::model::{Fault, GrpcStatus, RouteName, RuleName};

    #[test]
    fn every_metric_is_on_the_page_and_in_the_documentation() {
        let rule = RuleId {
            route: RouteName::parse("web").expect("name"),
            rule: RuleName::parse("all").expect("name"),
        };
        let backend = BackendName::parse("canary").expect("name");
        let key = SeriesKey::new(&rule, &backend);
        let registry = Registry::new(1);
        let series = registry.series(0, key.clone());
        series.answered(StatusCode::OK, Duration::from_millis(3));
        series.called(GrpcStatus::DeadlineExceeded);
        series.fault(Fault::Connect);
        series.redistributed.add(1);
        registry.backend(0, &backend);
        registry.tick(1, &HashSet::from([key]));
        let facts = Facts {
            desired: vec![(rule, backend.clone(), 0.05)],
            endpoints: vec![(backend, "127.0.0.1:1".to_owned(), true)],
            ..Facts::default()
        };
        let text = registry.render(&facts);
        for metric in names::ALL {
            assert!(
                text.contains(&format!("# HELP {} ", metric.name)),
                "{} in\n{text}",
                metric.name
            );
        }
        for line in [
            r#"pointsman_requests_total{route="web",rule="all",backend="canary",code="200"} 1"#,
            r#"pointsman_grpc_requests_total{route="web",rule="all",backend="canary",grpc_status="DEADLINE_EXCEEDED"} 1"#,
            r#"pointsman_request_duration_seconds_bucket{route="web",rule="all",backend="canary",le="0.0025"} 0"#,
            r#"pointsman_request_duration_seconds_bucket{route="web",rule="all",backend="canary",le="0.005"} 1"#,
            r#"pointsman_split_weight{route="web",rule="all",backend="canary",kind="desired"} 0.05"#,
            r#"pointsman_split_weight{route="web",rule="all",backend="canary",kind="observed"} 1"#,
            r#"pointsman_success_ratio{route="web",rule="all",backend="canary",window="1m"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn exported_edges_are_edges_inside() {
        let inside: Vec<f64> = (0..super::super::histogram::CELLS)
            .map(edge_seconds)
            .collect();
        for edge in EXPORTED_EDGES {
            assert!(inside.contains(&edge), "{edge}");
        }
    }
}
