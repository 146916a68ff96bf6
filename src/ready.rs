//! Ready means: everything that had to happen first has happened, and nobody is leaving.
//!
//! Readiness is a guard, not a flag: each part of the start holds one and drops it when done, so
//! that a part that is forgotten shows by name instead of as a lie.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::drain::{Drain, Phase};

/// Who is not ready yet, and whether we are leaving.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    waiting: Arc<Mutex<BTreeSet<&'static str>>>,
    drain: Arc<Drain>,
}

/// One part of the start; dropping it says that this part is done.
#[derive(Debug)]
pub(crate) struct Pending {
    part: &'static str,
    waiting: Arc<Mutex<BTreeSet<&'static str>>>,
}

fn lock<'a>(set: &'a Mutex<BTreeSet<&'static str>>) -> MutexGuard<'a, BTreeSet<&'static str>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ready {
    pub(crate) fn new(drain: Arc<Drain>) -> Self {
        Self {
            waiting: Arc::default(),
            drain,
        }
    }

    /// Unready until the guard is dropped. `part` is shown to people, as in `listeners`.
    pub(crate) fn pending(&self, part: &'static str) -> Pending {
        lock(&self.waiting).insert(part);
        Pending {
            part,
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// What is not ready, in words; empty when ready.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let mut missing: Vec<_> = lock(&self.waiting).iter().copied().collect();
        if self.drain.phase() > Phase::Serving {
            missing.push("draining");
        }
        missing
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        lock(&self.waiting).remove(self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain;

    #[test]
    fn ready_is_when_every_part_is_done_and_nobody_leaves() {
        let drain = Arc::new(drain::channel().0);
        let ready = Ready::new(Arc::clone(&drain));
        let listeners = ready.pending("listeners");
        let snapshot = ready.pending("snapshot");
        drop(listeners);
        assert_eq!(ready.missing(), ["snapshot"]);
        drop(snapshot);
        assert!(ready.missing().is_empty());
        drain.enter(Phase::LameDuck);
        assert_eq!(ready.missing(), ["draining"]);
    }
}
