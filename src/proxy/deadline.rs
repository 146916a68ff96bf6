//! Deadlines of requests, cheap enough to be on every one of them.
//!
//! Nearly every deadline is set and never met. Tokio's timer sorts each into a wheel and out
//! again; here a waiting request only leaves its waker in a list, and a task of the worker looks
//! through the list every few milliseconds for as long as somebody waits. A deadline is met at
//! most one look too late.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;

/// How often those who wait are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Waiting {
    due: Instant,
    waker: Waker,
}

/// The deadlines of one worker.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    waiting: RefCell<Slab<Waiting>>,
    somebody_waits: Notify,
}

/// A place in the list; left when dropped.
#[derive(Debug)]
struct Place<D: Deref<Target = Deadlines>> {
    deadlines: D,
    key: Option<usize>,
}

impl Deadlines {
    /// The future's result, or `None` when `due` has passed before it was there.
    ///
    /// The future is lent, because a future that owned it would have room for it twice.
    pub(super) async fn by<F: Future>(
        &self,
        due: Instant,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        let mut place = Place {
            deadlines: self,
            key: None,
        };
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if place.is_over(due, cx.waker()) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Wakes those whose time is over, for ever.
    pub(super) async fn keep(&self) {
        loop {
            while self.waiting.borrow().is_empty() {
                self.somebody_waits.notified().await;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = Instant::now();
            let waiting = self.waiting.borrow();
            let over = waiting.iter().filter(|(_, waiting)| waiting.due <= now);
            over.for_each(|(_, waiting)| waiting.waker.wake_by_ref());
        }
    }
}

impl<D: Deref<Target = Deadlines>> Place<D> {
    /// Takes the place if the time is not over; asks for the time only when it was woken again,
    /// because the first look comes right after the deadline was set.
    fn is_over(&mut self, due: Instant, waker: &Waker) -> bool {
        let mut waiting = self.deadlines.waiting.borrow_mut();
        match self.key.and_then(|key| waiting.get_mut(key)) {
            Some(place) => {
                if !place.waker.will_wake(waker) {
                    place.waker.clone_from(waker);
                }
                Instant::now() >= due
            }
            None => {
                if waiting.is_empty() {
                    self.deadlines.somebody_waits.notify_one();
                }
                self.key = Some(waiting.insert(Waiting {
                    due,
                    waker: waker.clone(),
                }));
                false
            }
        }
    }
}

impl<D: Deref<Target = Deadlines>> Drop for Place<D> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.deadlines.waiting.borrow_mut().try_remove(key);
        }
    }
}

/// A deadline that somebody looks at who is polled anyway, such as a body.
#[derive(Debug)]
pub(super) struct Alarm {
    due: Instant,
    place: Place<Rc<Deadlines>>,
}

impl Alarm {
    pub(super) fn new(deadlines: &Rc<Deadlines>, due: Instant) -> Self {
        let place = Place {
            deadlines: Rc::clone(deadlines),
            key: None,
        };
        Self { due, place }
    }

    /// Whether the time is over; the waker is woken when it is.
    pub(super) fn is_over(&mut self, waker: &Waker) -> bool {
        self.place.is_over(self.due, waker)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn what_is_late_is_given_up_and_what_is_in_time_is_not() {
        let deadlines = Deadlines::default();
        let soon = Instant::now() + Duration::from_millis(20);
        let tests = async {
            assert_eq!(deadlines.by(soon, pin!(async { 7 })).await, Some(7));
            assert_eq!(
                deadlines.by(soon, pin!(std::future::pending::<()>())).await,
                None
            );
            assert!(Instant::now() >= soon);
            let in_time = pin!(tokio::time::sleep(Duration::from_millis(5)));
            let late = Instant::now() + Duration::from_secs(60);
            assert_eq!(deadlines.by(late, in_time).await, Some(()));
        };
        tokio::select! {
            () = tests => {}
            () = deadlines.keep() => {}
        }
        assert!(deadlines.waiting.borrow().is_empty());
    }
}
