//! What is sent to a client: nothing, a short text of our own, or a backend's stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};

use super::error;
use super::record::Record;
use crate::model::Fault;
use crate::upstream::{BodyError, PolledFrame, ResponseBody, Upgraded, is_the_clients_doing};

/// The body of an answer.
#[derive(Debug, Default)]
pub(super) enum Body {
    #[default]
    Empty,
    Text(Bytes),
    Upstream(ResponseBody),
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl Body {
    fn poll(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) => {
                let text = std::mem::take(text);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
            Self::Upstream(body) => http_body::Body::poll_frame(Pin::new(body), cx),
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Text(text) => text.is_empty(),
            Self::Upstream(body) => http_body::Body::is_end_stream(body),
        }
    }
}

/// A body that tells its record what became of it.
#[derive(Debug)]
pub(crate) struct Recorded {
    body: Body,
    record: Record,
}

impl Recorded {
    pub(super) fn new(body: Body, mut record: Record) -> Self {
        if body.is_end() {
            record.complete();
        }
        Self { body, record }
    }

    /// Answers with a fault of our own instead.
    pub(super) fn refused(mut self, fault: Fault) -> Response<Self> {
        let response = error::answer(fault);
        self.record.failed(fault, None);
        self.record.answers(response.status(), response.headers());
        response.map(|body| Self::new(body, self.record))
    }

    /// The answer ends with its head, whatever its body would say: to HEAD, 204, 304.
    pub(super) fn is_not_sent(&mut self) {
        self.body = Body::Empty;
        self.record.complete();
    }

    /// The connection to the endpoint, if another protocol is spoken there from now on.
    pub(super) fn take_upgraded(&mut self) -> Option<Upgraded> {
        match std::mem::take(&mut self.body) {
            Body::Upstream(body) => body.into_upgraded(),
            Body::Empty | Body::Text(_) => None,
        }
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> PolledFrame {
        let this = self.get_mut();
        let polled = match this.record.overdue(cx.waker()) {
            None => this.body.poll(cx),
            Some(end) => {
                this.body = Body::Empty;
                Poll::Ready(Some(end.map(Frame::trailers)))
            }
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                match frame.data_ref() {
                    Some(data) => this.record.sent(data.len()),
                    None => this.record.hears(frame.trailers_ref()),
                }
                // With a known length nobody asks again after the last frame.
                if this.body.is_end() {
                    this.record.complete();
                }
            }
            // The client's own doing: the record knows it as a client that went away.
            Poll::Ready(Some(Err(error))) if is_the_clients_doing(error) => {}
            Poll::Ready(Some(Err(error))) => this.record.broke_off(error.as_ref()),
            Poll::Ready(None) => this.record.complete(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Body::Empty => SizeHint::with_exact(0),
            Body::Text(text) => SizeHint::with_exact(text.len() as u64),
            Body::Upstream(body) => http_body::Body::size_hint(body),
        }
    }
}
