//! The chain of proxies a request came through, as `X-Forwarded-For` or `Forwarded` tell it.
//!
//! Each proxy writes at the right end whom it got the request from, so a chain is read from there,
//! and only as far as those who wrote it are trusted. Reading is bounded and forgiving: an entry that
//! is no address ends the chain, because nobody vouches for what is left of it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderValue;
use http::header::GetAll;

use crate::model::Trust;

/// A chain is followed so far to the left; beyond, nobody's proxies are.
pub(super) const HOPS_MAX: usize = 32;
/// Longest entry that can be an address with a port.
const ENTRY_BYTES_MAX: usize = 64;

/// Whom a proxy got the request from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// `None`: `unknown`, an obfuscated name, or no address at all.
    pub(super) ip: Option<IpAddr>,
    /// Whether that was over TLS, if it is said.
    pub(super) secure: Option<bool>,
}

/// The client: whom the trusted proxies at the right end of the chain got the request from.
/// `hops` goes from right to left, beginning with what `peer` wrote.
pub(super) fn client(hops: impl IntoIterator<Item = Hop>, peer: IpAddr, trust: &Trust) -> Found {
    let mut found = Found {
        ip: peer,
        secure: None,
        hops: 0,
    };
    for hop in hops {
        let Some(ip) = hop.ip else { break };
        found = Found {
            ip,
            secure: hop.secure,
            hops: found.hops + 1,
        };
        if !trust.covers(ip) {
            break;
        }
    }
    found
}

/// Where a chain leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) ip: IpAddr,
    pub(super) secure: Option<bool>,
    /// How many entries from the right its own is, from 1; 0 for the peer.
    pub(super) hops: usize,
}

/// The entries of `X-Forwarded-For`, from right to left, all lines as one list.
pub(super) fn x_forwarded_for(lines: &GetAll<'_, HeaderValue>) -> impl Iterator<Item = Hop> {
    lines
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        .take(HOPS_MAX)
        .map(|entry| Hop {
            ip: address(entry),
            secure: None,
        })
}

/// The elements of `Forwarded` (RFC 7239, 4), from right to left, all lines as one list. `None` if
/// a line breaks the grammar: where its elements end is anybody's guess then.
pub(super) fn forwarded(lines: &GetAll<'_, HeaderValue>) -> Option<VecDeque<Hop>> {
    let mut hops = VecDeque::new();
    for line in lines {
        let mut rest = line.as_bytes().trim_ascii();
        while !rest.is_empty() {
            if rest.first() != Some(&b',') {
                hops.push_front(element(&mut rest)?);
                hops.truncate(HOPS_MAX);
            }
            if !rest.is_empty() {
                rest = rest.strip_prefix(b",")?.trim_ascii_start();
            }
        }
    }
    Some(hops)
}

/// Takes one element off `rest`, up to its comma.
fn element(rest: &mut &[u8]) -> Option<Hop> {
    let (mut hop, mut named, mut told) = (Hop::default(), false, false);
    loop {
        let end = rest.iter().position(|byte| !is_token(*byte))?;
        let (name, after) = rest.split_at(end);
        *rest = after.strip_prefix(b"=")?;
        let value = value(rest)?;
        if name.eq_ignore_ascii_case(b"for") {
            if std::mem::replace(&mut named, true) {
                return None;
            }
            hop.ip = address(&value);
        } else if name.eq_ignore_ascii_case(b"proto") {
            if std::mem::replace(&mut told, true) {
                return None;
            }
            hop.secure = secure(&value);
        } else if name.is_empty() {
            return None;
        }
        *rest = rest.trim_ascii_start();
        match rest.strip_prefix(b";") {
            Some(next) => *rest = next.trim_ascii_start(),
            None => return Some(hop),
        }
    }
}

/// Takes the value off the beginning of `rest`. Addresses without the quotes they should have are
/// common, and plain enough.
fn value<'a>(rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let Some(mut quoted) = rest.strip_prefix(b"\"") else {
        let ends = |byte: &u8| matches!(byte, b',' | b';' | b'"' | b' ' | b'\t');
        let end = rest.iter().position(ends).unwrap_or(rest.len());
        let (value, after) = rest.split_at(end);
        *rest = after;
        return (end > 0).then_some(Cow::Borrowed(value));
    };
    let mut text = Vec::new();
    loop {
        let (mut byte, mut after) = quoted.split_first()?;
        if *byte == b'"' {
            *rest = after;
            return Some(Cow::Owned(text));
        }
        if *byte == b'\\' {
            (byte, after) = after.split_first()?;
        }
        text.push(*byte);
        quoted = after;
    }
}

/// Bytes that need no quotes (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a protocol's name means TLS; `None` for names that nobody knows.
pub(super) fn secure(name: &[u8]) -> Option<bool> {
    let is = |names: [&str; 2]| {
        names
            .iter()
            .any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
    };
    if is(["https", "wss"]) {
        Some(true)
    } else if is(["http", "ws"]) {
        Some(false)
    } else {
        None
    }
}

/// Reads `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]` and `[2001:db8::7]:80`.
pub(super) fn address(entry: &[u8]) -> Option<IpAddr> {
    if entry.len() > ENTRY_BYTES_MAX {
        return None;
    }
    let text = str::from_utf8(entry).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (ip, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, after) = rest.split_once(']')?;
            let port = match after.strip_prefix(':') {
                None if after.is_empty() => None,
                None => return None,
                port => port,
            };
            (ip.parse::<Ipv6Addr>().ok()?.into(), port)
        }
        None => {
            let (ip, port) = text.split_once(':')?;
            (IpAddr::V4(ip.parse::<Ipv4Addr>().ok()?), Some(port))
        }
    };
    // A port may be obfuscated, too (RFC 7239, 6).
    let hidden = |port: &str| port.starts_with('_') && port.bytes().all(is_token);
    let number = |port: &str| {
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    };
    port.is_none_or(|port| number(port) || hidden(port))
        .then(|| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::FORWARDED;

    use super::*;

    fn lines(lines: &[&str]) -> HeaderMap {
        let values = lines.iter().map(|line| {
            let value = HeaderValue::from_bytes(line.as_bytes()).expect("a header's value");
            (FORWARDED, value)
        });
        values.collect()
    }

    #[test]
    fn an_entry_is_an_address_with_or_without_a_port_in_any_spelling() {
        for (entry, ip) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:65535", "192.0.2.7"),
            ("192.0.2.7:_hidden", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:DB8::7]", "2001:db8::7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("[2001:db8::7]:_x", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ] {
            assert_eq!(address(entry.as_bytes()), ip.parse().ok(), "{entry}");
        }
        for garbage in [
            "",
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2",
            "192.0.2.07",
            "192.0.2.7:",
            "192.0.2.7:x",
            "192.0.2.7:123456",
            "192.0.2.7 ",
            "[192.0.2.7]",
            "[2001:db8::7",
            "2001:db8::7]",
            "[2001:db8::7]x",
            "[2001:db8::7]:",
            "fe80::1%eth0",
            "\"192.0.2.7\"",
            "192.0.2.7:80:80",
            "\u{b9}92.0.2.7",
        ] {
            assert_eq!(address(garbage.as_bytes()), None, "{garbage}");
        }
        assert_eq!(address(&[b'1'; 10_000]), None);
    }

    #[test]
    fn the_entries_of_all_lines_are_one_list_from_right_to_left() {
        let headers = lines(&["10.0.0.1, unknown", ",, [::1]:80 ,", "192.0.2.7"]);
        let entries: Vec<_> = x_forwarded_for(&headers.get_all(FORWARDED))
            .map(|hop| hop.ip)
            .collect();
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        assert_eq!(entries, [ip("192.0.2.7"), ip("::1"), None, ip("10.0.0.1")]);
        let long = "192.0.2.7,".repeat(5_000);
        let headers = lines(&[&long]);
        assert_eq!(
            x_forwarded_for(&headers.get_all(FORWARDED)).count(),
            HOPS_MAX
        );
    }

    #[test]
    fn elements_are_read_as_the_rfc_spells_them_and_as_people_do() {
        for (text, ips, secure) in [
            ("for=192.0.2.7", &["192.0.2.7"][..], None),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                &["2001:db8:cafe::17"],
                None,
            ),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                &["192.0.2.60"],
                Some(false),
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                &["198.51.100.17", "192.0.2.43"],
                None,
            ),
            ("for=192.0.2.43,for=\"_gazonk\"", &["", "192.0.2.43"], None),
            ("for=unknown", &[""], None),
            (
                "proto=https;host=\"a;b,c=\\\"d\"; FOR=\"192.0.2.7:80\"",
                &["192.0.2.7"],
                Some(true),
            ),
            ("proto=\"ht\\tps\";for=[::1]:80", &["::1"], Some(true)),
            ("by=_x;secret=1", &[""], None),
            (" , for=192.0.2.7 ,, ", &["192.0.2.7"], None),
            ("", &[], None),
        ] {
            let headers = lines(&[text]);
            let hops = forwarded(&headers.get_all(FORWARDED)).unwrap_or_else(|| panic!("{text}"));
            let wanted: Vec<Option<IpAddr>> = ips.iter().map(|ip| ip.parse().ok()).collect();
            let found: Vec<_> = hops.iter().map(|hop| hop.ip).collect();
            assert_eq!(found, wanted, "{text}");
            assert_eq!(hops.front().and_then(|hop| hop.secure), secure, "{text}");
        }
        let headers = lines(&["for=10.0.0.1", "for=10.0.0.2, for=10.0.0.3"]);
        let hops = forwarded(&headers.get_all(FORWARDED)).expect("well-formed");
        let last: Vec<_> = hops
            .iter()
            .filter_map(|hop| hop.ip)
            .map(|ip| ip.to_string())
            .collect();
        assert_eq!(last, ["10.0.0.3", "10.0.0.2", "10.0.0.1"]);
    }

    #[test]
    fn elements_that_do_not_end_where_they_seem_to_are_refused() {
        for text in [
            "for",
            "for=",
            "=192.0.2.7",
            "for=\"192.0.2.7",
            "for=\"192.0.2.7\\",
            "for=a b",
            "for=a;",
            "for=a;;proto=b",
            "for=192.0.2.7;for=192.0.2.8",
            "proto=http;proto=https;for=a",
            "192.0.2.7",
            "for=a\"b\"",
            "for=\"a\"b",
            "for =a",
            "for= a",
        ] {
            assert_eq!(
                forwarded(&lines(&[text]).get_all(FORWARDED)),
                None,
                "{text}"
            );
            assert_eq!(
                forwarded(&lines(&["for=10.0.0.1", text]).get_all(FORWARDED)),
                None,
                "{text}"
            );
        }
        let long = "for=10.0.0.1,".repeat(5_000);
        let hops = forwarded(&lines(&[&long]).get_all(FORWARDED)).expect("well-formed");
        assert_eq!(hops.len(), HOPS_MAX);
    }
}
