//! Who changed what, when and why: the history.
//!
//! Every change leaves its events in the journal, in the same transaction. The newest
//! [`HISTORY_MAX`] are kept; older ones go as new ones come.

use jiff::Timestamp;

use super::change::Actor;
use crate::model::{Revision, RuleId};

/// So many events are kept.
pub(crate) const HISTORY_MAX: u64 = 10_000;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Started,
    SplitSet,
    SplitReset,
    OverrideExpired,
    /// The config lacks what it names; it waits for a config that has it again.
    OverrideParked,
    /// The config has again what it names.
    OverrideUnparked,
    ConfigReloaded,
    ConfigRefused,
}

impl EventKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Started,
        Self::SplitSet,
        Self::SplitReset,
        Self::OverrideExpired,
        Self::OverrideParked,
        Self::OverrideUnparked,
        Self::ConfigReloaded,
        Self::ConfigRefused,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::SplitSet => "SplitSet",
            Self::SplitReset => "SplitReset",
            Self::OverrideExpired => "OverrideExpired",
            Self::OverrideParked => "OverrideParked",
            Self::OverrideUnparked => "OverrideUnparked",
            Self::ConfigReloaded => "ConfigReloaded",
            Self::ConfigRefused => "ConfigRefused",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Something that is about to enter the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewEvent {
    pub(super) kind: EventKind,
    pub(super) actor: Actor,
    pub(super) rule: Option<RuleId>,
    /// One sentence for people.
    pub(super) message: String,
    pub(super) reason: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Grows by one, over restarts too.
    pub(crate) id: u64,
    pub(crate) time: Timestamp,
    /// The revision that served afterwards.
    pub(crate) revision: Revision,
    pub(crate) kind: EventKind,
    pub(crate) actor: Actor,
    pub(crate) rule: Option<RuleId>,
    pub(crate) message: String,
    pub(crate) reason: Option<String>,
}

/// A stretch of the history, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    /// Oldest and newest event that are kept; `None`: nothing has ever happened.
    pub(crate) kept: Option<(u64, u64)>,
}

impl History {
    /// Whether somebody who saw everything up to `after` can go on from here without a gap.
    pub(crate) fn continues(&self, after: u64) -> bool {
        self.kept
            .is_some_and(|(oldest, newest)| after.saturating_add(1) >= oldest && after <= newest)
    }
}
