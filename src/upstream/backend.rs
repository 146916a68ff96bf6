//! A backend as the config describes it.
//!
//! The odd cases are in the type: a backend that cannot be resolved is `Invalid` and answers 500
//! for its share; one with an empty list of endpoints answers 503.

use std::net::SocketAddr;
use std::time::Duration;

use crate::model::BackendName;

/// What is spoken to the endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113, 3.3).
    H2c,
}

/// How one of several endpoints is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Balance {
    #[default]
    RoundRobin,
    /// Two endpoints at random, the less busy one of them (M. Mitzenmacher, *The Power of Two
    /// Choices in Randomized Load Balancing*, 2001).
    PowerOfTwo,
}

/// Where a backend's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Endpoints(Box<[SocketAddr]>),
    /// The reference cannot be resolved; the reason is for people.
    Invalid(Box<str>),
}

/// A named destination, usually one version of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) name: BackendName,
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    pub(crate) balance: Balance,
    /// How long a TCP connect may take.
    pub(crate) connect_timeout: Duration,
    /// How long an idle connection is kept; below the shortest keep-alive time of the endpoints.
    pub(crate) idle_timeout: Duration,
    /// Most idle connections kept by each worker for each endpoint.
    pub(crate) idle_max: usize,
}

impl Backend {
    /// A backend that cannot be resolved: its share is answered 500.
    pub(crate) fn invalid(name: BackendName, reason: &str) -> Self {
        Self {
            name,
            target: Target::Invalid(reason.into()),
            protocol: Protocol::default(),
            balance: Balance::default(),
            connect_timeout: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            idle_max: 0,
        }
    }
}
