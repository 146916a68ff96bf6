//! By which a client connection is held from outside.
//!
//! It says whether the connection is idle and for how long, and tells it to go. Leaving is said to
//! HTTP/2 by GOAWAY; an HTTP/1.1 connection stays readable until it was answered once more with
//! `Connection: close`, because closing an idle one at once would race the client's next request.
//! For the same reason GOAWAY waits for the first request: who opens a connection while load
//! balancers still send them here has one to make.
//!
//! One thread's own, so it costs a request a few plain stores.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::drain::Phase;

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pull {
    Phase(Phase),
    Idle,
}

/// How long connections may be idle, in sweeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connection: u32,
    pub(super) tunnel: u32,
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Leash {
    pull: Cell<Pull>,
    waker: RefCell<Option<Waker>>,
    /// Requests running.
    busy: Cell<u32>,
    /// Whether there was ever a request.
    used: Cell<bool>,
    /// Tunnels running.
    tunnels: Cell<u32>,
    /// Sweeps since the last request ended, or since a byte moved in a tunnel.
    idle_sweeps: Cell<u32>,
}

/// Work that runs on a connection without being a request any more; dropped when it ends.
#[derive(Debug)]
pub(super) struct Work<'a>(&'a Leash);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// A tunnel that runs on a connection; dropped when it ends.
#[derive(Debug)]
pub(super) struct Tunnel<'a>(&'a Leash);

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.0.tunnels.set(self.0.tunnels.get().saturating_sub(1));
    }
}

impl Leash {
    pub(super) fn new(phase: Phase) -> Rc<Self> {
        Rc::new(Self {
            pull: Cell::new(Pull::Phase(phase)),
            waker: RefCell::default(),
            busy: Cell::new(0),
            used: Cell::new(false),
            tunnels: Cell::new(0),
            idle_sweeps: Cell::new(0),
        })
    }

    pub(super) fn listen(&self, waker: &Waker) {
        let mut listening = self.waker.borrow_mut();
        match &mut *listening {
            Some(known) if known.will_wake(waker) => {}
            known => *known = Some(waker.clone()),
        }
    }

    pub(super) fn pull(&self) -> Pull {
        self.pull.get()
    }

    fn tell(&self, pull: Pull) {
        self.pull.set(pull);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn has_come(&self, phase: Phase) -> bool {
        match self.pull.get() {
            Pull::Phase(now) => now >= phase,
            Pull::Idle => true,
        }
    }

    /// Idle connections are not waited for any more.
    pub(super) fn closes_idle(&self) -> bool {
        self.has_come(Phase::CloseIdle)
    }

    /// Time for GOAWAY: somebody leaves, and the first request is here.
    pub(super) fn says_goodbye(&self) -> bool {
        self.closes_idle() || (self.used.get() && self.has_come(Phase::LameDuck))
    }

    /// The future's result, or `None` when idle connections are closed before it is there.
    pub(super) async fn unless_closing<F: Future>(
        &self,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        poll_fn(|cx| {
            self.listen(cx.waker());
            match future.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if self.closes_idle() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.tell(Pull::Phase(phase));
    }

    /// Once a sweep: whoever was idle for too many of them has to go.
    pub(super) fn sweep(&self, patience: Patience) {
        if self.busy.get() > 0 {
            return;
        }
        self.idle_sweeps.set(self.idle_sweeps.get() + 1);
        let most = match self.tunnels.get() {
            0 => patience.connection,
            _ => patience.tunnel,
        };
        if self.idle_sweeps.get() > most {
            self.tell(Pull::Idle);
        }
    }

    pub(super) fn request_begins(&self) {
        self.busy.set(self.busy.get() + 1);
        self.used.set(true);
    }

    pub(super) fn request_ends(&self) {
        self.busy.set(self.busy.get().saturating_sub(1));
        self.idle_sweeps.set(0);
    }

    /// The connection is not idle until what is returned is dropped.
    pub(super) fn work(&self) -> Work<'_> {
        self.request_begins();
        Work(self)
    }

    /// The connection carries a tunnel from now on, until what is returned is dropped.
    pub(super) fn tunnel(&self) -> Tunnel<'_> {
        self.tunnels.set(self.tunnels.get() + 1);
        self.idle_sweeps.set(0);
        Tunnel(self)
    }

    /// Something moved in a tunnel.
    pub(super) fn stirs(&self) {
        self.idle_sweeps.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        connection: 2,
        tunnel: 5,
    };

    #[test]
    fn only_an_idle_connection_is_told_to_go_and_a_request_starts_the_count_anew() {
        let leash = Leash::new(Phase::Serving);
        leash.request_begins();
        (0..10).for_each(|_| leash.sweep(PATIENCE));
        leash.request_ends();
        leash.sweep(PATIENCE);
        leash.sweep(PATIENCE);
        assert_eq!(leash.pull(), Pull::Phase(Phase::Serving));
        leash.sweep(PATIENCE);
        assert_eq!(leash.pull(), Pull::Idle);
    }

    #[test]
    fn a_tunnel_may_be_silent_for_longer_and_every_byte_starts_the_count_anew() {
        let leash = Leash::new(Phase::Serving);
        let _tunnel = leash.tunnel();
        (0..5).for_each(|_| leash.sweep(PATIENCE));
        leash.stirs();
        (0..5).for_each(|_| leash.sweep(PATIENCE));
        assert_eq!(leash.pull(), Pull::Phase(Phase::Serving));
        leash.sweep(PATIENCE);
        assert_eq!(leash.pull(), Pull::Idle);
    }
}
