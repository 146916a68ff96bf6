//! Whom a listener believes when it is told who the client is.
//!
//! Anybody can write `X-Forwarded-For`. So the listener names the proxies in front of it, and what
//! anybody else says about where a request comes from is thrown away.

use std::net::IpAddr;

use super::Network;

/// What a listener believes, and what it tells the backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trust {
    /// The proxies whose word counts.
    pub(crate) proxies: Vec<Network>,
    pub(crate) headers: ForwardingHeaders,
    pub(crate) proxy_protocol: ProxyProtocol,
}

impl Trust {
    /// Whether what this address says about others is believed.
    pub(crate) fn covers(&self, ip: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(ip))
    }
}

/// The headers that say where a request comes from: read from trusted proxies, written for backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ForwardingHeaders {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Both are written; `X-Forwarded-For` is read.
    Both,
}

impl ForwardingHeaders {
    pub(crate) fn writes_x(self) -> bool {
        self != Self::Forwarded
    }

    pub(crate) fn writes_forwarded(self) -> bool {
        self != Self::XForwarded
    }
}

/// Whether a connection begins with a PROXY header, which says on whose behalf it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ProxyProtocol {
    #[default]
    Off,
    Required,
}
