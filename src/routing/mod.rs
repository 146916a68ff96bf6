//! Which rule answers a request, and where it goes.
//!
//! Compiled once from what the config says, matched without a lock and without allocation for
//! ordinary requests. Pure: the dice and the request are arguments.
//!
//! The way of a request: `router` (host table, then path) → `predicate` (method, headers, query,
//! cookies) → `rule` → `select` (dice → destination) → `filter` (edits and redirects).
//! `precedence` says who wins when several match, in the Gateway API's order.

mod explain;
mod filter;
mod host;
mod path;
mod precedence;
mod predicate;
mod router;
#[cfg(test)]
mod router_tests;
mod rule;
mod select;
mod table;
mod texts;

pub(crate) use explain::{Considered, Verdict};
pub(crate) use filter::{Filters, HeaderEdits, Origin, PathEdit, Redirect, Rewrite};
pub(crate) use host::{HostError, HostPattern};
pub(crate) use path::{PathError, PathMatch, Scratch, normalise};
pub(crate) use predicate::{Condition, Conditions, TextMatch};
pub(crate) use router::{Found, Match, Router, View};
pub(crate) use rule::{Choice, OnUnavailable, Rule, Timeouts};
pub(crate) use select::{Selection, select};
