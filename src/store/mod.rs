//! The truth: what is wanted, kept durable, turned into what serves. The only writer.
//!
//! Desired state is layers: the base (a file) and overrides above it (live splits). Whoever wants
//! something else sends a [`Change`]; one thread takes them in turn, works out the next [`Desired`]
//! (pure, in `desired`), commits it (`journal`), publishes the snapshot (`apply`, and nobody else)
//! and only then answers. So an answer means: on the disk, and serving.
//!
//! What is *absent* here: no merge of changes, no retry, no partial success. A change is applied
//! whole or refused with the reason, and a refused change leaves nothing behind.

mod apply;
mod change;
mod desired;
mod directory;
mod history;
mod journal;
#[cfg(test)]
mod power_loss;
mod rows;
mod step;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use apply::{Origin, Store, StoreOptions};
pub(crate) use change::{
    Actor, Applied, Change, Condition, Fault, Refusal, ResetSplit, Scope, SetSplit, orphan,
};
pub(crate) use desired::{Desired, Override};
pub(crate) use directory::StoreError;
pub(crate) use history::{Event, EventKind};
