//! The terminals: what bytes a token, a value, a host and a target are made of.

use std::net::Ipv6Addr;
use std::str;

/// `tchar` of RFC 9110, 5.6.2.
pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// `token`.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// `field-vchar`, SP and HTAB of RFC 9110, 5.5.
pub(super) fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xff)
}

/// `quoted-string` of RFC 9110, 5.6.4, with both quotes.
pub(super) fn is_quoted_string(bytes: &[u8]) -> bool {
    let Some(inner) = bytes
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return false;
    };
    let mut escaped = false;
    for &byte in inner {
        if !is_value_byte(byte) || (!escaped && byte == b'"') {
            return false;
        }
        escaped = !escaped && byte == b'\\';
    }
    !escaped
}

/// Digits that make a number of 64 bits, and nothing else.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(bytes).ok()?.parse().ok()
}

/// `uri-host [ ":" port ]` of RFC 9110, 7.2, not empty, and without the commas that would make a
/// list of it for some.
pub(super) fn is_host(bytes: &[u8]) -> bool {
    let (host, port) = match bytes.iter().rposition(|&byte| byte == b':') {
        // The last colon of an address in brackets is no port's.
        Some(_) if bytes.ends_with(b"]") => (bytes, None),
        Some(colon) => (bytes.get(..colon).unwrap_or(&[]), bytes.get(colon + 1..)),
        None => (bytes, None),
    };
    is_uri_host(host) && port.is_none_or(is_port)
}

/// A port may be left empty (RFC 3986, 3.2.3), but not be more than 16 bits.
fn is_port(digits: &[u8]) -> bool {
    digits.is_empty() || number(digits).is_some_and(|port| port <= 65_535)
}

fn is_uri_host(host: &[u8]) -> bool {
    match host.strip_prefix(b"[").map(|rest| rest.strip_suffix(b"]")) {
        Some(None) => false,
        Some(Some(literal)) => is_ipv6(literal) || is_ip_future(literal),
        None => {
            !host.is_empty()
                && percents_are_escapes(host)
                && host
                    .iter()
                    .all(|&b| is_unreserved(b) || b == b'%' || (is_sub_delim(b) && b != b','))
        }
    }
}

fn is_ipv6(literal: &[u8]) -> bool {
    str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// `IPvFuture` of RFC 3986, 3.2.2.
fn is_ip_future(literal: &[u8]) -> bool {
    let Some(rest) = literal
        .strip_prefix(b"v")
        .or_else(|| literal.strip_prefix(b"V"))
    else {
        return false;
    };
    let mut parts = rest.splitn(2, |&byte| byte == b'.');
    let version = parts.next().unwrap_or(&[]);
    let address = parts.next().unwrap_or(&[]);
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && !address.is_empty()
        && address
            .iter()
            .all(|&b| is_unreserved(b) || is_sub_delim(b) || b == b':')
}

fn percents_are_escapes(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, &byte)| {
        let digit = |after| bytes.get(at + after).is_some_and(u8::is_ascii_hexdigit);
        byte != b'%' || (digit(1) && digit(2))
    })
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_sub_delim(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

/// A byte of `absolute-path` or `query`.
///
/// Wider than `pchar`: browsers send `{`, `|` and `[` as they are, curl sends UTF-8 as it is, and
/// people type lone percents. None of them can be taken for the end of anything. What could is
/// refused: white space, controls, and the fragment, which never leaves a client.
pub(super) fn is_target_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0x80..=0xff) && byte != b'#'
}
