//! Bodies: a length, chunks with their extensions and trailers, or all that comes.

use super::fields::trailers;
use super::grammar::{is_quoted_string, is_token};
use super::message::{Framing, Judged, Message};
use super::read::{Cursor, Read, Stop, broken, require};

/// A chunk size has at most this many digits, leading zeros included: what 64 bits hold.
const SIZE_DIGITS_MAX: usize = 16;

/// Reads the body of `message`, whose head says how. `ended`: no more bytes will come.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    message: &mut Message,
    ended: bool,
    judged: Judged,
) -> Read<()> {
    match message.framing {
        Framing::Nothing => Ok(()),
        Framing::Length(length) => {
            message.body = cursor.take(length)?.to_vec();
            Ok(())
        }
        Framing::Chunked => chunks(cursor, message, judged),
        Framing::UntilClose if ended => {
            message.body = cursor.rest().to_vec();
            cursor.at = cursor.bytes.len();
            Ok(())
        }
        Framing::UntilClose => Err(Stop::Incomplete),
    }
}

/// `chunked-body` of RFC 9112, 7.1.
fn chunks(cursor: &mut Cursor<'_>, message: &mut Message, judged: Judged) -> Read<()> {
    loop {
        let (offset, line) = cursor.line()?;
        let size = chunk_size(offset, line)?;
        if size == 0 {
            message.trailers = trailers(cursor, judged)?;
            return Ok(());
        }
        message.body.extend_from_slice(cursor.take(size)?);
        cursor.line_end()?;
    }
}

/// `chunk-size [ chunk-ext ]`.
fn chunk_size(offset: usize, line: &[u8]) -> Read<u64> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (digits, extensions) = line.split_at(digits);
    require(!digits.is_empty(), offset, "a chunk without a size")?;
    require(
        digits.len() <= SIZE_DIGITS_MAX,
        offset,
        "a chunk size of more than 64 bits",
    )?;
    extension_list(offset + digits.len(), extensions)?;
    let size = digits.iter().fold(0, |size, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => digit - b'A' + 10,
        };
        size << 4 | u64::from(digit)
    });
    Ok(size)
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
fn extension_list(offset: usize, mut rest: &[u8]) -> Read<()> {
    while !rest.is_empty() {
        let Some(after) = without_blanks(rest).strip_prefix(b";") else {
            return broken(offset, "bytes after a chunk size that are no extension");
        };
        let (extension, next) = after.split_at(extension_end(after));
        let mut parts = extension.splitn(2, |&byte| byte == b'=');
        let name = without_blanks(parts.next().unwrap_or(&[]));
        let value = parts.next().map(without_blanks);
        // White space at the very end of the line stands before nothing.
        let is_last = next.is_empty();
        let name = match is_last && value.is_none() {
            true => name,
            false => without_blanks_behind(name),
        };
        require(
            is_token(name),
            offset,
            "a chunk extension whose name is no token",
        )?;
        if let Some(value) = value {
            let value = match is_last {
                true => value,
                false => without_blanks_behind(value),
            };
            require(
                is_token(value) || is_quoted_string(value),
                offset,
                "a chunk extension whose value is neither token nor string",
            )?;
        }
        rest = next;
    }
    Ok(())
}

fn without_blanks(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

fn without_blanks_behind(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The length of the first extension: up to a semicolon outside of quotes.
fn extension_end(bytes: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return at,
            _ => {}
        }
    }
    bytes.len()
}
