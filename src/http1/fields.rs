//! Fields that are for one connection only, and what they say.
//!
//! They are read here and go no further (RFC 9110, 7.6.1): what is left in a head is for the other
//! end. `TE: trailers` alone is written anew, because the next hop wants to know it, and `Upgrade`
//! travels as an extension of the request until somebody decides about it.

use http::header::{HeaderName, TE};
use http::{HeaderMap, HeaderValue, Version};

use super::error::Malformed;
use super::framing::Framing;
use super::target::is_host;

/// What a request asks to be upgraded to, as an extension of it. Never HTTP/2: an upgrade to that is
/// nobody's business but ours, and not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upgrade(HeaderValue);

impl Upgrade {
    pub(crate) fn to(protocols: HeaderValue) -> Option<Self> {
        let http2 = protocols.as_bytes().split(|b| *b == b',').any(|protocol| {
            protocol
                .trim_ascii()
                .to_ascii_lowercase()
                .starts_with(b"h2")
        });
        (!http2).then_some(Self(protocols))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whether a field is not taken off when `Connection` names it: that would let a client strip what
/// backends rely on.
fn is_protected(name: &str) -> bool {
    matches!(
        name,
        "authorization" | "content-length" | "cookie" | "forwarded" | "host" | "via" | "x-real-ip"
    ) || name.starts_with("x-forwarded")
}

/// Whether a field of this name goes no further: it is for one hop only, or a backend that gives
/// fields to programs as variables (CGI, WSGI) would take it for another one.
pub(crate) fn is_for_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "content_length"
            | "transfer_encoding"
            | "proxy" // `HTTP_PROXY`, which programs obey: CVE-2016-5385 and its kin
    )
}

/// Whether every name is a token. `http` lets a quote pass, which HTTP/2 can carry in a name, and
/// which nobody who reads HTTP/1.1 expects there; a name that was read by our codec has none.
pub(crate) fn are_named_well(headers: &HeaderMap) -> bool {
    let has_quote = |name: &HeaderName| memchr::memchr(b'"', name.as_str().as_bytes()).is_some();
    !headers.keys().any(has_quote)
}

/// Whether a field of this name may stand behind a body. Not what says where a message ends, where
/// it goes, who sent it, what is in it or whether it is wanted: that was decided on the head, and
/// who merges trailers into it would decide anew (RFC 9110, 6.5.1).
pub(crate) fn is_trailer(name: &str) -> bool {
    let belongs_into_head = matches!(
        name,
        "accept-ranges"
            | "age"
            | "authorization"
            | "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "date"
            | "expect"
            | "expires"
            | "forwarded"
            | "host"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-range"
            | "if-unmodified-since"
            | "location"
            | "max-forwards"
            | "pragma"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "range"
            | "retry-after"
            | "set-cookie"
            | "trailer"
            | "vary"
            | "via"
            | "warning"
            | "www-authenticate"
            | "x-real-ip"
            | "x-request-id"
            | "x-pointsman-fault"
    );
    !belongs_into_head
        && !is_for_one_hop(name)
        && !name.starts_with("x-forwarded-")
        && !name.contains('"')
}

/// What the fields of one connection say.
#[derive(Debug, Default)]
pub(super) struct Hop {
    transfer_encoding: Option<Coding>,
    content_length: Option<u64>,
    close: bool,
    keep_alive: bool,
    upgrade_named: bool,
    pub(super) upgrade: Option<HeaderValue>,
    pub(super) trailers_welcome: bool,
    /// Whether there is an `Expect`.
    pub(super) expects: bool,
    /// How many `Host` there are, and whether the last is one.
    pub(super) hosts: u32,
    pub(super) host_is_valid: bool,
    /// Fields that `Connection` names beside its own options.
    named: Vec<HeaderName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    Unknown,
}

impl Hop {
    /// Takes a field that is for this hop, or has to do with it; gives back what goes on.
    pub(super) fn take(
        &mut self,
        name: &HeaderName,
        value: HeaderValue,
    ) -> Result<Option<HeaderValue>, Malformed> {
        match name.as_str() {
            "content-length" => {
                if self.content_length.is_some() {
                    return Err(Malformed::ContentLength);
                }
                self.content_length = Some(number(value.as_bytes())?);
                return Ok(Some(value));
            }
            "transfer-encoding" => {
                let first = self.transfer_encoding.is_none();
                let chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
                self.transfer_encoding = Some(match first && chunked {
                    true => Coding::Chunked,
                    false => Coding::Unknown,
                });
            }
            "host" => {
                self.hosts += 1;
                self.host_is_valid = is_host(value.as_bytes());
                return Ok(Some(value));
            }
            "expect" => {
                self.expects = true;
                return Ok(Some(value));
            }
            "connection" => self.options(value.as_bytes())?,
            "upgrade" => self.upgrade = Some(value),
            "te" => {
                let options = value.as_bytes().split(|b| *b == b',');
                let mut names = options.filter_map(|option| option.split(|b| *b == b';').next());
                self.trailers_welcome |=
                    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"trailers"));
            }
            name if is_for_one_hop(name) => {}
            _ => return Ok(Some(value)),
        }
        Ok(None)
    }

    fn options(&mut self, line: &[u8]) -> Result<(), Malformed> {
        for option in line.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            match option {
                [] => {}
                _ if option.eq_ignore_ascii_case(b"close") => self.close = true,
                _ if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade_named = true,
                _ => {
                    let name = HeaderName::from_bytes(option).map_err(|_| Malformed::Connection)?;
                    if !is_protected(name.as_str()) {
                        self.named.push(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes off what `Connection` names, and puts on what the next hop may know.
    pub(super) fn settle(&self, headers: &mut HeaderMap) {
        for name in &self.named {
            headers.remove(name);
        }
        if self.trailers_welcome {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }

    /// Whether the connection may carry another message after this one.
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::HTTP_11 || self.keep_alive)
    }

    /// The protocol that is asked for. HTTP/1.0 has none.
    pub(super) fn upgrade(&mut self, version: Version) -> Option<Upgrade> {
        let asked = self.upgrade_named && version == Version::HTTP_11;
        self.upgrade.take().filter(|_| asked).and_then(Upgrade::to)
    }

    /// How the body is framed, if the fields say it without ambiguity (RFC 9112, 6.3).
    pub(super) fn framing(&self, version: Version) -> Result<Option<Framing>, Malformed> {
        match (self.transfer_encoding, self.content_length) {
            (Some(Coding::Unknown), _) => Err(Malformed::TransferEncoding),
            (Some(Coding::Chunked), _) if version != Version::HTTP_11 => {
                Err(Malformed::TransferEncoding)
            }
            (Some(Coding::Chunked), Some(_)) => Err(Malformed::TwoFramings),
            (Some(Coding::Chunked), None) => Ok(Some(Framing::Chunked)),
            (None, Some(length)) => Ok(Some(Framing::Length(length))),
            (None, None) => Ok(None),
        }
    }
}

/// A length: digits and nothing else, and not more than can be counted.
fn number(digits: &[u8]) -> Result<u64, Malformed> {
    if digits.is_empty() {
        return Err(Malformed::ContentLength);
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.ok_or(Malformed::ContentLength)
}
