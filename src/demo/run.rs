//! The demo from the first line to the last: put up the set, tell the story, take the set down.
//!
//! Ctrl-C works at any moment: whatever is running is dropped where it stands, the terminal is
//! given back, and the set is taken down in order. A second Ctrl-C does not wait for that.

use std::io::{self, Write};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::{DemoError, Failure};
use super::screen::{Look, Screen, Versions};
use super::stage::{Proxy, ProxyOptions, Stage};
use super::story::{Ending, Pace, Story};

/// What the demo shifts between.
pub(super) const VERSIONS: Versions = Versions {
    primary: "6.1.8",
    canary: "6.2.0",
};

/// What a demo can be told.
#[derive(Clone, Debug)]
pub(crate) struct DemoOptions {
    /// Leave when the story is over, instead of serving until Ctrl-C.
    pub(crate) headless: bool,
    /// Break the canary on the way.
    pub(crate) fail: bool,
    /// The proxy's port. `None`: 8080, or a free one when that is taken.
    pub(crate) port: Option<u16>,
    /// The control API's port. `None`: 7070, or a free one when that is taken.
    pub(crate) control_port: Option<u16>,
    /// The built-in load.
    pub(crate) requests_per_second: u32,
    /// How long each weight stays.
    pub(crate) step: Duration,
    /// `None`: as `pointsman run` decides.
    pub(crate) workers: Option<usize>,
    pub(crate) look: Look,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            headless: false,
            fail: false,
            port: None,
            control_port: None,
            requests_per_second: 150,
            step: Duration::from_secs(8),
            workers: None,
            look: Look::Plain,
        }
    }
}

/// How a demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DemoOutcome {
    Promoted,
    RolledBack,
    /// Ctrl-C, SIGTERM or a reader that went away, before the story was over.
    Interrupted,
}

/// Gives the demo on `out`, with the proxy that `launch` starts.
pub(crate) async fn run(
    options: DemoOptions,
    out: &mut (dyn Write + Send),
    launch: impl AsyncFnOnce(ProxyOptions) -> Result<Proxy, Failure>,
) -> Result<DemoOutcome, DemoError> {
    let mut interrupts = Interrupts::listen().map_err(|e| DemoError::start("signals", e))?;
    let mut screen = Screen::new(out, options.look, VERSIONS);
    let stage = tokio::select! {
        stage = Box::pin(Stage::put_up(&options, launch)) => stage?,
        () = interrupts.next() => return Ok(DemoOutcome::Interrupted),
    };
    let given = tokio::select! {
        given = Box::pin(perform(&options, &stage, &mut screen)) => given,
        () = interrupts.next() => Ok(DemoOutcome::Interrupted),
    };
    screen.end();
    let given = match given {
        Ok(outcome) if outcome != DemoOutcome::Interrupted && !options.headless => screen
            .hint("Serving on until Ctrl-C.")
            .map(|()| outcome)
            .map_err(DemoError::from),
        other => other,
    };
    if !options.headless && matches!(given, Ok(DemoOutcome::Promoted | DemoOutcome::RolledBack)) {
        interrupts.next().await;
    }
    tokio::select! {
        () = Box::pin(stage.take_down()) => {}
        () = interrupts.next() => {}
    }
    match given {
        // `pointsman demo | head`: nobody reads on, which is no fault of ours.
        Err(DemoError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(DemoOutcome::Interrupted)
        }
        given => given,
    }
}

/// Introduces the cast, tells the story, and leaves the reader something to type.
async fn perform(
    options: &DemoOptions,
    stage: &Stage,
    screen: &mut Screen<'_>,
) -> Result<DemoOutcome, DemoError> {
    stage.introduce(screen)?;
    let ending = Story {
        control: stage.control(),
        screen,
        versions: VERSIONS,
        pace: Pace::with_step(options.step),
        victim: options.fail.then(|| stage.canary_address()),
    }
    .tell()
    .await?;
    stage.load_report(screen)?;
    stage.suggest(screen, options)?;
    Ok(match ending {
        Ending::Promoted => DemoOutcome::Promoted,
        Ending::RolledBack => DemoOutcome::RolledBack,
    })
}

/// The two ways to ask a demo to leave.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From here on signals no longer kill: they are asked for.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
