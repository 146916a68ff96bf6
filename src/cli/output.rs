//! The one place that prints.
//!
//! Data goes to standard output through a [`Printer`]; everything else (progress, advice, errors)
//! goes to standard error through [`say`]. Colour is decided once, from `--color`, `NO_COLOR`,
//! `CLICOLOR_FORCE` and the terminal, before the first word is printed, clap's included.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

/// Standard output, with colours where they are wanted.
#[derive(Debug)]
pub(super) struct Printer(AutoStream<io::Stdout>);

/// Where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// It can be redrawn.
    Terminal,
    /// It can only be appended to.
    Pipe,
}

impl Printer {
    pub(super) fn new() -> Self {
        Self(AutoStream::auto(io::stdout()))
    }

    pub(super) fn sink() -> Sink {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match io::stdout().is_terminal() && !dumb {
            true => Sink::Terminal,
            false => Sink::Pipe,
        }
    }

    /// Fails once nobody reads any more. Who prints rarely would not notice by printing.
    pub(super) fn check_reader() -> io::Result<()> {
        let stdout = io::stdout();
        let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
        poll(&mut asked, Some(&Timespec::default()))?;
        // Of a pipe, `ERR` says that its other end is closed; of anything else it says nothing.
        let [answered] = asked;
        match answered.revents().contains(PollFlags::ERR) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    /// Prints as it is.
    pub(super) fn text(&mut self, text: &dyn Display) -> io::Result<()> {
        // In one piece: standard output is buffered by line, and a table has many pieces.
        self.0.write_all(text.to_string().as_bytes())?;
        self.0.flush()
    }

    pub(super) fn line(&mut self, text: &dyn Display) -> io::Result<()> {
        self.text(&format_args!("{text}\n"))
    }

    /// For those who write as they go.
    pub(super) fn writer(&mut self) -> &mut (dyn io::Write + Send) {
        &mut self.0
    }

    /// Prints what moves the cursor, whatever was decided about colour.
    pub(super) fn control(&mut self, sequence: &str) -> io::Result<()> {
        io::stdout().write_all(sequence.as_bytes())
    }

    /// For people and scripts: over several lines.
    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.line(&format_args!("{value:#}"))
    }

    /// For streams: one line.
    pub(super) fn json_line(&mut self, value: &Value) -> io::Result<()> {
        self.line(value)
    }

    pub(super) fn yaml(&mut self, value: &Value) -> io::Result<()> {
        let yaml = serde_saphyr::to_string(value).map_err(io::Error::other)?;
        self.line(&yaml.trim_end())
    }
}

/// Tells people something, on standard error. Nobody listening is no reason to stop.
pub(super) fn say(text: &dyn Display) {
    let mut stderr = AutoStream::auto(io::stderr());
    stderr
        .write_all(format!("{text}\n").as_bytes())
        .unwrap_or_default();
}

/// Whether standard error takes colours.
pub(super) fn stderr_takes_color() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Hears `--color` before clap reads the line, so that clap's own words obey it too; a wrong value
/// is left for clap to complain about.
pub(super) fn choose_color(arguments: impl IntoIterator<Item = OsString>) {
    let mut arguments = arguments.into_iter();
    let mut choice = None;
    while let Some(argument) = arguments.next() {
        let value = match argument.to_str() {
            Some("--") => break,
            Some("--color") => arguments.next().and_then(|next| next.into_string().ok()),
            Some(text) => text.strip_prefix("--color=").map(str::to_owned),
            None => None,
        };
        choice = match value.as_deref() {
            Some("always") => Some(ColorChoice::AlwaysAnsi),
            Some("never") => Some(ColorChoice::Never),
            Some("auto") => Some(ColorChoice::Auto),
            _ => choice,
        };
    }
    choice.unwrap_or(ColorChoice::Auto).write_global();
}
