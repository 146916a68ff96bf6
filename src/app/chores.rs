//! What the control plane does once a second, and on demand, for the numbers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::{Facts, Registry, SeriesKey};
use crate::model::Revision;
use crate::store::{Desired, Store};
use crate::upstream::Target;

/// Reads the cells of all workers once a second, until `end`.
pub(super) async fn keep_windows(store: Store, registry: Arc<Registry>, end: impl Future) {
    let started = Instant::now();
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut end = std::pin::pin!(end);
    let mut known = HashSet::new();
    let mut known_at = Revision::default();
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            _ = end.as_mut() => return,
        }
        let desired = store.desired();
        if desired.revision != known_at {
            known = keys(&desired);
            known_at = desired.revision;
        }
        registry.tick(started.elapsed().as_secs(), &known);
    }
}

/// Every rule and backend that can be counted now.
fn keys(desired: &Desired) -> HashSet<SeriesKey> {
    let rules = desired.blueprint().rules.iter();
    rules
        .flat_map(|rule| {
            let own = SeriesKey {
                rule: Some(rule.id.clone()),
                backend: None,
            };
            let choices = rule.split.entries().iter();
            choices
                .map(|(choice, _)| SeriesKey::new(&rule.id, &choice.backend))
                .chain([own])
        })
        .collect()
}

/// What `/metrics` calls.
pub(super) fn renderer(
    store: Store,
    registry: Arc<Registry>,
) -> impl Fn() -> String + Send + Sync + 'static {
    move || registry.render(&facts(&store))
}

fn facts(store: &Store) -> Facts {
    let desired = store.desired();
    let blueprint = desired.blueprint();
    let shares = blueprint.rules.iter().flat_map(|rule| {
        let entries = rule.split.entries().iter();
        entries.map(|(choice, weight)| {
            (
                rule.id.clone(),
                choice.backend.clone(),
                rule.split.share(*weight),
            )
        })
    });
    let endpoints = blueprint.backends.values().flat_map(|backend| {
        let addresses = match &backend.target {
            Target::Endpoints(addresses) => &**addresses,
            Target::Invalid(_) => &[],
        };
        addresses
            .iter()
            .map(|address| (backend.name.clone(), address.to_string(), true))
    });
    let mut endpoints: Vec<_> = endpoints.collect();
    endpoints.sort();
    Facts {
        revision: desired.revision.get(),
        last_reload_ok: store.last_reload_successful(),
        last_reload_time: store.last_reload_time() as f64,
        overrides_applied: desired.overrides.len() as u64,
        overrides_parked: desired.parked.len() as u64,
        desired: shares.collect(),
        endpoints,
    }
}
