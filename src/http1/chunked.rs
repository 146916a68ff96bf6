//! The chunked coding, read (RFC 9112, 7.1).
//!
//! Sizes are hexadecimal digits and nothing else; extensions are checked, counted and left out, as
//! nobody uses them but attackers; a chunk ends in CRLF. Trailer fields that say where a message
//! ends or where it goes are refused: somebody behind us might believe them.

use bytes::{Buf as _, BytesMut};
use http::HeaderMap;

use super::error::Malformed;
use super::fields::is_trailer;
use super::framing::{Piece, take};
use super::head::{self, Lines};

/// Most digits of a size: as many as `u64` has.
const SIZE_DIGITS_MAX: usize = 16;
/// Longest line with a size and extensions.
const LINE_BYTES_MAX: usize = 256;
/// Most bytes of extensions in one body, so that a body cannot be all extensions.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Longest trailer section.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// Reads one chunked body.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    extension_bytes: usize,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    /// The CRLF behind the data.
    DataEnd,
    Trailer(Lines),
}

impl Chunked {
    /// Bytes of the present chunk still to come.
    pub(super) fn left(&self) -> u64 {
        match self.state {
            State::Data(left) => left,
            State::Size | State::DataEnd | State::Trailer(_) => 0,
        }
    }

    /// The next piece, or `None` when more bytes are needed.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        loop {
            match &mut self.state {
                State::Size => {
                    let Some(size) = self.size(input)? else {
                        return Ok(None);
                    };
                    self.state = match size {
                        0 => State::Trailer(Lines::default()),
                        size => State::Data(size),
                    };
                }
                State::Data(_) if input.is_empty() => return Ok(None),
                State::Data(left) => {
                    let data = take(input, left);
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                    return Ok(Some(Piece::Data(data)));
                }
                State::DataEnd => match (input.first(), input.get(1)) {
                    (Some(b'\r'), Some(b'\n')) => {
                        input.advance(2);
                        self.state = State::Size;
                    }
                    (None, _) | (Some(b'\r'), None) => return Ok(None),
                    _ => return Err(Malformed::Chunk),
                },
                State::Trailer(lines) => {
                    let Some(end) = lines.end(input)? else {
                        return match input.len() {
                            ..=TRAILER_BYTES_MAX => Ok(None),
                            _ => Err(Malformed::Trailer),
                        };
                    };
                    if end > TRAILER_BYTES_MAX {
                        return Err(Malformed::Trailer);
                    }
                    let section = input.split_to(end).freeze();
                    return Ok(Some(Piece::End(trailers(&section)?)));
                }
            }
        }
    }

    /// Reads the line with the size of the next chunk.
    fn size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, Malformed> {
        let window = input.get(..LINE_BYTES_MAX).unwrap_or(input);
        let Some(end) = memchr::memchr(b'\n', window) else {
            // What cannot become a size any more is told at once.
            let begun = window.strip_suffix(b"\r").unwrap_or(window);
            let hopeless = window.len() == LINE_BYTES_MAX || !may_begin(begun);
            return if hopeless {
                Err(Malformed::Chunk)
            } else {
                Ok(None)
            };
        };
        let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
        let line = line.ok_or(Malformed::LineEnd)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, extensions) = line.split_at(digits);
        if digits == 0 || digits > SIZE_DIGITS_MAX || !are_extensions(extensions) {
            return Err(Malformed::Chunk);
        }
        self.extension_bytes += extensions.len();
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(Malformed::Chunk);
        }
        let size = size.iter().fold(0_u64, |size, digit| {
            size << 4 | u64::from((*digit as char).to_digit(16).unwrap_or(0))
        });
        input.advance(end + 1);
        Ok(Some(size))
    }
}

/// Whether a line with a size may begin like this.
fn may_begin(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let next_fits = matches!(line.get(digits), None | Some(b';' | b' ' | b'\t'));
    digits <= SIZE_DIGITS_MAX && next_fits && (digits > 0 || line.is_empty())
}

/// `*( BWS ";" BWS name [ BWS "=" BWS value ] )`, values being tokens or quoted (RFC 9112, 7.1.1).
fn are_extensions(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(rest) = blank(text).strip_prefix(b";") else {
            return false;
        };
        let Some(rest) = token(blank(rest)) else {
            return false;
        };
        text = match blank(rest).strip_prefix(b"=") {
            None => rest,
            Some(value) => match token(blank(value)).or_else(|| quoted(blank(value))) {
                Some(rest) => rest,
                None => return false,
            },
        };
    }
    true
}

fn blank(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count();
    text.get(blanks..).unwrap_or_default()
}

/// What follows a token; `None` where there is none.
fn token(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|b| head::is_token(**b)).count();
    text.get(length..).filter(|_| length > 0)
}

/// What follows a quoted string (RFC 9110, 5.6.4); `None` where there is none.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'\t' | b' '..=b'~' | 0x80.., rest @ ..] => rest,
            [b'\\', ..] => return None,
            [b'\t' | b' '..=b'~' | 0x80.., rest @ ..] => rest,
            _ => return None,
        };
    }
}

/// Reads a trailer section, its last empty line included.
fn trailers(section: &bytes::Bytes) -> Result<Option<HeaderMap>, Malformed> {
    if section.len() == 2 {
        return Ok(None);
    }
    let mut headers = HeaderMap::new();
    head::fields(section, &mut |name, value| {
        match name.as_str() {
            "content-length" | "transfer-encoding" | "host" | "connection" | "te" | "upgrade"
            | "trailer" | "keep-alive" | "proxy-connection" | "expect" => {
                return Err(Malformed::Trailer);
            }
            name if !is_trailer(name) => {}
            _ => {
                headers.append(name, value);
            }
        }
        Ok(())
    })
    .map_err(|_| Malformed::Trailer)?;
    Ok((!headers.is_empty()).then_some(headers))
}
