//! The DSL of tests and benches: origins that misbehave on request, clients, a bounded load.
//!
//! Behind the feature `testing`, which plain `cargo test` turns on by itself. Everything runs in
//! one process on loopback sockets of the kernel's choice, and everything ends in bounded time:
//! a test that waits for something says for how long.
//!
//! ```ignore
//! let origin = Origin::named("v1").await?;
//! let mut client = Client::connect(origin.address()).await?;
//! assert_eq!(client.get("/").await?.text(), "v1");
//! ```

mod api;
mod behaviour;
pub mod bench;
mod client;
pub mod fuzz;
mod load;
mod origin;
#[cfg(test)]
mod origin_tests;
mod proxy;
mod recorder;
pub mod strict;
pub mod vectors;

pub use api::{Api, Metrics, SPLIT, split_change};
pub use behaviour::{Accept, Behaviour};
pub use client::{Answer, Client, H2Client, RequestBody, whole};
pub use load::{Counts, Load, RunningLoad};
pub use origin::{Origin, Seen};
pub use proxy::{Config, Proxy};
pub use recorder::{Recorder, Reply, Then, When};
