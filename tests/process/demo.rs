//! `pointsman demo` from its first line to its last, on a pipe.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::fixture::{Guarded, LIMIT, finish, program};

/// The story has four weights and some words between them; so long it may take with two seconds each.
const STORY_MAX: Duration = Duration::from_secs(30);

/// A demo on a pipe, read as it speaks.
struct Told {
    demo: Guarded,
    lines: Receiver<String>,
    story: String,
    began: Instant,
}

impl Told {
    fn start(arguments: &[&str]) -> Self {
        let mut command = program(&["demo", "--workers", "1"]);
        let child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut demo = Guarded(child.expect("the program starts"));
        let pipe = demo.0.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
            // Nobody listens to a story whose test has ended.
            lines.any(|line| sender.send(line).is_err())
        });
        let mut told = Self {
            demo,
            lines,
            story: String::new(),
            began: Instant::now(),
        };
        told.hear("load: ");
        told
    }

    /// Reads up to a line that begins so. The set is up when the load is introduced.
    fn hear(&mut self, beginning: &str) {
        loop {
            let heard = self.lines.recv_timeout(LIMIT);
            let line = heard.unwrap_or_else(|_| panic!("no {beginning:?} in:\n{}", self.story));
            self.story += &line;
            self.story.push('\n');
            if line.starts_with(beginning) {
                return;
            }
        }
    }

    /// Reads the rest; exit code and story.
    fn end(mut self) -> (Option<i32>, String) {
        while let Ok(line) = self.lines.recv_timeout(STORY_MAX) {
            self.story += &line;
            self.story.push('\n');
        }
        let status = self
            .demo
            .wait(LIMIT)
            .expect("a demo that closed its pipe ends");
        assert!(
            self.began.elapsed() < STORY_MAX,
            "{:?}:\n{}",
            self.began.elapsed(),
            self.story
        );
        (status.code(), self.story)
    }
}

/// A port a demo said it uses.
fn port(story: &str, what: &str) -> u16 {
    let line = story.lines().find(|line| line.contains(what));
    let line = line.unwrap_or_else(|| panic!("no {what:?} in:\n{story}"));
    let (_, port) = line.split_once("127.0.0.1:").expect("an address");
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a port")
}

#[track_caller]
fn in_order(story: &str, words: &[&str]) {
    let mut rest = story;
    for word in words {
        let Some((_, behind)) = rest.split_once(word) else {
            panic!("no {word:?} where it belongs in:\n{story}");
        };
        rest = behind;
    }
}

/// The second has to find other ports, and so has the first when somebody else has the usual ones.
#[test]
fn two_demos_at_once_tell_both_stories_line_by_line() {
    let good = Told::start(&["--headless", "--step-seconds", "2"]);
    let bad = Told::start(&["--headless", "--step-seconds", "2", "--fail"]);
    let ((good_code, good), (bad_code, bad)) = (good.end(), bad.end());
    assert_eq!(good_code, Some(0), "{good}");
    assert_eq!(bad_code, Some(3), "{bad}");
    in_order(
        &good,
        &[
            "weight desired 5 %",
            "weight desired 50 %",
            "weight desired 100 %",
            "promoted: podinfo 6.2.0 takes 100 %",
        ],
    );
    in_order(
        &bad,
        &[
            "weight desired 5 %",
            "failed check",
            "rolled back from",
            "6.1.8 serves everyone again",
        ],
    );
    for story in [&good, &bad] {
        assert!(
            story.is_ascii() && !story.contains('\u{1b}'),
            "not plain:\n{story}"
        );
        for line in story.lines().filter(|line| line.contains("weight desired")) {
            in_order(
                line,
                &[
                    "observed",
                    "6.2.0 success",
                    "p50",
                    "p99",
                    "samples",
                    "6.1.8 success",
                    "samples",
                ],
            );
        }
    }
    for what in ["proxy: ", "control API: "] {
        assert_ne!(port(&good, what), port(&bad, what), "{what}");
    }
}

#[test]
fn ctrl_c_in_the_middle_ends_a_demo_at_once() {
    let mut demo = Told::start(&["--step-seconds", "600"]).demo;
    let told = Instant::now();
    demo.signal(Signal::INT);
    let status = demo.wait(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(130));
    assert!(
        told.elapsed() < Duration::from_secs(5),
        "{:?}",
        told.elapsed()
    );
}

#[test]
fn a_port_asked_for_by_number_that_is_taken_is_refused_with_the_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let port = address.port().to_string();
    for flag in ["--port", "--control-port"] {
        let ran = finish(program(&["demo", "--headless", flag, &port]));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        for word in [
            address.to_string().as_str(),
            flag,
            "taken by another process",
        ] {
            assert!(ran.stderr.contains(word), "no {word:?} in {}", ran.stderr);
        }
    }
}
