//! What can be wrong with a message.
//!
//! Each word is for people (logs, the text of an answer); what is answered is decided elsewhere.

use std::fmt;

/// Why a message is refused. Nothing after it on its connection can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The request line or status line.
    StartLine,
    /// HTTP, but neither 1.0 nor 1.1.
    Version,
    /// A line that does not end in CRLF.
    LineEnd,
    /// A field: its name, the space around it, a byte that no value may have, a folded line.
    Field,
    /// The request target.
    Target,
    /// The request target is too long.
    TargetLength,
    /// The head is too long.
    HeadLength,
    /// Too many fields.
    FieldCount,
    /// `Host` is missing, repeated or not a host.
    Host,
    /// `Content-Length` is repeated or not a number.
    ContentLength,
    /// `Transfer-Encoding` is not `chunked` and nothing else.
    TransferEncoding,
    /// `Content-Length` beside `Transfer-Encoding`.
    TwoFramings,
    /// `Connection` names something that is not a field name.
    Connection,
    /// CONNECT with a body, which it cannot have.
    ConnectBody,
    /// `Expect` is not `100-continue`.
    Expectation,
    /// The size of a chunk, its extensions, or the end of its data.
    Chunk,
    /// The trailer section.
    Trailer,
    /// The other side closed in the middle of the message.
    Incomplete,
    /// Too many interim answers.
    InterimCount,
    /// A switch of protocols that nobody asked for.
    Switch,
}

impl Malformed {
    fn text(self) -> &'static str {
        match self {
            Self::StartLine => "the first line is not HTTP",
            Self::Version => "the HTTP version is neither 1.0 nor 1.1",
            Self::LineEnd => "a line does not end in CRLF",
            Self::Field => "a field is malformed",
            Self::Target => "the request target is not valid",
            Self::TargetLength => "the request target is longer than 16 KiB",
            Self::HeadLength => "the head is longer than 64 KiB",
            Self::FieldCount => "there are more than 100 fields",
            Self::Host => "the host is missing, repeated or not valid",
            Self::ContentLength => "Content-Length is repeated or not a number",
            Self::TransferEncoding => "Transfer-Encoding is not just \"chunked\"",
            Self::TwoFramings => "Content-Length and Transfer-Encoding are both there",
            Self::Connection => "Connection names something that is no field",
            Self::ConnectBody => "CONNECT has a body",
            Self::Expectation => "Expect is not \"100-continue\"",
            Self::Chunk => "a chunk is malformed",
            Self::Trailer => "the trailer section is malformed",
            Self::Incomplete => "the connection closed in the middle of the message",
            Self::InterimCount => "there are more than 32 interim answers",
            Self::Switch => "the protocol is switched though nobody asked for it",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Malformed {}
