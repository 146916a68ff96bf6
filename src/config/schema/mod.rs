//! What a config file may say, word for word.
//!
//! Field names follow Kubernetes habits, meanings follow the Gateway API. The doc comment of a field
//! is its description in `config/schema.json`, so editors show it. Every value that can be wrong
//! carries its place ([`At`]), because it is judged later, together with all others.

mod at;
mod document;
mod json;
mod rule;

pub(crate) use at::{At, Number, Pairs};
pub(crate) use document::{
    AccessLog, Backend, Balance, ConnectRequests, Control, Document, ForwardingHeaders, Listener,
    Protocol, ProxyProtocol,
};
pub(crate) use json::schema_json;
pub(crate) use rule::{
    Filters, HeaderEdits, Match, OnUnavailable, PathEdit, PathMatch, Redirect, Rewrite, Route,
    Rule, SplitEntry, TextMatch,
};
