//! The PROXY protocol, versions 1 and 2: who a connection is made for, said in its first bytes.
//!
//! After HAProxy's `proxy-protocol.txt`. Bytes in, a verdict out: no socket, no clock. It accepts
//! what the document allows and nothing beside it, because what follows the header is believed to
//! come from the address in it. Nothing but the source and the port it connected to is kept: the rest
//! tells nobody anything here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header that is read, of either version: room for the longest extensions in use.
pub(super) const HEADER_BYTES_MAX: usize = 4096;

/// Longest line of version 1, its CRLF included.
const LINE_BYTES_MAX: usize = 107;
const LINE_BEGIN: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED_BYTES: usize = 16;
/// Type of the extension that holds a checksum of the header.
const CHECKSUM: u8 = 0x03;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// So far a header; more bytes decide.
    Incomplete,
    Header {
        /// The bytes it takes; what follows is the client's.
        length: usize,
        /// On whose behalf the connection is made. `None`: the proxy's own (a health check), or
        /// somebody without an IP address.
        source: Option<Source>,
    },
}

/// On whose behalf a connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) address: SocketAddr,
    /// The port it connected to, at the proxy.
    pub(super) entrance: u16,
}

/// Why the first bytes of a connection are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// They begin like neither version.
    NoHeader,
    TooLong,
    /// A version, command, family or transport that does not exist, or a broken line.
    Field,
    /// An address or port that is none, or cut short.
    Address,
    /// An extension that ends behind the header.
    Extension,
    Checksum,
}

/// Reads a header at the beginning of `bytes`. More bytes never change a verdict.
///
/// # Errors
/// Says what is wrong as soon as it is certain.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    match bytes.first() {
        None => Ok(Parsed::Incomplete),
        Some(b'P') => line(bytes),
        Some(b'\r') => binary(bytes),
        Some(_) => Err(Malformed::NoHeader),
    }
}

/// Version 1: one line of text.
fn line(bytes: &[u8]) -> Result<Parsed, Malformed> {
    if bytes
        .iter()
        .zip(LINE_BEGIN)
        .any(|(is, wanted)| is != wanted)
    {
        return Err(Malformed::NoHeader);
    }
    let seen = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = seen.iter().position(|&byte| byte == b'\n') else {
        if seen.len() == LINE_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        return Ok(Parsed::Incomplete);
    };
    let text = seen.get(..end).unwrap_or_default();
    let text = text.strip_suffix(b"\r").ok_or(Malformed::Field)?;
    if !text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(Malformed::Field);
    }
    let text = str::from_utf8(text).map_err(|_| Malformed::Field)?;
    Ok(Parsed::Header {
        length: end + 1,
        source: line_source(text)?,
    })
}

fn line_source(text: &str) -> Result<Option<Source>, Malformed> {
    let mut words = text.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(None); // whatever follows is to be ignored
    }
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            Some("TCP4") => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            Some("TCP6") => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    if !matches!(family, Some("TCP4" | "TCP6")) {
        return Err(Malformed::Field);
    }
    let (source, target) = (address(), address());
    let (source_port, target_port) = (words.next().and_then(port), words.next().and_then(port));
    match (source, target, source_port, target_port, words.next()) {
        (Some(ip), Some(_), Some(port), Some(entrance), None) => Ok(Some(Source {
            address: SocketAddr::new(ip, port),
            entrance,
        })),
        _ => Err(Malformed::Address),
    }
}

/// A decimal number without sign and leading zeros.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit());
    let padded = word.len() > 1 && word.starts_with('0');
    word.parse().ok().filter(|_| plain && !padded)
}

/// Version 2: fixed fields, addresses, extensions.
fn binary(bytes: &[u8]) -> Result<Parsed, Malformed> {
    if bytes.iter().zip(SIGNATURE).any(|(is, wanted)| is != wanted) {
        return Err(Malformed::NoHeader);
    }
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Ok(Parsed::Incomplete);
    };
    let &[.., command, family, high, low] = fixed;
    let length = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    let (version, command) = (command >> 4, command & 15);
    if version != 2 || command > 1 {
        return Err(Malformed::Field);
    }
    // Of addresses: unspecified, IPv4, IPv6, Unix. Of transports: unspecified, stream, datagram.
    if family >> 4 > 3 || family & 15 > 2 {
        return Err(Malformed::Field);
    }
    if length > HEADER_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let Some(header) = bytes.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    let local = command == 0;
    let source = if local {
        None // the proxy speaks for itself; the rest is to be ignored
    } else {
        binary_source(family, header)?
    };
    Ok(Parsed::Header { length, source })
}

fn binary_source(family: u8, header: &[u8]) -> Result<Option<Source>, Malformed> {
    let addresses = header.get(FIXED_BYTES..).unwrap_or_default();
    // Both addresses, and for IP both ports.
    let taken = match family >> 4 {
        0 => return Ok(None),
        1 => 2 * 4 + 2 * 2,
        2 => 2 * 16 + 2 * 2,
        _ => 2 * 108,
    };
    if addresses.len() < taken {
        return Err(Malformed::Address);
    }
    check_extensions(header, FIXED_BYTES + taken)?;
    const STREAM: u8 = 1;
    let source = match family >> 4 {
        1 => addresses
            .first_chunk()
            .map(|ip: &[u8; 4]| IpAddr::from(*ip)),
        2 => addresses
            .first_chunk()
            .map(|ip: &[u8; 16]| IpAddr::from(*ip)),
        _ => None,
    };
    let ports = addresses.get(taken - 4..).unwrap_or_default();
    let (Some(ip), Some(&[a, b, c, d]), STREAM) = (source, ports.first_chunk(), family & 15) else {
        return Ok(None);
    };
    Ok(Some(Source {
        address: SocketAddr::new(ip, u16::from_be_bytes([a, b])),
        entrance: u16::from_be_bytes([c, d]),
    }))
}

/// Walks the extensions behind the addresses: each has to end within the header, and a checksum
/// has to be right.
fn check_extensions(header: &[u8], mut at: usize) -> Result<(), Malformed> {
    while at < header.len() {
        let rest = header.get(at..).unwrap_or_default();
        let &[kind, high, low] = rest.first_chunk().ok_or(Malformed::Extension)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let begin = at + 3;
        let value = header
            .get(begin..begin + length)
            .ok_or(Malformed::Extension)?;
        if kind == CHECKSUM {
            let said: [u8; 4] = value.try_into().map_err(|_| Malformed::Checksum)?;
            // The sum is made with its own place empty.
            let empty = |place: usize| (begin..begin + 4).contains(&place);
            let bytes = header.iter().enumerate();
            let sum = crc32c(bytes.map(|(place, byte)| if empty(place) { 0 } else { *byte }));
            if sum != u32::from_be_bytes(said) {
                return Err(Malformed::Checksum);
            }
        }
        at = begin + length;
    }
    Ok(())
}

/// CRC-32C (Castagnoli), bit by bit: headers with a checksum are rare and short.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82F6_3B78;
    let step = |sum: u32| (sum >> 1) ^ (REVERSED_POLYNOMIAL & (sum & 1).wrapping_neg());
    !bytes.fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| step(sum))
    })
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
