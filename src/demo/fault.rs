//! The fault switch of an embedded origin: which of its next answers go wrong, and how late.
//!
//! Faults are exact, not random: a demo that asks for 30 % failures must not show 24 % by bad luck.
//! A low-discrepancy sequence decides, so that every window holds its share and no client with a
//! period of its own sees only good, or only bad, answers.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest a fault, or `/delay`, may hold an answer back.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(60);

/// 2^64 divided by the golden ratio: the step with the most even coverage.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What `PUT /fault` says and `GET /fault` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Fault {
    /// The share of answers that become 500, 0 to 1.
    pub(crate) error_rate: f64,
    /// How long every answer waits.
    pub(crate) delay_ms: u64,
}

impl Fault {
    /// Refuses what cannot be meant, with the reason.
    fn checked(self) -> Result<Self, &'static str> {
        if !(0.0..=1.0).contains(&self.error_rate) {
            return Err("errorRate is a share from 0 to 1");
        }
        if Duration::from_millis(self.delay_ms) > DELAY_MAX {
            return Err("delayMs is at most 60000");
        }
        Ok(self)
    }
}

/// What the switch does to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) fails: bool,
    pub(crate) delay: Duration,
}

/// The switch itself: the fault in force and the place in its sequence.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    // One lock for both, so that a new fault starts a new sequence. It is held for a few
    // instructions and never across an await.
    state: Mutex<(Fault, u64)>,
}

impl Switch {
    /// Puts `fault` in force for the next request on.
    pub(crate) fn set(&self, fault: Fault) -> Result<(), &'static str> {
        *self.state.lock().expect("no holder panics") = (fault.checked()?, 0);
        Ok(())
    }

    pub(crate) fn fault(&self) -> Fault {
        self.state.lock().expect("no holder panics").0
    }

    /// Draws the fate of one request.
    pub(crate) fn next(&self) -> Verdict {
        let mut state = self.state.lock().expect("no holder panics");
        state.1 = state.1.wrapping_add(GOLDEN);
        // 53 bits fit a float exactly, so that a rate of 1 means all and 0 means none.
        let point = (state.1 >> 11) as f64 / (1_u64 << 53) as f64;
        Verdict {
            fails: point < state.0.error_rate,
            delay: Duration::from_millis(state.0.delay_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(rate: f64, requests: usize) -> usize {
        let switch = Switch::default();
        switch
            .set(Fault {
                error_rate: rate,
                delay_ms: 0,
            })
            .unwrap();
        (0..requests).filter(|_| switch.next().fails).count()
    }

    #[test]
    fn a_share_of_the_answers_fails_exactly() {
        assert_eq!(failures(0.0, 1_000), 0);
        assert_eq!(failures(1.0, 1_000), 1_000);
        for (rate, expected) in [(0.3, 300), (0.05, 50), (0.5, 500)] {
            let seen = failures(rate, 1_000);
            assert!(seen.abs_diff(expected) <= 2, "{rate}: {seen} of 1000");
        }
    }

    #[test]
    fn a_fault_that_cannot_be_meant_is_refused_and_changes_nothing() {
        let switch = Switch::default();
        for rate in [-0.1, 1.1, f64::NAN] {
            assert!(
                switch
                    .set(Fault {
                        error_rate: rate,
                        delay_ms: 0
                    })
                    .is_err()
            );
        }
        assert!(
            switch
                .set(Fault {
                    error_rate: 0.0,
                    delay_ms: 60_001
                })
                .is_err()
        );
        assert_eq!(switch.fault(), Fault::default());
    }
}
