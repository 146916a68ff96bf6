//! Wiring: from options to a running Pointsman, and back to nothing in order.
//!
//! Start: load the config, bind every socket, open the state, spawn; whatever can fail fails here
//! and not later. [`start()`] returns when the first snapshot serves. The control plane (API, expiry,
//! reload, the clock of the windows) runs on the caller's runtime; the data plane has threads of
//! its own, and can do without the control plane.

mod chores;
mod reload;
mod run;
mod start;

pub(crate) use run::{Ended, RunOptions, run};
#[cfg(feature = "testing")]
pub(crate) use start::Running;
pub(crate) use start::{Leave, Options, Source, StartError, start};
