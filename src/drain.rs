//! Leaving in order: unready first, then no new work, then the rest is finished, then it is cut.
//!
//! The phases only go forward. Whoever has work follows by a [`Watch`]; the process is drained when the
//! workers have ended.

use tokio::sync::watch;

/// How far the leaving has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Unready, but still accepting: load balancers need time to notice.
    LameDuck,
    /// Listeners are closed; what runs is finished.
    Draining,
    /// Connections without a running request are no longer waited for.
    CloseIdle,
    /// Time is up.
    Cut,
}

/// Opens the channel between the one who leaves and those who have work.
pub(crate) fn channel() -> (Drain, Watch) {
    let (sender, receiver) = watch::channel(Phase::Serving);
    (Drain(sender), Watch(receiver))
}

/// Says when to leave.
#[derive(Debug)]
pub(crate) struct Drain(watch::Sender<Phase>);

impl Drain {
    /// Moves on to `phase`; a phase that is behind us changes nothing.
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let forward = phase > *now;
            *now = phase.max(*now);
            forward
        });
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.0.borrow()
    }
}

/// Follows the phases.
#[derive(Clone, Debug)]
pub(crate) struct Watch(watch::Receiver<Phase>);

impl Watch {
    /// Returns when `phase` has come, or something later. A [`Drain`] that is gone means the
    /// process is going: time is up.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        if self.0.wait_for(|now| *now >= phase).await.is_err() {
            // The sender is gone, which is as far as one can come.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_forward_and_a_drain_that_is_gone_is_the_end() {
        let (drain, mut watch) = channel();
        drain.enter(Phase::Draining);
        drain.enter(Phase::LameDuck);
        assert_eq!(drain.phase(), Phase::Draining);
        watch.reached(Phase::LameDuck).await;
        let waiting = tokio::spawn(async move { watch.reached(Phase::Cut).await });
        drop(drain);
        waiting.await.expect("no panic");
    }
}
