//! Durations and addresses, as people write them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::problem::Report;
use super::schema::At;

/// Longest duration that can be written: a year.
const DURATION_MAX: Duration = Duration::from_hours(365 * 24);

/// Reads `500ms`, `15s`, `1m30s`, `2h`.
///
/// # Errors
/// Says what a duration looks like.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a duration is missing; for example `30s`".to_owned());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        total = part(text, number, unit)
            .and_then(|part| total.checked_add(part).ok_or_else(|| too_long(text)))?;
        rest = next;
    }
    if total > DURATION_MAX {
        return Err(too_long(text));
    }
    Ok(total)
}

fn too_long(text: &str) -> String {
    format!("`{text}` is too long a duration; the longest is a year, `8760h`")
}

fn part(text: &str, number: &str, unit: &str) -> Result<Duration, String> {
    if number.is_empty() {
        return Err(format!(
            "`{text}` is not a duration; write whole numbers with units, as in `500ms`, `15s` or \
             `1m30s`"
        ));
    }
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => {
            return Err(format!(
                "`{text}` lacks a unit; write `{number}s` for seconds (units: ms, s, m, h)"
            ));
        }
        other => {
            return Err(format!(
                "`{other}` is not a unit of time; there are `ms`, `s`, `m` and `h`"
            ));
        }
    };
    let number: u64 = number.parse().map_err(|_| too_long(text))?;
    let all = number
        .checked_mul(milliseconds)
        .ok_or_else(|| too_long(text))?;
    Ok(Duration::from_millis(all))
}

/// Reads a duration that was written, or takes the default.
pub(super) fn duration(
    written: Option<&At<String>>,
    default: Duration,
    report: &mut Report,
) -> Duration {
    let Some(written) = written else {
        return default;
    };
    parse_duration(&written.value).unwrap_or_else(|why| {
        report.error("bad-duration", written.place, why);
        default
    })
}

/// As [`duration`], where nothing would work with a duration of zero.
pub(super) fn positive_duration(
    written: Option<&At<String>>,
    default: Duration,
    report: &mut Report,
) -> Duration {
    match (duration(written, default, report), written) {
        (Duration::ZERO, Some(written)) => {
            report.error(
                "bad-duration",
                written.place,
                "this must be longer than zero",
            );
            default
        }
        (duration, _) => duration,
    }
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressError {
    pub(super) message: String,
    pub(super) hint: String,
}

/// Reads `127.0.0.1:80`, `[::1]:80` or `localhost:80`, the last as 127.0.0.1.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, AddressError> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let wrong = |message: String, hint: String| Err(AddressError { message, hint });
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.split('/').next().unwrap_or(rest);
        return wrong(
            format!("an address has no scheme, so `{scheme}://` does not belong here"),
            format!("write `{rest}`"),
        );
    }
    if let Some((address, _)) = text.split_once('/') {
        return wrong(
            "an address has no path".to_owned(),
            format!("write `{address}`, and use the filter `rewrite` to change the path"),
        );
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return wrong(
            "the port is missing".to_owned(),
            format!("for example `{}`", SocketAddr::new(ip, 8080)),
        );
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return wrong(
            "the IP address is missing".to_owned(),
            format!(
                "write `0.0.0.0:{text}` for all addresses, `127.0.0.1:{text}` for this machine"
            ),
        );
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return wrong(
            format!("`{text}` is not an IP address with a port"),
            "for example `127.0.0.1:8080`".to_owned(),
        );
    };
    let Ok(port) = port.parse::<u16>() else {
        return wrong(
            format!("`{port}` is not a port"),
            "a port is a number from 1 to 65535".to_owned(),
        );
    };
    match host {
        "localhost" => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        "" => wrong(
            "the IP address is missing".to_owned(),
            format!(
                "write `0.0.0.0:{port}` for all addresses, `127.0.0.1:{port}` for this machine"
            ),
        ),
        name => wrong(
            format!("`{name}` is not an IP address, and names are not looked up yet"),
            format!("write the IP address, as in `127.0.0.1:{port}`; only `localhost` is known"),
        ),
    }
}

/// Reads an address, or reports why it is none.
pub(super) fn address(written: &At<String>, report: &mut Report) -> Option<SocketAddr> {
    match parse_address(&written.value) {
        Ok(address) => Some(address),
        Err(AddressError { message, hint }) => {
            report
                .error("bad-address", written.place, message)
                .hint(hint);
            None
        }
    }
}

/// Whether a socket bound to `listener` takes what is sent to `other` (or wants the same port).
pub(super) fn overlaps(listener: SocketAddr, other: SocketAddr) -> bool {
    let same_family = listener.is_ipv4() == other.is_ipv4();
    let covers = |a: IpAddr, b: IpAddr| a == b || (a.is_unspecified() && b.is_loopback());
    let (a, b) = (listener.ip(), other.ip());
    listener.port() != 0
        && listener.port() == other.port()
        && same_family
        && (covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("15s", 15_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("0s", 0),
            (" 1s ", 1_000),
            ("8760h", 31_536_000_000),
        ] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
        }
        for (text, why) in [
            ("", "missing"),
            ("15", "write `15s`"),
            ("1.5s", "lacks a unit"),
            ("-1s", "not a duration"),
            ("s", "not a duration"),
            ("5 s", "lacks a unit"),
            ("5min", "`min` is not a unit"),
            ("8761h", "too long"),
            ("99999999999999999999s", "too long"),
            ("18446744073709551615h", "too long"),
        ] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_is_an_ip_address_and_a_port() {
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:80", "127.0.0.1:80"),
        ] {
            assert_eq!(
                parse_address(text).map(|a| a.to_string()),
                Ok(address.to_owned())
            );
        }
        for (text, message, hint) in [
            ("http://127.0.0.1:80/x", "no scheme", "`127.0.0.1:80`"),
            ("127.0.0.1:80/x", "no path", "rewrite"),
            ("127.0.0.1", "port is missing", "127.0.0.1:8080"),
            ("::1", "port is missing", "[::1]:8080"),
            ("8080", "IP address is missing", "0.0.0.0:8080"),
            (":8080", "IP address is missing", "0.0.0.0:8080"),
            ("127.0.0.1:http", "not a port", "65535"),
            ("127.0.0.1:65536", "not a port", "65535"),
            ("podinfo:80", "names are not looked up", "127.0.0.1:80"),
            ("podinfo", "not an IP address", "127.0.0.1:8080"),
            ("", "not an IP address", "127.0.0.1:8080"),
        ] {
            let error = parse_address(text).expect_err(text);
            assert!(error.message.contains(message), "{text}: {error:?}");
            assert!(error.hint.contains(hint), "{text}: {error:?}");
        }
    }

    #[test]
    fn a_wildcard_address_overlaps_loopback_of_its_family() {
        let overlap =
            |a: &str, b: &str| overlaps(a.parse().expect("address"), b.parse().expect("address"));
        assert!(overlap("0.0.0.0:80", "127.0.0.1:80"));
        assert!(overlap("127.0.0.1:80", "0.0.0.0:80"));
        assert!(overlap("[::]:80", "[::1]:80"));
        assert!(!overlap("0.0.0.0:80", "127.0.0.1:81"));
        assert!(!overlap("0.0.0.0:80", "[::1]:80"));
        assert!(!overlap("127.0.0.1:0", "127.0.0.1:0"));
    }
}
