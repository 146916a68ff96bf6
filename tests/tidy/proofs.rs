//! The checker checked: each rule is fed a line it must catch and one it must let pass.

use std::path::Path;

use crate::lex::{split_off_tests, tokens};
use crate::rules::*;
use crate::sizes::{functions, lines_without_tests, public_names};
use crate::tree::{Source, references};

fn one(file: &str, raw: &str) -> Vec<Source> {
    vec![Source::new(file, raw)]
}

#[test]
fn an_import_from_a_floor_above_is_caught_wherever_it_hides() {
    for code in [
        "use crate::config::schema::Route;",
        "use crate::{model::Weight, config::{Problem as P}};",
        "fn f() { let _ = crate::store::Store::open(); }",
        "use super::super::store::Store;",
        "use crate::store as truth;",
        "use crate::store::*;",
        "pub(in crate::store) fn f() {}",
        "macro_rules! m { () => { $crate::store::apply() } }",
    ] {
        let problems = check_floors(&one("src/proxy/forward.rs", code));
        assert_eq!(problems.len(), 1, "{code}: {problems:?}");
    }
}

#[test]
fn imports_the_table_allows_pass() {
    let code = "use crate::{model::{Name, Weight}, snapshot::World, drain::Token};
        use super::error::{Error, Kind};
        use super::super::routing::{self, Router};
        // use crate::store::Store;
        const TEXT: &str = \"crate::store::Store\";
        const RAW: &str = r#\"crate::store \" ::Store\"#;
        fn f<'a>(c: char) -> bool { c == '\"' || c == '\\'' /* crate::store */ }";
    assert_eq!(
        check_floors(&one("src/proxy/forward.rs", code)),
        Problems::new()
    );
}

#[test]
fn a_branch_behind_a_nested_tree_is_still_read() {
    let module = vec!["proxy".to_owned()];
    let code = tokens("use crate::{a::{b, c::{d as e, f::*}}, g, store::{self, h}};");
    let paths: Vec<String> = references(&code, &module)
        .iter()
        .map(|found| found.path.join("::"))
        .collect();
    assert_eq!(
        paths,
        ["a::b", "a::c::d", "a::c::f", "g", "store", "store::h"]
    );
}

#[test]
fn part_of_a_module_may_be_open_and_the_rest_closed() {
    let open = "use crate::config::schema::Config; use crate::config::problem::Problem;";
    assert_eq!(
        check_floors(&one("src/admin/view.rs", open)),
        Problems::new()
    );
    let closed = "use crate::config::compile::compile;";
    assert_eq!(check_floors(&one("src/admin/view.rs", closed)).len(), 1);
}

#[test]
fn a_re_export_counts_as_what_it_stands_for() {
    let sources = vec![
        Source::new(
            "src/config/mod.rs",
            "mod schema; pub(crate) use schema::{Config, Route as R};",
        ),
        Source::new(
            "src/admin/view.rs",
            "use crate::config::Config; use crate::config::compile;",
        ),
    ];
    let problems = check_floors(&sources);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems
            .iter()
            .all(|problem| problem.contains("config::compile"))
    );
}

#[test]
fn test_modules_may_import_what_they_like() {
    let code = "fn f() {}
        #[cfg(test)]
        use crate::store::Store;
        #[cfg(test)]
        #[expect(clippy::x, reason = \"y\")]
        mod tests { use crate::config::schema; fn g() { x.unwrap(); } }
        fn h() { y.unwrap(); }";
    let sources = one("src/proxy/forward.rs", code);
    assert_eq!(check_floors(&sources), Problems::new());
    assert_eq!(
        check_bans(&sources).len(),
        1,
        "the unwrap behind the tests is not one of them"
    );
    let outside = split_off_tests(&tokens("#[cfg(test)]\nmod tests;")).1;
    assert_eq!(outside, ["tests"]);
    assert!(Source::new("src/proxy/tests.rs", "//! x").is_test);
}

#[test]
fn code_that_is_absent_in_tests_is_not_a_test() {
    let code = "#[cfg(not(test))] use crate::store::Store;
        #[cfg(any(test, feature = \"testing\"))] mod seam { use crate::config::file; }";
    assert_eq!(check_floors(&one("src/proxy/forward.rs", code)).len(), 2);
}

#[test]
fn a_module_without_a_floor_is_caught() {
    assert_eq!(check_floors(&one("src/wasm.rs", "//! x")).len(), 1);
}

#[test]
fn impure_cores_are_caught() {
    for code in [
        "async fn f() {}",
        "fn f() { Instant::now(); }",
        "fn f() { rand::random::<u64>(); }",
        "use tokio::time::Duration;",
        "fn f(start: Instant) { start.elapsed(); }",
    ] {
        for file in [
            "src/model/dice.rs",
            "src/routing/host.rs",
            "src/config/compile.rs",
        ] {
            assert_eq!(check_bans(&one(file, code)).len(), 1, "{file}: {code}");
        }
        assert_eq!(
            check_bans(&one("src/app.rs", code)),
            Problems::new(),
            "{code}"
        );
    }
    let pure = "fn f(now: Instant, operand: u64) { let random = 1; /* async */ }";
    assert_eq!(check_bans(&one("src/model/dice.rs", pure)), Problems::new());
}

#[test]
fn every_ban_catches_its_words() {
    for (file, code) in [
        ("src/model/name.rs", "#[derive(Serialize)] struct Name;"),
        (
            "src/store/mod.rs",
            "fn f(p: &Publisher) { p.publish(world); }",
        ),
        (
            "src/proxy/service.rs",
            "fn f() { answer(StatusCode::BAD_GATEWAY) }",
        ),
        ("src/app.rs", "fn f() { x.unwrap(); }"),
        (
            "src/app.rs",
            "fn f() { let (tx, rx) = mpsc::unbounded_channel(); }",
        ),
        ("src/app.rs", "fn f() { std::thread::sleep(ONE_SECOND); }"),
        ("src/app.rs", "fn f() { todo!() }"),
        ("src/proxy/worker.rs", "fn f() { pointsman::store::open() }"),
    ] {
        assert_eq!(check_bans(&one(file, code)).len(), 1, "{file}: {code}");
    }
    for (file, code) in [
        ("src/admin/view.rs", "#[derive(Serialize)] struct Name;"),
        (
            "src/store/apply.rs",
            "fn f(p: &Publisher) { p.publish(world); }",
        ),
        (
            "src/proxy/error.rs",
            "fn f() { answer(StatusCode::BAD_GATEWAY) }",
        ),
        (
            "src/app.rs",
            "fn f() { x.unwrap_or(1); y.expect(\"why\"); }",
        ),
    ] {
        assert_eq!(
            check_bans(&one(file, code)),
            Problems::new(),
            "{file}: {code}"
        );
    }
}

#[test]
fn metric_names_are_caught_in_strings_only() {
    let code = "//! pointsman_requests_total\nconst N: &str = \"pointsman_requests_total\";
        #[cfg(test)]\nmod tests { const M: &str = \"pointsman_x\"; }";
    assert_eq!(
        check_metric_names(&one("src/proxy/record.rs", code)).len(),
        1
    );
    assert_eq!(
        check_metric_names(&one("src/metrics/names.rs", code)),
        Problems::new()
    );
}

#[test]
fn a_metric_missing_in_the_guide_or_stale_there_is_caught() {
    let names = Source::new(
        "src/metrics/names.rs",
        "//! x\nconst A: &str = \"pointsman_a\";",
    );
    assert_eq!(
        check_metric_table(&names, "| `pointsman_a` | gauge |"),
        Problems::new()
    );
    assert_eq!(
        check_metric_table(&names, "| `pointsman_b` | gauge |").len(),
        2
    );
}

#[test]
fn empty_names_missing_stories_and_unowned_work_are_caught() {
    assert_eq!(
        check_words(&Source::new("src/proxy/utils.rs", "fn f() {}")).len(),
        2
    );
    let unowned = concat!("//! x\n// TO", "DO: later\n");
    assert_eq!(check_words(&Source::new("src/app.rs", unowned)).len(), 1);
    let owned = concat!("//! x\n// TO", "DO(ada): later\n");
    assert_eq!(
        check_words(&Source::new("src/app.rs", owned)),
        Problems::new()
    );
}

#[test]
fn dead_links_and_orphan_configs_are_caught() {
    let text = "[a](adr/0001.md) [b](https://x.y/z) [c](#here) [d](gone.md#part)";
    let problems = dead_links("docs/x.md", text, |path| {
        path == Path::new("docs/adr/0001.md")
    });
    assert_eq!(problems, ["docs/x.md:1: dead link gone.md"]);
    let configs = [("lost.yaml".to_owned(), "a: b".to_owned())];
    assert_eq!(orphan_configs(&configs, &[]).len(), 2);
}

#[test]
fn banned_and_foreign_crates_are_caught() {
    let lock = "name = \"serde_yaml\"\nsource = \"git+https://example.com/x\"\nname = \"serde\"\n";
    assert_eq!(check_lock(lock).len(), 2);
}

#[test]
fn sizes_are_counted_without_tests() {
    let code = "//! x\nfn long() {\n  a();\n}\n\n#[cfg(test)]\nmod tests {\n\n  fn t() {}\n}\n";
    let source = Source::new("src/app.rs", code);
    assert_eq!(lines_without_tests(&source), 5);
    assert_eq!(functions(&source.tokens), [("long".to_owned(), 2, 3)]);
    let public = Source::new(
        "src/app.rs",
        "pub fn a() {} pub(crate) fn b() {} pub use c::{d, e};",
    );
    assert_eq!(public_names(&public), ["fn a", "use c::d", "use c::e"]);
}
