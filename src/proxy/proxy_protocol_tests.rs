//! Headers of both versions: by the letter, cut at every byte, and made of anything.

use proptest::prelude::*;

use super::*;

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).expect("short").to_be_bytes());
    header.extend(rest);
    header
}

/// 192.0.2.7:40000 to 198.51.100.1:443.
const V4: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0x9C, 0x40, 1, 0xBB];

fn v6() -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().expect("address").octets();
    let mut rest = [ip("2001:db8::7"), ip("2001:db8::1")].concat();
    rest.extend([0x9C, 0x40, 1, 0xBB]);
    rest
}

fn with_extensions(extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let mut rest = V4.to_vec();
    for (kind, value) in extensions {
        rest.push(*kind);
        rest.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
        rest.extend(*value);
    }
    binary(0x21, 0x11, &rest)
}

/// With a checksum as its last extension, made as the document says.
fn with_checksum(extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let mut header = with_extensions(&[extensions, &[(CHECKSUM, &[0; 4])]].concat());
    let sum = crc32c(header.iter().copied()).to_be_bytes();
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum);
    header
}

/// What is a header, and whom it names: who connected to which port.
type Good = (Vec<u8>, Option<&'static str>);

fn good() -> Vec<Good> {
    let line = |text: &str| text.as_bytes().to_vec();
    let most = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let four = Some("192.0.2.7:40000 443");
    let mut padded = V4.to_vec();
    padded.extend([0x04, 0, 1, 0]);
    let unix = [b'/'; 216];
    vec![
        (
            line("PROXY TCP4 192.0.2.7 198.51.100.1 40000 443\r\n"),
            four,
        ),
        (
            line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
            Some("255.255.255.255:65535 65535"),
        ),
        (
            line("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n"),
            Some("1.2.3.4:0 0"),
        ),
        (
            line("PROXY TCP6 2001:db8::7 2001:DB8::1 40000 443\r\n"),
            Some("[2001:db8::7]:40000 443"),
        ),
        (
            line(&format!("PROXY TCP6 {most} {most} 65535 65535\r\n")),
            Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 65535"),
        ),
        (line("PROXY UNKNOWN\r\n"), None),
        (
            line(&format!("PROXY UNKNOWN {most} {most} 65535 65535\r\n")),
            None,
        ),
        (binary(0x21, 0x11, V4), four),
        (binary(0x21, 0x21, &v6()), Some("[2001:db8::7]:40000 443")),
        (binary(0x21, 0x31, &unix), None),
        (binary(0x21, 0x12, V4), None),
        (binary(0x21, 0x00, &[]), None),
        (binary(0x21, 0x00, V4), None),
        (binary(0x20, 0x00, &[]), None),
        (binary(0x20, 0x11, V4), None),
        (binary(0x20, 0x11, &[1, 2, 3]), None),
        (binary(0x21, 0x11, &padded), four),
        (
            with_extensions(&[(0x02, b"example.com"), (0x05, &[7; 128]), (0xEA, b"")]),
            four,
        ),
        (with_checksum(&[]), four),
        (with_checksum(&[(0x01, b"h2")]), four),
        (
            with_extensions(&[(0x04, &[0; HEADER_BYTES_MAX - FIXED_BYTES - V4.len() - 3])]),
            four,
        ),
    ]
}

#[test]
fn a_header_names_the_source_and_its_own_length_and_is_incomplete_at_every_byte_before() {
    for (header, source) in good() {
        let source = source.map(|text| {
            let (address, entrance) = text.split_once(' ').expect("two words");
            Source {
                address: address.parse().expect("address"),
                entrance: entrance.parse().expect("port"),
            }
        });
        let length = header.len();
        let whole = Ok(Parsed::Header { length, source });
        assert_eq!(parse(&header), whole, "{header:?}");
        for cut in 0..length {
            assert_eq!(
                parse(&header[..cut]),
                Ok(Parsed::Incomplete),
                "{cut} of {header:?}"
            );
        }
        for after in [
            "GET / HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\0\r\nPROXY ",
        ] {
            assert_eq!(parse(&[&header, after.as_bytes()].concat()), whole);
        }
    }
}

/// What is refused is undecided or refused at every byte before, and never a header.
fn refused(bytes: &[u8], why: Malformed) {
    assert_eq!(
        parse(bytes),
        Err(why),
        "{:?}",
        bytes.escape_ascii().to_string()
    );
    let mut refused = false;
    for cut in 0..bytes.len() {
        match parse(&bytes[..cut]) {
            Ok(Parsed::Incomplete) => assert!(!refused, "{cut} of {bytes:?}"),
            Ok(Parsed::Header { .. }) => panic!("{cut} of {bytes:?}"),
            Err(_) => refused = true,
        }
    }
}

#[test]
fn what_the_document_does_not_allow_is_refused() {
    use Malformed::{Address, Checksum, Extension, Field, NoHeader, TooLong};
    let mut wrong_sum = with_checksum(&[]);
    wrong_sum[20] ^= 1;
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(long.len(), LINE_BYTES_MAX + 1);
    let mut cut_extension = V4.to_vec();
    cut_extension.extend([4, 0, 2, 0]);
    let mut stump = V4.to_vec();
    stump.extend([4, 0]);
    let unsigned = [&SIGNATURE[..11], b"\r", &[0; 20]].concat();
    for (bytes, why) in [
        (&b"GET / HTTP/1.1\r\n"[..], NoHeader),
        (b"PRI * HTTP/2.0\r\n", NoHeader),
        (b"PROXYTCP4 ", NoHeader),
        (b"proxy tcp4 ", NoHeader),
        (b"\x16\x03\x01", NoHeader),
        (&unsigned, NoHeader),
        (b"\r\nGET", NoHeader),
        (long.as_bytes(), TooLong),
        (&[LINE_BEGIN, &[b'0'; 200]].concat(), TooLong),
        (b"PROXY \r\n", Field),
        (b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", Field),
        (b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Field),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", Field),
        (b"PROXY UNKNOWN a\rb\r\n", Field),
        (b"PROXY UNKNOWN \xFF\r\n", Field),
        (b"PROXY TCP4\r\n", Address),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", Address),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", Address),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Address),
        (b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", Address),
        (b"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n", Address),
        (b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", Address),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", Address),
        (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", Address),
        (b"PROXY TCP6 [::1] [::1] 1 2\r\n", Address),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", Address),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", Address),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", Address),
        (&binary(0x11, 0x11, V4), Field),
        (&binary(0x31, 0x11, V4), Field),
        (&binary(0x22, 0x11, V4), Field),
        (&binary(0x21, 0x41, V4), Field),
        (&binary(0x21, 0x13, V4), Field),
        (&binary(0x21, 0x11, &V4[..11]), Address),
        (&binary(0x21, 0x21, V4), Address),
        (&binary(0x21, 0x31, V4), Address),
        (&binary(0x21, 0x11, &cut_extension), Extension),
        (&binary(0x21, 0x11, &stump), Extension),
        (&with_extensions(&[(CHECKSUM, &[0; 3])]), Checksum),
        (&wrong_sum, Checksum),
        (&binary(0x21, 0x00, &[0; HEADER_BYTES_MAX]), TooLong),
        // The length alone says so: nobody waits for the rest.
        (
            &binary(0x20, 0x00, &[0; HEADER_BYTES_MAX])[..FIXED_BYTES],
            TooLong,
        ),
    ] {
        refused(bytes, why);
    }
}

#[test]
fn the_checksum_is_the_one_of_the_catalogue() {
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xE306_9283);
    // RFC 3720, B.4.
    assert_eq!(crc32c([0; 32].into_iter()), 0x8A91_36AA);
    assert_eq!(crc32c([0xFF; 32].into_iter()), 0x62A8_AB43);
}

/// Anything, but often nearly a header.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let index = any::<prop::sample::Index>;
    let mutated = (index(), prop::collection::vec((index(), any::<u8>()), 0..4)).prop_map(
        |(which, edits)| {
            let mut all = good();
            let mut bytes = all.swap_remove(which.index(all.len())).0;
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        },
    );
    let random = prop::collection::vec(any::<u8>(), 0..300);
    let text = "(PROXY )?(TCP4 |TCP6 |UNKNOWN )?[0-9a-f:. \r\n]{0,120}(\r\n)?";
    prop_oneof![mutated, random, text.prop_map(String::into_bytes)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_bytes_panic_and_a_verdict_never_changes_with_more_of_them(bytes in nearly()) {
        let whole = parse(&bytes);
        if let Ok(Parsed::Header { length, .. }) = whole {
            prop_assert!(length > 0 && length <= bytes.len() && length <= HEADER_BYTES_MAX);
        }
        let mut verdict = None;
        for cut in 0..=bytes.len() {
            let now = parse(&bytes[..cut]);
            match verdict {
                Some(earlier) => prop_assert_eq!(now, earlier),
                None if now == Ok(Parsed::Incomplete) => {}
                None => verdict = Some(now),
            }
        }
        prop_assert!(verdict.is_some() || bytes.len() < HEADER_BYTES_MAX);
    }
}
