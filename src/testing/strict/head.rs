//! Start lines, and heads as a whole.

use super::fields::{authority, check_host, declared, section};
use super::grammar::{is_host, is_target_byte, is_token, is_value_byte};
use super::message::{Asked, Framing, Judged, Message, Start};
use super::read::{Cursor, Read, broken, require};

/// The head of a request; its framing is decided, its body is not read.
pub(super) fn request(cursor: &mut Cursor<'_>, judged: Judged) -> Read<Message> {
    let (offset, line) = cursor.line()?;
    let (start, minor) = request_line(offset, line)?;
    let mut message = with_fields(cursor, start, minor)?;
    let declared = declared(&message, offset)?;
    message.framing = declared.unwrap_or(Framing::Nothing);
    check_host(&message, offset, judged)?;
    Ok(message)
}

/// The head of a response to a request.
pub(super) fn response(cursor: &mut Cursor<'_>, asked: &Asked, judged: Judged) -> Read<Message> {
    let (offset, line) = cursor.line()?;
    let (start, minor) = status_line(offset, line, judged)?;
    let mut message = with_fields(cursor, start, minor)?;
    let declared = declared(&message, offset)?;
    let status = message.status();
    if message.is_interim() || status == 204 {
        require(
            judged == Judged::Recipient || declared.is_none(),
            offset,
            "a framing in a response that never has a body",
        )?;
    }
    require(
        judged == Judged::Recipient || asked.minor == 1 || declared != Some(Framing::Chunked),
        offset,
        "chunks for an HTTP/1.0 client",
    )?;
    let bodiless = message.is_interim()
        || status == 204
        || status == 304
        || asked.method == b"HEAD"
        || (asked.method == b"CONNECT" && (200..300).contains(&status));
    message.framing = match declared {
        _ if bodiless => Framing::Nothing,
        Some(framing) => framing,
        None => Framing::UntilClose,
    };
    Ok(message)
}

fn with_fields(cursor: &mut Cursor<'_>, start: Start, minor: u8) -> Read<Message> {
    let fields = section(cursor)?;
    Ok(Message {
        start,
        minor,
        headers: fields.into_iter().map(|(_, field)| field).collect(),
        framing: Framing::Nothing,
        body: Vec::new(),
        trailers: Vec::new(),
        span: 0..0,
    })
}

/// `method SP request-target SP HTTP-version` of RFC 9112, 3.
fn request_line(offset: usize, line: &[u8]) -> Read<(Start, u8)> {
    let parts: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let &[method, target, version] = &parts[..] else {
        return broken(offset, "a request line that is not three words");
    };
    require(is_token(method), offset, "a method that is no token")?;
    let minor = minor(offset, version)?;
    let at = offset + method.len() + 1;
    check_target(at, method, target)?;
    let start = Start::Request {
        method: method.to_vec(),
        target: target.to_vec(),
    };
    Ok((start, minor))
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` of RFC 9112, 4.
fn status_line(offset: usize, line: &[u8], judged: Judged) -> Read<(Start, u8)> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let minor = minor(offset, parts.next().unwrap_or(&[]))?;
    let code = parts.next().unwrap_or(&[]);
    let reason = match (parts.next(), judged) {
        (Some(reason), _) => reason,
        (None, Judged::Recipient) => &[],
        (None, Judged::Sender) => {
            return broken(offset, "a status line without its second space");
        }
    };
    let status = match code {
        &[a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => [a, b, c]
            .iter()
            .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
        _ => return broken(offset, "a status that is not between 100 and 599"),
    };
    require(
        reason.iter().copied().all(is_value_byte),
        offset,
        "a reason with control bytes",
    )?;
    let reason = reason.to_vec();
    Ok((Start::Response { status, reason }, minor))
}

fn minor(offset: usize, version: &[u8]) -> Read<u8> {
    match version {
        b"HTTP/1.0" => Ok(0),
        b"HTTP/1.1" => Ok(1),
        _ => broken(offset, "a version that is neither HTTP/1.0 nor HTTP/1.1"),
    }
}

/// The four forms of RFC 9112, 3.2, each with the methods it is for.
fn check_target(offset: usize, method: &[u8], target: &[u8]) -> Read<()> {
    require(
        target.iter().copied().all(is_target_byte),
        offset,
        "a target with bytes that end it for some",
    )?;
    match (method, target) {
        (b"CONNECT", authority) => require(
            is_host(authority) && has_port(authority),
            offset,
            "CONNECT without a host and a port",
        ),
        (_, b"*") => require(
            method == b"OPTIONS",
            offset,
            "an asterisk for another method than OPTIONS",
        ),
        (_, [b'/', ..]) => Ok(()),
        (_, absolute) => match authority(absolute) {
            Some(authority) => require(
                is_host(authority),
                offset,
                "an absolute target without a valid authority",
            ),
            None => broken(offset, "a target of no known form"),
        },
    }
}

fn has_port(authority: &[u8]) -> bool {
    authority.last().is_some_and(u8::is_ascii_digit) && authority.contains(&b':')
}
