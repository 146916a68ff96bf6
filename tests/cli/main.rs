//! The command line as a user sees it: the built program, its words, its exit codes.
//!
//! `help.trycmd` and `usage.trycmd` hold help and complaints word for word (refresh them with
//! `TRYCMD=overwrite cargo test --test cli`); the rest runs the program against a fake control API
//! that answers from a table and remembers what it was asked.

mod answers;
mod api;
mod files;
mod get;
mod shell;
mod watch;
mod weight;

use std::process::{Command, Output, Stdio};

/// The program, away from the settings of whoever runs the tests.
pub(crate) fn pointsman(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    command.args(arguments).stdin(Stdio::null());
    for name in [
        "POINTSMAN_SERVER",
        "POINTSMAN_LOG",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "TERM",
    ] {
        command.env_remove(name);
    }
    command.env("USER", "ada");
    command
}

/// What a finished run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

pub(crate) fn run(arguments: &[&str]) -> Ran {
    let output = pointsman(arguments).output();
    output.expect("the program starts").into()
}

#[test]
fn help_and_usage_are_worded_as_written_down() {
    trycmd::TestCases::new().case("tests/cli/*.trycmd");
}
