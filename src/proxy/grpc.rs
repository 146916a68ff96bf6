//! gRPC as it shows in HTTP/2, without IO: what is a call, how long it may take, how it ended.
//!
//! A call is a POST over HTTP/2 with the content type `application/grpc`; messages are bytes like
//! any others. Its outcome is a `grpc-status` in the trailers, or in the head of an answer that
//! consists of nothing else (*trailers-only*). gRPC-Web puts its status into the body and is plain
//! HTTP to us.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Version};

use crate::model::GrpcStatus;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The content type of a call, and of what is answered to it.
const MEDIA_TYPE: &str = "application/grpc";
/// Most digits of a `grpc-timeout`.
const TIMEOUT_DIGITS_MAX: usize = 8;

/// Whether a request is a gRPC call. Asks the cheapest question first, for those that are not.
pub(super) fn is_call<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && request.method() == Method::POST
        && request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| is_media_type(value.as_bytes()))
}

fn is_media_type(value: &[u8]) -> bool {
    let Some((media_type, rest)) = value.split_at_checked(MEDIA_TYPE.len()) else {
        return false;
    };
    // `application/grpc-web` is another protocol.
    media_type.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
        && matches!(rest.first(), None | Some(b'+' | b';'))
}

/// How long the client waits. A value that is not by the letter is none: it is forwarded as it
/// came, and the backend may make of it what it can.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all(TIMEOUT).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse_timeout(value.as_bytes()),
        _ => None,
    }
}

fn parse_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS_MAX {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number * 10 + digit)
    })?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The status that these trailers, or this head, tell.
pub(super) fn status(fields: &HeaderMap) -> Option<GrpcStatus> {
    let value = fields.get(STATUS)?;
    Some(GrpcStatus::read(value.as_bytes()))
}

/// Puts an outcome into trailers, or into the head of an answer without a body.
pub(super) fn tell(fields: &mut HeaderMap, status: GrpcStatus, message: &str) {
    fields.insert(STATUS, HeaderValue::from(status.number()));
    // Percent-encoding leaves nothing that a value may not hold.
    if let Ok(message) = HeaderValue::try_from(percent_encoded(message)) {
        fields.insert(MESSAGE, message);
    }
}

/// The head of an answer that consists of an outcome.
pub(super) fn trailers_only(fields: &mut HeaderMap, status: GrpcStatus, message: &str) {
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    tell(fields, status, message);
}

/// A `grpc-message`: printable ASCII stays, `%` and everything else becomes `%XX`.
fn percent_encoded(message: &str) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let digit = |bits: u8| DIGITS.get(usize::from(bits)).copied().unwrap_or('0');
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7F.. => encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]),
            printable => encoded.push(char::from(printable)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, method: Method, content_type: &'static str) -> Request<()> {
        let mut request = Request::new(());
        *request.version_mut() = version;
        *request.method_mut() = method;
        let value = HeaderValue::from_static(content_type);
        request.headers_mut().insert(CONTENT_TYPE, value);
        request
    }

    #[test]
    fn a_call_is_a_post_over_http2_of_the_right_type() {
        let call = |content_type| is_call(&request(Version::HTTP_2, Method::POST, content_type));
        for yes in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc+json",
            "application/grpc;charset=utf-8",
            "Application/GRPC",
        ] {
            assert!(call(yes), "{yes}");
        }
        for no in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpcx",
            "application/grp",
            "application/json",
            "",
        ] {
            assert!(!call(no), "{no}");
        }
        let one = request(Version::HTTP_11, Method::POST, "application/grpc");
        assert!(!is_call(&one), "gRPC needs HTTP/2");
        let get = request(Version::HTTP_2, Method::GET, "application/grpc");
        assert!(!is_call(&get), "a call is a POST");
    }

    #[test]
    fn timeouts_are_read_by_the_letter() {
        for (text, wanted) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0n", Duration::ZERO),
            ("00000010S", Duration::from_secs(10)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), Some(wanted), "{text}");
        }
        for text in [
            "",
            "S",
            "1",
            "1s",
            "1h",
            "123456789S",
            "-1S",
            "+1S",
            "1.5S",
            "1 S",
            " 1S",
            "1S ",
            "0x1S",
            "S1",
            "1SS",
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn two_timeouts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(TIMEOUT, HeaderValue::from_static("1S"));
        assert_eq!(timeout(&headers), Some(Duration::from_secs(1)));
        headers.append(TIMEOUT, HeaderValue::from_static("2S"));
        assert_eq!(timeout(&headers), None);
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("connect: no"), "connect: no");
        assert_eq!(percent_encoded("100 %\n~\u{7f}"), "100 %25%0A~%7F");
        assert_eq!(percent_encoded("größer"), "gr%C3%B6%C3%9Fer");
    }

    #[test]
    fn what_is_told_can_be_read() {
        let mut fields = HeaderMap::new();
        assert_eq!(status(&fields), None);
        for &one in GrpcStatus::ALL {
            tell(&mut fields, one, "why");
            assert_eq!(status(&fields), Some(one));
        }
        assert_eq!(fields[MESSAGE], "why");
    }
}
