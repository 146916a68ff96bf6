//! The routing world: what a request reads, once, from its first byte to its last.
//!
//! A [`Blueprint`] is the pure result of compiling; a [`Snapshot`] is a blueprint with a number,
//! published to every worker at once. Both are immutable, and parts that did not change are shared
//! with the snapshot before. There is one [`Publisher`], held by the store; everyone else holds a
//! [`Reader`].

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::model::{BackendName, Revision};
use crate::routing::{Router, Rule};
use crate::upstream::Backend;

/// What the config and the overrides amount to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blueprint {
    /// Answers with indices into `rules`.
    pub(crate) router: Arc<Router>,
    /// In config order.
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) backends: Arc<HashMap<BackendName, Arc<Backend>>>,
}

/// A blueprint that serves.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) router: Arc<Router>,
    pub(crate) rules: Vec<Arc<Rule>>,
    pub(crate) backends: Arc<HashMap<BackendName, Arc<Backend>>>,
}

impl Snapshot {
    pub(crate) fn new(revision: Revision, blueprint: Blueprint) -> Self {
        let Blueprint {
            router,
            rules,
            backends,
        } = blueprint;
        Self {
            revision,
            router,
            rules,
            backends,
        }
    }
}

#[cfg(test)]
impl Snapshot {
    pub(crate) fn rule(&self, id: &crate::model::RuleId) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.id == *id)
    }
}

/// Opens the one channel through which snapshots reach the workers.
pub(crate) fn channel(first: Snapshot) -> (Publisher, Reader) {
    let revision = first.revision;
    let current = Arc::new(ArcSwap::from_pointee(first));
    let (bell, heard) = watch::channel(revision);
    (
        Publisher {
            current: Arc::clone(&current),
            bell,
        },
        Reader { current, heard },
    )
}

/// The right to publish. Not `Clone`: there is one.
#[derive(Debug)]
pub(crate) struct Publisher {
    current: Arc<ArcSwap<Snapshot>>,
    bell: watch::Sender<Revision>,
}

impl Publisher {
    /// One atomic store: when this returns, the next request on every worker uses `snapshot`.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let revision = snapshot.revision;
        self.current.store(Arc::new(snapshot));
        // Wakes idle workers, so that they let go of the snapshot before.
        self.bell.send_replace(revision);
    }
}

/// Reads what is published.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    current: Arc<ArcSwap<Snapshot>>,
    heard: watch::Receiver<Revision>,
}

impl Reader {
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// For a worker: checks by one pointer comparison whether its snapshot is still the current one.
    pub(crate) fn cache(&self) -> arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>> {
        arc_swap::Cache::new(Arc::clone(&self.current))
    }

    /// Waits until something newer than the last call saw was published. `None`: the store is gone.
    pub(crate) async fn changed(&mut self) -> Option<Revision> {
        self.heard.changed().await.ok()?;
        Some(*self.heard.borrow_and_update())
    }
}
