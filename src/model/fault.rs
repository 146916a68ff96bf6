//! Why the proxy answered by itself, or broke off an answer: the closed set of reasons.
//!
//! One word for each, used in the metric label `reason`, in the access log and in the body of the
//! answer, so that the three can be held side by side. What is answered for each is one table in
//! `proxy::error`.

use std::fmt;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $label:literal,)+) => {
        /// A reason for an answer that no backend gave.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Fault {
            $($(#[$doc])* $fault,)+
        }

        impl Fault {
            /// All of them, in the order of their index.
            pub(crate) const ALL: &[Self] = &[$(Self::$fault,)+];

            pub(crate) const fn label(self) -> &'static str {
                match self {
                    $(Self::$fault => $label,)+
                }
            }

            /// Position in [`Fault::ALL`].
            pub(crate) const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

faults! {
    /// The request breaks HTTP in a way that must not be forwarded.
    BadRequest = "bad_request",
    /// The request target is longer than the limit.
    TargetLength = "target_length",
    /// The head is longer than the limit, or has too many fields.
    HeadLength = "head_length",
    /// HTTP of a version that is not spoken here.
    Version = "version",
    /// An expectation that nobody can meet.
    Expectation = "expectation",
    /// CONNECT, which this proxy does not do.
    MethodRefused = "method_refused",
    /// No rule matches.
    NoRoute = "no_route",
    /// Every weight of the split is zero.
    SplitClosed = "split_closed",
    /// The backend's reference cannot be resolved.
    BackendInvalid = "backend_invalid",
    /// The backend has no endpoint that is ready.
    NoEndpoints = "no_endpoints",
    /// The endpoint refused the connection or cannot be reached.
    Connect = "connect",
    /// The endpoint did not accept the connection in time.
    ConnectTimeout = "connect_timeout",
    /// The response's head did not come in time.
    RequestTimeout = "request_timeout",
    /// The deadline that a gRPC client set passed.
    Deadline = "deadline",
    /// The connection broke before the response's head.
    UpstreamReset = "upstream_reset",
    /// The endpoint takes no more requests now, and too many wait for it already or for too long.
    UpstreamBusy = "upstream_busy",
    /// The response is not HTTP.
    UpstreamProtocol = "upstream_protocol",
    /// The response broke off in the middle of its body.
    Truncated = "truncated",
    /// The client's body broke off or was malformed.
    RequestBody = "request_body",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
