//! Why a demo could not be given: whose fault, and what to do.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::control::ControlError;

/// Somebody else's reason.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The ways a demo fails; a canary that fails is not one of them.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// A port that was asked for by number belongs to someone else.
    PortTaken {
        flag: &'static str,
        address: SocketAddr,
    },
    /// Something of the set could not be put up.
    Start {
        what: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The control API said no.
    Control(ControlError),
    /// The reader's side of the output is broken.
    Output(io::Error),
}

impl DemoError {
    pub(crate) fn start(what: impl Into<String>, source: impl Into<Failure>) -> Self {
        Self::Start {
            what: what.into(),
            source: source.into(),
        }
    }
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortTaken { flag, address } => write!(
                f,
                "{address} is taken by another process: choose another port with {flag}, or leave \
                 {flag} out and a free one is found"
            ),
            Self::Start { what, .. } => write!(f, "cannot start {what}"),
            Self::Control(error) => write!(f, "the control API did not help: {error}"),
            Self::Output(_) => f.write_str("cannot write the story"),
        }
    }
}

impl std::error::Error for DemoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } => Some(source.as_ref()),
            Self::Output(source) => Some(source),
            Self::PortTaken { .. } | Self::Control(_) => None,
        }
    }
}

impl From<io::Error> for DemoError {
    /// The only plain `io::Error`s of a running demo are those of its output.
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<ControlError> for DemoError {
    fn from(error: ControlError) -> Self {
        Self::Control(error)
    }
}
