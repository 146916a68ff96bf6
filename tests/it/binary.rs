//! The built program: for what only a process of its own shows, such as its standard output.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pointsman::testing::{Api, Config};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{LIMIT, eventually};

/// Lines that a program has written so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                kept.0.lock().expect("no holder panics").push(line);
            }
        });
        lines
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no holder panics").clone()
    }

    /// Waits for a line with this text in it.
    pub(crate) async fn line(&self, text: &str) -> String {
        let begun = std::time::Instant::now();
        loop {
            let all = self.all();
            if let Some(line) = all.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            assert!(begun.elapsed() < LIMIT, "no {text:?} in {all:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A running `pointsman run`, in a directory of its own. Dropping it kills it.
pub(crate) struct Binary {
    child: Child,
    directory: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) api: Api,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Binary {
    pub(crate) async fn start(config: &Config) -> Self {
        Self::start_text(&config.yaml()).await
    }

    pub(crate) async fn start_text(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("config.yaml"), config).expect("it is ours");
        Self::start_in(directory).await
    }

    async fn start_in(directory: TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.args([
            "run",
            "--workers",
            "1",
            "--log-format",
            "text",
            "--log-level",
            "info",
        ]);
        command.arg("-c").arg(directory.path().join("config.yaml"));
        command
            .arg("--state-dir")
            .arg(directory.path().join("state"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = Lines::of(child.stdout.take().expect("it is piped"));
        let stderr = Lines::of(child.stderr.take().expect("it is piped"));
        let address = told(&stderr, "requests are taken at http://").await;
        let api = Api::at(told(&stderr, "the control API is at http://").await);
        Self {
            child,
            directory,
            address,
            api,
            stdout,
            stderr,
        }
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    /// Replaces the config the way careful editors do: at once, by renaming.
    pub(crate) fn rewrite(&self, config: &Config) {
        let draft = self.directory.path().join("config.yaml.new");
        std::fs::write(&draft, config.yaml()).expect("it is ours");
        std::fs::rename(draft, self.config_file()).expect("it is ours");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process number"), signal).expect("it runs");
    }

    /// Asks it to leave, and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        eventually("it leaves", async || {
            self.child.try_wait().expect("it is our child")
        })
        .await
    }

    /// Stops it and starts it again on what it left behind.
    pub(crate) async fn restart(mut self) -> Self {
        assert!(self.stop().await.success(), "{:?}", self.stderr.all());
        let empty = tempfile::tempdir().expect("a directory");
        Self::start_in(std::mem::replace(&mut self.directory, empty)).await
    }
}

async fn told(lines: &Lines, what: &str) -> SocketAddr {
    let line = lines.line(what).await;
    let (_, address) = line.split_once(what).expect("it was just found");
    let end = address
        .find(|c: char| c == '"' || c.is_whitespace())
        .unwrap_or(address.len());
    address[..end]
        .parse()
        .unwrap_or_else(|why| panic!("{why}: {line}"))
}

impl Drop for Binary {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
