//! The last minute and the last five, as counts.
//!
//! A window is a ring of slots (5 s each for one minute, 10 s for five) and their sum. Once a
//! second the control plane adds what is new; a slot that has become too old is subtracted. So a
//! window reaches back at most one slot further than its name.

use std::collections::VecDeque;
use std::time::Duration;

use super::histogram::{CELLS, quantile};

/// How far back to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    OneMinute,
    FiveMinutes,
}

impl Window {
    pub(crate) const ALL: [Self; 2] = [Self::OneMinute, Self::FiveMinutes];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::OneMinute => "1m",
            Self::FiveMinutes => "5m",
        }
    }

    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Self::OneMinute => 60,
            Self::FiveMinutes => 300,
        }
    }

    const fn slot_seconds(self) -> u64 {
        match self {
            Self::OneMinute => 5,
            Self::FiveMinutes => 10,
        }
    }
}

/// What came new since the last look.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) samples: u64,
    pub(super) failures: u64,
    /// Latency cells that grew, and by how much.
    pub(super) cells: Vec<(u16, u64)>,
}

#[derive(Debug)]
struct Slot {
    /// Number of the slot since the start of the clock.
    number: u64,
    delta: Delta,
}

/// A sliding sum.
#[derive(Debug)]
pub(super) struct Sliding {
    window: Window,
    /// Oldest first; at most one more than fit the window.
    slots: VecDeque<Slot>,
    samples: u64,
    failures: u64,
    cells: Box<[u64]>,
    /// Second of the first delta, so that a young window does not divide by its full length.
    since: Option<u64>,
}

impl Sliding {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            slots: VecDeque::new(),
            samples: 0,
            failures: 0,
            cells: vec![0; CELLS].into(),
            since: None,
        }
    }

    /// Adds what is new at second `now` and lets go of what is too old.
    pub(super) fn advance(&mut self, now: u64, delta: &Delta) {
        self.expire(now);
        if delta.samples == 0 && delta.cells.is_empty() {
            return;
        }
        self.since.get_or_insert_with(|| now.saturating_sub(1));
        self.samples += delta.samples;
        self.failures += delta.failures;
        let number = now / self.window.slot_seconds();
        if self.slots.back().is_none_or(|slot| slot.number != number) {
            self.slots.push_back(Slot {
                number,
                delta: Delta::default(),
            });
        }
        let Some(slot) = self.slots.back_mut() else {
            return;
        };
        slot.delta.samples += delta.samples;
        slot.delta.failures += delta.failures;
        for &(cell, count) in &delta.cells {
            if let Some(sum) = self.cells.get_mut(usize::from(cell)) {
                *sum += count;
            }
            match slot.delta.cells.binary_search_by_key(&cell, |(at, _)| *at) {
                Ok(at) => slot
                    .delta
                    .cells
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|c| c.1 += count),
                Err(at) => slot.delta.cells.insert(at, (cell, count)),
            }
        }
    }

    fn expire(&mut self, now: u64) {
        let slots = self.window.seconds() / self.window.slot_seconds();
        let oldest = (now / self.window.slot_seconds()).saturating_sub(slots);
        while let Some(old) = self.slots.pop_front_if(|slot| slot.number < oldest) {
            self.samples -= old.delta.samples;
            self.failures -= old.delta.failures;
            for (cell, count) in old.delta.cells {
                if let Some(sum) = self.cells.get_mut(usize::from(cell)) {
                    *sum -= count;
                }
            }
        }
    }

    pub(super) fn observe(&self, now: u64) -> Observation {
        let age = self.since.map_or(0, |since| now.saturating_sub(since));
        let span = age.clamp(1, self.window.seconds());
        Observation {
            samples: self.samples,
            failures: self.failures,
            rate: self.samples as f64 / span as f64,
            cells: self.cells.clone(),
        }
    }
}

/// What was measured in a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observation {
    /// Finished requests, without those whose client went away.
    pub(crate) samples: u64,
    /// Of them: answered 5xx or a failing gRPC status, or broken off by the backend.
    pub(crate) failures: u64,
    /// Requests a second.
    pub(crate) rate: f64,
    cells: Box<[u64]>,
}

impl Observation {
    /// 0.0..=1.0; `None` without samples.
    pub(crate) fn success_ratio(&self) -> Option<f64> {
        (self.samples > 0).then(|| 1.0 - self.failures as f64 / self.samples as f64)
    }

    /// The latency below which a part `q` of the requests stayed, at most 5 % off.
    pub(crate) fn quantile(&self, q: f64) -> Option<Duration> {
        quantile(&self.cells, q)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(samples: u64, failures: u64, cell: u16) -> Delta {
        Delta {
            samples,
            failures,
            cells: vec![(cell, samples)],
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_exactly() {
        let mut window = Sliding::new(Window::OneMinute);
        window.advance(100, &delta(10, 1, 90));
        window.advance(101, &delta(10, 0, 180));
        window.advance(130, &delta(10, 0, 270));
        let at = |window: &Sliding, now| window.observe(now).samples;
        assert_eq!(at(&window, 130), 30);
        window.advance(159, &Delta::default());
        assert_eq!(at(&window, 159), 30);
        window.advance(166, &Delta::default());
        assert_eq!((at(&window, 166), window.failures), (10, 0));
        window.advance(196, &Delta::default());
        assert_eq!(at(&window, 196), 0);
        assert!(window.cells.iter().all(|&n| n == 0));
        assert_eq!(window.observe(196).success_ratio(), None);
    }

    #[test]
    fn ratio_rate_and_quantiles_come_from_the_same_samples() {
        let mut window = Sliding::new(Window::FiveMinutes);
        window.advance(10, &delta(99, 1, 180)); // 1 ms
        window.advance(19, &delta(1, 0, 360)); // 100 ms
        let seen = window.observe(19);
        assert_eq!(seen.success_ratio(), Some(0.99));
        assert!((seen.rate - 10.0).abs() < 1e-9, "{}", seen.rate);
        let micros = |q| seen.quantile(q).map(|d| d.as_micros());
        assert_eq!(micros(0.5), Some(995));
        assert_eq!(micros(1.0), Some(99_500));
    }
}
