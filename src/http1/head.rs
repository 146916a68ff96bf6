//! Heads: where they end, and what is in them.
//!
//! A head nearly always comes whole, so it is parsed as it comes, by httparse in its strict mode.
//! One that does not is looked through for its end, from where the last look stopped, so that a
//! client that sends single bytes costs no more than one that does not. On either way every line
//! must end in CRLF, and the outcome is the same. Values are slices of the head.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{EXPECT, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use httparse::{Header, ParserConfig, Status};
use smallvec::SmallVec;

use super::error::Malformed;
use super::fields::{Hop, Upgrade};
use super::framing::Framing;
use super::{maps, names, target};

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

    /// Where the head ends, if it has come whole.
    fn head_end(&mut self, input: &[u8]) -> Result<Option<usize>, Malformed> {
        match self.end(input)? {
            Some(end) if end > HEAD_BYTES_MAX => Err(Malformed::HeadLength),
            Some(end) => Ok(Some(end)),
            None if input.len() > HEAD_BYTES_MAX => Err(Malformed::HeadLength),
            // No target is that long, so there will be none.
            None if self.line == 0 && input.len() > TARGET_BYTES_MAX + METHOD_BYTES_MAX + 16 => {
                Err(Malformed::TargetLength)
            }
            None => Ok(None),
        }
    }

    /// Takes a whole head off the input, if it is there: its first line, and its bytes, in which
    /// `spans` tells where the fields are.
    pub(super) fn take<S: Start>(
        &mut self,
        input: &mut BytesMut,
        spans: &mut Spans,
    ) -> Result<Taken<S>, Malformed> {
        let first_look = self.seen == 0;
        let (start, end) = match first_look.then(|| S::parse(input, spans)) {
            Some(Ok(Some((start, end)))) if is_neat(input.get(..end), spans) => (start, end),
            // Not whole, or not right: which of the two, and why, depends on where it ends.
            _ => {
                let Some(end) = self.head_end(input)? else {
                    return Ok(None);
                };
                let whole = input.get(..end).unwrap_or_default();
                let parsed = S::parse(whole, spans).map_err(|error| because(error, whole))?;
                parsed.ok_or(Malformed::StartLine)?
            }
        };
        *self = Self::NONE;
        Ok(Some((start, input.split_to(end).freeze())))
    }
}

/// Whether every line of a head that httparse accepts ends in CRLF. Where a line ends is where the
/// next field begins; httparse lets a bare line feed do, and overlooks empty lines before the first.
fn is_neat(head: Option<&[u8]>, spans: &Spans) -> bool {
    let Some(head) = head.filter(|head| head.len() <= HEAD_BYTES_MAX) else {
        return false;
    };
    let begins_here = head
        .first()
        .is_some_and(|first| !matches!(first, b'\r' | b'\n'));
    let line_ends_before = |at: usize| head.get(..at).is_some_and(|line| line.ends_with(b"\r\n"));
    begins_here
        && head.ends_with(b"\r\n\r\n")
        && spans
            .iter()
            .all(|(name, _)| line_ends_before(name.at as usize))
}

/// Where a piece of a head begins and ends.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    at: u32,
    end: u32,
}

impl Span {
    /// `part` is a slice of `whole`.
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let at = part.as_ptr().addr() - whole.as_ptr().addr();
        // No head is longer than its limit.
        let number = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            at: number(at),
            end: number(at + part.len()),
        }
    }

    fn range(self) -> std::ops::Range<usize> {
        self.at as usize..self.end as usize
    }
}

/// Where the names and values of a head are. An ordinary head has room on the stack.
#[derive(Debug, Default)]
pub(super) struct Spans(SmallVec<[(Span, Span); 24]>);

impl Spans {
    fn note(&mut self, fields: &[Header<'_>], whole: &[u8]) {
        let span = |field: &Header<'_>| {
            let name = Span::of(field.name.as_bytes(), whole);
            (name, Span::of(field.value, whole))
        };
        self.0.clear();
        self.0.extend(fields.iter().map(span));
    }

    fn iter(&self) -> std::slice::Iter<'_, (Span, Span)> {
        self.0.iter()
    }
}

/// A first line with the bytes of its head, if it is there.
type Taken<S> = Option<(S, Bytes)>;
/// A first line with the end of its head, if it can be seen.
type Looked<S> = Result<Option<(S, usize)>, httparse::Error>;

/// The first line of a head.
pub(super) trait Start: Sized {
    /// Parses the head that `bytes` begin with, and tells where it ends; `None` when that is not
    /// to be seen.
    fn parse(bytes: &[u8], spans: &mut Spans) -> Looked<Self>;
}

/// The first line of a request.
#[derive(Debug)]
pub(super) struct RequestLine {
    method: Method,
    target: Span,
    version: Version,
}

impl Start for RequestLine {
    fn parse(bytes: &[u8], spans: &mut Spans) -> Looked<Self> {
        let mut room = [const { MaybeUninit::uninit() }; FIELD_COUNT_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        let parser = ParserConfig::default();
        let complete = parser.parse_request_with_uninit_headers(&mut parsed, bytes, &mut room)?;
        let Status::Complete(end) = complete else {
            return Ok(None);
        };
        let (Some(method), Some(target), Some(minor)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Ok(None);
        };
        if method.len() > METHOD_BYTES_MAX {
            return Err(httparse::Error::Token);
        }
        spans.note(parsed.headers, bytes);
        let line = Self {
            method: Method::from_bytes(method.as_bytes()).map_err(|_| httparse::Error::Token)?,
            target: Span::of(target.as_bytes(), bytes),
            version: version(minor),
        };
        Ok(Some((line, end)))
    }
}

/// The first line of a response.
#[derive(Debug)]
pub(super) struct StatusLine {
    version: Version,
    status: StatusCode,
}

impl Start for StatusLine {
    fn parse(bytes: &[u8], spans: &mut Spans) -> Looked<Self> {
        let mut room = [const { MaybeUninit::uninit() }; FIELD_COUNT_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let parser = ParserConfig::default();
        let complete = parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut room)?;
        let Status::Complete(end) = complete else {
            return Ok(None);
        };
        let (Some(minor), Some(code)) = (parsed.version, parsed.code) else {
            return Ok(None);
        };
        // There is no class beyond the fifth (RFC 9110, 15).
        let status = StatusCode::from_u16(code).ok();
        let status = status.filter(|status| status.as_u16() < 600);
        spans.note(parsed.headers, bytes);
        let line = Self {
            version: version(minor),
            status: status.ok_or(httparse::Error::Status)?,
        };
        Ok(Some((line, end)))
    }
}

/// What is known of a message beside its head.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) framing: Framing,
    /// Whether the connection may carry another message.
    pub(super) persists: bool,
    /// Whether what follows is not HTTP any more.
    pub(super) switches: bool,
}

/// Reads the head of a request.
pub(super) fn request(
    line: RequestLine,
    head: &Bytes,
    spans: &Spans,
) -> Result<(Request<()>, Facts), Malformed> {
    let RequestLine {
        method,
        target,
        version,
    } = line;
    let target = head.slice(target.range());
    if target.len() > TARGET_BYTES_MAX {
        return Err(Malformed::TargetLength);
    }
    let mut hop = Hop::default();
    let mut request = Request::new(());
    *request.uri_mut() = target::parse(&method, &target)?;
    *request.headers_mut() = collect(head, spans, &mut hop)?;
    let framing = hop.framing(version)?.unwrap_or(Framing::Length(0));
    let empty = framing == Framing::Length(0);
    if method == Method::CONNECT && !empty {
        return Err(Malformed::ConnectBody);
    }
    if hop.expects {
        expectation(request.headers_mut(), empty || version == Version::HTTP_10)?;
    }
    if let Some(upgrade) = hop.upgrade(version).filter(|_| empty) {
        request.extensions_mut().insert(upgrade);
    }
    *request.method_mut() = method;
    *request.version_mut() = version;
    settle(&mut request, &hop)?;
    let facts = Facts {
        framing,
        persists: hop.persists(version),
        switches: false,
    };
    Ok((request, facts))
}

/// Settles where the host is named. Nearly every request names one, and nowhere else.
fn settle(request: &mut Request<()>, hop: &Hop) -> Result<(), Malformed> {
    if hop.hosts == 1 && hop.host_is_valid && request.uri().authority().is_none() {
        return Ok(());
    }
    let (method, version) = (request.method().clone(), request.version());
    let mut uri = std::mem::take(request.uri_mut());
    target::settle(&method, version, &mut uri, request.headers_mut())?;
    *request.uri_mut() = uri;
    Ok(())
}

/// What the request was, of which a response is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
    pub(super) upgrade: bool,
}

/// Reads the head of a response.
pub(super) fn response(
    line: &StatusLine,
    head: &Bytes,
    spans: &Spans,
    asked: Asked,
) -> Result<(Response<()>, Facts), Malformed> {
    let &StatusLine { version, status } = line;
    let mut hop = Hop::default();
    let mut response = Response::new(());
    *response.headers_mut() = collect(head, spans, &mut hop)?;
    let framed = hop.framing(version)?;
    let bodiless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let switches =
        status == StatusCode::SWITCHING_PROTOCOLS || (asked.is_connect && status.is_success());
    let framing = match framed {
        _ if bodiless || switches || asked.is_head => Framing::Length(0),
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
        persists: hop.persists(version) && framing != Framing::UntilClose && !switches,
        switches,
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
fn collect(head: &Bytes, spans: &Spans, hop: &mut Hop) -> Result<HeaderMap, Malformed> {
    let mut headers = maps::spare(spans.0.len() + FIELDS_TO_COME);
    for (name, value) in spans.iter() {
        let name = head.get(name.range()).and_then(names::read);
        let name = name.ok_or(Malformed::Field)?;
        let value = HeaderValue::from_maybe_shared(head.slice(value.range()));
        let value = value.map_err(|_| Malformed::Field)?;
        if let Some(value) = hop.take(&name, value)? {
            headers.append(name, value);
        }
    }
    hop.settle(&mut headers);
    Ok(headers)
}

/// Reads a section of fields without a start line, down to its empty line.
pub(super) fn fields(
    section: &Bytes,
    take: &mut dyn FnMut(HeaderName, HeaderValue) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut room = [httparse::EMPTY_HEADER; FIELD_COUNT_MAX];
    match httparse::parse_headers(section, &mut room) {
        Ok(Status::Complete((_, fields))) => fields.iter().try_for_each(|field| {
            let name = names::read(field.name.as_bytes()).ok_or(Malformed::Field)?;
            let value = HeaderValue::from_maybe_shared(section.slice_ref(field.value));
            take(name, value.map_err(|_| Malformed::Field)?)
        }),
        Ok(Status::Partial) => Err(Malformed::Field),
        Err(error) => Err(because(error, section)),
    }
}

/// `100-continue` is the only expectation there is (RFC 9110, 10.1.1).
fn expectation(headers: &mut HeaderMap, pointless: bool) -> Result<(), Malformed> {
    let mut lines = headers.get_all(EXPECT).iter();
    if !lines.all(|line| line.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
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
