//! Pointsman: a high-performance L7 proxy for progressive delivery.
//!
//! It stands in front of two or more versions of a service, decides request by request which one
//! answers, measures each, and moves the points while traffic flows. `ARCHITECTURE.md` has the map.
//!
//! What is *absent* here holds the design together; `tests/tidy.rs` checks what can be checked:
//!
//! 1. `proxy` publishes nothing and has never heard of `config`; what it learns (counts, an
//!    endpoint's failures) it leaves in its own worker's cells or as evidence on the endpoint, for
//!    others to act on.
//! 2. Only `store::apply` can publish a Snapshot.
//! 3. `model`, `routing`, `http1`, `rollout::plan`, `rollout::analysis`, `config::compile`,
//!    `kubernetes::translate` contain no `async`, no `now()`, no random source, no `tokio`. Time
//!    and dice are arguments.
//! 4. `Serialize`/`Deserialize` appear only where bytes meet the outside: `config::schema`,
//!    `admin::view`, `store::journal`, `kubernetes`, `telemetry` (access log),
//!    `rollout::{webhook, alert, providers}`, `demo`.
//! 5. Only `proxy::error` builds error responses; only `metrics::names` spells metric names.
//! 6. On the request path: no lock, no label look-up, no allocation proportional to the config.
//! 7. No `unwrap`; no lock held across `.await`; no unbounded queue; every spawned task is joined
//!    or drained; everything that grows has a limit.

mod admin;
mod app;
mod cli;
mod config;
mod demo;
mod drain;
mod guard;
mod http1;
mod metrics;
mod model;
mod proxy;
mod ready;
mod routing;
mod snapshot;
mod store;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod upstream;

pub use cli::main;
