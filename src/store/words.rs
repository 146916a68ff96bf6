//! The sentences of the history and of dry runs.
//!
//! They are read by people months later, so they name what changed, from what, to what.

use std::collections::HashMap;

use jiff::Timestamp;

use super::desired::{Desired, Override, entries};
use crate::config::Problems;
use crate::model::{BackendName, RuleId, Weights};
use crate::routing::Rule;
use crate::snapshot::Blueprint;

/// So many rules are told by name before the rest is only counted.
const NAMED_MAX: usize = 20;
/// So much of a problem is shown.
const FIRST_MAX: usize = 500;
/// So much of a name is shown that is none of ours.
pub(super) const NAME_MAX: usize = 64;

/// `primary 95, canary 5`: the weights in force, in the order of the config.
pub(super) fn weights(rule: &Rule) -> String {
    let each: Vec<String> = entries(rule)
        .map(|(backend, weight)| format!("{backend} {}", weight.get()))
        .collect();
    each.join(", ")
}

/// `primary 100 → 95, canary 0 → 5`.
pub(super) fn reweighed(rule: &Rule, weights: &Weights) -> String {
    let each: Vec<String> = entries(rule)
        .map(|(backend, old)| match weights.get(backend) {
            Some(new) if *new != old => format!("{backend} {} → {}", old.get(), new.get()),
            Some(_) | None => format!("{backend} {}", old.get()),
        })
        .collect();
    each.join(", ")
}

pub(super) fn set(difference: &str, expires_at: Option<Timestamp>) -> String {
    match expires_at {
        Some(at) => format!("{difference}, until {at:.0}"),
        None => difference.to_owned(),
    }
}

pub(super) fn closed(rule: &RuleId) -> String {
    format!("every weight of {rule} is zero: the split is closed, its requests are answered 503")
}

pub(super) fn expired(over: &Override) -> String {
    format!(
        "the override by {} from {:.0} is over",
        over.actor, over.since
    )
}

pub(super) fn parked(backend: Option<&BackendName>) -> String {
    let lacking = match backend {
        Some(backend) => format!("backend {backend} in this split"),
        None => "this rule".to_owned(),
    };
    format!("the config lacks {lacking}: its override is kept, but not applied")
}

pub(super) fn unparked() -> String {
    "the config has everything this override names: it applies again".to_owned()
}

pub(super) fn started(desired: &Desired) -> String {
    let rules = desired.blueprint().rules.len();
    let overrides = desired.overrides.len();
    let mut text = format!("serving {rules} rules, {overrides} of them with live weights");
    if !desired.parked.is_empty() {
        text += &format!("; {} overrides are parked", desired.parked.len());
    }
    text
}

pub(super) fn reloaded(differences: &[String]) -> String {
    if differences.is_empty() {
        return "the config changed in its wording only".to_owned();
    }
    let rest = differences.len().saturating_sub(NAMED_MAX);
    let named: Vec<&str> = differences
        .iter()
        .take(NAMED_MAX)
        .map(String::as_str)
        .collect();
    let mut text = named.join("; ");
    if rest > 0 {
        text += &format!("; and {rest} more");
    }
    text
}

pub(super) fn bad_config(problems: &Problems) -> String {
    let count = problems.errors().count();
    let first = problems.errors().next();
    let first = first.map(|one| format!("{}: {}", one.position(), one.message));
    let first = shown(&first.unwrap_or_default(), FIRST_MAX);
    match count {
        1 => format!("the config has a problem and was not applied: {first}"),
        _ => format!("the config has {count} problems and was not applied; the first: {first}"),
    }
}

pub(super) fn settings() -> String {
    "settings beside the routes changed: those apply at the next start".to_owned()
}

/// What a new base changes, one line for each rule and backend.
pub(super) fn differences(old: &Blueprint, new: &Blueprint) -> Vec<String> {
    let mut lines = Vec::new();
    let before: HashMap<_, _> = old.rules.iter().map(|rule| (&rule.id, rule)).collect();
    let after: HashMap<_, _> = new.rules.iter().map(|rule| (&rule.id, rule)).collect();
    for rule in &new.rules {
        match before.get(&rule.id) {
            None => lines.push(format!("rule {} is new", rule.id)),
            Some(old) if weights(old) != weights(rule) => lines.push(format!(
                "rule {} weighs {} (was {})",
                rule.id,
                weights(rule),
                weights(old)
            )),
            Some(old) if *old != rule => lines.push(format!("rule {} changed", rule.id)),
            Some(_) => {}
        }
    }
    let gone = old
        .rules
        .iter()
        .filter(|rule| !after.contains_key(&rule.id));
    lines.extend(gone.map(|rule| format!("rule {} is gone", rule.id)));
    let mut names: Vec<_> = old.backends.keys().chain(new.backends.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        match (old.backends.get(name), new.backends.get(name)) {
            (None, _) => lines.push(format!("backend {name} is new")),
            (_, None) => lines.push(format!("backend {name} is gone")),
            (Some(old), Some(new)) if old != new => lines.push(format!("backend {name} changed")),
            (Some(_), Some(_)) => {}
        }
    }
    lines
}

/// A foreign text, short enough to show.
pub(super) fn shown(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// One step of a JSON pointer (RFC 6901).
pub(super) fn pointer_token(text: &str) -> String {
    shown(text, NAME_MAX).replace('~', "~0").replace('/', "~1")
}
