//! A rule as it runs: its split, its filters, its timeouts.
//!
//! Immutable and shared between snapshots as long as nothing about it changes, so a weight change
//! on one rule leaves every other rule as it is.

use std::sync::Arc;
use std::time::Duration;

use super::filter::{Filters, HeaderEdits};
use super::host::HostPattern;
use crate::model::{BackendName, RuleId, Split};

/// One entry of a split: a backend, and edits for the requests that go there only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) backend: BackendName,
    pub(crate) request: HeaderEdits,
    pub(crate) response: HeaderEdits,
}

/// What happens to the share of a backend that cannot take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnUnavailable {
    /// Its requests fail (500 when invalid, 503 without endpoints): the Gateway API's law.
    #[default]
    Fail,
    /// The others take its share; counted, so that a dead canary is never mistaken for a healthy
    /// one.
    Redistribute,
}

/// How long a request may take. `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// From the request's head to the response's head.
    pub(crate) request: Option<Duration>,
}

/// One rule of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    /// Hosts of the route, shared by its rules; empty: any.
    pub(crate) hosts: Arc<[HostPattern]>,
    /// Its matches in words, for people; the router holds what is matched. Empty: everything.
    pub(crate) matches: Vec<String>,
    pub(crate) filters: Filters,
    pub(crate) split: Split<Choice>,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) timeouts: Timeouts,
}
