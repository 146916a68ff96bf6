//! Bodies between client and backend: streamed, never held.
//!
//! A request body remembers whether it was the client who broke it, because hyper reports that as
//! an error of the backend's connection. A response body owns the connection it comes from and
//! gives it back when the last byte is read.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::endpoint::Busy;
use super::http1::{Connection, nobody};

/// Why a body broke off.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What a client sends, on its way to a backend.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    #[default]
    Empty,
    Streaming {
        incoming: Incoming,
        broken: ClientBroke,
    },
}

/// Whether the client's side of the request broke; shared with whoever has to judge the failure.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientBroke(Rc<Cell<bool>>);

impl ClientBroke {
    pub(crate) fn is_set(&self) -> bool {
        self.0.get()
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            Self::Empty
        } else {
            Self::Streaming {
                incoming,
                broken: ClientBroke::default(),
            }
        }
    }

    pub(super) fn client_broke(&self) -> ClientBroke {
        match self {
            Self::Empty => ClientBroke::default(),
            Self::Streaming { broken, .. } => broken.clone(),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming { incoming, broken } => {
                let frame = Pin::new(incoming).poll_frame(cx);
                if let Poll::Ready(Some(Err(_))) = &frame {
                    broken.0.set(true);
                }
                frame.map_err(Into::into)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { incoming, .. } => incoming.size_hint(),
        }
    }
}

/// What a backend answers, on its way to the client.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    incoming: Incoming,
    /// The HTTP/1.1 connection that has to be driven for the body to come, and goes back to its
    /// endpoint afterwards. HTTP/2 streams need neither.
    connection: Option<Connection>,
    /// Counts the request as running at its endpoint.
    busy: Busy,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, connection: Option<Connection>, busy: Busy) -> Self {
        Self {
            incoming,
            connection,
            busy,
        }
    }

    /// Gives the connection back if it can carry another request.
    pub(super) fn finish(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.is_reusable() {
            self.busy.endpoint().check_in(connection);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let incoming = Pin::new(&mut this.incoming);
        let polled = match &mut this.connection {
            None => incoming.poll_frame(cx),
            // Taking a frame makes room for the next one, for which the connection is driven when
            // it is asked for: no reason to wake anybody.
            Some(connection) => {
                let mut taken = connection.quietly(|| incoming.poll_frame(&mut nobody()));
                if taken.is_pending() {
                    connection.drive(cx);
                    let incoming = Pin::new(&mut this.incoming);
                    taken = connection.quietly(|| incoming.poll_frame(&mut nobody()));
                }
                taken
            }
        };
        let Poll::Ready(frame) = polled else {
            return Poll::Pending;
        };
        match &frame {
            Some(Ok(_)) if this.incoming.is_end_stream() => this.finish(),
            Some(Ok(_)) => {}
            // Broken in the middle: the connection is of no use to anybody.
            Some(Err(_)) => this.connection = None,
            None => this.finish(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
