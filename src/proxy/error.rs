//! What is answered when no backend's answer can be.
//!
//! One table: whose fault it is, which status the client gets, and a sentence. Every answer that
//! Pointsman makes up is made here, says so in `x-pointsman-fault`, and is counted under the same
//! word.

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};

use super::body::Body;
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
    Proxy,
}

/// Whether the client's connection can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    KeepOpen,
    Close,
}

/// The table.
fn look_up(fault: Fault) -> (Side, StatusCode, Afterwards, &'static str) {
    use Afterwards::{Close, KeepOpen};
    match fault {
        Fault::BadRequest => (
            Side::Client,
            StatusCode::BAD_REQUEST,
            Close,
            "the request is not valid HTTP",
        ),
        Fault::MethodRefused => (
            Side::Client,
            StatusCode::METHOD_NOT_ALLOWED,
            Close,
            "CONNECT is not served here",
        ),
        Fault::RequestBody => (
            Side::Client,
            StatusCode::BAD_REQUEST,
            Close,
            "the request's body broke off",
        ),
        Fault::NoRoute => (
            Side::Operator,
            StatusCode::NOT_FOUND,
            KeepOpen,
            "no route matches this request",
        ),
        Fault::SplitClosed => {
            let why = "every weight of the split is zero";
            (
                Side::Operator,
                StatusCode::SERVICE_UNAVAILABLE,
                KeepOpen,
                why,
            )
        }
        Fault::BackendInvalid => {
            let why = "the chosen backend is not valid";
            (
                Side::Operator,
                StatusCode::INTERNAL_SERVER_ERROR,
                KeepOpen,
                why,
            )
        }
        Fault::NoEndpoints => {
            let why = "the chosen backend has no endpoint that is ready";
            (
                Side::Backend,
                StatusCode::SERVICE_UNAVAILABLE,
                KeepOpen,
                why,
            )
        }
        Fault::Connect => {
            let why = "the backend refused the connection";
            (Side::Backend, StatusCode::BAD_GATEWAY, KeepOpen, why)
        }
        Fault::ConnectTimeout => {
            let why = "the backend did not accept the connection in time";
            (Side::Backend, StatusCode::GATEWAY_TIMEOUT, KeepOpen, why)
        }
        Fault::RequestTimeout => {
            let why = "the backend did not answer in time";
            (Side::Backend, StatusCode::GATEWAY_TIMEOUT, KeepOpen, why)
        }
        Fault::UpstreamReset => {
            let why = "the backend closed the connection without an answer";
            (Side::Backend, StatusCode::BAD_GATEWAY, KeepOpen, why)
        }
        Fault::UpstreamProtocol => {
            let why = "the backend's answer is not valid HTTP";
            (Side::Backend, StatusCode::BAD_GATEWAY, KeepOpen, why)
        }
        Fault::Truncated => {
            let why = "the backend's answer broke off";
            (Side::Backend, StatusCode::BAD_GATEWAY, Close, why)
        }
        Fault::Cut => (
            Side::Proxy,
            StatusCode::SERVICE_UNAVAILABLE,
            Close,
            "the proxy is leaving",
        ),
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
            assert_eq!(status.is_client_error(), blamed, "{fault}");
        }
    }
}
