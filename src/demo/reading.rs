//! What one step has shown: each version's numbers, and whether the canary may go on.
//!
//! Pure. The control API reports windows of a minute and of five; a step is shorter than both, so
//! its samples are the difference between two looks at the longer window. The quantiles cannot be
//! subtracted and are those of the last minute.

use super::control::{CANARY, PRIMARY};
use crate::admin::view;

/// A canary with less success than this does not go on.
pub(crate) const SUCCESS_MIN: f64 = 0.99;
/// Fewer requests than this say nothing either way.
pub(crate) const SAMPLES_MIN: u64 = 20;

/// One version during one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) samples: u64,
    pub(crate) failures: u64,
    /// Seconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

/// What a check says about a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    Unsure,
}

impl Measured {
    /// `None` of no requests: no requests are neither a success nor a failure.
    pub(crate) fn success(&self) -> Option<f64> {
        (self.samples > 0)
            .then(|| self.samples.saturating_sub(self.failures) as f64 / self.samples as f64)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.success() {
            Some(_) | None if self.samples < SAMPLES_MIN => Verdict::Unsure,
            Some(success) if success < SUCCESS_MIN => Verdict::Fail,
            Some(_) => Verdict::Pass,
            None => Verdict::Unsure,
        }
    }

    fn between(before: Option<&view::SplitEntry>, now: Option<&view::SplitEntry>) -> Self {
        let Some(now) = now else {
            return Self::default();
        };
        let counted = |entry: &view::SplitEntry| (entry.last5m.samples, entry.last5m.failures);
        let (samples, failures) = before.map(counted).unwrap_or_default();
        let samples = now.last5m.samples.saturating_sub(samples);
        let quantile = |value: Option<f64>| value.filter(|_| samples > 0);
        Self {
            samples,
            failures: now.last5m.failures.saturating_sub(failures),
            p50: quantile(now.last1m.p50),
            p99: quantile(now.last1m.p99),
        }
    }
}

/// Both versions between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// The canary's share as the weights ask for it, 0..1.
    pub(crate) desired: f64,
    pub(crate) canary: Measured,
    pub(crate) primary: Measured,
}

impl Reading {
    pub(crate) fn between(before: &view::Split, now: &view::Split) -> Self {
        let measured = |name| Measured::between(entry(before, name), entry(now, name));
        Self {
            desired: entry(now, CANARY).map_or(0.0, |entry| entry.desired),
            canary: measured(CANARY),
            primary: measured(PRIMARY),
        }
    }

    /// The share of the requests that the canary did get.
    pub(crate) fn observed(&self) -> Option<f64> {
        let all = self.canary.samples + self.primary.samples;
        (all > 0).then(|| self.canary.samples as f64 / all as f64)
    }
}

fn entry<'a>(split: &'a view::Split, backend: &str) -> Option<&'a view::SplitEntry> {
    split.entries.iter().find(|entry| entry.backend == backend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_requests_say_nothing_and_one_failure_in_fifty_says_no() {
        let verdict = |samples, failures| {
            Measured {
                samples,
                failures,
                ..Measured::default()
            }
            .verdict()
        };
        assert_eq!(verdict(0, 0), Verdict::Unsure);
        assert_eq!(verdict(19, 19), Verdict::Unsure);
        assert_eq!(verdict(20, 0), Verdict::Pass);
        assert_eq!(verdict(100, 1), Verdict::Pass);
        assert_eq!(verdict(50, 1), Verdict::Fail);
    }

    #[test]
    fn nothing_observed_is_not_a_share_of_zero() {
        assert_eq!(Reading::default().observed(), None);
        let mut reading = Reading::default();
        reading.primary.samples = 10;
        assert_eq!(reading.observed(), Some(0.0));
    }
}
