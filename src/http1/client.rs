//! The client's side of a connection: a request goes out, its response comes in.
//!
//! Both at once: a response may come while the request's body is still on its way. The connection
//! can carry another request only when both are whole, when nobody said that it closes, and when
//! not a byte came that does not belong to the response.

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http::{Method, Request, Response, StatusCode};

use super::encode::{self, Encoder, Length, Said};
use super::error::Malformed;
use super::fields::Upgrade;
use super::framing::{Decoder, Piece};
use super::head::{self, Asked, Lines, Spans, StatusLine};

/// Most interim answers to one request.
const INTERIM_COUNT_MAX: u8 = 32;

/// One connection as its client sees it.
#[derive(Debug)]
pub(crate) struct Client {
    reading: Reading,
    writing: Writing,
    asked: Asked,
    interims: u8,
    /// Whether another request may follow.
    persists: bool,
    /// Whether what follows the response is not HTTP any more.
    switched: bool,
}

#[derive(Debug)]
enum Reading {
    Nothing,
    Head(Lines),
    Body(Decoder),
    Whole,
    Refused,
}

#[derive(Debug)]
enum Writing {
    Body(Encoder),
    Whole,
}

/// The head of a response.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 1xx, but not 101: another one follows.
    Interim(Response<()>),
    /// Without the fields of one hop. 101 carries [`Upgrade`].
    Final(Response<()>),
}

impl Default for Client {
    fn default() -> Self {
        Self {
            reading: Reading::Nothing,
            writing: Writing::Whole,
            asked: Asked::default(),
            interims: 0,
            persists: true,
            switched: false,
        }
    }
}

impl Client {
    /// Writes the head of a request. Its target is in origin form; the fields of one hop are left
    /// out, but for what the extension [`Upgrade`] asks for.
    pub(crate) fn request<B>(
        &mut self,
        request: &Request<B>,
        body: Length,
        out: &mut super::Output,
    ) {
        let headers = request.headers();
        out.reserve(1024);
        encode::request_line(request, out);
        let seen = encode::fields(headers, Said::Drop, out);
        let encoder = match body {
            Length::Exact(0) => {
                if seen.length || expects_content(request.method()) {
                    out.text(b"content-length: 0\r\n");
                }
                Encoder::Length(0)
            }
            Length::Exact(length) => {
                encode::content_length(length, out);
                Encoder::Length(length)
            }
            Length::Unknown => {
                out.text(b"transfer-encoding: chunked\r\n");
                Encoder::Chunked
            }
        };
        let upgrade = request.extensions().get::<Upgrade>();
        match upgrade {
            Some(upgrade) => {
                out.text(b"connection: upgrade\r\n");
                encode::field("upgrade", upgrade.as_bytes(), out);
            }
            None if seen.trailers_welcome => out.text(b"te: trailers\r\nconnection: te\r\n"),
            None => {}
        }
        out.text(b"\r\n");
        self.writing = if encoder == Encoder::Length(0) {
            Writing::Whole
        } else {
            Writing::Body(encoder)
        };
        self.asked = Asked {
            is_head: request.method() == Method::HEAD,
            is_connect: request.method() == Method::CONNECT,
            upgrade: upgrade.is_some(),
        };
        self.reading = Reading::Head(Lines::NONE);
        self.interims = 0;
    }

    /// Writes a part of the request's body.
    ///
    /// # Errors
    /// When the body is longer than its head said.
    pub(crate) fn data(&mut self, data: Bytes, out: &mut super::Output) -> Result<(), Malformed> {
        match &mut self.writing {
            Writing::Body(encoder) => encoder
                .data(data, out)
                .map_err(|_| Malformed::ContentLength),
            Writing::Whole if data.is_empty() => Ok(()),
            Writing::Whole => Err(Malformed::ContentLength),
        }
    }

    /// Writes the end of the request's body.
    ///
    /// # Errors
    /// When the body is shorter than its head said.
    pub(crate) fn end(
        &mut self,
        trailers: Option<&HeaderMap>,
        out: &mut super::Output,
    ) -> Result<(), Malformed> {
        if let Writing::Body(encoder) = &self.writing {
            encoder
                .end(trailers, out)
                .map_err(|_| Malformed::ContentLength)?;
        }
        self.writing = Writing::Whole;
        Ok(())
    }

    /// Nothing more of the request will be written: the server does not take it. A response may
    /// come nevertheless.
    pub(crate) fn abandon(&mut self) {
        self.writing = Writing::Whole;
        self.persists = false;
    }

    /// The head of the response, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When it is not a response beyond doubt.
    pub(crate) fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, Malformed> {
        let Reading::Head(lines) = &mut self.reading else {
            return Ok(None);
        };
        let mut spans = Spans::default();
        let parsed = match lines.take::<StatusLine>(input, &mut spans) {
            Ok(None) => return Ok(None),
            Ok(Some((line, head))) => head::response(&line, &head, &spans, self.asked),
            Err(malformed) => Err(malformed),
        };
        let (response, facts) = parsed.map_err(|malformed| self.refuse(malformed))?;
        let status = response.status();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.interims += 1;
            if self.interims > INTERIM_COUNT_MAX {
                return Err(self.refuse(Malformed::InterimCount));
            }
            return Ok(Some(Answer::Interim(response)));
        }
        self.persists &= facts.persists;
        self.switched = facts.switches;
        let decoder = Decoder::new(facts.framing);
        self.reading = match decoder.has_ended() {
            true => Reading::Whole,
            false => Reading::Body(decoder),
        };
        Ok(Some(Answer::Final(response)))
    }

    /// The next piece of the response's body, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the body is malformed.
    pub(crate) fn piece(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        let decoder = match &mut self.reading {
            Reading::Body(decoder) => decoder,
            Reading::Nothing | Reading::Whole => return Ok(Some(Piece::End(None))),
            Reading::Head(_) => return Ok(None),
            Reading::Refused => return Err(Malformed::Incomplete),
        };
        match decoder.next(input) {
            Ok(piece) => {
                if decoder.has_ended() {
                    self.reading = Reading::Whole;
                }
                Ok(piece)
            }
            Err(malformed) => Err(self.refuse(malformed)),
        }
    }

    /// The server will send nothing more. Ends a body that ends with its connection.
    ///
    /// # Errors
    /// [`Malformed::Incomplete`] before the response is whole.
    pub(crate) fn input_ends(&mut self) -> Result<(), Malformed> {
        self.persists = false;
        match &mut self.reading {
            Reading::Nothing | Reading::Whole | Reading::Refused => Ok(()),
            Reading::Head(_) => Err(self.refuse(Malformed::Incomplete)),
            Reading::Body(decoder) => match decoder.close() {
                Ok(()) => {
                    self.reading = Reading::Whole;
                    Ok(())
                }
                Err(malformed) => Err(self.refuse(malformed)),
            },
        }
    }

    fn refuse(&mut self, malformed: Malformed) -> Malformed {
        self.reading = Reading::Refused;
        self.persists = false;
        malformed
    }

    /// Whether the connection carries another protocol from now on.
    pub(crate) fn has_switched(&self) -> bool {
        self.switched
    }

    /// Whether the response is read whole.
    pub(crate) fn has_read_all(&self) -> bool {
        matches!(self.reading, Reading::Whole)
    }

    /// Whether the request is written whole.
    pub(crate) fn has_written_all(&self) -> bool {
        matches!(self.writing, Writing::Whole)
    }

    /// Whether another request can follow, `input` being what came and is not read.
    pub(crate) fn is_reusable(&self, input: &BytesMut) -> bool {
        let rests = matches!(self.reading, Reading::Whole | Reading::Nothing);
        self.persists && rests && self.has_written_all() && input.is_empty()
    }

    /// Bytes of the body still to come, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match &self.reading {
            Reading::Body(decoder) => decoder.left(),
            Reading::Nothing | Reading::Head(_) | Reading::Whole | Reading::Refused => Some(0),
        }
    }

    /// How many bytes a read may well ask for, if there is more than a head to come.
    pub(crate) fn wants(&self, most: usize) -> usize {
        match &self.reading {
            Reading::Body(decoder) => decoder.wants(most),
            Reading::Nothing | Reading::Head(_) | Reading::Whole | Reading::Refused => 0,
        }
    }
}

/// Whether a request of this method usually has content, so that its absence is mentioned (RFC
/// 9110, 8.6).
fn expects_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
