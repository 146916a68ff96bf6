//! What is wrong with a config, told as a compiler would: what, where, what to do.
//!
//! A [`Report`] collects problems while a file is judged; [`Problems`] is what a caller gets when
//! one of them is an error. Each problem keeps its source, so it can be shown long after the file
//! has changed.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError};
use miette::{MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use serde_saphyr::Location;

/// Most problems shown at once; the rest is counted.
const RENDERED_MAX: usize = 50;
/// Columns of the rendered text: fits a terminal, wraps long hints.
const WIDTH: usize = 100;

/// Whether a problem keeps the config from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Error,
    /// Legal, but hardly meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone)]
pub(crate) struct Problem {
    /// Short and stable, for programs: `unknown-backend`.
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    /// Name of the file, as it was given.
    pub(crate) file: Arc<str>,
    /// From 1; 0 when the file as a whole is meant.
    pub(crate) line: usize,
    /// From 1, in characters; 0 when the file as a whole is meant.
    pub(crate) column: usize,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    labels: Vec<LabeledSpan>,
    source: Arc<Source>,
}

impl Problem {
    /// Says what to do.
    pub(super) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Points to another place that has to do with it.
    pub(super) fn also(&mut self, place: Location, text: &str) -> &mut Self {
        if let Some(spot) = self.source.spot(place) {
            let label = LabeledSpan::new(Some(text.to_owned()), spot.offset, spot.length);
            self.labels.push(label);
        }
        self
    }

    /// `file:line:column`, or the file alone.
    pub(crate) fn position(&self) -> String {
        if self.line == 0 {
            self.file.to_string()
        } else {
            format!("{}:{}:{}", self.file, self.line, self.column)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}", self.position(), self.code, self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        Some(Box::new(format!("{kind}[{}]", self.code)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<_>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// Everything that is wrong with one file, in the order of its lines; at least one is an error.
#[derive(Clone)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// A problem with the file itself rather than with something in it.
    pub(super) fn of_file(name: &str, code: &'static str, message: String, hint: &str) -> Self {
        let mut report = Report::new(name, "");
        report.error(code, Location::UNKNOWN, message).hint(hint);
        report.into_problems()
    }

    /// Without the warnings, which would not have stopped anything.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.iter()
            .filter(|problem| problem.severity == Severity::Error)
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// The text for a terminal.
    pub(crate) fn render(&self, color: bool) -> String {
        render(&self.0, color)
    }
}

/// Problems or warnings as text for a terminal.
pub(crate) fn render(problems: &[Problem], color: bool) -> String {
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        .with_links(false)
        .with_context_lines(1);
    let mut text = String::new();
    for problem in problems.iter().take(RENDERED_MAX) {
        // Writing to a String cannot fail; if miette does, the plain sentence is still there.
        if handler.render_report(&mut text, problem).is_err() {
            text.push_str(&format!("{problem:?}\n"));
        }
        text.push('\n');
    }
    let hidden = problems.len().saturating_sub(RENDERED_MAX);
    if hidden > 0 {
        text.push_str(&format!("… and {hidden} more.\n"));
    }
    text.push_str(&summary(problems));
    // Lines of a terminal text end where their last character is.
    let lines = text.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// `2 errors and 1 warning in canary.yaml`
fn summary(problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|p| p.severity == severity).count();
    let words = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    let errors = words(count(Severity::Error), "error");
    let warnings = words(count(Severity::Warning), "warning");
    let counts: Vec<String> = errors.into_iter().chain(warnings).collect();
    let file = problems.first().map_or("", |problem| &problem.file);
    format!("{} in {file}\n", counts.join(" and "))
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Problems {}

/// The text that is judged.
pub(super) struct Source {
    name: Arc<str>,
    text: String,
    /// Where each line begins, so that showing a problem does not read the file from its start.
    lines: Vec<usize>,
}

/// A place as bytes.
#[derive(Clone, Copy)]
struct Spot {
    offset: usize,
    length: usize,
}

impl Source {
    fn new(name: &str, text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            name: Arc::from(name),
            text: text.to_owned(),
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What to underline: the token at `place`, at most to the end of its line.
    fn spot(&self, place: Location) -> Option<Spot> {
        let line = usize::try_from(place.line()).ok()?.checked_sub(1)?;
        let text = self.text();
        let offset = match place.span().byte_offset() {
            Some(offset) => usize::try_from(offset).ok()?,
            None => {
                let start = *self.lines.get(line)?;
                let column = usize::try_from(place.column()).ok()?.saturating_sub(1);
                let rest = text.get(start..).unwrap_or("");
                start + rest.chars().take(column).map(char::len_utf8).sum::<usize>()
            }
        };
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let rest = text.get(offset..).unwrap_or("");
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let length = place
            .span()
            .byte_len()
            .and_then(|n| usize::try_from(n).ok());
        let length = match length.unwrap_or(0).min(end) {
            0 => word_length(rest),
            length => rest.floor_char_boundary(length),
        };
        Some(Spot { offset, length })
    }
}

impl SourceCode for Source {
    /// The lines that `span` touches, whole when context is asked for. Lines around them are never
    /// shown: with many problems they would hide more than they explain.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        _lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (from, to) = (span.offset(), span.offset() + span.len());
        let line = self
            .lines
            .partition_point(|&start| start <= from)
            .saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or(0);
        let rest = self.text.get(to..).ok_or(MietteError::OutOfBounds)?;
        let end = to + rest.find('\n').unwrap_or(rest.len());
        let (from, to) = if lines_before == 0 {
            (from, to)
        } else {
            (start, end)
        };
        let before = self.text.get(start..from).ok_or(MietteError::OutOfBounds)?;
        let shown = self.text.get(from..to).ok_or(MietteError::OutOfBounds)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.to_string(),
            shown.as_bytes(),
            (from, to - from).into(),
            line,
            before.chars().count(),
            1,
        )))
    }
}

/// A map or list has no extent of its own worth drawing: its first word stands for it.
fn word_length(rest: &str) -> usize {
    let word = rest.find(|c: char| !(c.is_alphanumeric() || "-_./\"'".contains(c)));
    let first = rest.chars().next().map_or(0, char::len_utf8);
    word.unwrap_or(rest.len()).max(first)
}

/// Collects problems while a file is judged.
pub(super) struct Report {
    source: Arc<Source>,
    file: Arc<str>,
    problems: Vec<Problem>,
}

impl Report {
    pub(super) fn new(name: &str, text: &str) -> Self {
        Self {
            source: Arc::new(Source::new(name, text)),
            file: Arc::from(name),
            problems: Vec::new(),
        }
    }

    pub(super) fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source)
    }

    pub(super) fn error(
        &mut self,
        code: &'static str,
        place: Location,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Error, code, place, message.into())
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        place: Location,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Warning, code, place, message.into())
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        place: Location,
        message: String,
    ) -> &mut Problem {
        let spot = self.source.spot(place);
        let label =
            spot.map(|spot| LabeledSpan::new_primary_with_span(None, (spot.offset, spot.length)));
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        self.problems.push_mut(Problem {
            code,
            severity,
            message,
            file: Arc::clone(&self.file),
            line: number(place.line()),
            column: number(place.column()),
            hint: None,
            labels: label.into_iter().collect(),
            source: Arc::clone(&self.source),
        })
    }

    pub(super) fn has_errors(&self) -> bool {
        let mut severities = self.problems.iter().map(|problem| problem.severity);
        severities.any(|severity| severity == Severity::Error)
    }

    /// How many problems there are so far: costly hints are left out when there are many.
    pub(super) fn len(&self) -> usize {
        self.problems.len()
    }

    /// Everything found, in the order of the lines.
    pub(super) fn into_list(self) -> Vec<Problem> {
        let mut list = self.problems;
        list.sort_by_key(|problem| (problem.line, problem.column));
        // What is wrong behind an anchor is found again at each of its aliases.
        list.dedup_by(|b, a| (a.line, a.column, &a.message) == (b.line, b.column, &b.message));
        list
    }

    pub(super) fn into_problems(self) -> Problems {
        Problems(self.into_list())
    }
}
