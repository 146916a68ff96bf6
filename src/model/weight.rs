//! Weighted splits: which backend gets the next request.
//!
//! A weight is a share, not a percentage, and zero is an ordinary value: a canary that has not
//! started has weight zero. When every weight is zero the split is *closed* and picks nothing.
//!
//! Picking is pure: the caller rolls the dice. That is what makes the distribution testable.

use std::collections::BTreeMap;
use std::fmt;

use super::name::{BackendName, RuleId};

/// A share in 0..=1,000,000: the Gateway API's range, small enough that no sum overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Weight(u32);

/// A number that is no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightError(pub(crate) u64);

impl fmt::Display for WeightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a weight is a whole number from 0 to {}, not {}",
            Weight::MAX,
            self.0
        )
    }
}

impl std::error::Error for WeightError {}

impl Weight {
    pub(crate) const MAX: u32 = 1_000_000;
    pub(crate) const ZERO: Self = Self(0);
    /// What an entry weighs that does not say: the Gateway API's default.
    pub(crate) const ONE: Self = Self(1);

    /// # Errors
    /// When `share` is over [`Weight::MAX`].
    pub(crate) fn new(share: u64) -> Result<Self, WeightError> {
        match u32::try_from(share) {
            Ok(share) if share <= Self::MAX => Ok(Self(share)),
            _ => Err(WeightError(share)),
        }
    }

    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

/// What each backend of one split weighs.
pub(crate) type Weights = BTreeMap<BackendName, Weight>;

/// Live weights above the base config, by rule.
pub(crate) type Overrides = BTreeMap<RuleId, Weights>;

/// Destinations with their shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split<T> {
    entries: Box<[(T, Weight)]>,
    /// Sum of all weights; fits because a weight is at most one million.
    total: u64,
}

impl<T> Split<T> {
    pub(crate) fn new(entries: impl IntoIterator<Item = (T, Weight)>) -> Self {
        let entries: Box<[_]> = entries.into_iter().collect();
        let total = entries
            .iter()
            .map(|(_, weight)| u64::from(weight.get()))
            .sum();
        Self { entries, total }
    }

    /// The position of the entry chosen by `dice`, uniform over all of `u64`. `None` means:
    /// closed, every weight is zero.
    pub(crate) fn pick(&self, dice: u64) -> Option<usize> {
        pick(
            self.entries.iter().map(|(_, weight)| *weight),
            self.total,
            dice,
        )
    }

    /// As [`pick`](Self::pick), among the entries that are `open` only: they take the share of
    /// the others in proportion to their own weights.
    pub(crate) fn pick_among(&self, dice: u64, open: impl Fn(usize, &T) -> bool) -> Option<usize> {
        let weights = || {
            let entries = self.entries.iter().enumerate();
            entries.map(|(at, (item, weight))| {
                if open(at, item) {
                    *weight
                } else {
                    Weight::ZERO
                }
            })
        };
        pick(
            weights(),
            weights().map(|weight| u64::from(weight.get())).sum(),
            dice,
        )
    }

    pub(crate) fn entries(&self) -> &[(T, Weight)] {
        &self.entries
    }

    /// Sum of all weights; zero means the split is closed.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The part of all requests that `weight` stands for, in 0.0..=1.0.
    pub(crate) fn share(&self, weight: Weight) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            f64::from(weight.get()) / self.total as f64
        }
    }
}

fn pick(weights: impl Iterator<Item = Weight>, total: u64, dice: u64) -> Option<usize> {
    // Widening multiply instead of `%`: no bias, no division by a zero total.
    let mut point = ((u128::from(dice) * u128::from(total)) >> 64) as u64;
    for (position, weight) in weights.enumerate() {
        match point.checked_sub(weight.get().into()) {
            Some(rest) => point = rest,
            None => return Some(position),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dice;
    use proptest::prelude::*;

    fn split(weights: &[u32]) -> Split<usize> {
        Split::new(
            weights
                .iter()
                .map(|&w| Weight::new(w.into()).expect("in range"))
                .enumerate(),
        )
    }

    #[test]
    fn a_zero_weight_gets_nothing_and_an_all_zero_split_is_closed() {
        let one = split(&[0, 1, 0]);
        for dice in [0, 1, u64::MAX / 2, u64::MAX] {
            assert_eq!(one.pick(dice), Some(1));
            assert_eq!(one.pick_among(dice, |at, _| at != 1), None);
            assert_eq!(split(&[1, 1, 0]).pick_among(dice, |at, _| at != 0), Some(1));
            assert_eq!(split(&[0, 0]).pick(dice), None);
            assert_eq!(split(&[]).pick(dice), None);
        }
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let many = split(&[Weight::MAX; 16]);
        assert_eq!(many.pick(0), Some(0));
        assert_eq!(many.pick(u64::MAX), Some(15));
        assert_eq!(Weight::new(1_000_001), Err(WeightError(1_000_001)));
    }

    proptest! {
        #[test]
        fn every_window_of_a_thousand_is_within_three_of_the_share(
            weights in proptest::collection::vec(0u32..=1000, 1..6),
            phase: u64,
            worker in 0usize..4,
        ) {
            prop_assume!(weights.iter().any(|&w| w > 0));
            let split = split(&weights);
            let mut dice = Dice::shared(phase, worker, 4);
            let picks: Vec<usize> =
                (0..4000).map(|_| split.pick(dice.roll()).expect("open")).collect();
            for (index, (_, weight)) in split.entries().iter().enumerate() {
                let ideal = 1000.0 * split.share(*weight);
                let mut hits = picks[..1000].iter().filter(|&&p| p == index).count();
                for start in 0..=3000 {
                    prop_assert!(
                        (hits as f64 - ideal).abs() <= 3.0,
                        "window at {start}: {hits} hits where {ideal} is ideal"
                    );
                    if start < 3000 {
                        hits -= usize::from(picks[start] == index);
                        hits += usize::from(picks[start + 1000] == index);
                    }
                }
            }
        }
    }
}
