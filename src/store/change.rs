//! What can be asked of the store, and what it answers.
//!
//! A change names its actor and, where it replaces something that somebody else may have replaced
//! in the meantime, the revision it was made for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::desired::Desired;
use super::history::Event;
use crate::config::{Base, Problems};
use crate::model::{BackendName, Revision, RuleId, Weight};

/// Who asks for a change: `api:127.0.0.1`, `cli:alice`, `file`, `pointsman`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor(Arc<str>);

impl Actor {
    pub(crate) const LENGTH_MAX: usize = 64;

    /// Takes what may be shown in a log: printable ASCII, at most [`Self::LENGTH_MAX`] of it.
    /// `None` when nothing is left.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let clean: String = text
            .trim()
            .chars()
            .map(|c| if c.is_ascii_graphic() { c } else { '_' })
            .take(Self::LENGTH_MAX)
            .collect();
        (!clean.is_empty()).then(|| Self(clean.into()))
    }

    /// The config file, when it is read again.
    pub(crate) fn file() -> Self {
        Self(Arc::from("file"))
    }

    /// Pointsman itself.
    pub(crate) fn pointsman() -> Self {
        Self(Arc::from("pointsman"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request to alter the desired state.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    SetSplit(SetSplit),
    ResetSplit(ResetSplit),
    ReplaceBase(ReplaceBase),
    /// Drops the overrides whose time is over.
    Expire {
        now: Timestamp,
    },
}

impl Change {
    /// Only asked what would be.
    pub(crate) fn is_dry_run(&self) -> bool {
        match self {
            Self::SetSplit(set) => set.dry_run,
            Self::ResetSplit(reset) => reset.dry_run,
            Self::ReplaceBase(replace) => replace.dry_run,
            Self::Expire { .. } => false,
        }
    }
}

/// Sets the live weights of one split.
#[derive(Clone, Debug)]
pub(crate) struct SetSplit {
    pub(crate) rule: RuleId,
    pub(crate) scope: Scope,
    /// By backend, as asked for. What is no weight is kept as the reason why not, so that
    /// everything wrong with one request can be told at once.
    pub(crate) weights: BTreeMap<String, Result<Weight, String>>,
    pub(crate) condition: Condition,
    pub(crate) actor: Actor,
    pub(crate) reason: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) dry_run: bool,
}

/// How much of a split a change names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every backend of the split.
    Whole,
    /// Some; the others stay as they are.
    Part,
}

/// Drops the override of one split.
#[derive(Clone, Debug)]
pub(crate) struct ResetSplit {
    pub(crate) rule: RuleId,
    pub(crate) condition: Condition,
    pub(crate) actor: Actor,
    pub(crate) reason: Option<String>,
    pub(crate) dry_run: bool,
}

/// Puts another config under the overrides.
#[derive(Clone, Debug)]
pub(crate) struct ReplaceBase {
    pub(crate) base: Arc<Base>,
    pub(crate) actor: Actor,
    pub(crate) dry_run: bool,
}

/// Which state of a split a change was made for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Whatever it is.
    #[default]
    Always,
    /// One of these; otherwise the change is stale.
    AnyOf(Vec<Revision>),
}

impl Condition {
    pub(crate) fn holds(&self, current: Revision) -> bool {
        match self {
            Self::Always => true,
            Self::AnyOf(revisions) => revisions.contains(&current),
        }
    }
}

/// A change that was carried out, or would be.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    /// The state with the change in it.
    pub(crate) desired: Arc<Desired>,
    /// What went into the history. Empty: there was nothing to do, or it was a dry run.
    pub(crate) events: Vec<Event>,
    /// What is different now, in sentences for people.
    pub(crate) differences: Vec<String>,
    /// Legal, but probably not meant.
    pub(crate) warnings: Vec<String>,
}

/// One thing that is wrong with a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// JSON pointer into the change as it is written in the API.
    pub(crate) pointer: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Why a change was not carried out. Nothing of it was.
#[derive(Debug)]
pub(crate) enum Refusal {
    UnknownRule(RuleId),
    /// The rule redirects; it has no split.
    NoSplit(RuleId),
    /// Everything that is wrong with the request.
    Faults(Vec<Fault>),
    /// Somebody else was faster; `current` is what the split is now.
    Stale {
        rule: RuleId,
        current: Revision,
    },
    /// The new config lacks what these overrides name.
    Orphans(Vec<(RuleId, Option<BackendName>)>),
    /// The new config is wrong.
    Config(Problems),
    /// There is no file to read again.
    NoFile,
    /// The change could not be made durable.
    Journal(String),
    /// Pointsman is shutting down.
    Stopped,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRule(rule) => write!(f, "there is no rule {rule}"),
            Self::NoSplit(rule) => write!(f, "rule {rule} redirects: it has no split to weigh"),
            Self::Faults(faults) => {
                let messages: Vec<_> = faults.iter().map(|fault| &*fault.message).collect();
                f.write_str(&messages.join("; "))
            }
            Self::Stale { rule, current } => write!(
                f,
                "the split of {rule} has changed meanwhile and is at revision {current} now: look \
                 at it again, then decide again"
            ),
            Self::Orphans(orphans) => {
                f.write_str("the config drops what live overrides name, so it was not applied: ")?;
                let lines: Vec<_> = orphans.iter().map(orphan).collect();
                f.write_str(&lines.join("; "))
            }
            Self::Config(problems) => {
                write!(
                    f,
                    "the config has problems, so it was not applied:\n{problems}"
                )
            }
            Self::NoFile => f.write_str("this Pointsman was not started from a config file"),
            Self::Journal(why) => {
                write!(f, "the change could not be stored, so it was undone: {why}")
            }
            Self::Stopped => f.write_str("Pointsman is shutting down and takes no more changes"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What an override names in vain, and what to do about it.
pub(crate) fn orphan((rule, backend): &(RuleId, Option<BackendName>)) -> String {
    let lacking = match backend {
        Some(backend) => format!("backend {backend} in the split of {rule}"),
        None => format!("rule {rule}"),
    };
    format!("{lacking} has a live override; drop it first: pointsman weight reset {rule}")
}
