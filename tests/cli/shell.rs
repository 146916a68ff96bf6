//! Health, completions, manual pages, version.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::answers::healthy;
use crate::api::Api;
use crate::run;

#[test]
fn a_healthcheck_is_0_or_1() {
    let api = healthy();
    let ran = api.run(&["healthcheck"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\n"));
    let ran = api.run(&["healthcheck", "--live"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "alive\n"));
    let asked: Vec<String> = api.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(asked, ["/readyz", "/livez"]);

    let draining = Api::start(|_| (503, json!("draining")));
    let ran = draining.run(&["healthcheck"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("not ready: 503"), "{ran:?}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let ran = run(&["healthcheck", "--server", &nobody]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("connection refused"), "{ran:?}");
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{shell}");
        assert!(ran.stdout.contains("healthcheck"), "{shell}");
    }
}

#[test]
fn manual_pages_are_printed_or_written() {
    let ran = run(&["man"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains(".TH pointsman 1"), "{}", ran.stdout);

    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("man1");
    let ran = run(&["man", "--dir", pages.to_str().expect("text")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for page in ["pointsman.1", "pointsman-run.1", "pointsman-weight-set.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
    let ran = run(&["man", "--dir", "/dev/null/man1"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("cannot write manual pages"), "{ran:?}");
}

#[test]
fn the_version_is_for_people_and_programs() {
    let version = env!("CARGO_PKG_VERSION");
    let ran = run(&["version"]);
    assert_eq!(ran.stdout, format!("pointsman {version}\n"));
    assert_eq!(run(&["--version"]).stdout, ran.stdout);
    let said: Value = serde_json::from_str(&run(&["version", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(said["version"], version);
}
