//! How a command ends: the exit codes, and what is said when one fails.
//!
//! The codes are a contract with scripts: `docs/guide/cli.md` lists them and tests hold them.

use std::fmt;
use std::io;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

/// What the shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Ok,
    Error,
    Usage,
    /// A rollout failed, or was rolled back.
    RolledBack,
    TimedOut,
    /// `If-Match` named a revision that is not the current one.
    Conflict,
    /// `validate --deny-warnings` found warnings.
    Warnings,
    /// The control API cannot be reached.
    Unreachable,
    Interrupted,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::RolledBack => 3,
            Self::TimedOut => 4,
            Self::Conflict => 7,
            Self::Warnings => 10,
            Self::Unreachable => 69,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// One sentence. Empty: there is nothing left to say, or nobody to say it to.
    message: String,
    /// More about it, a line each.
    notes: Vec<String>,
    /// What to do about it.
    hint: Option<String>,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Error,
            message: message.into(),
            notes: Vec::new(),
            hint: None,
        }
    }

    /// Ends with `exit` without a word: everything was said already.
    pub(super) fn quiet(exit: Exit) -> Self {
        Self {
            exit,
            ..Self::new("")
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(message).exit(Exit::Usage)
    }

    #[must_use]
    pub(super) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    #[must_use]
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.message.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RED: Style = AnsiColor::Red.on_default().bold();
        const CYAN: Style = AnsiColor::Cyan.on_default().bold();
        writeln!(f, "{RED}error:{RED:#} {}", self.message)?;
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "{CYAN}hint:{CYAN:#} {hint}")?;
        }
        Ok(())
    }
}

impl From<io::Error> for Failure {
    /// Output that nobody reads any more (`pointsman get routes | head -1`) is no failure.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::quiet(Exit::Ok)
        } else {
            Self::new(format!("cannot write the output: {error}"))
        }
    }
}
