//! Where a body ends.
//!
//! There are three ways, and a message is accepted only when exactly one of them applies (RFC 9112,
//! 6.3). A body is handed on in pieces as they come; its pieces are slices of the buffer.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::chunked::Chunked;
use super::error::Malformed;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By counting. Zero is an empty body.
    Length(u64),
    Chunked,
    /// It is the end of the connection; for responses only.
    UntilClose,
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    /// The body is whole. A message with content may have fields behind it.
    End(Option<HeaderMap>),
}

/// Reads one body.
#[derive(Debug)]
pub(super) enum Decoder {
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    Ended,
}

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Ended,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// The next piece, or `None` when more bytes are needed.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        match self {
            Self::Ended => Ok(Some(Piece::End(None))),
            _ if input.is_empty() => Ok(None),
            Self::UntilClose => Ok(Some(Piece::Data(input.split().freeze()))),
            Self::Length(left) => {
                let data = take(input, left);
                if *left == 0 {
                    *self = Self::Ended;
                }
                Ok(Some(Piece::Data(data)))
            }
            Self::Chunked(chunked) => {
                let piece = chunked.next(input)?;
                if let Some(Piece::End(_)) = piece {
                    *self = Self::Ended;
                }
                Ok(piece)
            }
        }
    }

    /// What the end of the connection means for the body.
    pub(super) fn close(&mut self) -> Result<(), Malformed> {
        match self {
            Self::Ended => Ok(()),
            Self::UntilClose => {
                *self = Self::Ended;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(Malformed::Incomplete),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Bytes still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Ended => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// How many bytes a read may well ask for: what is known to come.
    pub(super) fn wants(&self, most: usize) -> usize {
        let left = match self {
            Self::Chunked(chunked) => chunked.left(),
            Self::UntilClose => return most,
            Self::Length(left) => *left,
            Self::Ended => 0,
        };
        usize::try_from(left).map_or(most, |left| left.min(most))
    }
}

/// Takes what is there, and not more than is `left`.
pub(super) fn take(input: &mut BytesMut, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= length as u64;
    input.split_to(length).freeze()
}
