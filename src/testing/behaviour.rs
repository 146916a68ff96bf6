//! What an origin can be told to do to a connection, and to a request.
//!
//! Each is a fault a proxy meets in the field; together they are the vocabulary of the tests.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What happens to a connection before it has said anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// Speaks HTTP.
    #[default]
    Serve,
    /// Closes at once, politely.
    Close,
    /// Closes at once with a TCP reset.
    Reset,
    /// Keeps it open, reads nothing, says nothing.
    Hang,
}

/// What happens to a request.
#[derive(Clone, Debug, Default)]
pub enum Behaviour {
    /// 200 with the origin's name as the body.
    #[default]
    Answer,
    /// This status, the name as the body.
    Status(u16),
    /// Waits, then `Answer`.
    Delay(Duration),
    /// These headers on top of `Answer`; a name may come twice.
    Headers(Vec<(String, String)>),
    /// 200 with this body.
    Body(Bytes),
    /// This status with this body.
    Canned(u16, Bytes),
    /// 200 with the request's own body, streamed back.
    Echo,
    /// 200 without a length: `chunks` times `chunk`, one each `every`.
    Trickle {
        chunk: Bytes,
        chunks: usize,
        every: Duration,
    },
    /// 200 with a body and trailers after it.
    Trailers {
        body: Bytes,
        trailers: Vec<(String, String)>,
    },
    /// 200 that declares `declared` bytes, sends `sent` of them and cuts the connection.
    Truncate { declared: u64, sent: usize },
    /// Reads the request and never answers.
    Hang,
    /// Reads the request and closes without an answer.
    Close,
    /// Reads the request and resets the TCP connection.
    Reset,
    /// 200, and `Connection: close` after it.
    LastAnswer,
}

/// How the connection goes on after a request.
pub(super) enum Outcome {
    Respond(Response<Body>),
    Hang,
    Close,
    Reset,
}

impl Behaviour {
    /// Performs everything but `Echo`, which needs the request's body and is the origin's own.
    pub(super) async fn perform(self, name: &str) -> Outcome {
        let named = || Response::new(full(Bytes::copy_from_slice(name.as_bytes())));
        let response = match self {
            Self::Answer | Self::Echo => named(),
            Self::Status(code) => with_status(code, named()),
            Self::Canned(code, body) => with_status(code, Response::new(full(body))),
            Self::Delay(delay) => {
                tokio::time::sleep(delay).await;
                named()
            }
            Self::Headers(headers) => {
                let mut response = named();
                for (name, value) in parsed(headers) {
                    response.headers_mut().append(name, value);
                }
                response
            }
            Self::Body(body) => Response::new(full(body)),
            Self::Trickle {
                chunk,
                chunks,
                every,
            } => Response::new(trickle(chunk, chunks, every)),
            Self::Trailers { body, trailers } => {
                // A stream has no length, so it goes out chunked: the coding with room for trailers.
                let frames = [
                    Frame::data(body),
                    Frame::trailers(parsed(trailers).collect()),
                ];
                Response::new(StreamBody::new(stream::iter(frames.map(Ok))).boxed_unsync())
            }
            Self::Truncate { declared, sent } => {
                let mut response = Response::new(truncated(sent));
                response
                    .headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from(declared));
                response
            }
            Self::LastAnswer => {
                let mut response = named();
                let close = HeaderValue::from_static("close");
                response
                    .headers_mut()
                    .insert(http::header::CONNECTION, close);
                response
            }
            Self::Hang => return Outcome::Hang,
            Self::Close => return Outcome::Close,
            Self::Reset => return Outcome::Reset,
        };
        Outcome::Respond(response)
    }
}

pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

fn with_status(code: u16, mut response: Response<Body>) -> Response<Body> {
    *response.status_mut() = StatusCode::from_u16(code).expect("a test gives a valid status");
    response
}

/// Header pairs a test wrote; those that are no headers are a mistake of the test.
fn parsed(pairs: Vec<(String, String)>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    pairs.into_iter().map(|(name, value)| {
        let name = HeaderName::try_from(name).expect("a test names a valid header");
        (
            name,
            HeaderValue::try_from(value).expect("a test gives a valid value"),
        )
    })
}

fn trickle(chunk: Bytes, chunks: usize, every: Duration) -> Body {
    let frames = stream::unfold(chunks, move |left| {
        let chunk = chunk.clone();
        async move {
            let left = left.checked_sub(1)?;
            tokio::time::sleep(every).await;
            Some((Ok(Frame::data(chunk)), left))
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The error comes a moment after the bytes, so that they are on the wire when it cuts.
fn truncated(sent: usize) -> Body {
    let frames = stream::unfold(Some(sent), |left| async move {
        match left? {
            0 => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Err(io::Error::other("the test asked for a cut")), None))
            }
            sent => Some((Ok(Frame::data(Bytes::from(vec![b'x'; sent]))), Some(0))),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
