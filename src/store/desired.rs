//! What is wanted: a base, the overrides above it, and what the two amount to.
//!
//! Immutable. `step` works out the next state from this one and a change, `apply` makes it true.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::change::Actor;
use super::words;
use crate::config::Base;
use crate::model::{BackendName, Overrides, Revision, RuleId, Weight, Weights};
use crate::routing::Rule;
use crate::snapshot::{Blueprint, Snapshot};

/// Live weights above the base, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Override {
    pub(crate) weights: Weights,
    pub(crate) actor: Actor,
    pub(crate) reason: Option<String>,
    pub(crate) since: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Override {
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// The state of one split that its revision stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) revision: Revision,
    /// The weights in force, in words; tells over restarts whether they are still the same.
    pub(super) weights: Box<str>,
}

pub(super) type Marks = HashMap<RuleId, Mark>;

/// The desired state.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    pub(crate) revision: Revision,
    pub(crate) base: Arc<Base>,
    pub(crate) overrides: BTreeMap<RuleId, Override>,
    /// Overrides of rules or backends that the base lacks: kept, not applied.
    pub(crate) parked: BTreeMap<RuleId, Override>,
    /// What serves.
    pub(super) blueprint: Blueprint,
    /// What would serve without overrides; rules in the same order.
    pub(super) plain: Blueprint,
    pub(super) marks: Arc<Marks>,
}

/// The layers of a state, before they are compiled.
pub(super) struct Layers {
    pub(super) revision: Revision,
    pub(super) base: Arc<Base>,
    pub(super) overrides: BTreeMap<RuleId, Override>,
    pub(super) parked: BTreeMap<RuleId, Override>,
}

impl Desired {
    /// When the next override is over.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        let all = self.overrides.values().chain(self.parked.values());
        all.filter_map(|over| over.expires_at).min()
    }

    pub(crate) fn rule(&self, id: &RuleId) -> Option<&Arc<Rule>> {
        self.blueprint.rules.iter().find(|rule| rule.id == *id)
    }

    /// The rule as the config alone would have it.
    pub(crate) fn base_rule(&self, id: &RuleId) -> Option<&Arc<Rule>> {
        self.plain.rules.iter().find(|rule| rule.id == *id)
    }

    /// Every rule as it serves, beside what the config alone would have.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&Arc<Rule>, &Arc<Rule>)> {
        self.blueprint.rules.iter().zip(&self.plain.rules)
    }

    /// What serves.
    pub(crate) fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// The number of the last change of this split.
    pub(crate) fn split_revision(&self, id: &RuleId) -> Revision {
        self.marks
            .get(id)
            .map_or(self.revision, |mark| mark.revision)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.revision, self.blueprint.clone())
    }

    /// Compiles the layers. Whatever equals the state before is shared with it; a split keeps its
    /// revision unless it is `touched` or weighs something else now.
    pub(super) fn assemble(
        layers: Layers,
        before: Option<&Self>,
        marks: &Marks,
        touched: &BTreeSet<RuleId>,
    ) -> Self {
        let Layers {
            revision,
            base,
            overrides,
            parked,
        } = layers;
        let plain = match before {
            Some(before) if Arc::ptr_eq(&before.base, &base) => before.plain.clone(),
            Some(_) | None => base.blueprint(&Overrides::new()),
        };
        let mut blueprint = base.blueprint(&weights_of(&overrides));
        share(&plain.rules, &mut blueprint.rules);
        if let Some(before) = before {
            share(&before.blueprint.rules, &mut blueprint.rules);
        }
        let mark = |rule: &Arc<Rule>| {
            let weights = words::weights(rule).into_boxed_str();
            let kept = marks
                .get(&rule.id)
                .filter(|mark| mark.weights == weights && !touched.contains(&rule.id));
            let revision = kept.map_or(revision, |mark| mark.revision);
            (rule.id.clone(), Mark { revision, weights })
        };
        let marks = Arc::new(blueprint.rules.iter().map(mark).collect());
        Self {
            revision,
            base,
            overrides,
            parked,
            blueprint,
            plain,
            marks,
        }
    }
}

/// The backends of a rule's split, with their weights.
pub(super) fn entries(rule: &Rule) -> impl Iterator<Item = (&BackendName, Weight)> {
    let entries = rule.split.entries().iter();
    entries.map(|(choice, weight)| (&choice.backend, *weight))
}

pub(super) fn weights_of(overrides: &BTreeMap<RuleId, Override>) -> Overrides {
    let pairs = overrides.iter();
    pairs
        .map(|(rule, over)| (rule.clone(), over.weights.clone()))
        .collect()
}

/// Takes the rules of `old` into `new` where they are equal, so that equal rules are one.
fn share(old: &[Arc<Rule>], new: &mut [Arc<Rule>]) {
    for (new, old) in new.iter_mut().zip(old) {
        if !Arc::ptr_eq(new, old) && new == old {
            *new = Arc::clone(old);
        }
    }
}
