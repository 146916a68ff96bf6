//! Messages as bytes, in one form only.
//!
//! The framing is written from what the body is, never from what a head says about it; fields for
//! one hop are left out whoever put them there. So nothing that is written can be read in two ways.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode, Version};

use super::fields::{is_for_one_hop, is_trailer};
use super::output::Output;

/// What is known about a body before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Exact(u64),
    Unknown,
}

/// Writes one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoder {
    /// Bytes left to write; zero is the end.
    Length(u64),
    Chunked,
    /// Ended by the end of the connection.
    UntilClose,
}

/// A body that is longer or shorter than was said: the connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongLength;

impl Encoder {
    pub(super) fn data(&mut self, data: Bytes, out: &mut Output) -> Result<(), WrongLength> {
        match self {
            Self::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?;
                out.payload(data);
            }
            // An empty chunk would be the last.
            Self::Chunked if data.is_empty() => {}
            Self::Chunked => {
                hexadecimal(data.len(), out);
                out.text(b"\r\n");
                out.payload(data);
                out.text(b"\r\n");
            }
            Self::UntilClose => out.payload(data),
        }
        Ok(())
    }

    pub(super) fn end(
        self,
        trailers: Option<&HeaderMap>,
        out: &mut Output,
    ) -> Result<(), WrongLength> {
        match self {
            Self::Length(0) | Self::UntilClose => Ok(()),
            Self::Length(_) => Err(WrongLength),
            Self::Chunked => {
                out.text(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    if is_trailer(name.as_str()) {
                        field(name.as_str(), value.as_bytes(), out);
                    }
                }
                out.text(b"\r\n");
                Ok(())
            }
        }
    }
}

pub(super) fn request_line<B>(request: &Request<B>, out: &mut Output) {
    let (method, uri) = (request.method(), request.uri());
    out.text(method.as_str().as_bytes());
    out.text(b" ");
    if *method == Method::CONNECT {
        // Its target is its host (RFC 9112, 3.2.3).
        out.text(
            request
                .headers()
                .get(HOST)
                .map_or(b"", |host| host.as_bytes()),
        );
        return out.text(b" HTTP/1.1\r\n");
    }
    out.text(
        uri.path_and_query()
            .map_or("/", |target| target.as_str())
            .as_bytes(),
    );
    out.text(b" HTTP/1.1\r\n");
}

pub(super) fn status_line(version: Version, status: StatusCode, out: &mut Output) {
    if version == Version::HTTP_10 {
        out.text(b"HTTP/1.0 ");
    } else if status == StatusCode::OK {
        return out.text(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.text(b"HTTP/1.1 ");
    }
    out.text(status.as_str().as_bytes());
    out.text(b" ");
    out.text(status.canonical_reason().unwrap_or("").as_bytes());
    out.text(b"\r\n");
}

/// Whether a head speaks of its length itself: a response without a body may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Pass,
    Drop,
}

/// What a head says that its writer has to know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) date: bool,
    pub(super) length: bool,
    /// `Connection: close`.
    pub(super) close: bool,
    /// `TE`, which says `trailers` or nothing.
    pub(super) trailers_welcome: bool,
}

/// Writes the fields of a head, but for those of one hop.
pub(super) fn fields(headers: &HeaderMap, length: Said, out: &mut Output) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in headers {
        match name.as_str() {
            "date" => seen.date = true,
            "content-length" => {
                seen.length = true;
                if length == Said::Drop {
                    continue;
                }
            }
            "connection" => {
                seen.close |= value.as_bytes().eq_ignore_ascii_case(b"close");
                continue;
            }
            "te" => {
                seen.trailers_welcome = true;
                continue;
            }
            name if is_for_one_hop(name) => continue,
            _ => {}
        }
        field(name.as_str(), value.as_bytes(), out);
    }
    seen
}

#[inline]
pub(super) fn field(name: &str, value: &[u8], out: &mut Output) {
    out.text(name.as_bytes());
    out.text(b": ");
    out.text(value);
    out.text(b"\r\n");
}

pub(super) fn content_length(length: u64, out: &mut Output) {
    let mut digits = [0; 20];
    let mut rest = length;
    let mut begin = digits.len();
    for digit in digits.iter_mut().rev() {
        // The remainder of a division by ten fits.
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        begin -= 1;
        if rest == 0 {
            break;
        }
    }
    out.text(b"content-length: ");
    out.text(digits.get(begin..).unwrap_or_default());
    out.text(b"\r\n");
}

fn hexadecimal(number: usize, out: &mut Output) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    let mut rest = number;
    let mut begin = text.len();
    for place in text.iter_mut().rev() {
        *place = DIGITS.get(rest & 15).copied().unwrap_or(b'0');
        rest >>= 4;
        begin -= 1;
        if rest == 0 {
            break;
        }
    }
    out.text(text.get(begin..).unwrap_or_default());
}
