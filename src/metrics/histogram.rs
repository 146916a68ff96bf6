//! Latency cells with an edge at every two-digit threshold.
//!
//! Edges are m·10^k µs for m in 10..=99, so "P99 <= 500 ms" is a count and not an interpolation,
//! and a quantile read from the middle of its cell is off by at most 5 %. From 10 µs to 100 s: 631
//! cells and one for what is longer.

use std::time::Duration;

use super::cell::Cell;

const CELLS_PER_DECADE: usize = 90;
/// 100 s; what took longer shares the last cell.
const LAST_EDGE_MICROS: u64 = 100_000_000;
/// Seven decades, the closing edge, and the overflow.
pub(super) const CELLS: usize = 7 * CELLS_PER_DECADE + 2;

/// The cell of a duration: the first whose upper edge is not below it.
pub(super) fn cell_of(duration: Duration) -> usize {
    // Rounded up, so that the edges are exact: 250 µs and 1 ns is over 250 µs.
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let micros = nanos.div_ceil(1000);
    if micros <= 10 {
        return 0;
    }
    if micros > LAST_EDGE_MICROS {
        return CELLS - 1;
    }
    let decade = micros.ilog10() - 1;
    let mantissa = micros.div_ceil(10_u64.pow(decade));
    // At most 7 * 90 + 90 by the bound above.
    decade as usize * CELLS_PER_DECADE + usize::try_from(mantissa).unwrap_or(10) - 10
}

/// Upper edge of a cell in microseconds; the overflow has none.
fn edge_micros(cell: usize) -> Option<u64> {
    let (decade, rest) = (cell / CELLS_PER_DECADE, cell % CELLS_PER_DECADE);
    let edge = (rest as u64 + 10) * 10_u64.pow(u32::try_from(decade).ok()?);
    (edge <= LAST_EDGE_MICROS).then_some(edge)
}

/// Upper edge of a cell in seconds; infinite for the overflow.
pub(super) fn edge_seconds(cell: usize) -> f64 {
    edge_micros(cell).map_or(f64::INFINITY, |micros| micros as f64 / 1e6)
}

/// The latencies of one worker: one writer.
#[derive(Debug)]
pub(crate) struct Latencies {
    cells: Box<[Cell]>,
    sum_nanos: Cell,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            cells: (0..CELLS).map(|_| Cell::default()).collect(),
            sum_nanos: Cell::default(),
        }
    }
}

impl Latencies {
    pub(crate) fn record(&self, duration: Duration) {
        if let Some(cell) = self.cells.get(cell_of(duration)) {
            cell.add(1);
        }
        self.sum_nanos
            .add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds the counts of every cell to `counts`, which has [`CELLS`] places.
    pub(super) fn add_to(&self, counts: &mut [u64]) {
        for (count, cell) in counts.iter_mut().zip(&self.cells) {
            *count += cell.read();
        }
    }

    pub(super) fn sum_seconds(&self) -> f64 {
        self.sum_nanos.read() as f64 / 1e9
    }
}

/// The duration below which a part `q` (0..=1) of the counted requests stayed; `None` without
/// any. The middle of the cell, so at most 5 % off.
pub(super) fn quantile(counts: &[u64], q: f64) -> Option<Duration> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    // The rank of the q-quantile among `total` ordered samples, counted from 1.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a part of a count is no larger than it"
    )]
    let rank = ((total as f64 * q).ceil() as u64).clamp(1, total);
    let mut seen = 0;
    let cell = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    })?;
    let high = edge_micros(cell).unwrap_or(LAST_EDGE_MICROS);
    let low = match cell {
        0 => 0,
        _ => edge_micros(cell - 1).unwrap_or(LAST_EDGE_MICROS),
    };
    Some(Duration::from_nanos((low + high) * 500))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_two_digit_threshold_is_an_edge() {
        for micros in [
            10,
            11,
            99,
            100,
            110,
            250,
            990,
            1000,
            5000,
            250_000,
            500_000,
            100_000_000,
        ] {
            let at = cell_of(Duration::from_micros(micros));
            assert_eq!(edge_micros(at), Some(micros));
            assert_eq!(
                cell_of(Duration::from_micros(micros) + Duration::from_nanos(1)),
                at + 1
            );
        }
        assert_eq!(cell_of(Duration::ZERO), 0);
        assert_eq!(cell_of(Duration::from_secs(1000)), CELLS - 1);
        assert_eq!(edge_seconds(CELLS - 1), f64::INFINITY);
        assert_eq!(edge_seconds(CELLS - 2), 100.0);
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_five_percent_off(
            mut micros in proptest::collection::vec(10u64..90_000_000, 1..400),
            q in 0.0f64..=1.0,
        ) {
            let latencies = Latencies::default();
            micros.iter().for_each(|&m| latencies.record(Duration::from_micros(m)));
            let mut counts = vec![0; CELLS];
            latencies.add_to(&mut counts);
            micros.sort_unstable();
            #[expect(clippy::cast_possible_truncation, reason = "a part of a length")]
            let rank = ((micros.len() as f64 * q).ceil() as usize).clamp(1, micros.len());
            let exact = micros[rank - 1] as f64;
            let read = quantile(&counts, q).expect("not empty").as_secs_f64() * 1e6;
            prop_assert!((read - exact).abs() <= exact * 0.05 + 5.0, "{read} for {exact}");
        }
    }
}
