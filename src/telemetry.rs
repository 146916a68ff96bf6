//! The access log: one JSON line a request, off the request path.
//!
//! A worker fills in a line and hands it to a bounded queue; a thread of its own writes. When the
//! reader of the log is too slow, lines are dropped and counted, and no request ever waits.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use serde::Serialize;

/// How Pointsman writes what it has to say about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Starts the log on stderr, in colour when `ansi` says so and the format is text. `filter` is a level (`info`) or a filter of `tracing` (`info,h2=warn`).
///
/// # Errors
/// When `filter` is neither.
pub(crate) fn init(format: LogFormat, filter: &str, ansi: bool) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| format!("`{filter}` is no log level: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.with_target(false).with_ansi(ansi).try_init(),
    };
    started.map_err(|error| format!("the log cannot be started twice: {error}"))
}

/// Lines that may wait to be written.
const QUEUE_LINES_MAX: usize = 4096;

/// Which requests are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Logged {
    #[default]
    None,
    /// Answered 5xx or a failing gRPC status, answered by Pointsman itself, or broken off.
    Errors,
    All,
}

/// One request, as a line of JSON. Secrets live in cookies, credentials and queries, so none of
/// them is here.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    /// RFC 3339, UTC, milliseconds.
    pub(crate) ts: String,
    pub(crate) msg: &'static str,
    pub(crate) request_id: String,
    pub(crate) client_ip: String,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) protocol: &'static str,
    /// What the client was answered; 499 when it went away before.
    pub(crate) status: u16,
    /// How a gRPC call ended; other requests have none.
    pub(crate) grpc_status: Option<&'static str>,
    pub(crate) bytes_out: u64,
    pub(crate) duration_ms: f64,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) rule: Option<Arc<str>>,
    pub(crate) backend: Option<Arc<str>>,
    /// Snapshot that decided.
    pub(crate) revision: u64,
    /// Why Pointsman answered itself or broke off.
    pub(crate) fault: Option<&'static str>,
    pub(crate) cause: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// The workers' end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    pub(crate) logged: Logged,
    queue: SyncSender<Box<Line>>,
}

impl AccessLog {
    /// Starts the writing thread. It ends when the last clone of the log is dropped and everything
    /// is written.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(
        logged: Logged,
        to: impl Write + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (queue, lines) = sync_channel(QUEUE_LINES_MAX);
        let writer = std::thread::Builder::new().name("access-log".to_owned());
        let handle = writer.spawn(move || write(&lines, BufWriter::new(to)))?;
        Ok((Self { logged, queue }, handle))
    }

    /// Hands over a line. `false`: the queue is full and the line is gone.
    pub(crate) fn offer(&self, line: Box<Line>) -> bool {
        self.queue.try_send(line).is_ok()
    }
}

fn write(lines: &Receiver<Box<Line>>, mut out: BufWriter<impl Write>) {
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            // Nothing to do: what is buffered is shown before waiting.
            Err(TryRecvError::Empty) => match out.flush().and_then(|()| wait(lines)) {
                Ok(line) => line,
                Err(_) => return,
            },
            Err(TryRecvError::Disconnected) => return,
        };
        // A log that cannot be written (a closed pipe) must not stop the proxy.
        if serde_json::to_writer(&mut out, &*line).is_err() || out.write_all(b"\n").is_err() {
            return;
        }
    }
}

fn wait(lines: &Receiver<Box<Line>>) -> io::Result<Box<Line>> {
    lines.recv().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_json_and_all_are_written_before_the_end() {
        let out = Shared::default();
        let (log, writer) = AccessLog::start(Logged::All, out.clone()).expect("thread");
        for status in [200, 503] {
            assert!(log.offer(Box::new(Line {
                status,
                path: "/a\"b\n".into(),
                ..Line::default()
            })));
        }
        drop(log);
        writer.join().expect("no panic");
        let text = String::from_utf8(out.0.lock().expect("not poisoned").clone()).expect("text");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("json"))
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["status"], 503);
        assert_eq!(lines[0]["path"], "/a\"b\n");
    }
}
