//! Heads: lines first, then what is in them.
//!
//! A head is looked through once for its end, from where the last look stopped, so that a client
//! that sends single bytes costs no more than one that does not; on the way every line must end in
//! CRLF. Only a whole head is parsed, by httparse, in its strict mode. Values are slices of it.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{EXPECT, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use httparse::{Header, ParserConfig};

use super::error::Malformed;
use super::fields::{Hop, Upgrade};
use super::framing::Framing;
use super::target;

/// Longest head.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest request target.
const TARGET_BYTES_MAX: usize = 16 * 1024;
const METHOD_BYTES_MAX: usize = 32;
/// Most fields of a head or of a trailer section.
const FIELD_COUNT_MAX: usize = 100;
/// Room for fields that are put on by whoever forwards the message.
const FIELDS_TO_COME: usize = 8;

/// How far a section of lines, ended by an empty one, has been looked through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    seen: usize,
    /// Where the present line begins.
    line: usize,
}

impl Lines {
    /// Nothing has been looked at.
    pub(super) const NONE: Self = Self { seen: 0, line: 0 };

    /// Where the section ends, behind its empty line.
    ///
    /// # Errors
    /// [`Malformed::LineEnd`] for a line feed that no carriage return precedes.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let fresh = bytes.get(self.seen..).unwrap_or_default();
        for feed in memchr::memchr_iter(b'\n', fresh) {
            let feed = self.seen + feed;
            match bytes.get(self.line..feed) {
                Some([b'\r']) => return Ok(Some(feed + 1)),
                Some([.., b'\r']) => self.line = feed + 1,
                _ => return Err(Malformed::LineEnd),
            }
        }
        self.seen = bytes.len();
        Ok(None)
    }

    /// Takes a whole head off the input, if it is there.
    pub(super) fn take_head(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
        match self.end(input)? {
            Some(end) if end > HEAD_BYTES_MAX => Err(Malformed::HeadLength),
            Some(end) => {
                *self = Self::default();
                Ok(Some(input.split_to(end).freeze()))
            }
            None if input.len() > HEAD_BYTES_MAX => Err(Malformed::HeadLength),
            // No target is that long, so there will be none.
            None if self.line == 0 && input.len() > TARGET_BYTES_MAX + METHOD_BYTES_MAX + 16 => {
                Err(Malformed::TargetLength)
            }
            None => Ok(None),
        }
    }
}

/// What is known of a message beside its head.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) framing: Framing,
    /// Whether the connection may carry another message.
    pub(super) persists: bool,
}

/// Reads the head of a request, down to its empty line.
pub(super) fn request(head: &Bytes) -> Result<(Request<()>, Facts), Malformed> {
    let mut room = [const { MaybeUninit::uninit() }; FIELD_COUNT_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let complete =
        ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, &mut room);
    let (Some(method), Some(uri), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(complete
            .err()
            .map_or(Malformed::StartLine, |error| because(error, head)));
    };
    complete.map_err(|error| because(error, head))?;
    if uri.len() > TARGET_BYTES_MAX {
        return Err(Malformed::TargetLength);
    }
    if method.len() > METHOD_BYTES_MAX {
        return Err(Malformed::StartLine);
    }
    let version = version(minor);
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Malformed::StartLine)?;
    let uri = target::parse(&method, &head.slice_ref(uri.as_bytes()))?;
    let mut hop = Hop::default();
    let mut request = Request::new(());
    *request.headers_mut() = collect(head, parsed.headers, &mut hop)?;
    let framing = hop.framing(version)?.unwrap_or(Framing::Length(0));
    let empty = framing == Framing::Length(0);
    expectation(request.headers_mut(), empty || version == Version::HTTP_10)?;
    if let Some(upgrade) = hop.upgrade(version).filter(|_| empty) {
        request.extensions_mut().insert(upgrade);
    }
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = version;
    let facts = Facts {
        framing,
        persists: hop.persists(version),
    };
    Ok((request, facts))
}

/// What the request was, of which a response is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) upgrade: bool,
}

/// Reads the head of a response, down to its empty line.
pub(super) fn response(head: &Bytes, asked: Asked) -> Result<(Response<()>, Facts), Malformed> {
    let mut room = [const { MaybeUninit::uninit() }; FIELD_COUNT_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let complete =
        ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, &mut room);
    complete.map_err(|error| because(error, head))?;
    let (Some(minor), Some(code)) = (parsed.version, parsed.code) else {
        return Err(Malformed::StartLine);
    };
    let version = version(minor);
    let status = StatusCode::from_u16(code).map_err(|_| Malformed::StartLine)?;
    let mut hop = Hop::default();
    let mut response = Response::new(());
    *response.headers_mut() = collect(head, parsed.headers, &mut hop)?;
    let framed = hop.framing(version)?;
    let bodiless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let framing = match framed {
        _ if bodiless || asked.is_head => Framing::Length(0),
        None => Framing::UntilClose,
        Some(framing) => framing,
    };
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let upgrade = hop.upgrade(version).filter(|_| asked.upgrade);
        let upgrade: Upgrade = upgrade.ok_or(Malformed::Switch)?;
        response.extensions_mut().insert(upgrade);
    }
    *response.status_mut() = status;
    *response.version_mut() = version;
    let facts = Facts {
        framing,
        persists: hop.persists(version) && framing != Framing::UntilClose,
    };
    Ok((response, facts))
}

fn version(minor: u8) -> Version {
    match minor {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    }
}

/// Collects the fields that go on, and tells `hop` of the others.
fn collect(head: &Bytes, fields: &[Header<'_>], hop: &mut Hop) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(fields.len() + FIELDS_TO_COME);
    for field in fields {
        let (name, value) = field_of(head, field)?;
        if let Some(value) = hop.take(&name, value)? {
            headers.append(name, value);
        }
    }
    hop.settle(&mut headers);
    Ok(headers)
}

fn field_of(head: &Bytes, field: &Header<'_>) -> Result<(HeaderName, HeaderValue), Malformed> {
    let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Field)?;
    let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
    Ok((name, value.map_err(|_| Malformed::Field)?))
}

/// Reads a section of fields without a start line, down to its empty line.
pub(super) fn fields(
    section: &Bytes,
    take: &mut dyn FnMut(HeaderName, HeaderValue) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut room = [httparse::EMPTY_HEADER; FIELD_COUNT_MAX];
    match httparse::parse_headers(section, &mut room) {
        Ok(httparse::Status::Complete((_, fields))) => fields.iter().try_for_each(|field| {
            let (name, value) = field_of(section, field)?;
            take(name, value)
        }),
        Ok(httparse::Status::Partial) => Err(Malformed::Field),
        Err(error) => Err(because(error, section)),
    }
}

/// `100-continue` is the only expectation there is (RFC 9110, 10.1.1).
fn expectation(headers: &mut HeaderMap, pointless: bool) -> Result<(), Malformed> {
    let Some(expectation) = headers.get(EXPECT) else {
        return Ok(());
    };
    if !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(Malformed::Expectation);
    }
    if pointless {
        headers.remove(EXPECT);
    }
    Ok(())
}

/// What httparse found wrong.
fn because(error: httparse::Error, head: &[u8]) -> Malformed {
    use httparse::Error;
    match error {
        Error::HeaderName | Error::HeaderValue => Malformed::Field,
        Error::NewLine => Malformed::LineEnd,
        Error::TooManyHeaders => Malformed::FieldCount,
        Error::Version if names_a_version(head) => Malformed::Version,
        Error::Version | Error::Status | Error::Token => Malformed::StartLine,
    }
}

/// Whether this is a request of another version: method, target, `HTTP/` digit `.` digit.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let (Some([_, ..]), Some([_, ..]), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let digits = version.strip_prefix(b"HTTP/");
    matches!(digits, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Whether a byte may be in a token (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
