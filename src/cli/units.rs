//! Numbers as people read them in a table.
//!
//! A number that has no value (yet) is `-`, a thing that does not exist is `<none>`.

use jiff::Timestamp;

pub(super) const NONE: &str = "<none>";
pub(super) const UNKNOWN: &str = "-";

/// A word, or `<none>`.
pub(super) fn word(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or(NONE).into()
}

/// Words with commas between them, or `<none>`.
pub(super) fn words(all: &[String]) -> String {
    word(Some(&all.join(",")))
}

/// A share in percent with one decimal.
pub(super) fn share(part: Option<f64>) -> String {
    part.map_or_else(
        || UNKNOWN.to_owned(),
        |part| format!("{:.1}%", part * 100.0),
    )
}

/// A success ratio in percent with two decimals, rounded down: 100.00% means not one failure.
pub(super) fn success(ratio: Option<f64>) -> String {
    ratio.map_or_else(
        || UNKNOWN.to_owned(),
        |ratio| {
            // A hair is added because 0.9994 × 10,000 is 9993.999… in binary.
            let hundredths = (ratio * 10_000.0 + 1e-6).floor();
            format!("{:.2}%", hundredths / 100.0)
        },
    )
}

/// Requests a second.
pub(super) fn rate(rate: f64) -> String {
    format!("{rate:.1}")
}

/// Seconds as a latency.
pub(super) fn latency(seconds: Option<f64>) -> String {
    match seconds {
        None => UNKNOWN.to_owned(),
        Some(seconds) if seconds < 0.009_95 => format!("{:.1}ms", seconds * 1e3),
        Some(seconds) if seconds < 0.999_5 => format!("{:.0}ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2}s"),
    }
}

/// The time between two points of time as kubectl says it, the first in RFC 3339; also of the
/// future, because clocks differ: then it is zero.
pub(super) fn age(since: &str, now: Timestamp) -> String {
    match since.parse::<Timestamp>() {
        Ok(since) => seconds(now.as_second().saturating_sub(since.as_second())),
        Err(_) => UNKNOWN.to_owned(),
    }
}

/// The time until a point of time, as [`age`].
pub(super) fn until(then: &str, now: Timestamp) -> String {
    match then.parse::<Timestamp>() {
        Ok(then) => seconds(then.as_second().saturating_sub(now.as_second())),
        Err(_) => UNKNOWN.to_owned(),
    }
}

fn seconds(all: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let all = all.max(0);
    let two = |big, unit, small, name| match all % big / small {
        0 => format!("{}{unit}", all / big),
        rest => format!("{}{unit}{rest}{name}", all / big),
    };
    if all < 2 * MINUTE {
        format!("{all}s")
    } else if all < 10 * MINUTE {
        two(MINUTE, "m", 1, "s")
    } else if all < 3 * HOUR {
        format!("{}m", all / MINUTE)
    } else if all < 8 * HOUR {
        two(HOUR, "h", MINUTE, "m")
    } else if all < 2 * DAY {
        format!("{}h", all / HOUR)
    } else if all < 8 * DAY {
        two(DAY, "d", HOUR, "h")
    } else {
        format!("{}d", all / DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_percent_means_not_one_failure() {
        for (ratio, text) in [
            (1.0, "100.00%"),
            (0.999_999, "99.99%"),
            (0.9994, "99.94%"),
            (0.99, "99.00%"),
            (0.0, "0.00%"),
        ] {
            assert_eq!(success(Some(ratio)), text);
        }
        assert_eq!(success(None), "-");
        assert_eq!(share(Some(1.0 / 3.0)), "33.3%");
    }

    #[test]
    fn latencies_keep_two_or_three_digits() {
        for (seconds, text) in [
            (0.0004, "0.4ms"),
            (0.0042, "4.2ms"),
            (0.412, "412ms"),
            (0.99951, "1.00s"),
            (12.5, "12.50s"),
        ] {
            assert_eq!(latency(Some(seconds)), text);
        }
    }

    #[test]
    fn ages_read_like_kubectl() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().expect("a time");
        for (since, text) in [
            ("2026-01-09T23:59:15Z", "45s"),
            ("2026-01-09T23:56:48Z", "3m12s"),
            ("2026-01-09T23:57:00Z", "3m"),
            ("2026-01-09T23:15:00Z", "45m"),
            ("2026-01-09T20:15:00Z", "3h45m"),
            ("2026-01-09T10:00:00Z", "14h"),
            ("2026-01-06T19:00:00Z", "3d5h"),
            ("2025-12-10T00:00:00Z", "31d"),
            ("2026-01-10T00:00:09Z", "0s"),
            ("yesterday", "-"),
        ] {
            assert_eq!(age(since, now), text, "{since}");
        }
    }
}
