//! A pick: one roll of the dice and one walk over the weights. Budget: under 20 ns.

use divan::{Bencher, black_box};
use pointsman::testing::bench::Picker;

fn main() {
    divan::main();
}

#[divan::bench(args = [2, 5])]
fn pick(bencher: Bencher<'_, '_>, backends: usize) {
    let weights = [90, 10, 5, 0, 1];
    let mut picker = Picker::new(weights.get(..backends).expect("enough weights"), 7);
    bencher.bench_local(|| black_box(&mut picker).pick());
}
