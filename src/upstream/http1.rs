//! One HTTP/1.1 connection to an endpoint, driven by the request that uses it and by nobody else.
//!
//! No task of its own, no hand-over between tasks: while a request waits for its answer it writes
//! and reads itself, and one that is dropped takes its connection along.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::Body as _;
use tokio::net::TcpStream;

use super::body::{BodyError, RequestBody};
use super::endpoint::{Busy, Counted, Tunnel};
use super::socket::{QUEUE_BYTES_MAX, READ_BYTES_MAX, Socket};
use crate::http1::{Answer, Client, Malformed, Piece};
use crate::metrics::BackendCells;

/// Who is told of answers that are not the last word (1xx).
pub(crate) trait Interim {
    fn pass(&self, head: &Response<()>);
}

/// Nobody is.
impl Interim for () {
    fn pass(&self, _: &Response<()>) {}
}

/// An open connection. Counted as long as it lives.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    codec: Client,
    /// What is left of the request's body.
    upload: RequestBody,
    progress: Progress,
    /// Whether it carried a request before this one.
    reused: bool,
    /// Sweeps since it was used last: a count costs a request less than a clock.
    idle_sweeps: u64,
    counted: Counted,
}

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    NothingSent,
    Sent,
    /// The endpoint said something.
    Heard,
}

/// Why a request got no answer, or a body broke off.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client's body did.
    Client(BodyError),
    Endpoint(io::Error),
    /// The endpoint closed.
    Closed,
    Malformed(Malformed),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(_) => f.write_str("the request's body broke off"),
            Self::Endpoint(_) => f.write_str("the connection to the endpoint broke"),
            Self::Closed => f.write_str("the endpoint closed the connection"),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

/// Whether an answer broke off because the request's body did.
pub(crate) fn is_the_clients_doing(error: &BodyError) -> bool {
    matches!(error.downcast_ref(), Some(Broken::Client(_)))
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(cause) => Some(&**cause),
            Self::Endpoint(cause) => Some(cause),
            Self::Closed | Self::Malformed(_) => None,
        }
    }
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        if malformed == Malformed::Incomplete {
            Self::Closed
        } else {
            Self::Malformed(malformed)
        }
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream, cells: &Arc<BackendCells>) -> Box<Self> {
        Box::new(Self {
            socket: Socket::new(stream, BytesMut::new()),
            codec: Client::default(),
            upload: RequestBody::Empty,
            progress: Progress::NothingSent,
            reused: false,
            idle_sweeps: 0,
            counted: Counted::new(cells),
        })
    }

    /// Sends a request and waits for the head of its response. Of the request only the body is
    /// taken.
    pub(super) async fn send(
        &mut self,
        request: &mut Request<RequestBody>,
        interim: &dyn Interim,
    ) -> Result<Response<()>, Broken> {
        self.socket.prepare_output();
        let length = request.body().length();
        self.codec.request(request, length, &mut self.socket.output);
        self.upload = take(request.body_mut());
        self.progress = Progress::NothingSent;
        self.answer(interim).await
    }

    /// Sends what [`Connection::send`] wanted to send when the connection turned out to be closed,
    /// on a new one.
    pub(super) async fn resend(
        &mut self,
        stream: TcpStream,
        interim: &dyn Interim,
    ) -> Result<Response<()>, Broken> {
        self.socket.replace(stream);
        self.reused = false;
        self.answer(interim).await
    }

    async fn answer(&mut self, interim: &dyn Interim) -> Result<Response<()>, Broken> {
        poll_fn(|cx| self.poll_answer(interim, cx)).await
    }

    fn poll_answer(
        &mut self,
        interim: &dyn Interim,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, Broken>> {
        self.upload(cx)?;
        loop {
            match self.codec.answer(&mut self.socket.input)? {
                Some(Answer::Final(response)) => return Poll::Ready(Ok(response)),
                Some(Answer::Interim(response)) => interim.pass(&response),
                None => ready!(self.poll_input(0, cx))?,
            }
        }
    }

    /// Reads once, and tells the codec when that was the end.
    fn poll_input(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match ready!(self.socket.poll_read(wanted, cx)) {
            Ok(0) => self.codec.input_ends()?,
            Ok(_) => self.progress = Progress::Heard,
            Err(error) => return Poll::Ready(Err(Broken::Endpoint(error))),
        }
        Poll::Ready(Ok(()))
    }

    /// Writes of the request what can be written now.
    fn upload(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        loop {
            while !self.codec.has_written_all() && self.socket.output.len() < QUEUE_BYTES_MAX {
                match Pin::new(&mut self.upload).poll_frame(cx) {
                    Poll::Pending => break,
                    Poll::Ready(frame) => self.encode(frame)?,
                }
            }
            if self.socket.output.is_empty() {
                return Ok(());
            }
            let queued = self.socket.output.len();
            let written = self.socket.poll_write(cx);
            if self.socket.output.len() < queued {
                self.progress = self.progress.max(Progress::Sent);
            }
            match written {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return self.stop_upload(error),
            }
        }
    }

    fn encode(
        &mut self,
        frame: Option<Result<http_body::Frame<Bytes>, BodyError>>,
    ) -> Result<(), Broken> {
        let out = &mut self.socket.output;
        let encoded = match frame {
            None => self.codec.end(None, out),
            Some(Err(error)) => return Err(Broken::Client(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let encoded = self.codec.data(data, out);
                    match self.upload.is_end_stream() {
                        true => encoded.and_then(|()| self.codec.end(None, out)),
                        false => encoded,
                    }
                }
                Err(frame) => self.codec.end(frame.trailers_ref(), out),
            },
        };
        encoded.map_err(|malformed| Broken::Client(malformed.into()))
    }

    /// The endpoint takes no more. It may have answered before it closed, so what was sent is not
    /// lost yet; where nothing was, the request can go elsewhere as it is.
    fn stop_upload(&mut self, error: io::Error) -> Result<(), Broken> {
        if self.progress == Progress::NothingSent {
            return Err(Broken::Endpoint(error));
        }
        self.socket.output.clear();
        self.upload = RequestBody::Empty;
        self.codec.abandon();
        Ok(())
    }

    /// The next piece of the response's body.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, BodyError>> {
        self.poll_body(cx).map_err(Into::into)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Broken>> {
        if !self.is_sent() {
            self.upload(cx)?;
        }
        loop {
            if let Some(piece) = self.codec.piece(&mut self.socket.input)? {
                return Poll::Ready(Ok(piece));
            }
            let wanted = self.codec.wants(READ_BYTES_MAX);
            ready!(self.poll_input(wanted, cx))?;
        }
    }

    fn is_sent(&self) -> bool {
        self.codec.has_written_all() && self.socket.output.is_empty()
    }

    /// The response's body, if all of it is here.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        let left = self.codec.left()?;
        if left == 0 && self.codec.has_read_all() {
            return Some(Bytes::new());
        }
        if (self.socket.input.len() as u64) < left {
            return None;
        }
        match self.codec.piece(&mut self.socket.input) {
            Ok(Some(Piece::Data(data))) => Some(data),
            // A body of known length has no other pieces.
            Ok(Some(Piece::End(_)) | None) | Err(_) => None,
        }
    }

    /// Whether the response was the last of HTTP.
    pub(super) fn has_switched(&self) -> bool {
        self.codec.has_switched()
    }

    pub(super) fn has_read_all(&self) -> bool {
        self.codec.has_read_all()
    }

    /// Bytes of the response's body still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.codec.left()
    }

    /// Whether a request that broke here may be sent again, for all that this connection knows: it
    /// was an old one, and nothing came back.
    pub(super) fn may_have_been_stale(&self) -> bool {
        self.reused && self.progress < Progress::Heard
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// Prepares the connection to be idle, if it can carry another request.
    pub(super) fn rests(&mut self) -> bool {
        let reusable = self.codec.is_reusable(&self.socket.input) && self.is_sent();
        if reusable {
            self.upload = RequestBody::Empty;
            self.reused = true;
            self.idle_sweeps = 0;
            self.socket.rest();
        }
        reusable
    }

    /// Whether an idle connection is still open, as far as can be known now.
    pub(super) fn is_open(&mut self) -> bool {
        self.socket.is_quiet()
    }

    /// Whether an idle connection is to be kept at a sweep: open, and not idle for too long.
    pub(super) fn keeps(&mut self, sweeps_max: u64) -> bool {
        self.idle_sweeps += 1;
        self.socket.rest();
        self.idle_sweeps <= sweeps_max && self.is_open()
    }

    /// The bare connection, for another protocol.
    pub(super) fn into_upgraded(self, busy: Busy) -> Upgraded {
        Upgraded {
            socket: self.socket,
            counted: (self.counted, Tunnel::new(&busy), busy),
        }
    }
}

/// A connection to an endpoint that speaks another protocol from now on; it counts as open, and
/// its request as running, as long as it lives.
#[derive(Debug)]
pub(crate) struct Upgraded {
    pub(crate) socket: Socket,
    #[expect(dead_code, reason = "counts until it is dropped")]
    counted: (Counted, Tunnel, Busy),
}
