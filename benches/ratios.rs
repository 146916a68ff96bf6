//! What the benches must reach, judged in one run: sizes take turns in many short rounds, and what
//! counts is the median of the ratios inside a round, so that a busy neighbour hits both sides. A
//! round of matching counts with its fastest slice, because what preempts it is not the router;
//! every slice is another part of the random sequence, so none is faster by luck of the cache.
//!
//! `cargo bench --bench ratios` prints; with `-- --check` a missed target is exit code 1.

#![allow(clippy::print_stdout, reason = "a table on stdout is what this is for")]
#![allow(
    clippy::indexing_slicing,
    reason = "a bench that panics has said what is wrong"
)]

mod workload;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pointsman::testing::bench::{Config, Picker, Routes, Stopwatch};
use workload::{REQUESTS, Random, Requests, SLICES, Shape, config, yaml};

const ROUNDS: usize = 101;
const PICKS: usize = 1 << 14;
const COMPILED_ROUTES: usize = 10_000;

fn main() -> ExitCode {
    let mut verdicts = Verdicts::default();
    picks(&mut verdicts);
    for shape in Shape::ALL {
        matching(shape, &mut verdicts);
    }
    record();
    compile(&mut verdicts);
    let strict = std::env::args().any(|argument| argument == "--check");
    match verdicts.missed {
        0 => println!("\nall targets met"),
        missed => println!("\n{missed} missed"),
    }
    if strict && verdicts.missed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

#[derive(Default)]
struct Verdicts {
    missed: usize,
}

impl Verdicts {
    fn judge(&mut self, what: &str, value: f64, target: f64, unit: &str) {
        let verdict = if value <= target { "ok" } else { "MISSED" };
        self.missed += usize::from(value > target);
        println!("  {what:<34} {value:>8.2} {unit:<2} at most {target:>5} {unit:<2} {verdict}");
    }
}

/// Nanoseconds an operation, of `operations` done by `work`.
fn nanos<T>(operations: usize, work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_nanos() as f64 / operations as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn picks(verdicts: &mut Verdicts) {
    println!("split pick, dice included");
    for weights in [&[90, 10][..], &[90, 10, 5, 0, 1]] {
        let mut picker = Picker::new(weights, 7);
        let mut pick = || black_box(&mut picker).pick();
        let times = (0..ROUNDS).map(|_| {
            nanos(PICKS, || {
                for _ in 0..PICKS {
                    black_box(pick());
                }
            })
        });
        let what = format!("{} backends", weights.len());
        verdicts.judge(&what, median(times.collect()), 20.0, "ns");
    }
}

/// One size of table: ready to be timed.
struct Subject {
    routes: usize,
    table: Routes,
    requests: Requests,
    times: Vec<f64>,
}

impl Subject {
    fn new(shape: Shape, routes: usize) -> Self {
        Self {
            routes,
            table: config(shape, routes).routes(),
            requests: Requests::new(shape, routes),
            times: Vec::with_capacity(ROUNDS),
        }
    }

    fn round(&mut self) {
        // Once unmeasured: the turn of the others before has emptied the caches.
        black_box(self.requests.find_all(&mut self.table));
        let table = &mut self.table;
        let slices = self.requests.slices();
        let times = slices.map(|slice| nanos(REQUESTS / SLICES, || slice.find_all(table)));
        self.times.push(times.fold(f64::INFINITY, f64::min));
    }
}

fn matching(shape: Shape, verdicts: &mut Verdicts) {
    let sizes: &[usize] = match shape {
        Shape::Hosts => &[1, 100, 1_000, 10_000],
        Shape::Paths => &[1, 100],
        Shape::Wildcards | Shape::Headers | Shape::Prefixes => &[1, 1_000, 10_000],
    };
    let mut subjects: Vec<Subject> = sizes.iter().map(|&n| Subject::new(shape, n)).collect();
    for round in 0..ROUNDS {
        // The order turns, so that no size always follows the same other one.
        let count = subjects.len();
        (0..count).for_each(|at| subjects[(at + round) % count].round());
    }
    println!("match, {}", shape.name());
    for subject in &subjects {
        let time = median(subject.times.clone());
        println!(
            "  {:<34} {time:>8.2} ns",
            format!("{} routes", subject.routes)
        );
    }
    // Only the plain table has targets; the others are there to be looked at.
    let of = |n: usize| subjects.iter().find(|subject| subject.routes == n);
    for (many, few, target) in [(10_000, 1_000, 1.3), (10_000, 1, 3.0)] {
        let (Some(a), Some(b)) = (of(many), of(few)) else {
            continue;
        };
        let pairs = a.times.iter().zip(&b.times);
        let ratio = median(pairs.map(|(many, few)| many / few).collect());
        let what = format!("{many} / {few}");
        if shape == Shape::Hosts {
            verdicts.judge(&what, ratio, target, "x");
        } else {
            println!("  {what:<34} {ratio:>8.2} x");
        }
    }
}

fn record() {
    let stopwatch = Stopwatch::default();
    let mut random = Random(3);
    let durations: Vec<Duration> = (0..PICKS)
        .map(|_| Duration::from_nanos(200_000 + random.next() % 20_000_000))
        .collect();
    let times = (0..ROUNDS).map(|_| {
        nanos(PICKS, || {
            durations.iter().for_each(|&one| stopwatch.record(one));
        })
    });
    let time = median(times.collect());
    println!("histogram\n  {:<34} {time:>8.2} ns", "record");
}

fn compile(verdicts: &mut Verdicts) {
    const NANOS_PER_MILLI: f64 = 1e6;
    let text = yaml(Shape::Hosts, COMPILED_ROUTES);
    let parse = || Config::parse(&text).expect("a good file");
    let config = parse();
    let whole = (0..5).map(|_| nanos(1, parse) / NANOS_PER_MILLI);
    let change = (0..ROUNDS).map(|_| nanos(1, || config.reweigh()) / NANOS_PER_MILLI);
    println!("compile {COMPILED_ROUTES} routes");
    println!("  {:<34} {:>8.2} ms", "the file", median(whole.collect()));
    verdicts.judge(
        "one change of weights",
        median(change.collect()),
        100.0,
        "ms",
    );
}
