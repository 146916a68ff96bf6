//! The control API: look at what runs, move the points, watch it happen.
//!
//! A small HTTP server of its own, on the control plane, bound to loopback unless told otherwise.
//! It decides nothing: a handler reads the store and the numbers and shows them (`show` turns them
//! into the shapes of `view`), or hands the store a change and shows the answer. Every error is
//! problem+json and says what to do.
//!
//! A request passes `server` (limits and deadlines) → `browser` (is a foreign page behind it?) →
//! `router` → `handlers`. What is *absent*: no CORS header, no mutation by GET, no state.

mod body;
mod browser;
mod context;
pub(crate) mod explain;
mod handlers;
mod openapi;
mod params;
mod problem;
mod router;
mod server;
mod show;
#[cfg(test)]
mod tests;
pub(crate) mod view;

pub(crate) use context::Context;
pub(crate) use server::serve;
