//! A request that can be sent a second time, because what was sent of it is still known.
//!
//! An HTTP/2 backend may say of a request that it did nothing with it: by GOAWAY, or by
//! REFUSED_STREAM. Such a request may always be sent again, whatever its method, if it is still
//! there. The head is copied; of the body, what is taken before the response's head comes is kept
//! as long as it is little. Chunks are reference-counted, so keeping one is no copy.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};

use super::body::{BodyError, PolledFrame, RequestBody};

/// What is kept of a body, at most.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// The head of a request without what belongs to its first connection.
fn copy_of_head<B>(request: &Request<B>) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A request that is lent to a connection.
#[derive(Debug)]
pub(super) struct Replay {
    head: Request<()>,
    body: Option<Rc<RefCell<Kept>>>,
}

impl Replay {
    pub(super) fn new(request: Request<RequestBody>) -> Self {
        let (parts, body) = request.into_parts();
        let body = (!body.is_end_stream()).then(|| Rc::new(RefCell::new(Kept::new(body))));
        Self {
            head: Request::from_parts(parts, ()),
            body,
        }
    }

    pub(super) fn is_idempotent(&self) -> bool {
        self.head.method().is_idempotent()
    }

    /// The request, for one connection; `None` when it is not whole any more. Who had it before has
    /// it no longer. `held` is kept for as long as the body is being sent.
    pub(super) fn lend<H>(&self, held: H) -> Option<Request<Lent<H>>> {
        let mut turn = 0;
        if let Some(kept) = &self.body {
            let kept = &mut *kept.borrow_mut();
            if kept.lost {
                return None;
            }
            kept.turn += 1;
            kept.next = 0;
            turn = kept.turn;
        }
        let body = Lent {
            kept: self.body.clone(),
            turn,
            _held: held,
        };
        Some(copy_of_head(&self.head).map(|()| body))
    }

    /// It is not going to be sent again: from now on nothing is kept.
    pub(super) fn settle(self) {
        if let Some(kept) = &self.body {
            let kept = &mut *kept.borrow_mut();
            kept.keeping = false;
            kept.forget();
        }
    }
}

/// A part of a body.
#[derive(Clone, Debug)]
enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl From<Part> for Frame<Bytes> {
    fn from(part: Part) -> Self {
        match part {
            Part::Data(data) => Self::data(data),
            Part::Trailers(trailers) => Self::trailers(trailers),
        }
    }
}

/// A body and what was taken of it.
#[derive(Debug)]
struct Kept {
    body: RequestBody,
    parts: Vec<Part>,
    /// Which of them comes next, to whoever has the body now.
    next: usize,
    bytes: usize,
    /// Whether parts are still kept.
    keeping: bool,
    /// Whether a part is gone.
    lost: bool,
    /// Who has the body now.
    turn: u32,
}

impl Kept {
    fn new(body: RequestBody) -> Self {
        Self {
            body,
            parts: Vec::new(),
            next: 0,
            bytes: 0,
            keeping: true,
            lost: false,
            turn: 0,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        if let Some(part) = self.parts.get(self.next) {
            let part = part.clone();
            self.next += 1;
            if !self.keeping {
                self.forget();
            }
            return Poll::Ready(Some(Ok(part.into())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.keep(frame);
        }
        polled
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        let part = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Part::Data(data.clone()),
            (None, Some(trailers)) => Part::Trailers(trailers.clone()),
            (None, None) => return,
        };
        if self.keeping && self.bytes <= KEPT_BYTES_MAX {
            self.parts.push(part);
            self.next = self.parts.len();
        } else {
            self.lost = true;
            self.keeping = false;
            self.forget();
        }
    }

    /// Lets go of what was passed on.
    fn forget(&mut self) {
        self.lost |= self.next > 0;
        self.parts.drain(..self.next);
        self.next = 0;
    }

    fn is_end(&self) -> bool {
        self.next == self.parts.len() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint();
        let replayed = self.parts.iter().skip(self.next).map(|part| match part {
            Part::Data(data) => data.len() as u64,
            Part::Trailers(_) => 0,
        });
        let replayed: u64 = replayed.sum();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(replayed));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(replayed));
        }
        hint
    }
}

/// A body as one connection sees it.
#[derive(Debug)]
pub(super) struct Lent<H> {
    kept: Option<Rc<RefCell<Kept>>>,
    turn: u32,
    _held: H,
}

impl<H: Unpin> Body for Lent<H> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        let Some(kept) = &self.kept else {
            return Poll::Ready(None);
        };
        let kept = &mut *kept.borrow_mut();
        if kept.turn != self.turn {
            return Poll::Ready(Some(Err("the request was taken back".into())));
        }
        kept.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        let end = |kept: &Rc<RefCell<Kept>>| {
            let kept = kept.borrow();
            kept.turn == self.turn && kept.is_end()
        };
        self.kept.as_ref().is_none_or(end)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = |kept: &Rc<RefCell<Kept>>| kept.borrow().size_hint();
        self.kept
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), hint)
    }
}
