//! What belongs to one worker: its view of the world, its dice, its connections, its counts.
//!
//! Nothing here is shared with another thread, so nothing here is locked. A request takes one `Rc`
//! of the world and keeps it to its end, retries included. What a worker needs to run a rule is
//! made when the first request comes for it, and carried over from snapshot to snapshot: publishing
//! costs a worker one pointer, whatever the size of the config.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use slab::Slab;

use super::deadline::Deadlines;
use super::leash::{Leash, Patience};
use crate::drain::Phase;
use crate::metrics::{Registry, SeriesCells, SeriesKey, WorkerCells};
use crate::model::{BackendName, Connect, Dice, Fault, RuleId};
use crate::routing::{Rule, Scratch, Selection, select};
use crate::snapshot::{Reader, Snapshot};
use crate::telemetry::{AccessLog, Line, Logged};
use crate::upstream::Pool;

/// What all workers are given.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) reader: Reader,
    pub(super) registry: Arc<Registry>,
    pub(super) log: Option<AccessLog>,
    pub(super) workers: usize,
    pub(super) connect: Connect,
    /// Random per process: where the dice of each rule begin.
    pub(super) phases: RandomState,
}

/// One entry of a split, ready to run.
#[derive(Debug)]
pub(super) struct RunningChoice {
    pub(super) name: BackendName,
    pub(super) pool: Rc<Pool>,
    pub(super) series: Arc<SeriesCells>,
}

/// One rule, ready to run on this worker.
#[derive(Debug)]
pub(super) struct RunningRule {
    pub(super) rule: Arc<Rule>,
    pub(super) choices: Box<[RunningChoice]>,
    /// Counts what no backend answers: redirects, closed splits.
    pub(super) own: Arc<SeriesCells>,
    /// Survives publishes, so that a change of weights does not disturb the sequence.
    dice: Rc<Cell<Dice>>,
}

impl RunningRule {
    /// Chooses where a request goes.
    ///
    /// # Errors
    /// [`Fault::SplitClosed`] when every weight is zero.
    pub(super) fn select(&self) -> Result<usize, Fault> {
        let roll = || {
            let mut dice = self.dice.get();
            let number = dice.roll();
            self.dice.set(dice);
            number
        };
        let ready = |at: usize| {
            self.choices
                .get(at)
                .is_some_and(|choice| choice.pool.is_ready())
        };
        match select(&self.rule, roll, ready) {
            Selection::Entry(entry) => Ok(entry),
            Selection::Instead { of, entry } => {
                if let Some(choice) = self.choices.get(of) {
                    choice.series.redistributed.add(1);
                }
                Ok(entry)
            }
            Selection::Closed => Err(Fault::SplitClosed),
        }
    }

    /// Whether this is still what `snapshot` says.
    fn is_current(&self, rule: &Arc<Rule>, snapshot: &Snapshot) -> bool {
        let same = |choice: &RunningChoice| {
            let backend = snapshot.backends.get(&choice.name);
            backend.is_some_and(|backend| Arc::ptr_eq(backend, choice.pool.backend()))
        };
        Arc::ptr_eq(&self.rule, rule) && self.choices.iter().all(same)
    }
}

/// A snapshot, and what this worker needs to run it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) snapshot: Arc<Snapshot>,
    rules: Box<[OnceCell<Rc<RunningRule>>]>,
}

impl World {
    fn new(snapshot: Arc<Snapshot>) -> Rc<Self> {
        let rules = snapshot.rules.iter().map(|_| OnceCell::new()).collect();
        Rc::new(Self { snapshot, rules })
    }
}

/// Where this worker looks for the current snapshot.
type Published = Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>;

/// One worker's own.
#[derive(Debug)]
pub(super) struct Local {
    worker: usize,
    shared: Shared,
    cells: Arc<WorkerCells>,
    unrouted: Arc<SeriesCells>,
    published: RefCell<Published>,
    world: RefCell<Rc<World>>,
    rules: RefCell<HashMap<RuleId, Rc<RunningRule>>>,
    pools: RefCell<HashMap<BackendName, Rc<Pool>>>,
    pub(super) scratch: RefCell<Scratch>,
    pub(super) random: RefCell<SmallRng>,
    phase: Cell<Phase>,
    /// The present time as a header has it (RFC 9110, 5.6.7), a second old at most.
    date: RefCell<Rc<str>>,
    pub(super) deadlines: Rc<Deadlines>,
    /// Of all open client connections.
    pub(super) leashes: RefCell<Slab<Rc<Leash>>>,
}

impl Local {
    pub(super) fn new(worker: usize, shared: Shared) -> Rc<Self> {
        Rc::new(Self {
            worker,
            cells: shared.registry.worker(worker),
            unrouted: shared.registry.series(worker, SeriesKey::default()),
            published: RefCell::new(shared.reader.cache()),
            world: RefCell::new(World::new(shared.reader.current())),
            rules: RefCell::default(),
            pools: RefCell::default(),
            scratch: RefCell::default(),
            random: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
            phase: Cell::new(Phase::Serving),
            date: RefCell::new(date_now()),
            deadlines: Rc::default(),
            leashes: RefCell::default(),
            shared,
        })
    }

    /// The world as it is published now: one pointer comparison when nothing has changed.
    pub(super) fn world(&self) -> Rc<World> {
        let mut published = self.published.borrow_mut();
        let snapshot = published.load();
        let mut world = self.world.borrow_mut();
        if !Arc::ptr_eq(snapshot, &world.snapshot) {
            *world = World::new(Arc::clone(snapshot));
        }
        Rc::clone(&world)
    }

    /// What runs the rule at `index` of the world's snapshot.
    pub(super) fn running<'w>(
        &self,
        world: &'w World,
        index: usize,
    ) -> Option<&'w Rc<RunningRule>> {
        let slot = world.rules.get(index)?;
        if let Some(running) = slot.get() {
            return Some(running);
        }
        let rule = world.snapshot.rules.get(index)?;
        Some(slot.get_or_init(|| self.revive(rule, &world.snapshot)))
    }

    /// Carries a rule over from an earlier snapshot, or makes it new.
    fn revive(&self, rule: &Arc<Rule>, snapshot: &Snapshot) -> Rc<RunningRule> {
        let previous = self.rules.borrow().get(&rule.id).cloned();
        if let Some(previous) = previous
            .as_ref()
            .filter(|one| one.is_current(rule, snapshot))
        {
            return Rc::clone(previous);
        }
        let choice = |name: &BackendName| RunningChoice {
            name: name.clone(),
            pool: self.pool(name, snapshot),
            series: self
                .shared
                .registry
                .series(self.worker, SeriesKey::new(&rule.id, name)),
        };
        let own = SeriesKey {
            rule: Some(rule.id.clone()),
            backend: None,
        };
        let running = Rc::new(RunningRule {
            rule: Arc::clone(rule),
            choices: rule
                .split
                .entries()
                .iter()
                .map(|(entry, _)| choice(&entry.backend))
                .collect(),
            own: self.shared.registry.series(self.worker, own),
            dice: match previous {
                Some(previous) => Rc::clone(&previous.dice),
                None => {
                    let phase = self.shared.phases.hash_one(&rule.id);
                    Rc::new(Cell::new(Dice::shared(
                        phase,
                        self.worker,
                        self.shared.workers,
                    )))
                }
            },
        });
        self.rules
            .borrow_mut()
            .insert(rule.id.clone(), Rc::clone(&running));
        running
    }

    fn pool(&self, name: &BackendName, snapshot: &Snapshot) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        let previous = pools.get(name).map(Rc::clone);
        let backend = snapshot.backends.get(name);
        match (previous, backend) {
            (Some(previous), Some(backend)) if Arc::ptr_eq(previous.backend(), backend) => previous,
            (Some(previous), None) => previous,
            (previous, backend) => {
                let backend = backend.map_or_else(|| Arc::new(missing(name)), Arc::clone);
                let cells = self.shared.registry.backend(self.worker, name);
                let pool = Rc::new(Pool::new(backend, cells, previous.as_deref()));
                pools.insert(name.clone(), Rc::clone(&pool));
                pool
            }
        }
    }

    /// After a publish: lets go of the old snapshot and of what the new one no longer has.
    pub(super) fn refresh(&self) {
        let world = self.world();
        let snapshot = &world.snapshot;
        let mut rules = self.rules.borrow_mut();
        if !rules.is_empty() {
            let known: std::collections::HashSet<&RuleId> =
                snapshot.rules.iter().map(|rule| &rule.id).collect();
            rules.retain(|id, _| known.contains(id));
        }
        self.pools
            .borrow_mut()
            .retain(|name, _| snapshot.backends.contains_key(name));
    }

    /// Once a sweep: closes upstream connections that nobody needs, and client connections that
    /// were idle for too many of them.
    pub(super) fn sweep(&self, patience: Patience) {
        *self.date.borrow_mut() = date_now();
        self.pools.borrow().values().for_each(|pool| pool.sweep());
        self.leashes
            .borrow()
            .iter()
            .for_each(|(_, leash)| leash.sweep(patience));
    }

    pub(super) fn connect(&self) -> Connect {
        self.shared.connect
    }

    pub(super) fn date(&self) -> Rc<str> {
        Rc::clone(&self.date.borrow())
    }

    pub(super) fn cells(&self) -> &WorkerCells {
        &self.cells
    }

    pub(super) fn unrouted(&self) -> &SeriesCells {
        &self.unrouted
    }

    pub(super) fn log(&self) -> Option<&AccessLog> {
        self.shared.log.as_ref()
    }

    /// Hands a line to the access log if it is one of those that are kept.
    pub(super) fn write(&self, line: Box<Line>, error: bool) {
        let Some(log) = &self.shared.log else { return };
        let wanted = match log.logged {
            Logged::None => false,
            Logged::Errors => error,
            Logged::All => true,
        };
        if wanted && !log.offer(line) {
            self.cells.log_dropped.add(1);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Tells every connection how far the leaving has come.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.leashes
            .borrow()
            .iter()
            .for_each(|(_, leash)| leash.enter(phase));
    }
}

fn date_now() -> Rc<str> {
    let now = jiff::Timestamp::now();
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().into()
}

/// Stands in for a backend that a rule names and the snapshot lacks; compiling does not let that
/// happen, and if it did, its share would be answered 500 by name.
fn missing(name: &BackendName) -> crate::upstream::Backend {
    crate::upstream::Backend::invalid(name.clone(), "the snapshot does not have it")
}
