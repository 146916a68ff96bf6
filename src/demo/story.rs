//! The story: 5 → 50 → 100 %, measuring each version, and the way back when one fails.
//!
//! Until the rollout engine exists the demo is the person at the desk: it sets a weight through the
//! control API, watches, and decides. What it decides on is what the proxy measured, so the story
//! turns out differently when someone breaks a version by hand while it runs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::control::ControlClient;
use super::error::DemoError;
use super::fault::Fault;
use super::reading::{Reading, SUCCESS_MIN, Verdict};
use super::screen::{Mark, Screen, Versions, ratio};
use crate::admin::view;

/// The canary's share, step by step.
const STEPS: [u32; 3] = [5, 50, 100];
/// The step during which `--fail` breaks the canary: after a good start, as it happens in life.
const BREAKING: usize = 1;
/// How `--fail` breaks it: bad enough to be seen at once, good enough to be overlooked by probes.
const FAULT: Fault = Fault {
    error_rate: 0.3,
    delay_ms: 0,
};
/// So many failed checks in a step, and the canary goes back.
const FAILED_CHECKS_MAX: u32 = 3;

/// How fast it is told, and whether it ends well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long each weight stays.
    pub(crate) step: Duration,
    /// Between a change and the first look, so that the windows hold nothing older: they are
    /// refreshed once a second.
    pub(crate) settle: Duration,
    /// Between two looks.
    pub(crate) look: Duration,
}

impl Pace {
    /// A step of this length with the proxy's own rhythm inside it.
    pub(crate) fn with_step(step: Duration) -> Self {
        Self {
            step,
            settle: Duration::from_millis(1_500).min(step / 4),
            look: Duration::from_secs(1).min(step / 4),
        }
    }

    /// What the whole story takes when nothing fails.
    fn expected(&self) -> Duration {
        self.step * u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Promoted,
    RolledBack,
}

/// Everything the teller needs.
pub(crate) struct Story<'a, 'out> {
    pub(crate) control: &'a ControlClient,
    pub(crate) screen: &'a mut Screen<'out>,
    pub(crate) versions: Versions,
    pub(crate) pace: Pace,
    /// The origin to break, if the story shall end badly.
    pub(crate) victim: Option<SocketAddr>,
}

/// What became of a step.
enum Step {
    Passed(Reading),
    Failed(Reading),
}

impl Story<'_, '_> {
    pub(crate) async fn tell(&mut self) -> Result<Ending, DemoError> {
        let start = self.control.split().await?;
        self.screen.begin(self.pace.expected())?;
        for (index, percent) in STEPS.into_iter().enumerate() {
            let reason = format!("demo: step {} of {}", index + 1, STEPS.len());
            let before = self.shift(percent, &reason).await?;
            let victim = self.victim.filter(|_| index == BREAKING);
            match self.watch(percent, &before, victim).await? {
                Step::Passed(reading) => self.step_passed(percent, &reading)?,
                Step::Failed(reading) => {
                    self.screen.step(percent, &reading, Mark::Bad)?;
                    self.roll_back(percent, &start).await?;
                    return Ok(Ending::RolledBack);
                }
            }
        }
        let total = Reading::between(&start, &self.control.split().await?);
        let requests = total.canary.samples + total.primary.samples;
        let failures = total.canary.failures + total.primary.failures;
        self.screen.end();
        let version = self.versions.canary;
        let text = format!(
            "promoted: podinfo {version} takes 100 %. {requests} requests, {failures} failed."
        );
        self.screen.event(Mark::Good, &text)?;
        Ok(Ending::Promoted)
    }

    /// Sets a weight and lets the numbers of the old one pass; answers the first look at the new.
    async fn shift(&mut self, percent: u32, reason: &str) -> Result<view::Split, DemoError> {
        self.control.shift(percent, reason).await?;
        self.screen.progress(percent, None);
        self.screen.wait(self.pace.settle).await;
        Ok(self.control.split().await?)
    }

    /// Looks until the step is over, or until too many checks have failed.
    async fn watch(
        &mut self,
        percent: u32,
        before: &view::Split,
        mut victim: Option<SocketAddr>,
    ) -> Result<Step, DemoError> {
        let ends = Instant::now() + self.pace.step.saturating_sub(self.pace.settle);
        let mut failed = 0;
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            // Never zero: a step that is over but whose last check failed gets another look.
            let rest = if left.is_zero() {
                self.pace.look
            } else {
                left.min(self.pace.look)
            };
            self.screen.wait(rest).await;
            let reading = Reading::between(before, &self.control.split().await?);
            self.screen.progress(percent, Some(&reading));
            let verdict = reading.canary.verdict();
            if verdict == Verdict::Fail {
                failed += 1;
                self.check_failed(&reading, failed)?;
                if failed == FAILED_CHECKS_MAX {
                    return Ok(Step::Failed(reading));
                }
            }
            if let Some(origin) = victim.take() {
                self.break_canary(origin).await?;
            } else if ends <= Instant::now() && verdict != Verdict::Fail {
                return Ok(Step::Passed(reading));
            }
        }
    }

    fn step_passed(&mut self, percent: u32, reading: &Reading) -> Result<(), DemoError> {
        let mark = match reading.canary.verdict() {
            Verdict::Pass => Mark::Good,
            Verdict::Fail | Verdict::Unsure => Mark::Note,
        };
        self.screen.step(percent, reading, mark)?;
        if mark == Mark::Note {
            let text = format!(
                "{} requests are too few to judge {}; going on because this is a demo",
                reading.canary.samples, self.versions.canary,
            );
            self.screen.event(Mark::Note, &text)?;
        }
        Ok(())
    }

    async fn break_canary(&mut self, origin: SocketAddr) -> Result<(), DemoError> {
        self.control.break_origin(origin, FAULT).await?;
        let text = format!(
            "podinfo {} starts to fail: {:.0} % of its answers become 500",
            self.versions.canary,
            FAULT.error_rate * 100.0,
        );
        Ok(self.screen.event(Mark::Note, &text)?)
    }

    fn check_failed(&mut self, reading: &Reading, failed: u32) -> Result<(), DemoError> {
        let text = format!(
            "{} success {} < {:.0} %, n={}: failed check {failed} of {FAILED_CHECKS_MAX}",
            self.versions.canary,
            ratio(reading.canary.success(), 2),
            SUCCESS_MIN * 100.0,
            reading.canary.samples,
        );
        Ok(self.screen.event(Mark::Bad, &text)?)
    }

    /// Everything back to the primary, then one more look to prove it.
    async fn roll_back(&mut self, percent: u32, start: &view::Split) -> Result<(), DemoError> {
        let reason = format!("demo: {} failed its checks", self.versions.canary);
        let asked = Instant::now();
        self.control.shift(0, &reason).await?;
        let took = asked.elapsed().as_secs_f64() * 1_000.0;
        let text = format!("rolled back from {percent} % to 0 %, in force after {took:.0} ms");
        self.screen.event(Mark::Bad, &text)?;
        self.screen.progress(0, None);
        self.screen.wait(self.pace.settle).await;
        let before = self.control.split().await?;
        self.screen.wait(self.pace.step / 2).await;
        let now = self.control.split().await?;
        self.screen
            .step(0, &Reading::between(&before, &now), Mark::Note)?;
        let total = Reading::between(start, &now);
        let requests = total.canary.samples + total.primary.samples;
        self.screen.end();
        let text = format!(
            "podinfo {} serves everyone again. {} of {requests} requests saw {}, {} of them failed.",
            self.versions.primary,
            total.canary.samples,
            self.versions.canary,
            total.canary.failures,
        );
        Ok(self.screen.event(Mark::Good, &text)?)
    }
}
