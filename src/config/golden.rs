//! Broken files and what is said about them; shipped files and that nothing is said about them.
//!
//! `tests/golden/config/NAME.yaml` is a broken file, `NAME.txt` what is said about it. To write the
//! texts (and `config/schema.json`) anew: `POINTSMAN_UPDATE_GOLDEN=1 cargo test --lib config::golden`, then read the
//! difference. With `CI` set nothing is ever written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::{Base, schema_json};
use crate::model::{ForwardingHeaders, Overrides, ProxyProtocol};
use crate::routing::PathEdit;
use crate::upstream::Target;

const GOLDEN: &str = "tests/golden/config";
const SHIPPED: &str = "config";

fn yaml_files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(&directory).expect("directory of the repository");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    files
}

fn may_write() -> bool {
    let set = |name| std::env::var_os(name).is_some();
    set("POINTSMAN_UPDATE_GOLDEN") && !set("CI")
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().expect("a file has a name");
    name.to_string_lossy().into_owned()
}

#[test]
fn broken_files_are_answered_as_a_compiler_would() {
    let update = may_write();
    let mut stale = Vec::new();
    let files = yaml_files(GOLDEN);
    assert!(files.len() >= 25, "{} files", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let name = name_of(&file);
        let problems = Base::parse(&name, &text).expect_err(&name);
        for problem in problems.iter() {
            let place = problem.position();
            assert!(problem.hint.is_some(), "{place} has no hint: {problem}");
        }
        let said = problems.to_string();
        let golden = file.with_extension("txt");
        if update {
            std::fs::write(&golden, &said).expect("write");
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&*said) {
            stale.push(format!("--- {}\n{said}", golden.display()));
        }
    }
    assert!(
        stale.is_empty(),
        "these texts are no longer what is said; if that is meant, run \
         `POINTSMAN_UPDATE_GOLDEN=1 cargo test --lib config::golden` and read the difference:\n{}",
        stale.join("\n")
    );
}

#[test]
fn every_shipped_file_loads_without_a_warning() {
    let files = yaml_files(SHIPPED);
    let names: Vec<String> = files.iter().map(|file| name_of(file)).collect();
    for name in [
        "minimal",
        "canary",
        "ab",
        "blue-green",
        "filters",
        "behind-a-load-balancer",
        "reference",
    ] {
        assert!(names.contains(&format!("{name}.yaml")), "{name} is missing");
    }
    for file in files {
        let base = Base::load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(base.warnings().is_empty(), "{:?}", base.warnings());
        let text = base.text();
        let first = text.lines().next();
        let schema = "# yaml-language-server: $schema=./schema.json";
        assert_eq!(first, Some(schema), "{}", file.display());
        assert!(
            text.contains("#   curl "),
            "{} says how to try it",
            file.display()
        );
    }
}

#[test]
fn the_shipped_schema_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema.json");
    if may_write() {
        std::fs::write(&path, schema_json()).expect("write");
    }
    let shipped = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        shipped == schema_json(),
        "config/schema.json is stale; write it anew: `cargo run -- schema > config/schema.json`"
    );
}

#[test]
fn the_reference_holds_every_field_of_the_schema() {
    let schema: Value = serde_json::from_str(&schema_json()).expect("JSON");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.yaml");
    let base = Base::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
    let mut written = BTreeSet::new();
    note_fields(&schema, &schema, &base.document(), "", &mut written);
    let mut known = BTreeSet::new();
    let definitions = schema["definitions"].as_object().expect("definitions");
    known_fields(&schema, "", &mut known);
    for (name, definition) in definitions {
        known_fields(definition, name, &mut known);
    }
    let missing: Vec<_> = known.difference(&written).collect();
    assert!(known.len() > 50, "{known:?}");
    assert!(
        missing.is_empty(),
        "config/reference.yaml lacks {missing:?}"
    );
}

/// The fields of one definition as `Definition.field`, those of its alternatives included.
fn known_fields(definition: &Value, name: &str, known: &mut BTreeSet<String>) {
    let fields = definition["properties"].as_object();
    known.extend(
        fields
            .into_iter()
            .flatten()
            .map(|(field, _)| format!("{name}.{field}")),
    );
    for alternative in definition["oneOf"].as_array().into_iter().flatten() {
        known_fields(alternative, name, known);
    }
}

/// Walks a document beside its schema and notes every `Definition.field` that is written.
fn note_fields(
    root: &Value,
    schema: &Value,
    value: &Value,
    name: &str,
    written: &mut BTreeSet<String>,
) {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.trim_start_matches("#/definitions/");
        return note_fields(root, &root["definitions"][name], value, name, written);
    }
    for key in ["allOf", "oneOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            note_fields(root, part, value, name, written);
        }
    }
    for item in value.as_array().into_iter().flatten() {
        note_fields(root, &schema["items"], item, name, written);
    }
    for (field, inner) in value.as_object().into_iter().flatten() {
        let schema = &schema["properties"][field];
        if !schema.is_null() {
            written.insert(format!("{name}.{field}"));
            note_fields(root, schema, inner, name, written);
        }
    }
}

#[test]
fn the_reference_means_what_it_says() {
    let base = Base::parse(
        "reference.yaml",
        include_str!("../../config/reference.yaml"),
    );
    let base = base.unwrap_or_else(|problems| panic!("{problems}"));
    let trust = &base.settings().listeners[2].trust;
    assert!(trust.covers([10, 9, 8, 7].into()) && !trust.covers([127, 0, 0, 1].into()));
    assert_eq!(trust.headers, ForwardingHeaders::Both);
    assert_eq!(trust.proxy_protocol, ProxyProtocol::Required);
    let blueprint = base.blueprint(&Overrides::new());
    let [insiders, moved, legacy, everyone] = blueprint.rules.as_slice() else {
        panic!("four rules");
    };
    let words = &insiders.matches[0];
    for part in [
        "/api",
        "method = GET",
        "header x-canary = insider",
        "header user-agent starts with Mozilla/",
        "(de|en).*",
        "header authorization present",
        "query version = 2",
        "cookie group ~",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let redirect = moved.filters.redirect.as_ref().expect("redirect");
    assert_eq!(redirect.scheme.as_deref(), Some("https"));
    assert_eq!(redirect.host.as_deref(), Some("www.example.com"));
    assert_eq!((redirect.port, redirect.status.as_u16()), (Some(8443), 308));
    assert_eq!(redirect.path, Some(PathEdit::Prefix("/new".into())));
    assert!(moved.split.entries().is_empty());
    let rewrite = legacy.filters.rewrite.as_ref().expect("rewrite");
    assert_eq!(rewrite.path, Some(PathEdit::Full("/index.html".into())));
    assert_eq!(rewrite.host.as_ref().expect("host"), "legacy.internal");
    let split: Vec<(&str, u32, usize)> = everyone
        .split
        .entries()
        .iter()
        .map(|(choice, weight)| {
            (
                choice.backend.as_str(),
                weight.get(),
                choice.request.set.len(),
            )
        })
        .collect();
    assert_eq!(
        split,
        [("primary", 95, 0), ("canary", 5, 1), ("next", 0, 0)]
    );
    assert_eq!(everyone.timeouts.request, Some(Duration::from_secs(15)));
    let target = |name: &str| &blueprint.backends.get(name).expect(name).target;
    assert!(matches!(target("next"), Target::Invalid(why) if why.contains("does not exist")));
    assert!(matches!(target("canary"), Target::Endpoints(list) if list.len() == 2));
}

fn many_routes(count: usize) -> String {
    let head = "apiVersion: pointsman.dev/v1\nlisteners: [{name: web, address: \"0.0.0.0:8080\"}]\n\
                backends:\n  - {name: a, endpoints: [\"127.0.0.1:1\"]}\n  - {name: b, endpoints: []}\n\
                routes:\n";
    let route = |number: usize| {
        format!(
            "  - name: route-{number}\n    hosts: [h{number}.example.com]\n    rules:\n      - \
             matches: [{{path: {{prefix: /}}}}]\n        split: [{{backend: a, weight: 9}}, \
             {{backend: b}}]\n"
        )
    };
    head.to_owned() + &(0..count).map(route).collect::<String>()
}

#[test]
fn ten_thousand_routes_compile() {
    let base = Base::parse("many.yaml", &many_routes(10_000));
    let base = base.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(base.blueprint(&Overrides::new()).rules.len(), 10_000);
}

#[test]
fn a_duplicate_among_a_thousand_routes_is_found() {
    let last = "  - {name: twice, hosts: [h500.example.com], rules: [{split: [{backend: a}]}]}\n";
    let problems = Base::parse("many.yaml", &(many_routes(1_000) + last)).expect_err("shadowed");
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["shadowed"]);
}

#[test]
fn a_thousand_problems_are_shown_in_part_and_counted() {
    let list: String = (0..1_000)
        .map(|number| format!("  - {{name: b{number}, endpoints: [nowhere]}}\n"))
        .collect();
    let text = format!("apiVersion: pointsman.dev/v1\nlisteners: []\nbackends:\n{list}");
    let problems = Base::parse("many.yaml", &text).expect_err("broken");
    let said = problems.to_string();
    assert!(
        said.contains("… and 1952 more.\n1001 errors and 1001 warnings in many.yaml\n"),
        "{said}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Bytes of a good file replaced, removed, doubled or moved: whatever comes out is answered.
    #[test]
    fn no_mutation_of_a_good_file_panics(
        file in 0usize..2,
        edits in proptest::collection::vec(
            (0usize..4, any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC|[\\[\\]{}:,&*!|>'\"%@`#\\-?\n\t 0-9a-z]{1,3}"),
            1..6,
        ),
    ) {
        let good = [include_str!("../../config/canary.yaml"), include_str!("../../config/filters.yaml")];
        let mut text: Vec<char> = good[file].chars().collect();
        for (kind, from, to, new) in edits {
            let (from, to) = (from.index(text.len().max(1)), to.index(text.len().max(1)));
            let range = from.min(text.len())..(from + to % 12).min(text.len());
            match kind {
                0 => drop(text.splice(range, new.chars())),
                1 => drop(text.drain(range)),
                2 => { let copy = text[range].to_vec(); drop(text.splice(to..to, copy)); }
                _ => drop(text.splice(from..from, new.chars())),
            }
        }
        let text: String = text.into_iter().collect();
        match Base::parse("mutated.yaml", &text) {
            Ok(base) => {
                let rules = base.blueprint(&Overrides::new()).rules;
                prop_assert!(!base.settings().listeners.is_empty() && rules.len() < 10);
            }
            Err(problems) => prop_assert!(!problems.render(false).is_empty()),
        }
    }
}
