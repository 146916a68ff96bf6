//! `pointsman demo`: a canary on one machine, with nothing to install.
//!
//! Two embedded podinfo-like origins, a whole Pointsman in front of them, a bounded load, and a
//! story: the weight moves 5 → 50 → 100 % while each version is measured. The story acts through
//! the control API over HTTP, as a person would; it has no door of its own into the proxy.

mod control;
#[cfg(test)]
mod desk;
mod error;
mod fault;
mod load;
mod origin;
#[cfg(test)]
mod origin_tests;
mod podinfo;
mod ports;
mod reading;
mod run;
#[cfg(test)]
mod run_tests;
mod screen;
mod stage;
mod story;
#[cfg(test)]
mod story_tests;

pub(crate) use error::Failure;
pub(crate) use run::{DemoOptions, DemoOutcome, run};
pub(crate) use screen::Look;
pub(crate) use stage::{Proxy, ProxyOptions};
