//! What is answered when no backend's answer can be.
//!
//! One table: whose fault it is, which status the client gets, and a sentence. Every answer that
//! Pointsman makes up is made here, says so in `x-pointsman-fault`, and is counted under the same
//! word.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};

use super::body::Body;
use crate::http1::Malformed;
use crate::model::Fault;

/// The word for the reason, as in the metric label `reason`.
const FAULT_HEADER: HeaderName = HeaderName::from_static("x-pointsman-fault");

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    /// The config or an operator's choice.
    Operator,
    Backend,
}

/// Whether the client's connection can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    KeepOpen,
    Close,
}

type Row = (Side, StatusCode, Afterwards, &'static str);

/// The table.
#[expect(
    clippy::too_many_lines,
    reason = "a table without logic, a row a fault"
)]
fn look_up(fault: Fault) -> Row {
    use Afterwards::{Close, KeepOpen};
    use Side::{Backend, Client, Operator};
    type Code = StatusCode;
    const UNAVAILABLE: Code = Code::SERVICE_UNAVAILABLE;
    match fault {
        Fault::BadRequest => (
            Client,
            Code::BAD_REQUEST,
            Close,
            "the request is not valid HTTP",
        ),
        Fault::TargetLength => (
            Client,
            Code::URI_TOO_LONG,
            Close,
            "the request target is longer than 16 KiB",
        ),
        Fault::HeadLength => (
            Client,
            Code::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Close,
            "the request's head is longer than 64 KiB or has more than 100 fields",
        ),
        Fault::Version => (
            Client,
            Code::HTTP_VERSION_NOT_SUPPORTED,
            Close,
            "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here",
        ),
        Fault::Expectation => (
            Client,
            Code::EXPECTATION_FAILED,
            Close,
            "the only expectation that is understood is 100-continue",
        ),
        Fault::MethodRefused => (
            Client,
            Code::METHOD_NOT_ALLOWED,
            Close,
            "CONNECT is not served",
        ),
        Fault::RequestBody => (
            Client,
            Code::BAD_REQUEST,
            Close,
            "the request's body broke off",
        ),
        Fault::NoRoute => (
            Operator,
            Code::NOT_FOUND,
            KeepOpen,
            "no route matches this request",
        ),
        Fault::SplitClosed => (
            Operator,
            UNAVAILABLE,
            KeepOpen,
            "every weight of the split is zero",
        ),
        Fault::BackendInvalid => (
            Operator,
            Code::INTERNAL_SERVER_ERROR,
            KeepOpen,
            "the chosen backend is not valid",
        ),
        Fault::NoEndpoints => (
            Backend,
            UNAVAILABLE,
            KeepOpen,
            "no endpoint of the backend is ready",
        ),
        Fault::Connect => (
            Backend,
            Code::BAD_GATEWAY,
            KeepOpen,
            "the backend cannot be reached",
        ),
        Fault::ConnectTimeout => (
            Backend,
            Code::GATEWAY_TIMEOUT,
            KeepOpen,
            "the backend did not accept in time",
        ),
        Fault::RequestTimeout => (
            Backend,
            Code::GATEWAY_TIMEOUT,
            KeepOpen,
            "the backend did not answer in time",
        ),
        Fault::UpstreamReset => (
            Backend,
            Code::BAD_GATEWAY,
            KeepOpen,
            "the backend closed without an answer",
        ),
        Fault::UpstreamProtocol => (
            Backend,
            Code::BAD_GATEWAY,
            KeepOpen,
            "the backend's answer is not valid HTTP",
        ),
        Fault::Truncated => (
            Backend,
            Code::BAD_GATEWAY,
            Close,
            "the backend's answer broke off",
        ),
    }
}

/// The fault of a request that breaks HTTP.
pub(super) fn fault_of(malformed: Malformed) -> Fault {
    match malformed {
        Malformed::TargetLength => Fault::TargetLength,
        Malformed::HeadLength | Malformed::FieldCount => Fault::HeadLength,
        Malformed::Version => Fault::Version,
        Malformed::Expectation => Fault::Expectation,
        Malformed::StartLine
        | Malformed::LineEnd
        | Malformed::Field
        | Malformed::Target
        | Malformed::Host
        | Malformed::ContentLength
        | Malformed::TransferEncoding
        | Malformed::TwoFramings
        | Malformed::Connection
        | Malformed::Chunk
        | Malformed::Trailer
        | Malformed::Incomplete
        | Malformed::InterimCount
        | Malformed::Switch => Fault::BadRequest,
    }
}

/// The answer for `fault`.
pub(super) fn answer(fault: Fault) -> Response<Body> {
    let (_, status, afterwards, why) = look_up(fault);
    let text = format!("{} {fault}: {why}\n", status.as_u16());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(FAULT_HEADER, HeaderValue::from_static(fault.label()));
    if afterwards == Afterwards::Close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_timeout_and_no_endpoint_are_told_apart() {
        let status = |fault| look_up(fault).1.as_u16();
        assert_eq!(status(Fault::Connect), 502);
        assert_eq!(status(Fault::UpstreamReset), 502);
        assert_eq!(status(Fault::NoEndpoints), 503);
        assert_eq!(status(Fault::ConnectTimeout), 504);
        assert_eq!(status(Fault::RequestTimeout), 504);
    }

    #[test]
    fn what_is_the_clients_fault_is_a_client_error_and_the_rest_is_not() {
        for &fault in Fault::ALL {
            let (side, status, ..) = look_up(fault);
            let blamed = side == Side::Client || fault == Fault::NoRoute;
            // 505 is what RFC 9110 has for a client's version.
            let says_so = status.is_client_error() || fault == Fault::Version;
            assert_eq!(says_so, blamed, "{fault}");
        }
    }
}
