//! Matching: from host, path and headers to a rule, among few and many routes.
//!
//! One call finds a whole sequence of random requests; divide by its length, or read `item/s`.
//! `ratios` judges the growth, because it interleaves the sizes.

mod workload;

use divan::Bencher;
use divan::counter::ItemsCount;
use workload::{REQUESTS, Requests, Shape, config};

fn main() {
    divan::main();
}

fn find(bencher: Bencher<'_, '_>, shape: Shape, routes: usize) {
    let mut table = config(shape, routes).routes();
    let requests = Requests::new(shape, routes);
    bencher
        .counter(ItemsCount::new(REQUESTS))
        .bench_local(|| requests.find_all(&mut table));
}

#[divan::bench(args = [1, 100, 1_000, 10_000])]
fn hosts(bencher: Bencher<'_, '_>, routes: usize) {
    find(bencher, Shape::Hosts, routes);
}

#[divan::bench(args = [1, 10_000])]
fn wildcard_hosts(bencher: Bencher<'_, '_>, routes: usize) {
    find(bencher, Shape::Wildcards, routes);
}

#[divan::bench(args = [1, 10_000])]
fn header_rules(bencher: Bencher<'_, '_>, routes: usize) {
    find(bencher, Shape::Headers, routes);
}

#[divan::bench(args = [1, 10_000])]
fn api_and_rest(bencher: Bencher<'_, '_>, routes: usize) {
    find(bencher, Shape::Prefixes, routes);
}

#[divan::bench(args = [1, 100])]
fn paths_of_one_host(bencher: Bencher<'_, '_>, routes: usize) {
    find(bencher, Shape::Paths, routes);
}
