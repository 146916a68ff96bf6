//! How a gRPC call ended: the closed set of status codes.
//!
//! HTTP says 200 to nearly every gRPC call; whether it worked is said by a number that comes last.
//! Which of these numbers speak against the version that gave them is decided here, once, for the
//! success ratio, the windows and the access log.

use http::StatusCode;

macro_rules! statuses {
    ($($(#[$doc:meta])* $status:ident = $label:literal $verdict:ident,)+) => {
        /// A status code of gRPC, in the order of the numbers on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum GrpcStatus {
            $($(#[$doc])* $status,)+
        }

        impl GrpcStatus {
            /// All of them; the position is the number on the wire.
            pub(crate) const ALL: &[Self] = &[$(Self::$status,)+];

            /// The name, as in the metric label `grpc_status`: what gRPC's own metrics say.
            pub(crate) const fn label(self) -> &'static str {
                match self {
                    $(Self::$status => $label,)+
                }
            }

            /// Whether it speaks against the server. The six that Envoy turns into 5xx and that
            /// OpenTelemetry calls errors of a server; the others are answers, if unwelcome ones.
            pub(crate) const fn is_failure(self) -> bool {
                match self {
                    $(Self::$status => matches!(Verdict::$verdict, Verdict::Failure),)+
                }
            }
        }
    };
}

enum Verdict {
    Answer,
    Failure,
}

statuses! {
    Ok = "OK" Answer,
    /// By the client, mostly.
    Cancelled = "CANCELLED" Answer,
    /// A server's error without a name, and what stands for a status that is missing.
    Unknown = "UNKNOWN" Failure,
    InvalidArgument = "INVALID_ARGUMENT" Answer,
    DeadlineExceeded = "DEADLINE_EXCEEDED" Failure,
    NotFound = "NOT_FOUND" Answer,
    AlreadyExists = "ALREADY_EXISTS" Answer,
    PermissionDenied = "PERMISSION_DENIED" Answer,
    ResourceExhausted = "RESOURCE_EXHAUSTED" Answer,
    FailedPrecondition = "FAILED_PRECONDITION" Answer,
    Aborted = "ABORTED" Answer,
    OutOfRange = "OUT_OF_RANGE" Answer,
    /// A version that lacks a method others have is a broken release.
    Unimplemented = "UNIMPLEMENTED" Failure,
    Internal = "INTERNAL" Failure,
    Unavailable = "UNAVAILABLE" Failure,
    DataLoss = "DATA_LOSS" Failure,
    Unauthenticated = "UNAUTHENTICATED" Answer,
}

impl GrpcStatus {
    /// The number on the wire, and the position in [`GrpcStatus::ALL`].
    pub(crate) const fn number(self) -> usize {
        self as usize
    }

    /// Reads a `grpc-status`. What is no code of gRPC's reads as UNKNOWN, as in every client.
    pub(crate) fn read(text: &[u8]) -> Self {
        let number = match text {
            [ones @ b'0'..=b'9'] => usize::from(ones - b'0'),
            [b'1', ones @ b'0'..=b'9'] => usize::from(10 + ones - b'0'),
            _ => return Self::Unknown,
        };
        Self::ALL.get(number).copied().unwrap_or(Self::Unknown)
    }

    /// What clients make of an answer without a `grpc-status` (gRPC's http-grpc-status-mapping).
    pub(crate) fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_on_the_wire_is_the_position() {
        for (number, &status) in GrpcStatus::ALL.iter().enumerate() {
            assert_eq!(status.number(), number);
            assert_eq!(GrpcStatus::read(number.to_string().as_bytes()), status);
        }
        assert_eq!(GrpcStatus::ALL.len(), 17);
        assert_eq!(GrpcStatus::Unauthenticated.number(), 16);
    }

    #[test]
    fn what_is_no_code_is_unknown() {
        for text in [
            "", "17", "99", "-1", "+1", "007", " 0", "0 ", "OK", "1e0", "256",
        ] {
            assert_eq!(
                GrpcStatus::read(text.as_bytes()),
                GrpcStatus::Unknown,
                "{text:?}"
            );
        }
    }

    #[test]
    fn six_codes_speak_against_the_server() {
        let failures: Vec<usize> = GrpcStatus::ALL
            .iter()
            .filter(|status| status.is_failure())
            .map(|status| status.number())
            .collect();
        assert_eq!(failures, [2, 4, 12, 13, 14, 15]);
    }

    #[test]
    fn an_answer_without_a_status_is_judged_by_its_http_status() {
        let of = |code| GrpcStatus::of_http(StatusCode::from_u16(code).expect("a code"));
        assert_eq!(of(200), GrpcStatus::Unknown);
        assert_eq!(of(500), GrpcStatus::Unknown);
        assert_eq!(of(503), GrpcStatus::Unavailable);
        assert_eq!(of(404), GrpcStatus::Unimplemented);
        assert_eq!(of(401), GrpcStatus::Unauthenticated);
    }
}
