//! What keeps Pointsman from starting: each with its own words, an exit code, and nothing changed.

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

use rusqlite::Connection;

use crate::fixture::{Home, Ran, Versions};

const PRIMARY: &str = "split: [{backend: primary, weight: 1}, {backend: canary, weight: 0}]";

/// Fails the test unless the program refused and said all of this.
#[track_caller]
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = said(ran);
    for word in words {
        assert!(said.contains(word), "no {word:?} in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

/// Every file below a directory, with what is in it.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        // SQLite makes and removes the index of its log when it looks into a file.
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"))
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read(&path).expect("readable"),
            )
        })
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broken_config_is_told_whole_with_places_and_leaves_no_state() {
    let versions = Versions::start().await;
    let config = versions.config("").replace(
        PRIMARY,
        "split: [{backend: primry, weight: 1}, {backend: canary, weight: 0.5}]",
    );
    let config = config.replace("name: web,", "name: web web,");
    let home = Home::with(&config);
    let line = |word: &str| {
        let at = config
            .lines()
            .position(|line| line.contains(word))
            .expect("it is there");
        format!("pointsman.yaml:{}:", at + 1)
    };
    let ran = home.fail();
    let (split, listener) = (line("primry"), line("web web"));
    refused(
        &ran,
        &[
            "primry", "primary", "0.5", "web web", &split, &listener, "3 errors",
        ],
    );
    assert!(
        !home.state().exists(),
        "a start that failed made a state directory"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_config_that_is_not_there_is_named() {
    let home = Home::with("");
    std::fs::remove_file(home.config()).expect("it was there");
    let ran = home.fail();
    refused(&ran, &["pointsman.yaml", "No such file"]);
    assert!(!home.state().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_port_in_use_is_named_whoever_uses_it() {
    let versions = Versions::start().await;
    let plain = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let first = Home::with(&versions.config(""));
    let mut first_one = first.start().await;
    let words =
        "another process listens there, maybe another Pointsman; stop it or choose another port";
    for taken in [
        plain.local_addr().expect("an address"),
        first_one.address(),
        first_one.control(),
    ] {
        let listener = versions.config("").replace(
            "web, address: \"127.0.0.1:0\"",
            &format!("web, address: \"{taken}\""),
        );
        let control = versions.config("").replace(
            "control: {address: \"127.0.0.1:0\"",
            &format!("control: {{address: \"{taken}\""),
        );
        for config in [listener, control] {
            assert!(config.contains(&taken.to_string()), "{config}");
            let home = Home::with(&config);
            let ran = home.fail();
            refused(&ran, &[&format!("cannot listen on {taken}"), words]);
            assert!(
                !home.state().exists(),
                "a start that failed made a state directory"
            );
        }
    }
    assert!(first_one.runs());
    assert_eq!(first_one.api().weights().await, (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_state_directory_in_use_is_named_with_its_process() {
    let versions = Versions::start().await;
    let home = Home::with(&versions.config(""));
    let first = home.start().await;
    first.api().weigh(0, 1).await;
    let ran = home.fail();
    let directory = home.state().display().to_string();
    let process = format!("in use by another Pointsman (process {})", first.pid());
    refused(
        &ran,
        &[&directory, &process, "Stop that one first", "--state-dir"],
    );
    first.api().weigh(1, 1).await;
    first.kill();
    // The lock went with the process, however it ended.
    let second = home.start().await;
    assert_eq!(second.api().weights().await, (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_state_directory_that_cannot_be_written_is_named() {
    let versions = Versions::start().await;
    let home = Home::with(&versions.config(""));
    // Ways that hold for root as well: below a file, and on a file system without files.
    std::fs::write(home.path("file"), "").expect("writable");
    for state in [
        home.path("file").join("state"),
        "/proc/pointsman".into(),
        "/proc/self".into(),
    ] {
        let ran = home.fail_with(&state);
        let directory = state.display().to_string();
        refused(
            &ran,
            &[
                &directory,
                "cannot be used",
                "Make it writable",
                "--state-dir",
            ],
        );
    }
    symlink("nowhere/at/all", home.path("link")).expect("a link");
    let ran = home.fail_with(&home.path("link"));
    refused(&ran, &["link", "cannot be used", "--state-dir"]);
}

/// A state directory with a live override in it, whose Pointsman has ended in order.
async fn used(versions: &Versions) -> Home {
    let home = Home::with(&versions.config("drain: {delay: 1ms}"));
    let mut pointsman = home.start().await;
    pointsman.api().weigh(3, 4).await;
    pointsman.signal(rustix::process::Signal::INT);
    assert_eq!(pointsman.ended().await, Some(0));
    home
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_state_file_of_a_newer_version_is_left_alone() {
    let versions = Versions::start().await;
    let home = used(&versions).await;
    let file = home.state().join("state.db");
    let database = Connection::open(&file).expect("a state file");
    database
        .pragma_update(None, "user_version", 1_000)
        .expect("writable");
    database.close().expect("closed");
    let before = contents(&home.state());
    let ran = home.fail();
    let path = file.display().to_string();
    let words = [
        "format 1000, written by a newer Pointsman",
        "knows formats up to",
        "--state-dir",
    ];
    refused(&ran, &words);
    refused(&ran, &[&path]);
    let after = contents(&home.state());
    let database = |all: &[(String, Vec<u8>)]| all.iter().find(|one| one.0 == path).cloned();
    assert!(database(&before).is_some() && database(&before) == database(&after));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_state_file_is_left_as_it_is() {
    let versions = Versions::start().await;
    let home = used(&versions).await;
    let file = home.state().join("state.db");
    let good = std::fs::read(&file).expect("a state file");
    let garbage = vec![0x5a; good.len()];
    let (half, _) = good.split_at(good.len() / 2);
    let mut scratched = good.clone();
    // In the middle of the tables, behind the header that still looks right.
    scratched[4096..].fill(0x5a);
    let damages: [(&str, &[u8]); 4] = [
        ("garbage", &garbage),
        ("half of it", half),
        ("empty", b""),
        ("scratched", &scratched),
    ];
    for (how, bytes) in damages {
        std::fs::write(&file, bytes).expect("writable");
        let ran = home.fail();
        let path = file.display().to_string();
        refused(
            &ran,
            &[&path, "is damaged", "left as it is", "move it away", "-wal"],
        );
        assert_eq!(std::fs::read(&file).expect("readable"), bytes, "{how}");
    }
    // And what was promised holds: as it was, it serves; moved away, the config's weights apply.
    std::fs::write(&file, &good).expect("writable");
    let pointsman = home.start().await;
    assert_eq!(pointsman.api().weights().await, (3, 4));
    pointsman.kill();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        std::fs::remove_file(home.state().join(name)).unwrap_or_default();
    }
    let pointsman = home.start().await;
    assert_eq!(pointsman.api().weights().await, (1, 0));
}
