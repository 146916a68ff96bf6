//! All cells of all workers, found by what they count, and the windows over them.
//!
//! A worker asks here once for the cells of a rule or backend and keeps them; the lock is never
//! taken for a request. The control plane calls [`Registry::tick`] once a second. What the config
//! no longer has is forgotten when the longest window has passed.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handles::{BackendCells, SeriesCells, Totals, WorkerCells};
use super::histogram::CELLS;
use super::window::{Delta, Observation, Sliding, Window};
use crate::model::{BackendName, RuleId};

/// What a series counts. Requests without a rule or backend are counted too, under no name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SeriesKey {
    pub(crate) rule: Option<RuleId>,
    pub(crate) backend: Option<BackendName>,
}

impl SeriesKey {
    pub(crate) fn new(rule: &RuleId, backend: &BackendName) -> Self {
        Self {
            rule: Some(rule.clone()),
            backend: Some(backend.clone()),
        }
    }
}

/// What a backend is doing now, summed over workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BackendLoad {
    pub(crate) in_flight: u64,
    pub(crate) connections: u64,
}

/// The one place where workers and the control plane meet over numbers.
#[derive(Debug)]
pub(crate) struct Registry {
    workers: Box<[Arc<WorkerCells>]>,
    pub(super) inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) series: BTreeMap<SeriesKey, Series>,
    pub(super) backends: BTreeMap<BackendName, PerWorker<BackendCells>>,
    /// Seconds on the clock of the last tick.
    pub(super) now: u64,
}

/// Cells of one thing, one for each worker that touched it.
type PerWorker<T> = Vec<(usize, Arc<T>)>;

fn cells_of<T: Default>(shards: &mut PerWorker<T>, worker: usize) -> Arc<T> {
    if let Some((_, cells)) = shards.iter().find(|(owner, _)| *owner == worker) {
        return Arc::clone(cells);
    }
    let cells = Arc::<T>::default();
    shards.push((worker, Arc::clone(&cells)));
    cells
}

#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) shards: PerWorker<SeriesCells>,
    /// What the last tick saw, and the windows; made with the first request.
    measured: Option<Box<Measured>>,
    /// When the config was first seen without it.
    orphaned: Option<u64>,
}

#[derive(Debug)]
struct Measured {
    totals: Totals,
    cells: Vec<u64>,
    windows: [Sliding; 2],
}

impl Series {
    pub(super) fn totals(&self) -> Totals {
        self.shards
            .iter()
            .fold(Totals::default(), |mut sum, (_, cells)| {
                let one = cells.totals();
                sum.samples += one.samples;
                sum.failures += one.failures;
                sum
            })
    }

    pub(super) fn latency_counts(&self) -> Vec<u64> {
        let mut counts = vec![0; CELLS];
        self.shards
            .iter()
            .for_each(|(_, cells)| cells.latencies().add_to(&mut counts));
        counts
    }

    fn tick(&mut self, now: u64) {
        let totals = self.totals();
        if self.measured.is_none() && totals.samples == 0 {
            return;
        }
        let idle = self
            .measured
            .as_ref()
            .is_some_and(|m| m.totals.samples == totals.samples);
        let counts = if idle {
            Vec::new()
        } else {
            self.latency_counts()
        };
        let measured = self.measured.get_or_insert_with(|| {
            Box::new(Measured {
                totals: Totals::default(),
                cells: vec![0; CELLS],
                windows: Window::ALL.map(Sliding::new),
            })
        });
        let grown = counts.iter().zip(&measured.cells).enumerate();
        let grown = grown.map(|(cell, (new, old))| (cell, new.saturating_sub(*old)));
        let delta = Delta {
            samples: totals.samples.saturating_sub(measured.totals.samples),
            failures: totals.failures.saturating_sub(measured.totals.failures),
            cells: grown
                .filter(|(_, n)| *n > 0)
                .filter_map(|(cell, n)| Some((u16::try_from(cell).ok()?, n)))
                .collect(),
        };
        measured
            .windows
            .iter_mut()
            .for_each(|window| window.advance(now, &delta));
        measured.totals = totals;
        if !idle {
            measured.cells = counts;
        }
    }

    pub(super) fn observe(&self, window: Window, now: u64) -> Observation {
        let [one, five] = match &self.measured {
            Some(measured) => &measured.windows,
            None => return Observation::default(),
        };
        match window {
            Window::OneMinute => one.observe(now),
            Window::FiveMinutes => five.observe(now),
        }
    }
}

impl Registry {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        let workers = (0..workers).map(|_| Arc::default()).collect();
        Arc::new(Self {
            workers,
            inner: Mutex::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves numbers behind that are still numbers.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cells in which worker number `worker` counts its own work.
    pub(crate) fn worker(&self, worker: usize) -> Arc<WorkerCells> {
        self.workers.get(worker).map(Arc::clone).unwrap_or_default()
    }

    pub(super) fn workers(&self) -> &[Arc<WorkerCells>] {
        &self.workers
    }

    /// The cells in which a worker counts the requests of `key`. Not for every request: takes a
    /// lock.
    pub(crate) fn series(&self, worker: usize, key: SeriesKey) -> Arc<SeriesCells> {
        cells_of(
            &mut self.lock().series.entry(key).or_default().shards,
            worker,
        )
    }

    /// The cells in which a worker counts what goes to `backend`. Not for every request: takes a
    /// lock.
    pub(crate) fn backend(&self, worker: usize, backend: &BackendName) -> Arc<BackendCells> {
        cells_of(
            self.lock().backends.entry(backend.clone()).or_default(),
            worker,
        )
    }

    /// Moves the windows on to second `now` of any clock that does not go back, and forgets what
    /// `known` has not had for as long as the longest window.
    pub(crate) fn tick(&self, now: u64, known: &HashSet<SeriesKey>) {
        let mut inner = self.lock();
        inner.now = now;
        inner.series.retain(|key, series| {
            series.tick(now);
            if key.rule.is_none() || known.contains(key) {
                series.orphaned = None;
                return true;
            }
            let since = *series.orphaned.get_or_insert(now);
            now.saturating_sub(since) < Window::FiveMinutes.seconds()
        });
        let backends: HashSet<&BackendName> = known
            .iter()
            .filter_map(|key| key.backend.as_ref())
            .collect();
        inner.backends.retain(|name, cells| {
            let busy =
                |cells: &BackendCells| cells.in_flight.read() > 0 || cells.connections.read() > 0;
            backends.contains(name) || cells.iter().any(|(_, one)| busy(one))
        });
    }

    /// What was measured for one backend of one rule.
    pub(crate) fn observe(
        &self,
        rule: &RuleId,
        backend: &BackendName,
        window: Window,
    ) -> Observation {
        let inner = self.lock();
        let series = inner.series.get(&SeriesKey::new(rule, backend));
        series
            .map(|series| series.observe(window, inner.now))
            .unwrap_or_default()
    }

    pub(crate) fn backend_load(&self, backend: &BackendName) -> BackendLoad {
        let inner = self.lock();
        let cells = inner.backends.get(backend).into_iter().flatten();
        cells.fold(BackendLoad::default(), |load, (_, cells)| BackendLoad {
            in_flight: load.in_flight + cells.in_flight.read(),
            connections: load.connections + cells.connections.read(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;
    use crate::model::{RouteName, RuleName};

    fn key(backend: &str) -> SeriesKey {
        let route = RouteName::parse("web").expect("name");
        let rule = RuleName::parse("all").expect("name");
        let backend = BackendName::parse(backend).expect("name");
        SeriesKey::new(&RuleId { route, rule }, &backend)
    }

    fn observe(registry: &Registry, key: &SeriesKey) -> Observation {
        let (rule, backend) = (
            key.rule.as_ref().expect("set"),
            key.backend.as_ref().expect("set"),
        );
        registry.observe(rule, backend, Window::OneMinute)
    }

    #[test]
    fn the_counts_of_all_workers_meet_in_one_observation() {
        let registry = Registry::new(2);
        let known = HashSet::from([key("a")]);
        for (worker, code) in [(0, 200), (1, 500), (1, 200)] {
            let status = StatusCode::from_u16(code).expect("code");
            registry
                .series(worker, key("a"))
                .answered(status, Duration::from_millis(2));
        }
        registry.tick(1, &known);
        let seen = observe(&registry, &key("a"));
        assert_eq!((seen.samples, seen.failures), (3, 1));
        registry.tick(90, &known);
        assert_eq!(observe(&registry, &key("a")).samples, 0);
    }

    #[test]
    fn what_the_config_lost_is_forgotten_after_the_longest_window() {
        let registry = Registry::new(1);
        registry
            .series(0, key("a"))
            .answered(StatusCode::OK, Duration::from_millis(2));
        registry.tick(1, &HashSet::new());
        registry.tick(300, &HashSet::new());
        assert_eq!(registry.lock().series.len(), 1);
        registry.tick(301, &HashSet::new());
        assert_eq!(registry.lock().series.len(), 0);
    }
}
