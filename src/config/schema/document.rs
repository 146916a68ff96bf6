//! The file as a whole: listeners, control API, drain, backends.

use schemars::JsonSchema;
use serde::Deserialize;

use super::at::{At, Number};
use super::rule::Route;

/// Configuration of Pointsman: what it listens to, which requests go where, and who answers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Pointsman configuration")]
pub(crate) struct Document {
    /// Version of this format.
    #[schemars(required, extend("const" = "pointsman.dev/v1"))]
    pub(crate) api_version: Option<At<String>>,
    /// Addresses that take requests. Every listener serves every route.
    #[schemars(required, length(min = 1))]
    pub(crate) listeners: Option<At<Vec<At<Listener>>>>,
    /// The control API: live weights, statistics, metrics.
    pub(crate) control: Option<Control>,
    /// How long a connection from a client may be idle, and how long a client may take to send the
    /// head of a request. Longer than that of the load balancer in front, if there is one.
    #[schemars(extend("default" = "75s"), example = &"75s")]
    pub(crate) client_idle_timeout: Option<At<String>>,
    /// How long nothing may move, in either direction, in a connection that was upgraded to another
    /// protocol (WebSocket).
    #[schemars(extend("default" = "1h"), example = &"1h")]
    pub(crate) tunnel_idle_timeout: Option<At<String>>,
    /// What happens between SIGTERM and exit.
    pub(crate) drain: Option<Drain>,
    /// Which requests are written to standard output, one line of JSON each: `off`, `errors`
    /// (answers with status 500 and above) or `all`.
    #[schemars(extend("default" = "errors"))]
    pub(crate) access_log: Option<AccessLog>,
    /// What is done with the method CONNECT, which asks for a tunnel to a host: `refuse` (405), or
    /// `forward` to the backend that the routes choose for the host. Only backends that are proxies
    /// themselves know what to do with it.
    #[schemars(extend("default" = "refuse"))]
    pub(crate) connect_requests: Option<ConnectRequests>,
    /// Which requests go where. The most specific match wins (host, then path, then conditions);
    /// between equals the one that is written first.
    pub(crate) routes: Option<At<Vec<At<Route>>>>,
    /// Destinations by name, usually one version of a service each.
    pub(crate) backends: Option<At<Vec<At<Backend>>>>,
}

/// An address that takes requests: HTTP/1.1 and HTTP/2 without TLS (prior knowledge) on one port.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Listener {
    /// Unique among the listeners; lower-case letters, digits, `-` and `.`.
    #[schemars(example = &"web")]
    pub(crate) name: At<String>,
    /// IP address and port. `0.0.0.0` means every IPv4 address, `[::]` every IPv6 address; port 0
    /// takes any free port.
    #[schemars(example = &"0.0.0.0:8080", example = &"[::]:8080")]
    pub(crate) address: At<String>,
    /// Proxies and load balancers in front of this listener, as addresses or networks. What they
    /// say about the client is believed; what anybody else says is replaced.
    #[schemars(extend("default" = []), example = ["10.0.0.0/8", "fd00::/8", "192.0.2.7"])]
    pub(crate) trusted_proxies: Option<Vec<At<String>>>,
    /// Which headers tell backends where a request comes from, and are believed when a trusted
    /// proxy sends them: `xForwarded` (`X-Forwarded-For`, `-Proto`, `-Host`), `forwarded` (RFC
    /// 7239), or `both` (both are written, `X-Forwarded-*` is read).
    #[schemars(extend("default" = "xForwarded"))]
    pub(crate) forwarding_headers: Option<ForwardingHeaders>,
    /// Whether every connection begins with a PROXY header, version 1 or 2: `off` or `required`.
    /// When required, connections without a valid one are closed; if there are `trustedProxies`,
    /// only they may connect.
    #[schemars(extend("default" = "off"))]
    pub(crate) proxy_protocol: Option<At<ProxyProtocol>>,
}

/// Which headers say where a request comes from.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ForwardingHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    XForwarded,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
    /// Both.
    Both,
}

/// Whether connections begin with a PROXY header.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ProxyProtocol {
    /// A PROXY header is a broken request.
    Off,
    /// Version 1 or 2.
    Required,
}

/// Where the control API listens and who may call it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Control {
    /// IP address and port, or `none` to have no control API. It can move traffic, so keep it on
    /// loopback or on a network that only operators reach.
    #[schemars(extend("default" = "127.0.0.1:7070"), example = &"127.0.0.1:7070")]
    pub(crate) address: Option<At<String>>,
    /// Host names by which it may be called, beside `localhost` and IP addresses. Requests with
    /// another `Host` are refused, which keeps foreign web pages out (DNS rebinding).
    #[schemars(extend("default" = []), example = ["pointsman.example.com"])]
    pub(crate) allowed_hosts: Option<Vec<At<String>>>,
    /// Origins of web pages that may call it, beside its own.
    #[schemars(extend("default" = []), example = ["https://ops.example.com"])]
    pub(crate) allowed_origins: Option<Vec<At<String>>>,
}

/// Times between SIGTERM and exit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Drain {
    /// How long new connections are still accepted after `/readyz` began to answer 503, so that
    /// load balancers notice first.
    #[schemars(extend("default" = "5s"))]
    pub(crate) delay: Option<At<String>>,
    /// How long running requests may then take before they are cut.
    #[schemars(extend("default" = "25s"))]
    pub(crate) timeout: Option<At<String>>,
}

/// Which requests are logged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum AccessLog {
    /// None.
    Off,
    /// Those answered with status 500 and above.
    Errors,
    /// Every request.
    All,
}

/// What is done with CONNECT.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ConnectRequests {
    /// Answered 405.
    Refuse,
    /// Passed on like other requests; a tunnel when the backend accepts.
    Forward,
}

/// A named destination, usually one version of a service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Backend {
    /// Unique among the backends; lower-case letters, digits, `-` and `.`. It appears in metrics
    /// and in the control API.
    #[schemars(example = &"podinfo-canary")]
    pub(crate) name: At<String>,
    /// Where its instances listen: `ip:port`, `[ipv6]:port` or `localhost:port`. An empty list is
    /// legal: the share of the backend is then answered 503.
    #[schemars(example = ["127.0.0.1:9898", "[::1]:9898"])]
    pub(crate) endpoints: Option<Vec<At<String>>>,
    /// Says that the backend cannot be resolved, and why; takes the place of `endpoints`. It keeps
    /// its share of every split, and its requests are answered 500.
    #[schemars(example = &"service podinfo-next does not exist")]
    pub(crate) invalid: Option<At<String>>,
    /// What is spoken to the endpoints: `http1`, or `h2c` (HTTP/2 without TLS).
    #[schemars(extend("default" = "http1"))]
    pub(crate) protocol: Option<Protocol>,
    /// How an endpoint is chosen: `roundRobin`, or `powerOfTwo` (of two at random the less busy
    /// one).
    #[schemars(extend("default" = "roundRobin"))]
    pub(crate) balance: Option<Balance>,
    /// Time limits of its connections.
    pub(crate) timeouts: Option<BackendTimeouts>,
    /// Most idle connections that each worker keeps to each endpoint.
    #[schemars(extend("default" = 256, "maximum" = 65_536))]
    pub(crate) max_idle: Option<At<Number>>,
}

/// Time limits of a backend's connections.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BackendTimeouts {
    /// How long a TCP connect may take.
    #[schemars(extend("default" = "2s"))]
    pub(crate) connect: Option<At<String>>,
    /// How long an unused connection is kept. Below the keep-alive time of the endpoints, or
    /// requests race with their closing: most servers keep connections for 60 s or longer, but
    /// Node.js only 5 s (write `4s`).
    #[schemars(extend("default" = "30s"))]
    pub(crate) idle: Option<At<String>>,
}

/// What is spoken to the endpoints.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Balance {
    /// One after the other.
    RoundRobin,
    /// Of two at random the less busy one.
    PowerOfTwo,
}
