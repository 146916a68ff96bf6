//! `get --watch` on a pipe: what is new or changed, and nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::answers::{event, route, rule, split};
use crate::api::Api;
use crate::pointsman;

/// An API whose canary weighs one more with every call, three times.
fn moving() -> Api {
    let calls = Arc::new(AtomicU32::new(0));
    Api::start(move |asked| {
        let call = calls.fetch_add(1, Ordering::Relaxed).min(2);
        if asked.target == "/api/v1/events" {
            let events: Vec<Value> = (1..=u64::from(call) + 1)
                .rev()
                .map(|id| event(id, None, "something"))
                .collect();
            return (200, json!({"revision": 1, "items": events}));
        }
        let split = split(call.into(), call, &Value::Null);
        let routes = [route("podinfo", &[rule("everyone", &split)])];
        (200, json!({"revision": call, "items": routes}))
    })
}

/// A watch that is stopped when the test is over.
struct Watch(Child);

impl Watch {
    fn start(api: &Api, arguments: &[&str]) -> Self {
        let mut command: Command = pointsman(arguments);
        command.env("POINTSMAN_SERVER", api.url());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().expect("the program starts"))
    }

    /// The next lines; ends when so many have come, or the program has ended.
    fn lines(&mut self, count: usize) -> Vec<String> {
        // Kept open: a program whose reader is gone ends for that reason.
        let stdout = self.0.stdout.as_mut().expect("a pipe");
        let lines = BufReader::new(stdout).lines();
        lines.take(count).map(|line| line.expect("text")).collect()
    }
}

impl Watch {
    /// The exit code, which must come soon.
    fn code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().expect("our child") {
                return status.code();
            }
            std::thread::yield_now();
        }
        panic!("still running");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_pipe_gets_each_row_when_it_changes() {
    let mut watch = Watch::start(&moving(), &["get", "routes", "--watch"]);
    let lines = watch.lines(7);
    let words: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0][..5],
        ["ROUTE", "RULE", "HOSTS", "BACKEND", "WEIGHT"]
    );
    let rows: Vec<[&str; 3]> = words[1..].iter().map(|w| [w[0], w[3], w[4]]).collect();
    assert_eq!(
        rows,
        [
            ["podinfo", "primary", "100"],
            ["podinfo", "canary", "0"],
            ["podinfo", "primary", "99"],
            ["podinfo", "canary", "1"],
            ["podinfo", "primary", "98"],
            ["podinfo", "canary", "2"],
        ]
    );
}

#[test]
fn json_is_one_object_a_line() {
    let mut watch = Watch::start(&moving(), &["get", "routes", "-w", "-o", "json"]);
    for (at, line) in watch.lines(3).iter().enumerate() {
        let route: Value = serde_json::from_str(line).expect("a JSON object on its line");
        assert_eq!(route["rules"][0]["split"]["weights"]["canary"], at);
    }
}

#[test]
fn each_event_comes_once_and_in_order() {
    let mut watch = Watch::start(&moving(), &["get", "events", "-w"]);
    let ids: Vec<String> = watch.lines(4)[1..]
        .iter()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[test]
fn a_watch_that_nobody_reads_ends_though_nothing_changes() {
    let calm = Api::start(|_| {
        let split = split(1, 5, &Value::Null);
        let routes = [route("podinfo", &[rule("everyone", &split)])];
        (200, json!({"revision": 1, "items": routes}))
    });
    let mut watch = Watch::start(&calm, &["get", "routes", "-w"]);
    assert_eq!(watch.lines(1).len(), 1);
    drop(watch.0.stdout.take());
    assert_eq!(watch.code(), Some(0));
}

#[test]
fn a_watch_that_is_interrupted_ends_with_130() {
    let mut watch = Watch::start(&moving(), &["get", "routes", "-w"]);
    // One line is the sign that signals are being listened to.
    assert_eq!(watch.lines(1).len(), 1);
    let pid = Pid::from_child(&watch.0);
    kill_process(pid, Signal::INT).expect("it is running");
    assert_eq!(watch.code(), Some(130));
}
