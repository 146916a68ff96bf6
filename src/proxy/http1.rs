//! A client connection that speaks HTTP/1.1: the codec's server role, driven by one task.
//!
//! Read a head, have it answered, write the answer, turn to the next. The request's body is read by
//! whoever takes it, straight from the connection and not before it is wanted: what a backend does
//! not take, the client does not get rid of.
//!
//! While an answer is awaited the connection is watched. A client that closes then has gone, and
//! its request is dropped with everything that runs for it; unless it said before that it will send
//! nothing more (`Connection: close`, HTTP/1.0, more requests in the buffer): then it only closed
//! its half, and still listens.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};

use super::body::Recorded;
use super::leash::Leash;
use super::service::Proxy;
use super::tunnel;
use crate::http1::{Length, Malformed, RequestHead, Server, recycle};
use crate::upstream::{
    BodyError, Interim, PolledFrame, QUEUE_BYTES_MAX, READ_BYTES_MAX, RequestBody, Socket, Upload,
    frame,
};

/// More of the next requests is not read while one is answered.
const AHEAD_BYTES_MAX: usize = 8 * 1024;
/// How long the rest of a request is thrown away after its answer, so that the client reads the
/// answer before it notices that the connection is closed.
const LINGER: Duration = Duration::from_secs(5);

/// Serves a connection to its end.
pub(super) async fn serve(socket: Socket, proxy: Proxy, leash: &Leash) {
    let session = Rc::new(Session {
        wire: RefCell::new(Wire {
            socket,
            codec: Server::default(),
            closed: false,
        }),
        waker: RefCell::default(),
    });
    loop {
        let answered = match session.next(leash).await {
            Ok(None) => return,
            Ok(Some(head)) => {
                let request = session.request(head);
                let answer = pin!(proxy.answer(request, &*session));
                session.unless_gone(answer).await
            }
            Err(malformed) => {
                let line = session.wire.borrow().codec.refused_line().to_vec();
                Some(proxy.refuse(&line, malformed))
            }
        };
        let Some(mut response) = answered else {
            return;
        };
        let upgraded = match session.wire.borrow().codec.switches(response.status()) {
            true => response.body_mut().take_upgraded(),
            false => None,
        };
        if session.send(response, &proxy).await.is_err() {
            return;
        }
        if let Some(upgraded) = upgraded {
            let wire = Rc::into_inner(session).map(|session| session.wire.into_inner());
            let Some(wire) = wire else { return };
            return Box::pin(tunnel::run(wire.socket, upgraded, leash)).await;
        }
        if !session.turn() {
            return session.linger(&proxy).await;
        }
    }
}

/// One connection, shared between its task and the bodies of its requests.
#[derive(Debug)]
struct Session {
    wire: RefCell<Wire>,
    /// Of the connection's task, while somebody else may be reading a body.
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug)]
struct Wire {
    socket: Socket,
    codec: Server,
    /// The client closed its half.
    closed: bool,
}

/// The client went away, or can no longer be told anything.
#[derive(Debug)]
struct Gone;

impl Session {
    /// The head of the next request; `None` when there will be none.
    async fn next(&self, leash: &Leash) -> Result<Option<RequestHead>, Malformed> {
        poll_fn(|cx| self.wire.borrow_mut().poll_head(leash, cx)).await
    }

    fn request(self: &Rc<Self>, head: RequestHead) -> Request<RequestBody> {
        head.request.map(|()| match head.has_body {
            true => RequestBody::Http1(Rc::<Self>::clone(self)),
            false => RequestBody::Empty,
        })
    }

    /// What the work gives, or `None` when the client went away before that.
    async fn unless_gone<F: Future>(&self, mut work: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if self.is_gone(cx) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Whether the client has gone; otherwise wakes when it goes.
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        let mut wire = self.wire.borrow_mut();
        if !wire.codec.has_read_all() {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        wire.is_gone(cx)
    }

    /// Throws away what is here of a body that nobody will read: the connection may go on then.
    fn skip_body(self: &Rc<Self>) {
        if Rc::strong_count(self) > 1 {
            return; // somebody holds it, and may still read
        }
        let wire = &mut *self.wire.borrow_mut();
        while !wire.codec.has_read_all() {
            // What is malformed is remembered by the codec, which closes then.
            let Ok(Some(_)) = wire.codec.piece(&mut wire.socket.input) else {
                return;
            };
        }
    }

    /// Writes an answer to its end.
    async fn send(
        self: &Rc<Self>,
        response: Response<Recorded>,
        proxy: &Proxy,
    ) -> Result<(), Gone> {
        self.skip_body();
        let (head, mut body) = response.into_parts();
        let length = body
            .size_hint()
            .exact()
            .map_or(Length::Unknown, Length::Exact);
        let bodiless = {
            let wire = &mut *self.wire.borrow_mut();
            wire.socket.prepare_output();
            let date = proxy.local.date();
            wire.codec
                .answer(&head, length, date.as_bytes(), &mut wire.socket.output);
            wire.codec.has_written_all()
        };
        recycle(head.headers);
        if bodiless {
            body.is_not_sent();
        }
        let mut body = pin!(body);
        poll_fn(|cx| self.poll_send(body.as_mut(), cx)).await
    }

    fn poll_send(
        &self,
        mut body: Pin<&mut Recorded>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        loop {
            // The body may want to read the request's, so nothing is borrowed while it is asked.
            let mut waits = false;
            while !waits && !self.wire.borrow().is_full_or_whole() {
                match body.as_mut().poll_frame(cx) {
                    Poll::Pending => waits = true,
                    Poll::Ready(frame) => {
                        let ends = body.is_end_stream();
                        let mut wire = self.wire.borrow_mut();
                        if wire.encode(frame, ends).is_err() {
                            wire.break_off(cx);
                            return Poll::Ready(Err(Gone));
                        }
                    }
                }
            }
            let mut wire = self.wire.borrow_mut();
            if ready!(wire.socket.poll_write(cx)).is_err() || (waits && wire.is_gone(cx)) {
                return Poll::Ready(Err(Gone));
            }
            if wire.codec.has_written_all() {
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    /// Whether the connection is ready for another request.
    fn turn(&self) -> bool {
        self.wire.borrow_mut().codec.turn()
    }

    /// Closes, but not before the client could read what was said to it: bytes that nobody reads
    /// would make the system reset the connection, and throw the answer away.
    async fn linger(&self, proxy: &Proxy) {
        if self.wire.borrow().has_come_to_its_end() {
            return;
        }
        let end = pin!(poll_fn(|cx| self.wire.borrow_mut().poll_discard(cx)));
        let due = Instant::now() + LINGER;
        proxy.local.deadlines.by(due, end).await;
    }
}

impl Wire {
    fn poll_head(
        &mut self,
        leash: &Leash,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<RequestHead>, Malformed>> {
        loop {
            match self.codec.head(&mut self.socket.input) {
                Ok(None) if self.closed => return Poll::Ready(Ok(None)),
                Ok(None) => {}
                head => return Poll::Ready(head),
            }
            if self.socket.input.is_empty() {
                if leash.closes_idle() {
                    return Poll::Ready(Ok(None));
                }
                self.socket.rest();
            }
            match ready!(self.socket.poll_read(0, cx)) {
                Ok(0) => self.closed = true,
                Ok(_) => {}
                Err(_) => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        loop {
            match self.codec.piece(&mut self.socket.input) {
                Ok(Some(piece)) => return Poll::Ready(frame(piece).map(Ok)),
                Ok(None) => {}
                Err(malformed) => return Poll::Ready(Some(Err(malformed.into()))),
            }
            let wanted = self.codec.wants(READ_BYTES_MAX);
            match ready!(self.socket.poll_read(wanted, cx)) {
                Ok(0) => {
                    self.closed = true;
                    if let Err(malformed) = self.codec.input_ends() {
                        return Poll::Ready(Some(Err(malformed.into())));
                    }
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// Whether the client has gone; otherwise wakes when it goes, unless a body is still to be read.
    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        // An interim answer may wait to be written.
        if matches!(self.socket.poll_write(cx), Poll::Ready(Err(_))) {
            return true;
        }
        while self.codec.has_read_all() && !self.closed && self.socket.input.len() < AHEAD_BYTES_MAX
        {
            match self.socket.poll_read(0, cx) {
                Poll::Pending => return false,
                Poll::Ready(Err(_)) => return true,
                Poll::Ready(Ok(0)) => {
                    self.closed = true;
                    return !self.codec.is_last() && self.socket.input.is_empty();
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
        false
    }

    fn is_full_or_whole(&self) -> bool {
        self.codec.has_written_all() || self.socket.output.len() >= QUEUE_BYTES_MAX
    }

    fn encode(
        &mut self,
        frame: Option<Result<Frame<Bytes>, BodyError>>,
        ends: bool,
    ) -> Result<(), BodyError> {
        let out = &mut self.socket.output;
        match frame.transpose()? {
            None => self.codec.end(None, out)?,
            Some(frame) => match frame.into_data() {
                Ok(data) => {
                    self.codec.data(data, out)?;
                    if ends {
                        self.codec.end(None, out)?;
                    }
                }
                Err(frame) => self.codec.end(frame.trailers_ref(), out)?,
            },
        }
        Ok(())
    }

    /// Ends an answer that is not whole so that nobody takes it for whole.
    fn break_off(&mut self, cx: &mut Context<'_>) {
        if self.codec.ends_with_connection() {
            return self.socket.reset_on_close();
        }
        // The client may have what there is; that something is missing it sees by the framing.
        drop(self.socket.poll_write(cx));
    }

    /// Whether nothing more is expected or waits to be read.
    fn has_come_to_its_end(&self) -> bool {
        self.closed || (self.codec.has_read_request() && self.socket.input.is_empty())
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.socket.poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        loop {
            self.socket.input.clear();
            match ready!(self.socket.poll_read(READ_BYTES_MAX, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }
}

impl Upload for Session {
    fn poll_frame(&self, cx: &mut Context<'_>) -> PolledFrame {
        let mut wire = self.wire.borrow_mut();
        let polled = wire.poll_body(cx);
        if polled.is_ready()
            && wire.codec.has_read_all()
            && let Some(waker) = self.waker.borrow_mut().take()
        {
            // The connection is for its own task to watch again.
            waker.wake();
        }
        polled
    }

    fn left(&self) -> Option<u64> {
        self.wire.borrow().codec.left()
    }

    fn is_whole(&self) -> bool {
        self.wire.borrow().codec.has_read_all()
    }
}

impl Interim for Session {
    fn pass(&self, head: &Response<()>) {
        let wire = &mut *self.wire.borrow_mut();
        wire.socket.prepare_output();
        // Written when the task looks after its client next, which is before it waits.
        wire.codec.interim(head, &mut wire.socket.output);
    }
}
