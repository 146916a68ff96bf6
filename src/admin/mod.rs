//! The control API: look at what runs, move the points, watch it happen.

pub(crate) mod explain;
pub(crate) mod view;
