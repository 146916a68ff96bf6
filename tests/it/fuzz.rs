//! What the fuzzers start from and what they found, again with every `cargo test`.
//!
//! The corpus of `tests/fuzz`, every vector of the tables, and some thousand random changes of
//! both, from a seed that a failure names. A fuzzer does better; this needs nothing but time.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use pointsman::testing::fuzz::TARGETS;
use pointsman::testing::vectors;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// How many changed inputs each target gets.
const CHANGED: usize = 3_000;
/// What is put in, beside random bytes.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"\"",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"connection: close\r\n",
    b"connection: ",
    b"host: a\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0",
    b"http://a",
    b"\x7f",
    b"\xff",
    b"ffffffffffffffff",
];

/// The inputs of a target: its corpus, and every vector that fits.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|why| panic!("{}: {why}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    let mut all: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| fs::read(path).expect("a readable file"))
        .collect();
    assert!(!all.is_empty(), "{} is empty", folder.display());
    all.extend(vectors::seeds(target));
    all
}

/// One of the inputs, changed a little.
fn changed(inputs: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
    let mut bytes = inputs.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=bytes.len());
        let near = (at + random.random_range(1..64)).min(bytes.len());
        match random.random_range(0..6) {
            0 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte = random.random()),
            1 => bytes
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|byte| *byte ^= 1 << random.random_range(0..8)),
            2 => drop(bytes.drain(at..near.min(at + 8))),
            3 => {
                let piece: Vec<u8> = bytes.iter().skip(at).take(near - at).copied().collect();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => {
                let other = inputs.choose(random).map_or(&[][..], Vec::as_slice);
                let from = random.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend(other.iter().skip(from));
            }
            _ => {
                let word = WORDS.choose(random).copied().unwrap_or_default();
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes
}

/// Writes the vectors as files, where `tests/fuzz/run` wants them.
fn write_seeds(target: &str) {
    let Some(folder) = std::env::var_os("POINTSMAN_FUZZ_SEEDS") else {
        return;
    };
    let folder = Path::new(&folder).join(target);
    fs::create_dir_all(&folder).expect("a writable folder");
    for (at, seed) in vectors::seeds(target).iter().enumerate() {
        fs::write(folder.join(format!("{at:03}")), seed).expect("a writable folder");
    }
}

/// Runs a target, and names the input if it panics.
fn try_on(name: &str, target: fn(&[u8]), input: &[u8], what: &str) {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(
        ran.is_ok(),
        "{name} fails on {what}: \"{}\"",
        input.escape_ascii()
    );
}

#[test]
fn whatever_was_found_once_is_not_found_again() {
    for (name, target) in TARGETS {
        write_seeds(name);
        for (at, input) in inputs(name).iter().enumerate() {
            try_on(name, target, input, &format!("input {at}"));
        }
    }
}

#[test]
fn random_changes_of_it_find_nothing_new() {
    for (name, target) in TARGETS {
        // Long ones are slow, and have their own test above.
        let mut inputs = inputs(name);
        inputs.retain(|input| input.len() < 1_024);
        for seed in 0..CHANGED as u64 {
            let input = changed(&inputs, &mut SmallRng::seed_from_u64(seed));
            try_on(name, target, &input, &format!("seed {seed}"));
        }
    }
}
