//! Tidy: the shape of the source, checked like any other behaviour.
//!
//! The design is held together by what modules may *not* do: import upwards, read a clock in a pure
//! core, publish a snapshot from anywhere but the store. Reviews forget; this test does not. It
//! fails on the direction of imports and on the invariants of absence, and only *prints* sizes and
//! public names (`cargo test --test tidy -- --nocapture`), because a number is a hint, not a law.
//!
//! It needs nothing but the standard library: a lexer good enough to tell code from comments and
//! strings, a reader of `use` trees, and the table of floors as data. It cannot see through macros
//! or renamed imports; those are what reviews are for.

#[path = "tidy/lex.rs"]
mod lex;
#[cfg(test)]
#[path = "tidy/proofs.rs"]
mod proofs;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/tree.rs"]
mod tree;

use std::path::Path;

use rules::*;
use sizes::{functions, lines_without_tests, public_names};
use tree::{Source, files_below, read, root, shown, sources};

/// Who may import whom; the table of ARCHITECTURE.md. A row with `::` is about that part only, and
/// the longest row that fits a file counts. Everything may import its own row.
const FLOORS: &[(&str, &[&str])] = &[
    // floor 0: words
    ("model", &[]),
    ("rollout::spec", PURE_ROLLOUT),
    ("rollout::status", PURE_ROLLOUT),
    ("rollout::plan", PURE_ROLLOUT),
    ("rollout::analysis", PURE_ROLLOUT),
    // leaves: usable from floors 1 to 4
    ("drain", &[]),
    ("ready", &["drain"]),
    ("signal", &["drain", "ready"]),
    ("telemetry", &["model"]),
    // floor 1: pieces
    ("routing", &["model"]),
    ("http1", &[]),
    ("metrics", &["model", LEAVES]),
    ("upstream", &["model", "metrics", "http1", LEAVES]),
    // floor 2: truth
    (
        "snapshot",
        &["model", "routing", "upstream", "metrics", LEAVES],
    ),
    (
        "config",
        &["model", "routing", "upstream", "snapshot", LEAVES],
    ),
    (
        "store",
        &[
            "model", "routing", "config", "snapshot", "upstream", "metrics", LEAVES,
        ],
    ),
    // floor 3: actors
    (
        "proxy",
        &[
            "model", "routing", "upstream", "metrics", "snapshot", "http1", LEAVES,
        ],
    ),
    ("rollout", &["model", "metrics", "store", LEAVES]),
    ("guard", &["model", "metrics", "upstream", "store", LEAVES]),
    ("switch", &["model", "metrics", "upstream", "store", LEAVES]),
    (
        "admin",
        &[
            "model",
            // the API shows rules and backends as they are
            "routing",
            "upstream",
            "metrics",
            "config::schema",
            "config::problem",
            "config::units",
            "store",
            "rollout",
            "guard",
            "switch",
            LEAVES,
        ],
    ),
    // the router's own words, told in the API's shape; the CLI asks it about files too
    (
        "admin::explain",
        &["model", "routing", "upstream", "admin::view", LEAVES],
    ),
    (
        "kubernetes",
        &["model", "config::schema", "store", "rollout", LEAVES],
    ),
    // floor 4: wiring, and what stands beside the floors
    ("demo", &[ANYTHING]),
    ("app", &[ANYTHING]),
    ("cli", &[ANYTHING]),
    ("main", &[ANYTHING]),
    ("lib", &[ANYTHING]),
    ("testing", &[ANYTHING]),
];

const PURE_ROLLOUT: &[&str] = &[
    "model",
    "rollout::spec",
    "rollout::status",
    "rollout::plan",
    "rollout::analysis",
];
const ANYTHING: &str = "*";
/// Stands for `drain`, `ready` and `telemetry`.
const LEAVES: &str = "<leaves>";

/// No clock, no dice, no runtime in here: time and dice are arguments.
const PURE: &[&str] = &[
    "model",
    "routing",
    "http1",
    "rollout::plan",
    "rollout::analysis",
    "config::compile",
    "kubernetes::translate",
];

/// Where bytes meet the outside, and so where serde may be derived.
const SERDE: &[&str] = &[
    "config::schema",
    "admin::view",
    "store::journal",
    "kubernetes",
    "telemetry",
    "rollout::webhook",
    "rollout::alert",
    "rollout::providers",
    "demo",
    "testing",
];

/// Module names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "manager",
];

#[track_caller]
fn none(problems: &Problems) {
    assert!(
        problems.is_empty(),
        "\n{}\n{} problems",
        problems.join("\n"),
        problems.len()
    );
}

#[test]
fn imports_point_downwards() {
    none(&check_floors(&sources()));
}

#[test]
fn what_must_be_absent_is_absent() {
    none(&check_bans(&sources()));
}

#[test]
fn only_the_names_module_spells_metric_names() {
    none(&check_metric_names(&sources()));
}

#[test]
fn the_guide_lists_every_metric() {
    let guide = read(&root().join("docs/guide/metrics.md"));
    let sources = sources();
    let names = sources
        .iter()
        .find(|source| source.within(&["metrics::names"]));
    none(&check_metric_table(
        names.expect("metrics::names exists"),
        &guide,
    ));
}

#[test]
fn every_file_tells_its_story_in_words_we_use() {
    let mut problems: Problems = sources().iter().flat_map(check_words).collect();
    for folder in ["tests", "benches"] {
        for path in files_below(&root().join(folder), "rs") {
            problems.extend(check_words(&Source::new(&shown(&path), &read(&path))));
        }
    }
    none(&problems);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let exists = |path: &Path| root().join(path).exists();
    none(
        &documents()
            .iter()
            .flat_map(|(file, text)| dead_links(file, text, exists))
            .collect(),
    );
}

#[test]
fn every_shipped_config_is_mentioned_and_names_its_schema() {
    let configs: Vec<(String, String)> = files_below(&root().join("config"), "yaml")
        .iter()
        .map(|path| {
            (
                shown(path).trim_start_matches("config/").to_owned(),
                read(path),
            )
        })
        .collect();
    none(&orphan_configs(&configs, &documents()));
}

#[test]
fn the_lock_file_holds_nothing_we_decided_against() {
    none(&check_lock(&read(&root().join("Cargo.lock"))));
}

#[test]
fn sizes_and_public_names_are_printed() {
    for source in sources() {
        let lines = lines_without_tests(&source);
        if lines > 400 {
            println!(
                "long file      {:<40} {lines} lines without tests",
                source.file
            );
        }
        if source.file.ends_with("/mod.rs") && (lines > 60 || !functions(&source.tokens).is_empty())
        {
            println!(
                "mod.rs         {:<40} holds more than story, mod and use",
                source.file
            );
        }
        for (name, line, length) in functions(&source.tokens) {
            if length > 70 {
                let place = format!("{}:{line}", source.file);
                println!("long function  {place:<40} {name}: {length} lines");
            }
        }
        for name in public_names(&source) {
            println!("public         {:<40} {name}", source.file);
        }
    }
}
