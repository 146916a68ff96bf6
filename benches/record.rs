//! Counting the latency of one request.

mod workload;

use std::time::Duration;

use divan::{Bencher, black_box};
use pointsman::testing::bench::Stopwatch;
use workload::Random;

fn main() {
    divan::main();
}

#[divan::bench]
fn latency(bencher: Bencher<'_, '_>) {
    let stopwatch = Stopwatch::default();
    let mut random = Random(3);
    // Mostly milliseconds, as a service answers; random, so that no branch is always the same.
    bencher
        .with_inputs(|| Duration::from_nanos(200_000 + random.next() % 20_000_000))
        .bench_local_values(|duration| black_box(&stopwatch).record(duration));
}
