//! The words of Pointsman: names, weights, splits, dice, revisions, networks, outcomes.
//!
//! Pure values without IO, clock or chance. Everything else is built from them, so a bare `String`
//! or `u32` never has to cross a module.

mod connect;
mod dice;
mod fault;
mod grpc;
mod name;
mod network;
mod revision;
mod trust;
mod weight;

pub(crate) use connect::Connect;
pub(crate) use dice::Dice;
pub(crate) use fault::Fault;
pub(crate) use grpc::GrpcStatus;
pub(crate) use name::{BackendName, NameError, RouteName, RuleId, RuleName};
pub(crate) use network::{Network, NetworkError};
pub(crate) use revision::Revision;
pub(crate) use trust::{ForwardingHeaders, ProxyProtocol, Trust};
pub(crate) use weight::{Overrides, Split, Weight, WeightError, Weights};
