//! Pull the plug at the moment of the answer: is the change on the disk?
//!
//! A kill proves nothing here, because the kernel keeps what a dead process wrote. So a library
//! between the process and the kernel keeps a model of the disk: at each `fsync` or `fdatasync`
//! of a file, and only then, it copies the file to another directory. That directory is what a
//! disk holds that loses everything unsynced. A child runs the store on top of it; after each
//! answer the test opens a copy of the model and looks for the change.
//!
//! That the model does lose what is not synced is part of the test: a careless writer
//! (`synchronous=OFF`) loses its commit in it. Needs the C compiler that SQLite needs anyway.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use tempfile::TempDir;

use super::tests::{open, rule, set};
use super::{Change, words};

const WATCHED: &str = "POINTSMAN_TEST_WATCHED";
const DISK: &str = "POINTSMAN_TEST_DISK";
const CARELESS: &str = "POINTSMAN_TEST_CARELESS";
const CHANGES: u64 = 12;

const DISK_MODEL: &str = r#"
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Copies the file behind fd to the model of the disk, if it is one that is watched. */
static void reaches_the_disk(int fd) {
    char link[64], path[PATH_MAX], kept[PATH_MAX + 8], chunk[65536];
    const char *watched = getenv("POINTSMAN_TEST_WATCHED");
    const char *disk = getenv("POINTSMAN_TEST_DISK");
    struct stat meta;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!watched || !disk || length < 0 || fstat(fd, &meta) || !S_ISREG(meta.st_mode)) return;
    path[length] = 0;
    size_t prefix = strlen(watched);
    if (strncmp(path, watched, prefix) || path[prefix] != '/') return;
    snprintf(kept, sizeof kept, "%s%s", disk, path + prefix);
    FILE *copy = fopen(kept, "wb");
    if (!copy) abort();
    off_t at = 0;
    ssize_t got;
    while ((got = pread(fd, chunk, sizeof chunk, at)) > 0) {
        if (fwrite(chunk, 1, got, copy) != (size_t)got) abort();
        at += got;
    }
    if (got < 0 || fclose(copy)) abort();
}

static int synced(long number, int fd) {
    int result = syscall(number, fd);
    if (!result) reaches_the_disk(fd);
    return result;
}
int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }
"#;

#[test]
fn what_was_answered_survives_a_power_cut_at_the_moment_of_the_answer() {
    let lab = Lab::new();
    let mut seen = 0;
    lab.run(false, |after_power_cut| {
        seen += 1;
        let (_store, reader) = open(after_power_cut);
        let snapshot = reader.current();
        let weights = words::weights(snapshot.rule(&rule("everyone")).expect("the rule"));
        assert_eq!(weights, format!("primary {}, canary {seen}", 100 - seen));
    });
    assert_eq!(seen, CHANGES);
}

#[test]
fn the_model_of_the_disk_does_lose_what_was_not_synced() {
    let lab = Lab::new();
    lab.run(true, |after_power_cut| {
        let disk = Connection::open(after_power_cut.join("state/state.db")).expect("open");
        let careless = "SELECT count(*) FROM state WHERE key = 'careless'";
        let found: i64 = disk
            .query_row(careless, [], |row| row.get(0))
            .expect("read");
        assert_eq!(found, 0);
    });
}

/// Where the child works, and what the disk under it would hold.
struct Lab {
    home: TempDir,
    library: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let home = TempDir::new().expect("directory");
        let source = home.path().join("disk.c");
        let library = home.path().join("disk.so");
        std::fs::write(&source, DISK_MODEL).expect("write");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(compiler);
        let command = command
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&source);
        assert!(command.status().expect("the C compiler runs").success());
        // The first state is closed in good order, so it is whole on both.
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        runtime.block_on(async { open(&home.path().join("work")).0.close().await });
        copy(
            &home.path().join("work/state"),
            &home.path().join("disk/state"),
        );
        Self { home, library }
    }

    /// Runs the child; after each of its answers `look` gets a copy of what the disk holds.
    fn run(&self, careless: bool, mut look: impl FnMut(&Path)) {
        let work = self.home.path().join("work");
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command
            .args([
                "--exact",
                "store::power_loss::child",
                "--ignored",
                "--nocapture",
            ])
            .env("LD_PRELOAD", &self.library)
            .env(WATCHED, work.join("state"))
            .env(DISK, self.home.path().join("disk/state"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if careless {
            command.env(CARELESS, "yes");
        }
        let mut child = command.spawn().expect("the child runs");
        let mut go = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let answers = answers.map(|line| line.expect("text"));
        for (at, _) in answers.filter(|line| line.contains("answered")).enumerate() {
            let after = self.home.path().join(format!("after-{at}"));
            copy(&self.home.path().join("disk/state"), &after.join("state"));
            look(&after);
            go.write_all(b"go\n").expect("the child waits");
        }
        assert!(child.wait().expect("the child ends").success());
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("directory");
    for entry in std::fs::read_dir(from).expect("directory") {
        let entry = entry.expect("entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

#[test]
#[ignore = "the child of the tests above"]
fn child() {
    let Ok(watched) = std::env::var(WATCHED) else {
        return;
    };
    let dir = Path::new(&watched)
        .parent()
        .expect("a directory")
        .to_path_buf();
    if std::env::var(CARELESS).is_ok() {
        let disk = Connection::open(dir.join("state/state.db")).expect("open");
        disk.execute_batch("PRAGMA synchronous = OFF; INSERT INTO state VALUES ('careless', 1)")
            .expect("written");
        wait();
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let (store, _reader) = open(&dir);
        for step in 1..=CHANGES {
            let change = set(&[("primary", 100 - step), ("canary", step)]);
            store
                .apply(Change::SetSplit(change))
                .await
                .expect("applied");
            wait();
        }
    });
}

/// Says that there was an answer, and stands still until the test has looked.
fn wait() {
    println!("\nanswered");
    std::io::stdout().flush().expect("written");
    std::io::stdin()
        .lines()
        .next()
        .expect("a line")
        .expect("a line");
}
