//! What is answered when no backend's answer can be.
//!
//! One table: whose fault it is, which status the client gets, by HTTP and by gRPC, and a sentence. Every answer that
//! Pointsman makes up is made here, says so in `x-pointsman-fault`, and is counted under the same
//! word.

use std::fmt;

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::body::Body;
use super::grpc;
use crate::http1::Malformed;
use crate::model::{Fault, GrpcStatus};

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

type Row = (Side, StatusCode, GrpcStatus, Afterwards, &'static str);

/// The table. The gRPC column is what clients would make of the HTTP status by themselves, except
/// where that says too little: a backend that cannot be resolved is UNAVAILABLE, the Gateway API's
/// word for it in a `GRPCRoute`; one that is too slow is DEADLINE_EXCEEDED, because it may have acted
/// and UNAVAILABLE is tried again; one that breaks off is what its broken stream reads as.
#[expect(
    clippy::too_many_lines,
    reason = "a table without logic, a row a fault"
)]
fn look_up(fault: Fault) -> Row {
    use Afterwards::{Close, KeepOpen};
    use GrpcStatus as Grpc;
    use Side::{Backend, Client, Operator};
    type Code = StatusCode;
    const UNAVAILABLE: Code = Code::SERVICE_UNAVAILABLE;
    match fault {
        Fault::BadRequest => (
            Client,
            Code::BAD_REQUEST,
            Grpc::Internal,
            Close,
            "the request is not valid HTTP",
        ),
        Fault::TargetLength => (
            Client,
            Code::URI_TOO_LONG,
            Grpc::Unknown,
            Close,
            "the request target is longer than 16 KiB",
        ),
        Fault::HeadLength => (
            Client,
            Code::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Grpc::Unknown,
            Close,
            "the request's head is longer than 64 KiB or has more than 100 fields",
        ),
        Fault::Version => (
            Client,
            Code::HTTP_VERSION_NOT_SUPPORTED,
            Grpc::Unknown,
            Close,
            "only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here",
        ),
        Fault::Expectation => (
            Client,
            Code::EXPECTATION_FAILED,
            Grpc::Unknown,
            Close,
            "the only expectation that is understood is 100-continue",
        ),
        Fault::MethodRefused => (
            Client,
            Code::METHOD_NOT_ALLOWED,
            Grpc::Unimplemented,
            Close,
            "CONNECT is not served",
        ),
        Fault::RequestBody => (
            Client,
            Code::BAD_REQUEST,
            Grpc::Cancelled,
            Close,
            "the request's body broke off",
        ),
        Fault::NoRoute => (
            Operator,
            Code::NOT_FOUND,
            Grpc::Unimplemented,
            KeepOpen,
            "no route matches this request",
        ),
        Fault::SplitClosed => (
            Operator,
            UNAVAILABLE,
            Grpc::Unavailable,
            KeepOpen,
            "every weight of the split is zero",
        ),
        Fault::BackendInvalid => (
            Operator,
            Code::INTERNAL_SERVER_ERROR,
            Grpc::Unavailable,
            KeepOpen,
            "the chosen backend is not valid",
        ),
        Fault::NoEndpoints => (
            Backend,
            UNAVAILABLE,
            Grpc::Unavailable,
            KeepOpen,
            "no endpoint of the backend is ready",
        ),
        Fault::Connect => (
            Backend,
            Code::BAD_GATEWAY,
            Grpc::Unavailable,
            KeepOpen,
            "the backend cannot be reached",
        ),
        Fault::ConnectTimeout => (
            Backend,
            Code::GATEWAY_TIMEOUT,
            Grpc::Unavailable,
            KeepOpen,
            "the backend did not accept in time",
        ),
        Fault::RequestTimeout => (
            Backend,
            Code::GATEWAY_TIMEOUT,
            Grpc::DeadlineExceeded,
            KeepOpen,
            "the backend did not answer in time",
        ),
        Fault::Deadline => (
            Backend,
            Code::GATEWAY_TIMEOUT,
            Grpc::DeadlineExceeded,
            KeepOpen,
            "the client's deadline has passed",
        ),
        Fault::UpstreamReset => (
            Backend,
            Code::BAD_GATEWAY,
            Grpc::Unavailable,
            KeepOpen,
            "the backend closed without an answer",
        ),
        Fault::UpstreamBusy => (
            Backend,
            UNAVAILABLE,
            Grpc::Unavailable,
            KeepOpen,
            "the backend takes no more requests now",
        ),
        Fault::UpstreamProtocol => (
            Backend,
            Code::BAD_GATEWAY,
            Grpc::Unavailable,
            KeepOpen,
            "the backend's answer is not valid HTTP",
        ),
        Fault::Truncated => (
            Backend,
            Code::BAD_GATEWAY,
            Grpc::Internal,
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
        | Malformed::ConnectBody
        | Malformed::Chunk
        | Malformed::Trailer
        | Malformed::Incomplete
        | Malformed::InterimCount
        | Malformed::Switch => Fault::BadRequest,
    }
}

/// The answer for `fault`.
pub(super) fn answer(fault: Fault) -> Response<Body> {
    let (_, _, _, _, why) = look_up(fault);
    because(fault, why)
}

/// The answer to what is no request, which says what is wrong with it.
pub(super) fn correction(malformed: Malformed) -> Response<Body> {
    because(fault_of(malformed), malformed)
}

fn because(fault: Fault, why: impl fmt::Display) -> Response<Body> {
    let (_, status, _, afterwards, _) = look_up(fault);
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

/// The answer to a gRPC call: HTTP says 200, and the outcome is told in the head.
pub(super) fn outcome(fault: Fault) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    grpc::trailers_only(headers, grpc_status(fault), &message(fault));
    headers.insert(FAULT_HEADER, HeaderValue::from_static(fault.label()));
    response
}

/// The end of a gRPC answer that has begun.
pub(super) fn trailers(fault: Fault) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    grpc::tell(&mut trailers, grpc_status(fault), &message(fault));
    trailers.insert(FAULT_HEADER, HeaderValue::from_static(fault.label()));
    trailers
}

fn message(fault: Fault) -> String {
    let (.., why) = look_up(fault);
    format!("{fault}: {why}")
}

/// What a gRPC call is told, and counted under.
pub(super) fn grpc_status(fault: Fault) -> GrpcStatus {
    look_up(fault).2
}

/// Whether the fault speaks against the version the request was meant for.
pub(super) fn is_failure(fault: Fault) -> bool {
    look_up(fault).1.is_server_error()
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

    #[test]
    fn a_call_is_told_what_its_client_would_have_made_of_the_http_status() {
        let exceptions = [
            (Fault::MethodRefused, GrpcStatus::Unimplemented),
            (Fault::RequestBody, GrpcStatus::Cancelled),
            (Fault::BackendInvalid, GrpcStatus::Unavailable),
            (Fault::RequestTimeout, GrpcStatus::DeadlineExceeded),
            (Fault::Deadline, GrpcStatus::DeadlineExceeded),
            (Fault::Truncated, GrpcStatus::Internal),
        ];
        for &fault in Fault::ALL {
            let (_, status, grpc, ..) = look_up(fault);
            let exception = exceptions.iter().find(|(one, _)| *one == fault);
            let wanted = exception.map_or_else(|| GrpcStatus::of_http(status), |it| it.1);
            assert_eq!(grpc, wanted, "{fault}");
        }
    }

    #[test]
    fn the_answer_to_a_call_is_a_head_and_nothing_else() {
        let response = outcome(Fault::NoEndpoints);
        assert_eq!(response.status(), StatusCode::OK);
        assert!(matches!(response.body(), Body::Empty));
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        assert_eq!(header("content-type"), Some("application/grpc"));
        assert_eq!(header("grpc-status"), Some("14"));
        let message = "no_endpoints: no endpoint of the backend is ready";
        assert_eq!(header("grpc-message"), Some(message));
        assert_eq!(header("x-pointsman-fault"), Some("no_endpoints"));
    }
}
