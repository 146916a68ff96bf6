//! The server's side of a connection: requests come in, responses go out, one after the other.
//!
//! ```text
//! reading   Head ──► Body ──► Whole ──┐            writing   Nothing ──► Head ──► Body ──► Whole
//!             ▲ └───────────────▲     │                         ▲                          │
//!             └─────────────────┴─────┴── turn ─────────────────┴──────────────────────────┘
//! ```
//!
//! The next request is read when this one is answered and read whole, and not before; pipelined
//! ones wait in the buffer. An answer that is begun before its request is read whole is the last
//! one of its connection: whatever comes then might be body and might be a request.

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::HeaderMap;
use http::response::Parts;
use http::{Method, Request, Response, StatusCode, Version};

use super::encode::{self, Encoder, Length, Said};
use super::error::Malformed;
use super::fields::Upgrade;
use super::framing::{Decoder, Piece};
use super::head::{self, Lines, RequestLine, Spans};

/// One connection as its server sees it.
#[derive(Debug)]
pub(crate) struct Server {
    reading: Reading,
    writing: Writing,
    /// Whether another request may follow.
    persists: bool,
    version: Version,
    is_head: bool,
    is_connect: bool,
    /// How a head began that was refused.
    refused: Option<Box<[u8]>>,
}

/// Of a refused head, no more than this is remembered.
const REFUSED_BYTES_MAX: usize = 256;

#[derive(Debug)]
enum Reading {
    Head {
        lines: Lines,
        begun: bool,
    },
    Body(Decoder),
    Whole,
    /// Nothing that comes means anything any more.
    Refused,
}

const NEXT: Reading = Reading::Head {
    lines: Lines::NONE,
    begun: false,
};

#[derive(Debug)]
enum Writing {
    Nothing,
    /// The head of the answer is due.
    Head,
    Body(Encoder),
    Whole,
}

/// A request, but for its body.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// With its target in origin form and its host in `Host`, without the fields of one hop; asks
    /// for an upgrade by the extension [`Upgrade`].
    pub(crate) request: Request<()>,
    pub(crate) has_body: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            reading: NEXT,
            writing: Writing::Nothing,
            persists: true,
            version: Version::HTTP_11,
            is_head: false,
            is_connect: false,
            refused: None,
        }
    }
}

impl Server {
    /// The next request's head, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// When it is not a request beyond doubt. It may be answered; nothing else will be read.
    pub(crate) fn head(&mut self, input: &mut BytesMut) -> Result<Option<RequestHead>, Malformed> {
        let Reading::Head { lines, begun } = &mut self.reading else {
            return Ok(None);
        };
        if !*begun && !input.is_empty() {
            // One empty line before a request is overlooked (RFC 9112, 2.2).
            match **input {
                [b'\r', b'\n', ..] => input.advance(2),
                [b'\r'] => return Ok(None),
                _ => {}
            }
            *begun = true;
        }
        let mut spans = Spans::default();
        let (line, head) = match lines.take::<RequestLine>(input, &mut spans) {
            Ok(Some(taken)) => taken,
            Ok(None) => return Ok(None),
            Err(malformed) => return Err(self.refuse_head(input, malformed)),
        };
        match head::request(line, &head, &spans) {
            Ok((request, facts)) => {
                self.version = request.version();
                self.is_head = request.method() == Method::HEAD;
                self.is_connect = request.method() == Method::CONNECT;
                self.persists = facts.persists;
                let decoder = Decoder::new(facts.framing);
                let has_body = !decoder.has_ended();
                self.reading = if has_body {
                    Reading::Body(decoder)
                } else {
                    Reading::Whole
                };
                self.writing = Writing::Head;
                Ok(Some(RequestHead { request, has_body }))
            }
            Err(malformed) => Err(self.refuse_head(&head, malformed)),
        }
    }

    /// The next piece of the request's body, or `None` when more bytes are needed.
    pub(crate) fn piece(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        let decoder = match &mut self.reading {
            Reading::Body(decoder) => decoder,
            Reading::Whole => return Ok(Some(Piece::End(None))),
            Reading::Head { .. } => return Ok(None),
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

    /// The client will send nothing more.
    ///
    /// # Errors
    /// [`Malformed::Incomplete`] in the middle of a body.
    pub(crate) fn input_ends(&mut self) -> Result<(), Malformed> {
        self.persists = false;
        match &self.reading {
            Reading::Body(_) => Err(self.refuse(Malformed::Incomplete)),
            Reading::Head { .. } | Reading::Whole | Reading::Refused => Ok(()),
        }
    }

    fn refuse_head(&mut self, head: &[u8], malformed: Malformed) -> Malformed {
        let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
        self.refused = Some(line.get(..REFUSED_BYTES_MAX).unwrap_or(line).into());
        self.refuse(malformed)
    }

    /// The first line of a head that was refused, or how it began; for the log.
    pub(crate) fn refused_line(&self) -> &[u8] {
        self.refused.as_deref().unwrap_or_default().trim_ascii_end()
    }

    fn refuse(&mut self, malformed: Malformed) -> Malformed {
        self.reading = Reading::Refused;
        self.persists = false;
        if matches!(self.writing, Writing::Nothing) {
            self.version = Version::HTTP_11;
            self.is_head = false;
            self.is_connect = false;
            self.writing = Writing::Head;
        }
        malformed
    }

    /// Writes an answer that is not the last word (1xx). HTTP/1.0 knows none.
    pub(crate) fn interim(&self, response: &Response<()>, out: &mut super::Output) {
        if self.version == Version::HTTP_10 || !matches!(self.writing, Writing::Head) {
            return;
        }
        encode::status_line(self.version, response.status(), out);
        encode::fields(response.headers(), Said::Drop, out);
        out.text(b"\r\n");
    }

    /// Writes the head of the answer; `date` is for an answer that has none.
    ///
    /// `Connection: close` in it is obeyed. 101 carries [`Upgrade`]: nothing more is written here.
    pub(crate) fn answer(
        &mut self,
        head: &Parts,
        body: Length,
        date: &[u8],
        out: &mut super::Output,
    ) {
        // One allocation at most for a head of ordinary size.
        out.reserve(1024);
        encode::status_line(self.version, head.status, out);
        let bodiless = head.status == StatusCode::NO_CONTENT
            || head.status == StatusCode::NOT_MODIFIED
            || head.status.is_informational()
            || self.switches(head.status);
        let passes = match head.status {
            StatusCode::NOT_MODIFIED => true,
            _ => self.is_head && !bodiless,
        };
        let said = if passes { Said::Pass } else { Said::Drop };
        let seen = encode::fields(&head.headers, said, out);
        self.persists &= !seen.close && matches!(self.reading, Reading::Whole);
        if !seen.date {
            encode::field("date", date, out);
        }
        let encoder = match body {
            _ if bodiless || self.is_head => Encoder::Length(0),
            Length::Exact(length) => {
                encode::content_length(length, out);
                Encoder::Length(length)
            }
            Length::Unknown if self.version == Version::HTTP_11 => {
                out.text(b"transfer-encoding: chunked\r\n");
                Encoder::Chunked
            }
            Length::Unknown => {
                self.persists = false;
                Encoder::UntilClose
            }
        };
        if let Some(upgrade) = head.extensions.get::<Upgrade>() {
            out.text(b"connection: upgrade\r\n");
            encode::field("upgrade", upgrade.as_bytes(), out);
        } else if self.switches(head.status) {
            // What follows is no HTTP, and of no connection of HTTP.
        } else if !self.persists {
            out.text(b"connection: close\r\n");
        } else if self.version == Version::HTTP_10 {
            out.text(b"connection: keep-alive\r\n");
        }
        out.text(b"\r\n");
        self.writing = if encoder == Encoder::Length(0) {
            Writing::Whole
        } else {
            Writing::Body(encoder)
        };
    }

    /// Whether what follows an answer of this status is not HTTP any more.
    pub(crate) fn switches(&self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success())
    }

    /// Writes a part of the answer's body.
    ///
    /// # Errors
    /// When the body is longer than its head said. The connection is of no use any more.
    pub(crate) fn data(&mut self, data: Bytes, out: &mut super::Output) -> Result<(), Malformed> {
        let Writing::Body(encoder) = &mut self.writing else {
            return Ok(()); // an answer without a body, whatever its body says
        };
        encoder
            .data(data, out)
            .map_err(|_| Malformed::ContentLength)
    }

    /// Writes the end of the answer's body.
    ///
    /// # Errors
    /// When the body is shorter than its head said. The connection is of no use any more.
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

    /// Ready for the next request, if the connection has come to the end of this one and persists.
    pub(crate) fn turn(&mut self) -> bool {
        let over = matches!(
            (&self.reading, &self.writing),
            (Reading::Whole, Writing::Whole)
        );
        if over && self.persists {
            self.reading = NEXT;
            self.writing = Writing::Nothing;
        }
        over && self.persists
    }

    /// Whether the request at hand is read whole; so it is where nothing more can be read.
    pub(crate) fn has_read_all(&self) -> bool {
        !matches!(self.reading, Reading::Body(_))
    }

    /// Whether the request at hand is read whole, and was one.
    pub(crate) fn has_read_request(&self) -> bool {
        matches!(self.reading, Reading::Whole)
    }

    /// Whether the answer is written whole.
    pub(crate) fn has_written_all(&self) -> bool {
        matches!(self.writing, Writing::Whole)
    }

    /// Whether the end of the answer is the end of the connection, and nothing else.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.writing, Writing::Body(Encoder::UntilClose))
    }

    /// Whether the client said that this request is its last.
    pub(crate) fn is_last(&self) -> bool {
        !self.persists
    }

    /// Bytes of the body still to come, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match &self.reading {
            Reading::Body(decoder) => decoder.left(),
            Reading::Head { .. } | Reading::Whole | Reading::Refused => Some(0),
        }
    }

    /// How many bytes a read may well ask for, if there is more than a head to come.
    pub(crate) fn wants(&self, most: usize) -> usize {
        match &self.reading {
            Reading::Body(decoder) => decoder.wants(most),
            Reading::Head { .. } | Reading::Whole | Reading::Refused => 0,
        }
    }
}
