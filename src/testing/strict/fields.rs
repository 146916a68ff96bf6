//! Field lines, and the fields that decide what a message is: its framing and its host.

use super::grammar::{is_host, is_tchar, is_value_byte, number};
use super::message::{Field, Framing, Judged, Message, Start};
use super::read::{Cursor, Read, broken, require};

/// Fields that must stand in the head, because who reads them reads them before the body
/// (RFC 9110, 6.5.1): framing, routing, modifiers, authentication, content, control data; and what
/// proxies say about a message.
const NEVER_IN_TRAILERS: [&str; 42] = [
    "accept-ranges",
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-real-ip",
    "x-request-id",
    "x-pointsman-fault",
];

/// `*( field-line CRLF ) CRLF` of RFC 9112, 5. Gives each line with its offset.
pub(super) fn section(cursor: &mut Cursor<'_>) -> Read<Vec<(usize, Field)>> {
    let mut fields = Vec::new();
    loop {
        let (offset, line) = cursor.line()?;
        if line.is_empty() {
            return Ok(fields);
        }
        fields.push((offset, field(offset, line)?));
    }
}

fn field(offset: usize, line: &[u8]) -> Read<Field> {
    require(
        !matches!(line.first(), Some(b' ' | b'\t')),
        offset,
        "a field line that begins with white space (obs-fold)",
    )?;
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return broken(offset, "a field line without a colon");
    };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or(&[]);
    require(!name.is_empty(), offset, "an empty field name")?;
    require(
        !matches!(name.last(), Some(b' ' | b'\t')),
        offset,
        "white space before the colon",
    )?;
    require(
        name.iter().copied().all(is_tchar),
        offset,
        "a field name that is no token",
    )?;
    require(
        value.iter().copied().all(is_value_byte),
        offset + colon + 1,
        "a field value with control bytes",
    )?;
    Ok((name.to_vec(), trim(value).to_vec()))
}

/// Without OWS: SP and HTAB, not what Rust or C call white space.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Trailer fields after the last chunk.
pub(super) fn trailers(cursor: &mut Cursor<'_>, judged: Judged) -> Read<Vec<Field>> {
    let fields = section(cursor)?;
    for (offset, (name, _)) in &fields {
        require(
            judged == Judged::Recipient || !belongs_into_head(name),
            *offset,
            "a trailer field that belongs into the head",
        )?;
    }
    Ok(fields.into_iter().map(|(_, field)| field).collect())
}

/// Whether a field of this name has no business in a trailer section.
pub fn belongs_into_head(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with(b"x-forwarded-") || NEVER_IN_TRAILERS.iter().any(|it| name == it.as_bytes())
}

/// The framing that a head declares (RFC 9112, 6), refusing all that is not said once and plainly.
pub(super) fn declared(message: &Message, offset: usize) -> Read<Option<Framing>> {
    let codings = message.values("transfer-encoding");
    let lengths = message.values("content-length");
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(None),
        ([coding], []) => {
            require(
                message.minor == 1,
                offset,
                "Transfer-Encoding in an HTTP/1.0 message",
            )?;
            require(
                coding.eq_ignore_ascii_case(b"chunked"),
                offset,
                "a transfer coding other than chunked",
            )?;
            Ok(Some(Framing::Chunked))
        }
        ([], [length]) => match number(length) {
            Some(length) => Ok(Some(Framing::Length(length))),
            None => broken(offset, "a Content-Length that is no number of 64 bits"),
        },
        ([], _) => broken(offset, "more than one Content-Length"),
        ([_, _, ..], []) => broken(offset, "more than one Transfer-Encoding"),
        _ => broken(offset, "Content-Length with Transfer-Encoding"),
    }
}

/// `Host` of a request (RFC 9112, 3.2): once, valid, and the target's own if that names one.
pub(super) fn check_host(message: &Message, offset: usize, judged: Judged) -> Read<()> {
    let hosts = message.values("host");
    let host = match &hosts[..] {
        [] => {
            return require(message.minor == 0, offset, "no Host in an HTTP/1.1 request");
        }
        [host] => host,
        _ => return broken(offset, "more than one Host"),
    };
    require(is_host(host), offset, "a Host that is no host")?;
    let Start::Request { target, .. } = &message.start else {
        return Ok(());
    };
    let authority = authority(target);
    require(
        judged == Judged::Recipient
            || authority.is_none_or(|authority| authority.eq_ignore_ascii_case(host)),
        offset,
        "a Host that is not the target's authority",
    )
}

/// The authority of an absolute target.
pub(super) fn authority(target: &[u8]) -> Option<&[u8]> {
    let lower = target.to_ascii_lowercase();
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| lower.starts_with(scheme.as_bytes()))?;
    let rest = target.get(scheme.len()..)?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    rest.get(..end.unwrap_or(rest.len()))
}
