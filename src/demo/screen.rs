//! What the reader sees: a table that grows by a line a step and a progress bar on a terminal,
//! one self-explaining line at a time on a pipe.
//!
//! Lines go to the writer the caller gave; the bar goes to stderr, where progress belongs, and
//! hides itself when that is no terminal. On a terminal meaning never hangs on colour alone.

use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use super::reading::{Measured, Reading};

/// How often the bar moves.
const REDRAW: Duration = Duration::from_millis(150);

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Whom the lines are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A person at a terminal: table, colour, bar. The caller's writer strips colour if unwanted.
    Terminal,
    /// A pipe or a file: plain ASCII words, every line complete in itself.
    Plain,
}

/// How a line is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    Bad,
    Note,
}

/// The two versions by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Versions {
    pub(crate) primary: &'static str,
    pub(crate) canary: &'static str,
}

/// Where the story is told.
pub(crate) struct Screen<'a> {
    out: &'a mut (dyn Write + Send),
    look: Look,
    versions: Versions,
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(out: &'a mut (dyn Write + Send), look: Look, versions: Versions) -> Self {
        Self {
            out,
            look,
            versions,
            bar: None,
            begun: Instant::now(),
        }
    }

    /// One line as it is.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> io::Result<()> {
        let out = &mut self.out;
        let mut write = || writeln!(out, "{text}").and_then(|()| out.flush());
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// A line of the cast: what runs and where.
    pub(crate) fn runs(&mut self, what: &str, place: &str) -> io::Result<()> {
        match self.look {
            Look::Terminal => self.line(format_args!(" {GOOD}✔{GOOD:#} {what:<26} {place}")),
            Look::Plain => self.line(format_args!("{what}: {place}")),
        }
    }

    /// Something to read or to type.
    pub(crate) fn hint(&mut self, text: &str) -> io::Result<()> {
        match self.look {
            Look::Terminal => self.line(format_args!("{DIM}{text}{DIM:#}")),
            Look::Plain => self.line(text),
        }
    }

    /// Something happened, with the time it happened at.
    pub(crate) fn event(&mut self, mark: Mark, text: &str) -> io::Result<()> {
        let clock = clock(self.begun.elapsed());
        if self.look == Look::Plain {
            return self.line(format_args!("{clock} {text}"));
        }
        match mark {
            Mark::Good => self.line(format_args!(" {clock} {GOOD}✔ {BOLD}{text}{BOLD:#}")),
            Mark::Bad => self.line(format_args!(" {clock} {BAD}✖ {text}{BAD:#}")),
            Mark::Note => self.line(format_args!(" {clock} {text}")),
        }
    }

    /// The story begins: the clock starts, the table gets its head, the bar appears.
    pub(crate) fn begin(&mut self, expected: Duration) -> io::Result<()> {
        self.begun = Instant::now();
        if self.look == Look::Plain {
            return Ok(());
        }
        self.line("")?;
        let canary = format!("{} (canary), ms", self.versions.canary);
        let primary = format!("{} (primary), ms", self.versions.primary);
        self.line(format_args!("{DIM}{:24}  {canary:<26}{primary}{DIM:#}", ""))?;
        let version = format!("{:>9}{:>6}{:>6}{:>6}", "SUCCESS", "P50", "P99", "N");
        let head = format!(
            "{:>6}{:>9}{:>9}{version}{version}",
            "TIME", "DESIRED", "OBSERVED"
        );
        self.line(format_args!("{BOLD}{head}{BOLD:#}"))?;
        let bar = ProgressBar::new(millis(expected));
        if let Ok(style) = ProgressStyle::with_template(" {bar:24.green/dim} {msg}") {
            bar.set_style(style.progress_chars("▓▒░"));
        }
        self.bar = Some(bar);
        Ok(())
    }

    /// Says beside the bar what is going on.
    pub(crate) fn progress(&self, percent: u32, reading: Option<&Reading>) {
        let Some(bar) = &self.bar else { return };
        let version = self.versions.canary;
        bar.set_message(match reading {
            Some(Reading { canary, .. }) if canary.samples > 0 => {
                let success = ratio(canary.success(), 2);
                format!(
                    "{percent} % to {version}: success {success}, n={}",
                    canary.samples
                )
            }
            Some(_) | None => format!("{percent} % to {version}"),
        });
    }

    /// Lets time pass, and the bar move with it.
    pub(crate) async fn wait(&self, duration: Duration) {
        let ends = tokio::time::Instant::now() + duration;
        while tokio::time::Instant::now() < ends {
            tokio::time::sleep_until(ends.min(tokio::time::Instant::now() + REDRAW)).await;
            if let Some(bar) = &self.bar {
                bar.set_position(millis(self.begun.elapsed()));
            }
        }
    }

    /// The line of a step.
    pub(crate) fn step(&mut self, percent: u32, reading: &Reading, mark: Mark) -> io::Result<()> {
        let clock = clock(self.begun.elapsed());
        let observed = ratio(reading.observed(), 1);
        if self.look == Look::Plain {
            let Versions { primary, canary } = self.versions;
            return self.line(format_args!(
                "{clock} weight desired {percent} % observed {observed} | {canary} {} | {primary} {}",
                words(&reading.canary),
                words(&reading.primary),
            ));
        }
        let style = match mark {
            Mark::Good => GOOD,
            Mark::Bad => BAD,
            Mark::Note => Style::new(),
        };
        let desired = format!("{percent} %");
        let (canary, primary) = (cells(&reading.canary), cells(&reading.primary));
        self.line(format_args!(
            " {clock:>5}{desired:>9}{observed:>9}{style}{canary}{style:#}{primary}"
        ))
    }

    /// Takes the bar away and leaves the terminal as it was.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A version's columns.
fn cells(measured: &Measured) -> String {
    let success = ratio(measured.success(), 2);
    let (p50, p99) = (milliseconds(measured.p50), milliseconds(measured.p99));
    format!("{success:>9}{p50:>6}{p99:>6}{:>6}", measured.samples)
}

/// A version's numbers for those who grep.
fn words(measured: &Measured) -> String {
    format!(
        "success {} p50 {} ms p99 {} ms samples {}",
        ratio(measured.success(), 2),
        milliseconds(measured.p50),
        milliseconds(measured.p99),
        measured.samples,
    )
}

/// A share in percent; `-` when there is none. Never rounds a failure away: 99.999 is not 100.
pub(crate) fn ratio(share: Option<f64>, digits: usize) -> String {
    let Some(share) = share else {
        return "-".to_owned();
    };
    let percent = share * 100.0;
    let scale = if digits == 2 { 100.0 } else { 10.0 };
    let shown = if percent < 100.0 {
        percent.min(100.0 - 1.0 / scale)
    } else {
        percent
    };
    match digits {
        2 => format!("{shown:.digits$}%"),
        _ => format!("{shown:.digits$} %"),
    }
}

fn milliseconds(seconds: Option<f64>) -> String {
    match seconds.map(|seconds| seconds * 1_000.0) {
        Some(ms) if ms < 100.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
        None => "-".to_owned(),
    }
}

/// `mm:ss`
fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: Versions = Versions {
        primary: "6.1.8",
        canary: "6.2.0",
    };

    fn told(look: Look) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, look, VERSIONS);
        let canary = Measured {
            samples: 60,
            failures: 0,
            p50: Some(0.0004),
            p99: Some(0.0123),
        };
        let primary = Measured {
            samples: 1_140,
            failures: 1,
            p50: Some(0.0004),
            p99: Some(0.25),
        };
        screen.begin(Duration::from_secs(1)).unwrap();
        screen
            .step(
                5,
                &Reading {
                    desired: 0.05,
                    canary,
                    primary,
                },
                Mark::Good,
            )
            .unwrap();
        screen.step(0, &Reading::default(), Mark::Note).unwrap();
        screen.event(Mark::Good, "promoted").unwrap();
        drop(screen);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pipe_gets_plain_lines_that_say_what_they_count() {
        assert_eq!(
            told(Look::Plain),
            "00:00 weight desired 5 % observed 5.0 % \
             | 6.2.0 success 100.00% p50 0.4 ms p99 12.3 ms samples 60 \
             | 6.1.8 success 99.91% p50 0.4 ms p99 250 ms samples 1140\n\
             00:00 weight desired 0 % observed - \
             | 6.2.0 success - p50 - ms p99 - ms samples 0 \
             | 6.1.8 success - p50 - ms p99 - ms samples 0\n\
             00:00 promoted\n"
        );
    }

    #[test]
    fn a_terminal_gets_a_table_that_fits_eighty_columns() {
        let text = anstream::adapter::strip_str(&told(Look::Terminal)).to_string();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        let (head, row) = (text.lines().nth(2).unwrap(), text.lines().nth(3).unwrap());
        assert_eq!(head.chars().count(), row.chars().count(), "{text}");
        assert!(row.contains("100.00%") && row.contains("99.91%"), "{row}");
    }

    #[test]
    fn a_single_failure_is_never_rounded_to_a_hundred_percent() {
        assert_eq!(ratio(Some(0.999_999), 2), "99.99%");
        assert_eq!(ratio(Some(1.0), 2), "100.00%");
        assert_eq!(ratio(Some(0.0), 1), "0.0 %");
    }
}
