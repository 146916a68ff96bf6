//! What needs no running Pointsman: `validate`, `schema`, `explain -c`; and `explain` of one.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answers::healthy;
use crate::api::Api;
use crate::run;

const GOOD: &str = "\
apiVersion: pointsman.dev/v1
listeners:
  - {name: web, address: \"127.0.0.1:8080\"}
routes:
  - name: podinfo
    hosts: [podinfo.example.com]
    rules:
      - name: insiders
        matches:
          - {path: {prefix: /}, headers: [{name: x-canary, exact: insider}]}
          - {path: {prefix: /}, cookies: [{name: canary, exact: always}]}
        split: [{backend: canary}]
      - name: moved
        matches: [{path: {prefix: /old}}]
        filters: {redirect: {scheme: https, path: {replacePrefix: /new}}}
      - name: everyone
        split: [{backend: primary, weight: 95}, {backend: canary, weight: 5}]
backends:
  - {name: primary, endpoints: [\"127.0.0.1:9898\"]}
  - {name: canary, endpoints: [\"127.0.0.1:9899\"]}
";

/// Legal, but answered 503 and with nobody at home.
const CLOSED: &str = "\
apiVersion: pointsman.dev/v1
listeners:
  - {name: web, address: \"127.0.0.1:8080\"}
routes:
  - name: shut
    rules:
      - name: all
        split: [{backend: primary, weight: 0}]
backends:
  - {name: primary, endpoints: []}
";

/// A directory with these files in it.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("a writable directory");
    }
    directory
}

fn path(directory: &TempDir, name: &str) -> String {
    let path: PathBuf = directory.path().join(name);
    path.to_str().expect("text").to_owned()
}

#[test]
fn a_good_file_is_ok() {
    let directory = directory(&[("good.yaml", GOOD)]);
    let good = path(&directory, "good.yaml");
    let ran = run(&["validate", "--deny-warnings", &good]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        (ran.stdout, ran.stderr.as_str()),
        (format!("{good}: ok\n"), "")
    );
}

#[test]
fn warnings_are_told_and_denied_on_demand_with_code_10() {
    let directory = directory(&[("closed.yaml", CLOSED)]);
    let closed = path(&directory, "closed.yaml");
    let ran = run(&["validate", &closed]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("every weight is 0"), "{ran:?}");
    let ran = run(&["validate", "--deny-warnings", &closed]);
    assert_eq!(ran.code, Some(10), "{ran:?}");
    assert!(
        ran.stdout.starts_with(&format!("{closed}: ok, with")),
        "{ran:?}"
    );
}

#[test]
fn every_file_is_judged_and_one_bad_is_an_error() {
    let bad = GOOD.replace("backend: canary, weight", "backend: canry, weight");
    let files = [
        ("bad.yaml", bad.as_str()),
        ("closed.yaml", CLOSED),
        ("good.yaml", GOOD),
    ];
    let directory = directory(&files);
    let paths: Vec<String> = files
        .iter()
        .map(|(name, _)| path(&directory, name))
        .collect();
    let [bad, closed, good] = paths.as_slice() else {
        unreachable!("three files");
    };
    let ran = run(&[
        "validate",
        "--deny-warnings",
        bad,
        "/none.yaml",
        closed,
        good,
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("canry"), "{ran:?}");
    assert!(ran.stderr.contains("cannot read /none.yaml"), "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], format!("{bad}: not valid"));
    assert_eq!(lines[1], "/none.yaml: not valid");
    assert_eq!(lines[3], format!("{good}: ok"));
}

#[test]
fn a_run_with_a_bad_file_is_an_error_with_its_problems() {
    let directory = directory(&[("bad.yaml", "apiVersion: pointsman.dev/v2\n")]);
    let state = path(&directory, "state");
    let bad = path(&directory, "bad.yaml");
    let ran = run(&["run", "-c", &bad, "--state-dir", &state]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("pointsman.dev/v1"), "{ran:?}");
    assert!(!Path::new(&state).exists(), "nothing is made of a bad file");
}

#[test]
fn the_schema_is_json() {
    let ran = run(&["schema"]);
    assert_eq!(ran.code, Some(0));
    let schema: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!(schema["properties"]["routes"].is_object(), "{schema}");
}

#[test]
fn explain_tells_what_was_considered_and_why() {
    let directory = directory(&[("good.yaml", GOOD)]);
    let good = path(&directory, "good.yaml");
    let ran = run(&["explain", "-c", &good, "podinfo.example.com/old/a?b=1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    insta::assert_snapshot!(ran.stdout, @"
    GET http://podinfo.example.com/old/a?b=1

    VERDICT     ROUTE     RULE       MATCH                                     BROKEN
    answers     podinfo   moved      path under /old                           <none>
    broken      podinfo   insiders   path under /, header x-canary = insider   header x-canary = insider
    broken      podinfo   insiders   path under /, cookie canary = always      cookie canary = always
    outranked   podinfo   everyone   everything                                <none>

    podinfo/moved redirects to https://podinfo.example.com/new/a?b=1
    ");
    let cookie = [
        "explain",
        "-c",
        &good,
        "--cookie",
        "canary=always",
        "podinfo.example.com",
    ];
    let ran = run(&cookie);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    insta::assert_snapshot!(ran.stdout, @"
    GET http://podinfo.example.com/

    VERDICT     ROUTE     RULE       MATCH                                     BROKEN
    broken      podinfo   insiders   path under /, header x-canary = insider   header x-canary = insider
    answers     podinfo   insiders   path under /, cookie canary = always      <none>
    outranked   podinfo   everyone   everything                                <none>

    split by podinfo/insiders

    BACKEND    SHARE   PROBLEM
    canary    100.0%   <none>
    ");
}

#[test]
fn explain_knows_every_ending() {
    let directory = directory(&[("good.yaml", GOOD), ("closed.yaml", CLOSED)]);
    let (good, closed) = (
        path(&directory, "good.yaml"),
        path(&directory, "closed.yaml"),
    );
    for (arguments, words) in [
        (
            vec!["-c", &good, "http://other.example.com/"],
            "answered 404: no route has this host and path",
        ),
        (
            vec!["-c", &good, "/", "-H", "Host: podinfo.example.com"],
            "split by podinfo/everyone",
        ),
        (
            vec![
                "-c",
                &good,
                "-H",
                "X-Canary: insider",
                "podinfo.example.com",
            ],
            "split by podinfo/insiders",
        ),
        (
            vec!["-c", &closed, "/"],
            "answered 503 by shut/all: every weight is 0",
        ),
        (
            vec!["-c", &closed, "/"],
            "503: the backend has no endpoints",
        ),
        (
            vec!["-c", &good, "podinfo.example.com", "-o", "name"],
            "podinfo/everyone\n",
        ),
        (
            vec!["-c", &good, "podinfo.example.com", "-o", "json"],
            "\"outcome\": \"split\"",
        ),
    ] {
        let ran = run(&[&["explain"], arguments.as_slice()].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
}

#[test]
fn explain_asks_the_running_pointsman() {
    let api = Api::start(|_| {
        let one = json!({
            "route": "podinfo", "rule": "everyone", "match": "everything",
            "verdict": "answers", "broken": null,
        });
        let shares = json!([{"backend": "primary", "share": 1.0, "problem": null}]);
        let answer = json!({
            "considered": [one], "outcome": "split", "route": "podinfo", "rule": "everyone",
            "redirect": null, "shares": shares,
        });
        (200, answer)
    });
    let ran = api.run(&[
        "explain",
        "-X",
        "POST",
        "-H",
        "x-a: b c",
        "--cookie",
        "d=e",
        "http://host/p?q=1&r",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("split by podinfo/everyone"), "{ran:?}");
    assert_eq!(
        api.asked()[0].target,
        "/api/v1/explain?url=http%3A%2F%2Fhost%2Fp%3Fq%3D1%26r&method=POST\
         &header=x-a%3A%20b%20c&header=Cookie%3A%20d%3De"
    );
}

#[test]
fn explain_refuses_nonsense_before_it_asks() {
    let api = healthy();
    let ran = api.run(&["explain", "-H", "nonsense", "/"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(api.asked().is_empty());
}
