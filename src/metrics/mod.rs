//! What happened, in numbers.
//!
//! The data path adds to cells of its own worker and knows nothing else ([`handles`](self)). The
//! control plane reads the cells of all workers once a second, keeps the windows, and renders
//! them for Prometheus. `names` is the only place that spells a metric's name.
//!
//! A request touches one latency cell (with its sum) and one counter; every cell has one writer,
//! so an addition is a load and a store, not a locked instruction.

mod cell;
mod exposition;
mod handles;
mod histogram;
pub(crate) mod names;
mod registry;
mod window;

pub(crate) use exposition::Facts;
pub(crate) use handles::{BackendCells, ConnectOutcome, SeriesCells, WorkerCells};
pub(crate) use registry::{Registry, SeriesKey};
pub(crate) use window::{Observation, Window};
