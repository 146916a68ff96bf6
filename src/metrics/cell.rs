//! A number with one writer and any number of readers.
//!
//! Relaxed loads and stores: each cell is right by itself, and nothing is read out of two of them
//! as if it were one moment.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Written by one thread only; a second writer would lose counts, not memory safety.
#[derive(Debug, Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn add(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(amount), Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
