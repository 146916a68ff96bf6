//! What the strict parser finds: messages, or the first rule that was broken and where.

use std::fmt;
use std::ops::Range;

/// A field line: the name as it came, the value without the white space around it.
pub type Field = (Vec<u8>, Vec<u8>);

/// One message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub start: Start,
    /// The minor version: 0 or 1.
    pub minor: u8,
    pub headers: Vec<Field>,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
    /// Where it stands in the stream.
    pub span: Range<usize>,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    Request { method: Vec<u8>, target: Vec<u8> },
    Response { status: u16, reason: Vec<u8> },
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Nothing,
    Length(u64),
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// Whose duties are judged.
///
/// Some rules bind only those who send: who receives such a message is told what to make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// All rules.
    Sender,
    /// But for `Host` beside an absolute target (it is overruled), trailer fields that belong into
    /// the head (they are ignored), a status line without a reason, the framing of a response that
    /// has no body, and chunks for HTTP/1.0.
    Recipient,
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The byte of the stream at which it shows.
    pub offset: usize,
    pub rule: &'static str,
}

/// What a response answers; its framing depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: Vec<u8>,
    /// The minor version of the request: HTTP/1.0 knows no chunks.
    pub minor: u8,
}

/// A stream, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    pub messages: Vec<Message>,
    pub end: End,
}

/// How a stream of messages goes on after the last whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Not at all.
    Clean,
    /// With the beginning of another message, from this byte on.
    Incomplete(usize),
    Violation(Violation),
    /// With bytes that are no HTTP any more, from this one on.
    Tunnel(usize),
}

impl Message {
    /// The values of a field, all lines of it, in order.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let lines = self.headers.iter();
        let lines = lines.filter(|(line, _)| line.eq_ignore_ascii_case(name.as_bytes()));
        lines.map(|(_, value)| &value[..]).collect()
    }

    /// The value of a field that stands on one line; none if it is missing or repeated.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        match self.values(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The method of a request; empty for a response.
    pub fn method(&self) -> &[u8] {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => b"",
        }
    }

    /// The target of a request; empty for a response.
    pub fn target(&self) -> &[u8] {
        match &self.start {
            Start::Request { target, .. } => target,
            Start::Response { .. } => b"",
        }
    }

    /// The status of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        match self.start {
            Start::Request { .. } => 0,
            Start::Response { status, .. } => status,
        }
    }

    /// What a response to this request is read against.
    pub fn asked(&self) -> Asked {
        Asked {
            method: self.method().to_vec(),
            minor: self.minor,
        }
    }

    /// Whether `Connection` has this option.
    pub fn has_option(&self, option: &str) -> bool {
        let lines = self.values("connection");
        let mut options = lines.iter().flat_map(|line| line.split(|&b| b == b','));
        options.any(|it| it.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    }

    /// Whether the connection carries no message after this one (RFC 9112, 9.3).
    pub fn is_last(&self) -> bool {
        self.has_option("close")
            || self.framing == Framing::UntilClose
            || (self.minor == 0 && !self.has_option("keep-alive") && !self.is_interim())
    }

    pub(super) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status())
    }
}

impl Asked {
    /// An HTTP/1.1 request with this method.
    pub fn with(method: &str) -> Self {
        Self {
            method: method.as_bytes().to_vec(),
            minor: 1,
        }
    }
}

/// The message as text, cut where it gets long: for what a test says.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes.get(..80).unwrap_or(bytes)).into_owned();
            text.escape_debug().to_string()
        };
        match &self.start {
            Start::Request { method, target } => write!(f, "{} {}", cut(method), cut(target))?,
            Start::Response { status, .. } => write!(f, "{status}")?,
        }
        write!(f, " 1.{}", self.minor)?;
        for (name, value) in self.headers.iter().take(20) {
            write!(f, " | {}: {}", cut(name), cut(value))?;
        }
        write!(f, " || {}", cut(&self.body))
    }
}

impl Parsed {
    /// The rule that was broken, if one was.
    pub fn violation(&self) -> Option<&Violation> {
        match &self.end {
            End::Violation(violation) => Some(violation),
            End::Clean | End::Incomplete(_) | End::Tunnel(_) => None,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.rule, self.offset)
    }
}
