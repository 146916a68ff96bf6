//! Compiling 10,000 routes: the whole file, and the world on one change of weights.

mod workload;

use divan::Bencher;
use pointsman::testing::bench::Config;
use workload::{Shape, config, yaml};

const ROUTES: usize = 10_000;

fn main() {
    divan::main();
}

/// Start, and a change of the file: YAML, all checks, the router.
#[divan::bench(sample_count = 10)]
fn file(bencher: Bencher<'_, '_>) {
    let text = yaml(Shape::Hosts, ROUTES);
    bencher.bench_local(|| Config::parse(&text).expect("a good file"));
}

/// A live change of weights.
#[divan::bench]
fn weight_change(bencher: Bencher<'_, '_>) {
    let config = config(Shape::Hosts, ROUTES);
    bencher.bench_local(|| config.reweigh());
}
