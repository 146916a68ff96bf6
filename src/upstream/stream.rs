//! One stream of HTTP/2: what its errors mean, and when its body has really ended.
//!
//! hyper and h2 report; here it is judged. What an endpoint says it has not looked at is safe to send
//! again, whatever the method. What broke off is never taken for whole, and is said to the other
//! side with a reason that is true there.

use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::Reason;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::body::PolledFrame;
use super::translate::clean_trailers;

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The connection had ended before.
    Unsent,
    /// The endpoint says that it has not looked at it.
    Unseen,
    /// The connection broke; nobody knows what became of the request.
    Unknown,
    /// The endpoint has answered this request, and be it by resetting it.
    Refused,
}

pub(super) fn judge<B>(error: &TrySendError<B>) -> Lost {
    if error.message().is_some() {
        return Lost::Unsent;
    }
    match cause(error.error()) {
        // Of streams that the endpoint may have looked at, GOAWAY says nothing: they go on.
        Some(error) if error.is_remote() && error.is_go_away() => Lost::Unseen,
        Some(error) if error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) => {
            Lost::Unseen
        }
        Some(error) if error.is_remote() || error.is_library() => Lost::Refused,
        _ => Lost::Unknown,
    }
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

/// Whether the endpoint broke the protocol, as opposed to having gone away.
pub(super) fn is_malformed(error: &hyper::Error) -> bool {
    cause(error).is_some_and(h2::Error::is_library)
}

/// The next frame of a stream's body, from a client or from an endpoint.
///
/// hyper takes RST_STREAM with NO_ERROR for the end of a body, because it may follow a whole
/// response; in the middle of one it is none, and must not become one.
pub(super) fn poll_stream(stream: &mut Incoming, cx: &mut Context<'_>) -> PolledFrame {
    let frame = ready!(Pin::new(&mut *stream).poll_frame(cx));
    Poll::Ready(match frame {
        Some(Ok(mut frame)) => {
            if let Some(trailers) = frame.trailers_mut() {
                clean_trailers(trailers);
            }
            Some(Ok(frame))
        }
        Some(Err(error)) => Some(Err(Broken::from(error).into())),
        None if stream.is_end_stream() => None,
        None => Some(Err(Broken::new("the stream was reset with NO_ERROR").into())),
    })
}

/// A stream that broke off in the middle of its body.
///
/// hyper looks for a reason among the causes and resets the stream on the other side with it. Only
/// one reason means the same there; REFUSED_STREAM, passed on, would ask for a dangerous repetition.
#[derive(Debug)]
struct Broken {
    what: String,
    reason: h2::Error,
}

impl Broken {
    fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            reason: Reason::INTERNAL_ERROR.into(),
        }
    }
}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        let cause = cause(&error);
        let what = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        let reason = match cause.filter(|cause| cause.is_remote()) {
            Some(cause) if cause.reason() == Some(Reason::CANCEL) => Reason::CANCEL,
            _ => Reason::INTERNAL_ERROR,
        };
        Self {
            what,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}
