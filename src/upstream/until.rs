//! A request's body that somebody else may end: when its time is over, whatever the client does.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http_body::Body as _;

use super::body::{ClientBroke, PolledFrame, RequestBody};

/// Says whether time is over, and wakes the waker it was given last when it is.
type Clock = dyn FnMut(&Waker) -> bool;

/// A body, and who says that it is over.
pub(crate) struct Until {
    pub(super) body: RequestBody,
    is_over: Box<Clock>,
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Until").field(&self.body).finish()
    }
}

impl Until {
    /// Ends in an error as soon as `is_over` says so, which is asked whenever the body is.
    pub(super) fn new(body: RequestBody, is_over: impl FnMut(&Waker) -> bool + 'static) -> Self {
        Self {
            body,
            is_over: Box::new(is_over),
        }
    }

    /// The same body, and who hears that its client broke it.
    pub(super) fn watched(self) -> (Self, ClientBroke) {
        let (body, broken) = self.body.watched();
        (Self { body, ..self }, broken)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        if (self.is_over)(cx.waker()) {
            // The backend hears that nobody wants its answer any more, not that we broke.
            let reason = h2::Error::from(h2::Reason::CANCEL);
            return Poll::Ready(Some(Err(reason.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }
}
