//! From a rule to one entry of its split.
//!
//! The dice roll only when a weight decides, so that whatever goes past the weights (a single
//! backend, later pins and forced versions) does not disturb the exactness of the rest.

use super::rule::{OnUnavailable, Rule};

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The entry at this position of the split.
    Entry(usize),
    /// The entry at this position took over from `from`, which cannot answer.
    Instead { of: usize, entry: usize },
    /// Every weight is zero.
    Closed,
}

/// Chooses an entry of the rule's split.
///
/// `roll` is uniform over `u64` and drawn at most once; `ready` tells whether the entry at a
/// position can take requests, and is asked only where the rule redistributes.
pub(crate) fn select(
    rule: &Rule,
    roll: impl FnOnce() -> u64,
    ready: impl Fn(usize) -> bool,
) -> Selection {
    let dice = roll();
    let Some(entry) = rule.split.pick(dice) else {
        return Selection::Closed;
    };
    match rule.on_unavailable {
        OnUnavailable::Redistribute if !ready(entry) => {
            match rule.split.pick_among(dice, |at, _| ready(at)) {
                Some(other) => Selection::Instead {
                    of: entry,
                    entry: other,
                },
                None => Selection::Entry(entry),
            }
        }
        OnUnavailable::Fail | OnUnavailable::Redistribute => Selection::Entry(entry),
    }
}
