//! The streams of one HTTP/2 connection, watched: who takes nothing of its answer, who gives up.
//!
//! hyper runs a task a stream. Its executor is ours, so that a task can be ended when its client has
//! taken nothing for too long; how much a client takes is seen by how often its answer's body is
//! asked for more.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use slab::Slab;
use tokio::task::spawn_local;

use super::http2::LOOKS_MAX;

/// What a client has to take between two looks to be seen taking something.
const PIECE_BYTES_MAX: usize = 16 * 1024;
/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: RefCell<Slab<Rc<Stream>>>,
    /// The stream whose request was handed over last: its task is the next that hyper starts.
    next: RefCell<Option<Guard>>,
    opened: Cell<u32>,
    pub(super) given_up: Cell<u32>,
}

impl Streams {
    pub(super) fn open(self: &Rc<Self>) -> Rc<Stream> {
        let stream = Rc::new(Stream::default());
        let key = self.open.borrow_mut().insert(Rc::clone(&stream));
        self.opened.set(self.opened.get().saturating_add(1));
        let guard = Guard {
            streams: Rc::clone(self),
            stream: Rc::clone(&stream),
            key,
        };
        drop(self.next.replace(Some(guard)));
        stream
    }

    pub(super) fn are_none(&self) -> bool {
        self.open.borrow().is_empty()
    }

    pub(super) fn are_mostly_given_up(&self, at_least: u32) -> bool {
        let given_up = self.given_up.get();
        given_up >= at_least && given_up > self.opened.get() / 2
    }

    pub(super) fn look(&self) {
        for (_, stream) in &*self.open.borrow() {
            stream.look();
        }
    }
}

/// One stream, as its connection watches it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Whether the client was given something that it has not taken yet.
    owed: Cell<bool>,
    /// How often that was seen since it was given.
    looks: Cell<u32>,
    /// Whether everything was given.
    finished: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stream {
    fn look(&self) {
        if !self.owed.get() {
            return;
        }
        self.looks.set(self.looks.get() + 1);
        if self.is_stalled()
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    fn is_stalled(&self) -> bool {
        self.looks.get() >= LOOKS_MAX
    }

    fn listen(&self, waker: &Waker) {
        let mut listening = self.waker.borrow_mut();
        if !listening
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            *listening = Some(waker.clone());
        }
    }

    /// The client has taken what there was and asks for more.
    fn asks(&self) {
        self.owed.set(false);
        self.looks.set(0);
    }
}

/// Lives as long as the task of a stream.
#[derive(Debug)]
struct Guard {
    streams: Rc<Streams>,
    stream: Rc<Stream>,
    key: usize,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let streams = &self.streams;
        streams.open.borrow_mut().try_remove(self.key);
        if !self.stream.finished.get() {
            streams
                .given_up
                .set(streams.given_up.get().saturating_add(1));
        }
    }
}

/// Runs hyper's tasks, one a stream, on the worker's own thread. A task that is dropped resets its
/// stream, which is how a stalled one is given up.
#[derive(Clone, Debug)]
pub(super) struct Tasks(pub(super) Rc<Streams>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let guard = self.0.next.take();
        spawn_local(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                if let Some(Guard { stream, .. }) = &guard {
                    if stream.is_stalled() {
                        return Poll::Ready(());
                    }
                    stream.listen(cx.waker());
                }
                future.as_mut().poll(cx)
            })
            .await;
        });
    }
}

/// An answer's body that tells its stream what the client takes of it, piece by piece: who takes
/// one now and then is slow and not stalled.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: B,
    /// What is left of a chunk that is larger than a piece.
    rest: Bytes,
    stream: Rc<Stream>,
}

impl<B: Body<Data = Bytes>> Watched<B> {
    pub(super) fn new(body: B, stream: Rc<Stream>) -> Self {
        stream.finished.set(body.is_end_stream());
        Self {
            body,
            rest: Bytes::new(),
            stream,
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        Frame::data(self.rest.split_to(length))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        this.stream.asks();
        let frame = if this.rest.is_empty() {
            ready!(Pin::new(&mut this.body).poll_frame(cx))
        } else {
            Some(Ok(this.piece()))
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            // The end, or a backend's fault and not the client's.
            ended @ (None | Some(Err(_))) => {
                this.stream.finished.set(true);
                return Poll::Ready(ended);
            }
        };
        let frame = match frame.into_data() {
            Ok(chunk) if chunk.len() > PIECE_BYTES_MAX => {
                this.rest = chunk;
                this.piece()
            }
            Ok(chunk) => Frame::data(chunk),
            Err(trailers) => trailers,
        };
        this.stream.owed.set(true);
        this.stream.finished.set(this.is_end_stream());
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
