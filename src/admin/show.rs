//! From the store's state and the measured numbers to what the API shows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::context::Context;
use super::view;
use crate::metrics::{self, Window};
use crate::model::{BackendName, RuleId};
use crate::routing::Rule;
use crate::store::{Desired, Event, Override};
use crate::upstream::{Backend, Protocol, Target};

/// Routes with their rules, in the order of the config; only `wanted`, if it is given.
pub(super) fn routes(
    context: &Context,
    desired: &Desired,
    wanted: Option<&str>,
) -> Vec<view::Route> {
    let mut routes: Vec<view::Route> = Vec::new();
    let of_interest = |rule: &Rule| wanted.is_none_or(|wanted| rule.id.route.as_str() == wanted);
    for (rule, base) in desired.rules().filter(|(rule, _)| of_interest(rule)) {
        let shown = view::Rule {
            name: rule.id.rule.to_string(),
            matches: rule.matches.clone(),
            redirect: redirect(rule),
            split: split_of(context, desired, rule, base),
        };
        match routes.last_mut() {
            Some(route) if route.name == rule.id.route.as_str() => route.rules.push(shown),
            Some(_) | None => routes.push(view::Route {
                name: rule.id.route.to_string(),
                hosts: rule.hosts.iter().map(ToString::to_string).collect(),
                rules: vec![shown],
            }),
        }
    }
    routes
}

/// The split of one rule. `None`: there is no such rule.
pub(super) fn split(context: &Context, desired: &Desired, id: &RuleId) -> Option<view::Split> {
    let (rule, base) = (desired.rule(id)?, desired.base_rule(id)?);
    Some(split_of(context, desired, rule, base))
}

fn split_of(context: &Context, desired: &Desired, rule: &Rule, base: &Rule) -> view::Split {
    let measured: Vec<[metrics::Observation; 2]> = entries(rule)
        .map(|(backend, _)| {
            [Window::OneMinute, Window::FiveMinutes]
                .map(|window| context.metrics.observe(&rule.id, backend, window))
        })
        .collect();
    let total: u64 = measured.iter().map(|[minute, _]| minute.samples).sum();
    let entries: Vec<view::SplitEntry> = rule
        .split
        .entries()
        .iter()
        .zip(&measured)
        .map(|((choice, weight), [minute, five])| view::SplitEntry {
            backend: choice.backend.to_string(),
            weight: weight.get(),
            base_weight: weight_of(base, &choice.backend),
            desired: rule.split.share(*weight),
            observed: (total > 0).then(|| minute.samples as f64 / total as f64),
            last1m: observation(minute),
            last5m: observation(five),
        })
        .collect();
    view::Split {
        revision: desired.split_revision(&rule.id).get(),
        weights: entries
            .iter()
            .map(|entry| (entry.backend.clone(), entry.weight))
            .collect(),
        entries,
        over: desired.overrides.get(&rule.id).map(over),
    }
}

fn entries(rule: &Rule) -> impl Iterator<Item = (&BackendName, u32)> {
    let entries = rule.split.entries().iter();
    entries.map(|(choice, weight)| (&choice.backend, weight.get()))
}

fn weight_of(rule: &Rule, backend: &BackendName) -> u32 {
    entries(rule)
        .find(|(name, _)| *name == backend)
        .map_or(0, |(_, weight)| weight)
}

pub(super) fn over(over: &Override) -> view::Override {
    let weights = over.weights.iter();
    view::Override {
        weights: weights
            .map(|(backend, weight)| (backend.to_string(), weight.get()))
            .collect::<BTreeMap<_, _>>(),
        actor: over.actor.to_string(),
        reason: over.reason.clone(),
        since: over.since.to_string(),
        expires_at: over.expires_at.map(|at| at.to_string()),
    }
}

/// The overrides that wait for a config which has what they name.
pub(super) fn parked(desired: &Desired) -> Vec<view::ParkedOverride> {
    let shown = desired.parked.iter().map(|(id, one)| view::ParkedOverride {
        route: id.route.to_string(),
        rule: id.rule.to_string(),
        over: over(one),
    });
    shown.collect()
}

pub(super) fn observation(seen: &metrics::Observation) -> view::Observation {
    let quantile = |q| seen.quantile(q).as_ref().map(Duration::as_secs_f64);
    view::Observation {
        samples: seen.samples,
        failures: seen.failures,
        success_ratio: seen.success_ratio(),
        rate: seen.rate,
        p50: quantile(0.5),
        p90: quantile(0.9),
        p99: quantile(0.99),
    }
}

/// Where a redirecting rule sends its clients, in words.
pub(super) fn redirect(rule: &Rule) -> Option<String> {
    use crate::routing::PathEdit;
    let redirect = rule.filters.redirect.as_ref()?;
    let scheme = redirect
        .scheme
        .as_ref()
        .map(|s| format!("{s}://"))
        .unwrap_or_default();
    let host = redirect.host.as_deref().unwrap_or("{host}");
    let port = redirect
        .port
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = match &redirect.path {
        None => "{path}".to_owned(),
        Some(PathEdit::Full(full)) => full.to_string(),
        Some(PathEdit::Prefix(prefix)) => format!("{prefix}{{rest}}"),
    };
    Some(format!(
        "{} {scheme}{host}{port}{path}",
        redirect.status.as_u16()
    ))
}

/// Every backend, by name.
pub(super) fn backends(context: &Context, desired: &Desired) -> Vec<view::Backend> {
    let mut used: BTreeMap<&BackendName, Vec<view::BackendUse>> = BTreeMap::new();
    for (rule, _) in desired.rules() {
        for (backend, weight) in entries(rule) {
            used.entry(backend).or_default().push(view::BackendUse {
                route: rule.id.route.to_string(),
                rule: rule.id.rule.to_string(),
                weight,
            });
        }
    }
    let mut all: Vec<_> = desired.blueprint().backends.values().collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut show = |one: &std::sync::Arc<Backend>| {
        backend(context, one, used.remove(&one.name).unwrap_or_default())
    };
    all.into_iter().map(&mut show).collect()
}

fn backend(context: &Context, one: &Backend, used_by: Vec<view::BackendUse>) -> view::Backend {
    let load = context.metrics.backend_load(&one.name);
    let (state, problem, endpoints) = match &one.target {
        Target::Invalid(why) => ("invalid", Some(why.to_string()), Vec::new()),
        Target::Endpoints(endpoints) if endpoints.is_empty() => ("empty", None, Vec::new()),
        Target::Endpoints(endpoints) => {
            let show = |address: &std::net::SocketAddr| view::Endpoint {
                address: address.to_string(),
                state: "ready".to_owned(),
            };
            ("ready", None, endpoints.iter().map(show).collect())
        }
    };
    let protocol = match one.protocol {
        Protocol::Http1 => "http1",
        Protocol::H2c => "h2c",
    };
    view::Backend {
        name: one.name.to_string(),
        protocol: protocol.to_owned(),
        state: state.to_owned(),
        problem,
        endpoints,
        in_flight: load.in_flight,
        connections: load.connections,
        used_by,
    }
}

pub(super) fn event(event: &Event) -> view::Event {
    view::Event {
        id: event.id,
        time: event.time.to_string(),
        revision: event.revision.get(),
        kind: event.kind.as_str().to_owned(),
        actor: event.actor.to_string(),
        route: event.rule.as_ref().map(|id| id.route.to_string()),
        rule: event.rule.as_ref().map(|id| id.rule.to_string()),
        message: event.message.clone(),
        reason: event.reason.clone(),
    }
}
