//! Low-discrepancy dice: the numbers that make a split exact.
//!
//! Random choice is off by the square root of the sample; strict every-20th-request is exact but
//! locks onto periodic clients. The additive recurrence `x += 2^64 / golden ratio` is neither: at
//! constant weights every window of n rolls gives each share within 1 + log2(n)/2 of n·w, and no
//! short period exists to lock onto. See H. Weyl (1916) and L. Kuipers, H. Niederreiter, *Uniform
//! Distribution of Sequences* (1974), for why the golden ratio is the best increment.
//!
//! The phase comes from outside: random per process and rule, spread evenly over the workers.

/// 2^64 / golden ratio, odd, so that all 2^64 values are visited before one repeats.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sequence of numbers, evenly spread over all of `u64`. One per worker and rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice number `index` of `count` that share a rule: the phases divide the circle evenly, so
    /// that the workers together are as exact as each alone.
    pub(crate) fn shared(phase: u64, index: usize, count: usize) -> Self {
        let step = u64::MAX / count.max(1) as u64;
        Self(phase.wrapping_add(step.wrapping_mul(index as u64)))
    }

    /// The next roll.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        self.0
    }
}
