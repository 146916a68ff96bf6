//! The next state: what a change makes of the one before.
//!
//! Pure: nothing here waits, writes or asks the time. A change is judged whole; what is wrong with
//! it is told at once, and then nothing of it is carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::change::{
    Actor, Change, Condition, Fault, Refusal, ReplaceBase, ResetSplit, Scope, SetSplit,
};
use super::desired::{Desired, Layers, Override, entries, weights_of};
use super::history::{EventKind, NewEvent};
use super::journal::Saved;
use super::words;
use crate::config::Base;
use crate::model::{BackendName, RuleId, Weight, Weights};
use crate::routing::Rule;

/// Longest reason in characters.
pub(crate) const REASON_LENGTH_MAX: usize = 1_000;
/// Most faults that one answer tells.
const FAULTS_MAX: usize = 100;

/// A change worked out. No events: there is nothing to do.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) next: Desired,
    pub(super) events: Vec<NewEvent>,
    pub(super) differences: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Desired {
    /// The first state of a process: what was saved, above the config of today.
    pub(super) fn start(saved: Saved, base: Arc<Base>, now: Timestamp) -> Step {
        let mut events = Vec::new();
        let Saved {
            revision,
            text,
            overrides,
            parked,
            marks,
        } = saved;
        let was_parked: BTreeSet<RuleId> = parked.keys().cloned().collect();
        let mut all = overrides;
        all.extend(parked);
        events.extend(drop_expired(&mut all, now));
        let (overrides, parked, moves) = sort_out(all, &was_parked, &base);
        events.extend(moves);
        let unchanged = text.as_deref() == Some(base.text()) && events.is_empty();
        let layers = Layers {
            revision: if unchanged { revision } else { revision.next() },
            base,
            overrides,
            parked,
        };
        let next = Self::assemble(layers, None, &marks, &touched(&events));
        events.push(NewEvent {
            kind: EventKind::Started,
            actor: Actor::pointsman(),
            rule: None,
            message: words::started(&next),
            reason: None,
        });
        let warnings = Vec::new();
        Step {
            next,
            events,
            differences: Vec::new(),
            warnings,
        }
    }

    /// The state after `change`.
    ///
    /// # Errors
    /// Says why the change cannot be; it has no part that could.
    pub(super) fn step(&self, change: &Change, now: Timestamp) -> Result<Step, Refusal> {
        match change {
            Change::SetSplit(set) => self.set_split(set, now),
            Change::ResetSplit(reset) => self.reset_split(reset),
            Change::ReplaceBase(replace) => self.replace_base(replace),
            Change::Expire { now } => Ok(self.expire(*now)),
        }
    }

    /// Everything that is wrong with `set` in this state, at once.
    pub(crate) fn faults(&self, set: &SetSplit, now: Timestamp) -> Vec<Fault> {
        let Some(rule) = self.rule(&set.rule) else {
            return Vec::new();
        };
        let mut faults = weight_faults(rule, set);
        if set
            .reason
            .as_ref()
            .is_some_and(|why| why.chars().count() > REASON_LENGTH_MAX)
        {
            faults.push(Fault {
                pointer: "/reason".into(),
                message: format!("a reason has at most {REASON_LENGTH_MAX} characters"),
                hint: None,
            });
        }
        if set.expires_at.is_some_and(|at| at <= now) {
            faults.push(Fault {
                pointer: "/expiresIn".into(),
                message: "the override would be over before it begins".into(),
                hint: Some("give a duration above zero, such as 30m".into()),
            });
        }
        faults.truncate(FAULTS_MAX);
        faults
    }

    fn set_split(&self, set: &SetSplit, now: Timestamp) -> Result<Step, Refusal> {
        let rule = self.split_of(&set.rule)?;
        self.check(&set.condition, &set.rule)?;
        let faults = self.faults(set, now);
        if !faults.is_empty() {
            return Err(Refusal::Faults(faults));
        }
        let asked = |backend: &BackendName| set.weights.get(backend.as_str());
        let weights: Weights = entries(rule)
            .map(|(backend, weight)| match asked(backend) {
                Some(Ok(asked)) => (backend.clone(), *asked),
                Some(Err(_)) | None => (backend.clone(), weight),
            })
            .collect();
        let closed = weights.values().all(|weight| *weight == Weight::ZERO);
        let difference = words::reweighed(rule, &weights);
        let mut layers = self.layers();
        layers.parked.remove(&set.rule);
        let over = Override {
            weights,
            actor: set.actor.clone(),
            reason: set.reason.clone(),
            since: now,
            expires_at: set.expires_at,
        };
        layers.overrides.insert(set.rule.clone(), over);
        let event = NewEvent {
            kind: EventKind::SplitSet,
            actor: set.actor.clone(),
            rule: Some(set.rule.clone()),
            message: words::set(&difference, set.expires_at),
            reason: set.reason.clone(),
        };
        let mut step = self.changed(layers, vec![event]);
        step.differences = vec![difference];
        if closed {
            step.warnings.push(words::closed(&set.rule));
        }
        Ok(step)
    }

    fn reset_split(&self, reset: &ResetSplit) -> Result<Step, Refusal> {
        let mut layers = self.layers();
        let was_parked = layers.parked.remove(&reset.rule).is_some();
        if !was_parked {
            self.split_of(&reset.rule)?;
        }
        self.check(&reset.condition, &reset.rule)?;
        let was_set = layers.overrides.remove(&reset.rule).is_some();
        if !was_set && !was_parked {
            return Ok(self.unchanged());
        }
        let back = match (self.rule(&reset.rule), self.base_rule(&reset.rule)) {
            (Some(rule), Some(base)) if was_set => {
                let weights = entries(base)
                    .map(|(name, weight)| (name.clone(), weight))
                    .collect();
                words::reweighed(rule, &weights)
            }
            _ => "dropped a parked override".to_owned(),
        };
        let event = NewEvent {
            kind: EventKind::SplitReset,
            actor: reset.actor.clone(),
            rule: Some(reset.rule.clone()),
            message: back.clone(),
            reason: reset.reason.clone(),
        };
        let mut step = self.changed(layers, vec![event]);
        step.differences = vec![back];
        Ok(step)
    }

    fn replace_base(&self, replace: &ReplaceBase) -> Result<Step, Refusal> {
        let orphans = replace.base.orphans(&weights_of(&self.overrides));
        if !orphans.is_empty() {
            let pairs = orphans
                .into_iter()
                .map(|orphan| (orphan.rule, orphan.backend));
            return Err(Refusal::Orphans(pairs.collect()));
        }
        if replace.base.text() == self.base.text() {
            return Ok(self.unchanged());
        }
        let was_parked = self.parked.keys().cloned().collect();
        let mut all = self.overrides.clone();
        all.extend(
            self.parked
                .iter()
                .map(|(rule, over)| (rule.clone(), over.clone())),
        );
        let (overrides, parked, moves) = sort_out(all, &was_parked, &replace.base);
        let layers = Layers {
            revision: self.revision,
            base: Arc::clone(&replace.base),
            overrides,
            parked,
        };
        let mut step = self.changed(layers, moves);
        step.differences = words::differences(&self.plain, &step.next.plain);
        if self.base.settings() != replace.base.settings() {
            step.differences.push(words::settings());
        }
        let event = NewEvent {
            kind: EventKind::ConfigReloaded,
            actor: replace.actor.clone(),
            rule: None,
            message: words::reloaded(&step.differences),
            reason: None,
        };
        step.events.insert(0, event);
        Ok(step)
    }

    fn expire(&self, now: Timestamp) -> Step {
        let mut layers = self.layers();
        let mut events = drop_expired(&mut layers.overrides, now);
        events.extend(drop_expired(&mut layers.parked, now));
        if events.is_empty() {
            return self.unchanged();
        }
        self.changed(layers, events)
    }

    fn split_of(&self, id: &RuleId) -> Result<&Arc<Rule>, Refusal> {
        let rule = self
            .rule(id)
            .ok_or_else(|| Refusal::UnknownRule(id.clone()))?;
        if rule.split.entries().is_empty() {
            return Err(Refusal::NoSplit(id.clone()));
        }
        Ok(rule)
    }

    fn check(&self, condition: &Condition, rule: &RuleId) -> Result<(), Refusal> {
        let current = self.split_revision(rule);
        if condition.holds(current) {
            return Ok(());
        }
        Err(Refusal::Stale {
            rule: rule.clone(),
            current,
        })
    }

    fn layers(&self) -> Layers {
        Layers {
            revision: self.revision,
            base: Arc::clone(&self.base),
            overrides: self.overrides.clone(),
            parked: self.parked.clone(),
        }
    }

    fn unchanged(&self) -> Step {
        Step {
            next: self.clone(),
            events: Vec::new(),
            differences: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn changed(&self, mut layers: Layers, events: Vec<NewEvent>) -> Step {
        layers.revision = self.revision.next();
        let next = Self::assemble(layers, Some(self), &self.marks, &touched(&events));
        Step {
            next,
            events,
            differences: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

fn touched(events: &[NewEvent]) -> BTreeSet<RuleId> {
    events
        .iter()
        .filter_map(|event| event.rule.clone())
        .collect()
}

fn drop_expired(all: &mut BTreeMap<RuleId, Override>, now: Timestamp) -> Vec<NewEvent> {
    let over = all.extract_if(.., |_, over| over.is_over(now));
    over.map(|(rule, over)| NewEvent {
        kind: EventKind::OverrideExpired,
        actor: Actor::pointsman(),
        message: words::expired(&over),
        rule: Some(rule),
        reason: over.reason,
    })
    .collect()
}

type Sorted = (
    BTreeMap<RuleId, Override>,
    BTreeMap<RuleId, Override>,
    Vec<NewEvent>,
);

/// Which overrides the base can carry and which have to wait, and an event for each that moved.
fn sort_out(all: BTreeMap<RuleId, Override>, was_parked: &BTreeSet<RuleId>, base: &Base) -> Sorted {
    let orphans = base.orphans(&weights_of(&all));
    let lacking: BTreeMap<RuleId, Option<BackendName>> = orphans
        .into_iter()
        .map(|orphan| (orphan.rule, orphan.backend))
        .collect();
    let moved = |rule: &RuleId| {
        let (kind, message) = match (lacking.get(rule), was_parked.contains(rule)) {
            (Some(backend), false) => (EventKind::OverrideParked, words::parked(backend.as_ref())),
            (None, true) => (EventKind::OverrideUnparked, words::unparked()),
            (Some(_), true) | (None, false) => return None,
        };
        Some(NewEvent {
            kind,
            actor: Actor::pointsman(),
            rule: Some(rule.clone()),
            message,
            reason: None,
        })
    };
    let events = all.keys().filter_map(moved).collect();
    let (parked, overrides) = all
        .into_iter()
        .partition(|(rule, _)| lacking.contains_key(rule));
    (overrides, parked, events)
}

fn weight_faults(rule: &Rule, set: &SetSplit) -> Vec<Fault> {
    let names: Vec<&str> = entries(rule).map(|(backend, _)| backend.as_str()).collect();
    let known = format!("the split of {} has: {}", rule.id, names.join(", "));
    let mut faults = Vec::new();
    for (backend, weight) in &set.weights {
        let pointer = format!("/weights/{}", words::pointer_token(backend));
        if !names.contains(&&**backend) {
            faults.push(Fault {
                pointer: pointer.clone(),
                message: format!(
                    "{} is not in this split",
                    words::shown(backend, words::NAME_MAX)
                ),
                hint: Some(known.clone()),
            });
        }
        if let Err(why) = weight {
            let message = format!("{}: {why}", words::shown(backend, words::NAME_MAX));
            faults.push(Fault {
                pointer,
                message,
                hint: None,
            });
        }
    }
    let missing = names
        .iter()
        .filter(|name| !set.weights.contains_key(**name));
    if set.scope == Scope::Whole {
        faults.extend(missing.map(|name| Fault {
            pointer: "/weights".into(),
            message: format!("the weight of {name} is missing"),
            hint: Some("name every backend of the split, or change some of them with PATCH".into()),
        }));
    } else if set.weights.is_empty() {
        faults.push(Fault {
            pointer: "/weights".into(),
            message: "no backend is named".into(),
            hint: Some(known),
        });
    }
    faults
}
