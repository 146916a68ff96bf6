//! The control API: look at what runs, move the points, watch it happen.

pub(crate) mod view;
