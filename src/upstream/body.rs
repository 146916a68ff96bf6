//! Bodies between client and backend: streamed, never held.
//!
//! A request body says when it was the client who broke it. A response body owns the connection it
//! comes from, and gives it back when the last byte is read.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::endpoint::Busy;
use super::http1::{Connection, Upgraded};
use super::http2::Place;
use super::stream::poll_stream;
use super::until::Until;
use crate::http1::{Length, Piece};

/// Why a body broke off.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What polling a body gives.
pub(crate) type PolledFrame = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// A body as pieces, one after the other.
pub(crate) fn frame(piece: Piece) -> Option<Frame<Bytes>> {
    match piece {
        Piece::Data(data) => Some(Frame::data(data)),
        Piece::End(trailers) => trailers.map(Frame::trailers),
    }
}

/// Who reads the body of an HTTP/1.1 request: the connection it comes by.
pub(crate) trait Upload: fmt::Debug {
    fn poll_frame(&self, cx: &mut Context<'_>) -> PolledFrame;

    /// Bytes still to come, where that is known.
    fn left(&self) -> Option<u64>;

    fn is_whole(&self) -> bool;
}

/// What a client sends, on its way to a backend.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    #[default]
    Empty,
    Http1(Rc<dyn Upload>),
    Http2 {
        incoming: Incoming,
        broken: ClientBroke,
    },
    Until(Box<Until>),
}

/// Whether the client's side of the request broke: hyper reports that as an error of the backend's
/// connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientBroke(Rc<Cell<bool>>);

impl ClientBroke {
    pub(crate) fn is_set(&self) -> bool {
        self.0.get()
    }
}

impl From<Incoming> for RequestBody {
    fn from(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Http2 {
            incoming,
            broken: ClientBroke::default(),
        }
    }
}

impl RequestBody {
    /// For hyper, which has to be told of a broken client behind its back.
    pub(super) fn watched(self) -> (Self, ClientBroke) {
        match self {
            Self::Empty => (self, ClientBroke::default()),
            Self::Http2 { ref broken, .. } => {
                let broken = broken.clone();
                (self, broken)
            }
            Self::Http1(upload) => {
                let watched = Watched::new(upload);
                let broken = watched.broken.clone();
                (Self::Http1(Rc::new(watched)), broken)
            }
            Self::Until(until) => {
                let (until, broken) = until.watched();
                (Self::Until(Box::new(until)), broken)
            }
        }
    }

    /// Ends a body that streams as soon as `is_over` says so, whatever the client does.
    pub(crate) fn end_when(&mut self, is_over: impl FnMut(&Waker) -> bool + 'static) {
        if !self.is_end_stream() {
            *self = Self::Until(Box::new(Until::new(std::mem::take(self), is_over)));
        }
    }

    pub(super) fn length(&self) -> Length {
        self.size_hint()
            .exact()
            .map_or(Length::Unknown, Length::Exact)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(upload) => upload.poll_frame(cx),
            Self::Http2 { incoming, broken } => {
                let frame = poll_stream(incoming, cx);
                if let Poll::Ready(Some(Err(_))) = &frame {
                    broken.0.set(true);
                }
                frame
            }
            Self::Until(until) => until.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(upload) => upload.is_whole(),
            Self::Http2 { incoming, .. } => incoming.is_end_stream(),
            Self::Until(until) => until.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(upload) => upload
                .left()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
            Self::Http2 { incoming, .. } => incoming.size_hint(),
            Self::Until(until) => until.body.size_hint(),
        }
    }
}

/// An upload that notes when it breaks.
#[derive(Debug)]
struct Watched {
    upload: Rc<dyn Upload>,
    broken: ClientBroke,
}

impl Watched {
    fn new(upload: Rc<dyn Upload>) -> Self {
        Self {
            upload,
            broken: ClientBroke::default(),
        }
    }
}

impl Upload for Watched {
    fn poll_frame(&self, cx: &mut Context<'_>) -> PolledFrame {
        let frame = self.upload.poll_frame(cx);
        if let Poll::Ready(Some(Err(_))) = &frame {
            self.broken.0.set(true);
        }
        frame
    }

    fn left(&self) -> Option<u64> {
        self.upload.left()
    }

    fn is_whole(&self) -> bool {
        self.upload.is_whole()
    }
}

/// What a backend answers, on its way to the client.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    /// Counts the request as running at its endpoint.
    busy: Busy,
}

#[derive(Debug)]
enum Source {
    /// All that is left is here, if anything is.
    Rest(Option<Bytes>),
    Http1(Box<Connection>),
    Http2 {
        incoming: Incoming,
        /// Kept for as long as the stream runs.
        _place: Rc<Place>,
    },
    /// No body follows, but another protocol.
    Upgraded(Box<Connection>),
}

impl ResponseBody {
    /// A body that comes by this connection, or has come by it already.
    pub(super) fn http1(mut connection: Box<Connection>, upgraded: bool, busy: Busy) -> Self {
        let source = if upgraded {
            Source::Upgraded(connection)
        } else {
            match connection.rest() {
                None => Source::Http1(connection),
                Some(rest) => {
                    busy.endpoint().check_in(connection);
                    Source::Rest(Some(rest).filter(|rest| !rest.is_empty()))
                }
            }
        };
        Self { source, busy }
    }

    pub(super) fn http2(incoming: Incoming, place: Rc<Place>, busy: Busy) -> Self {
        Self {
            source: Source::Http2 {
                incoming,
                _place: place,
            },
            busy,
        }
    }

    /// The connection to the endpoint, if it speaks another protocol from now on.
    pub(crate) fn into_upgraded(self) -> Option<Upgraded> {
        match self.source {
            Source::Upgraded(connection) => Some(connection.into_upgraded(self.busy)),
            Source::Rest(_) | Source::Http1(_) | Source::Http2 { .. } => None,
        }
    }

    fn poll_http1(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        let Source::Http1(connection) = &mut self.source else {
            return Poll::Ready(None);
        };
        let piece = std::task::ready!(connection.poll_piece(cx));
        let over = piece.is_err() || connection.has_read_all();
        if over
            && let Source::Http1(connection) =
                std::mem::replace(&mut self.source, Source::Rest(None))
        {
            // Broken in the middle, it is of no use to anybody; it knows that itself.
            self.busy.endpoint().check_in(connection);
        }
        Poll::Ready(piece.map(frame).transpose())
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        let this = self.get_mut();
        match &mut this.source {
            Source::Rest(rest) => Poll::Ready(rest.take().map(|rest| Ok(Frame::data(rest)))),
            Source::Http1(_) => this.poll_http1(cx),
            Source::Http2 { incoming, .. } => poll_stream(incoming, cx),
            Source::Upgraded(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Rest(rest) => rest.is_none(),
            Source::Http1(_) => false,
            Source::Http2 { incoming, .. } => incoming.is_end_stream(),
            Source::Upgraded(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Rest(rest) => SizeHint::with_exact(rest.as_ref().map_or(0, Bytes::len) as u64),
            Source::Http1(connection) => connection
                .left()
                .map_or_else(SizeHint::new, SizeHint::with_exact),
            Source::Http2 { incoming, .. } => incoming.size_hint(),
            Source::Upgraded(_) => SizeHint::with_exact(0),
        }
    }
}
