//! A Pointsman under test: its config, its state directory, its process and what it logs.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pointsman::testing::Origin;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::api::Api;

/// No test waits longer for one thing.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// How often something is looked at that will happen soon.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `done` says so; `false` when it never does.
pub(crate) async fn happens(mut done: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + LIMIT;
    while !done().await {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}

/// The same, and `what` is the complaint when it never does.
pub(crate) async fn until(what: &str, done: impl AsyncFnMut() -> bool) {
    assert!(happens(done).await, "not within {LIMIT:?}: {what}");
}

/// The built program, away from the settings of whoever runs the tests.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(arguments).stdin(Stdio::null());
    for name in [
        "POINTSMAN_SERVER",
        "POINTSMAN_LOG",
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "NOTIFY_SOCKET",
        "STATE_DIRECTORY",
    ] {
        command.env_remove(name);
    }
    command.env("USER", "ada");
    command
}

/// What a finished program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program to its end; a program that does not end is killed, which fails the test.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    finish(program(arguments))
}

pub(crate) fn finish(mut command: Command) -> Ran {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Guarded(child.spawn().expect("the program starts"));
    let stdout = drain(child.0.stdout.take());
    let stderr = drain(child.0.stderr.take());
    let status = child.wait(LIMIT * 2);
    Ran {
        code: status.and_then(|status| status.code()),
        stdout: stdout.join().expect("the reader does not panic"),
        stderr: stderr.join().expect("the reader does not panic"),
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut pipe = pipe.expect("the stream is piped");
        pipe.read_to_end(&mut bytes).expect("the pipe is readable");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A child that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Guarded(pub(crate) Child);

impl Guarded {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has an id"), signal).expect("the child can be signalled");
    }

    /// `None`: it still runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child can be asked")
    }

    /// Waits for the end; `None` when it is late, and then it is enforced by the drop.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        None
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

/// Where a Pointsman lives: a config file and a state directory that go away with the test.
#[derive(Debug)]
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn with(config: &str) -> Self {
        let home = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        home.write(config);
        home
    }

    /// Puts another config in place, at once, as editors and Kubernetes do.
    pub(crate) fn write(&self, config: &str) {
        let new = self.path("pointsman.yaml.new");
        std::fs::write(&new, config).expect("a new file is writable");
        std::fs::rename(&new, self.config()).expect("renaming within a directory works");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("pointsman.yaml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    fn command(&self, state: &Path) -> Command {
        let mut command = program(&["run", "--workers", "2", "--log-format", "json"]);
        command.arg("--config").arg(self.config());
        command.arg("--state-dir").arg(state);
        command
    }

    /// Starts a Pointsman here and waits until it serves.
    pub(crate) async fn start(&self) -> Pointsman {
        let mut pointsman = self.launch();
        pointsman.serves().await;
        pointsman
    }

    /// Starts one without waiting for anything.
    pub(crate) fn launch(&self) -> Pointsman {
        let mut command = self.command(&self.state());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = Guarded(child.spawn().expect("the program starts"));
        let log = Log::default();
        log.follow(child.0.stderr.take().expect("stderr is piped"));
        Pointsman {
            child,
            log,
            requests: None,
            control: None,
        }
    }

    /// Starts one that is expected to refuse.
    pub(crate) fn fail(&self) -> Ran {
        self.fail_with(&self.state())
    }

    /// The same with another state directory.
    pub(crate) fn fail_with(&self, state: &Path) -> Ran {
        finish(self.command(state))
    }
}

/// A running Pointsman. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Pointsman {
    child: Guarded,
    log: Log,
    requests: Option<SocketAddr>,
    control: Option<SocketAddr>,
}

impl Pointsman {
    async fn serves(&mut self) {
        let (child, log) = (&mut self.child, &self.log);
        until("it serves", async || {
            assert!(child.ended().is_none(), "it ended:\n{}", log.text());
            log.text().contains("\"serving\"")
        })
        .await;
        let text = self.log.text();
        self.requests = Some(address(&text, "requests are taken at http://"));
        self.control = Some(address(&text, "the control API is at http://"));
    }

    /// Where requests are taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.requests.expect("it serves")
    }

    pub(crate) fn control(&self) -> SocketAddr {
        self.control.expect("it serves")
    }

    pub(crate) fn api(&self) -> Api {
        Api::at(self.control())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// `kill -9`, and nothing else.
    pub(crate) fn kill(mut self) {
        self.child.0.kill().expect("it can be killed");
        self.child.0.wait().expect("it can be waited for");
    }

    /// Waits until it has ended by itself; the exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        let child = &mut self.child;
        until("it ends", async || {
            status = child.ended();
            status.is_some()
        })
        .await;
        status.and_then(|status| status.code())
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.ended().is_none()
    }

    pub(crate) async fn logs(&self, text: &str) {
        until(&format!("a log line with {text:?}"), async || {
            self.log.text().contains(text)
        })
        .await;
    }

    /// The command line, pointed at this one.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        let mut command = program(arguments);
        command.env("POINTSMAN_SERVER", self.control().to_string());
        finish(command)
    }
}

fn address(text: &str, before: &str) -> SocketAddr {
    let (_, rest) = text.split_once(before).expect("the address is logged");
    let (address, _) = rest.split_once('"').expect("the line ends");
    address.parse().expect("an address")
}

/// What a process has written so far.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().expect("no holder panics").clone()
    }

    /// Reads until the process closes the pipe, which it does at its end.
    fn follow(&self, pipe: ChildStderr) {
        let text = Arc::clone(&self.0);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut text = text.lock().expect("no holder panics");
                text.push_str(&line);
                text.push('\n');
            }
        });
    }
}

/// Two versions of one service.
#[derive(Debug)]
pub(crate) struct Versions {
    pub(crate) primary: Origin,
    pub(crate) canary: Origin,
}

impl Versions {
    pub(crate) async fn start() -> Self {
        Self {
            primary: Origin::named("primary").await.expect("an origin"),
            canary: Origin::named("canary").await.expect("an origin"),
        }
    }

    /// A config with one split between the two, everything else as a test wants it: `extra` holds
    /// further fields of the config.
    pub(crate) fn config(&self, extra: &str) -> String {
        let (primary, canary) = (self.primary.address(), self.canary.address());
        format!(
            "apiVersion: pointsman.dev/v1
listeners: [{{name: web, address: \"127.0.0.1:0\"}}]
control: {{address: \"127.0.0.1:0\"}}
routes:
  - name: shop
    rules:
      - name: everyone
        split: [{{backend: primary, weight: 1}}, {{backend: canary, weight: 0}}]
backends:
  - {{name: primary, endpoints: [\"{primary}\"]}}
  - {{name: canary, endpoints: [\"{canary}\"]}}
{extra}
"
        )
    }
}
