//! What does not concern single routes: listeners, control API, drain, log, limits of clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_saphyr::Location;

use super::names::{self, Unique, bad_host};
use super::problem::Report;
use super::schema::{self, At, Document};
use super::trust;
use super::units::{address, duration, overlaps, positive_duration};
use crate::model::{Connect, RouteName, Trust};
use crate::routing::HostPattern;

const API_VERSION: &str = "pointsman.dev/v1";
/// Loopback, because whoever reaches the control API can move traffic.
const CONTROL_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);
/// Above the 60 s after which most load balancers close idle connections, so that they close first.
const CLIENT_IDLE: Duration = Duration::from_secs(75);
/// WebSockets are silent for long, and most keep-alives inside them come more often.
const TUNNEL_IDLE: Duration = Duration::from_secs(60 * 60);
/// Kubernetes takes an endpoint out of its lists within this time, usually.
const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// With the delay just within the 30 s that Kubernetes and systemd-like managers grant.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// What does not concern single routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) listeners: Vec<Listener>,
    /// `None`: there is no control API.
    pub(crate) control: Option<Control>,
    /// How long a client's connection may be idle or take to send the head of a request.
    pub(crate) client_idle: Duration,
    /// How long nothing may move in a tunnel.
    pub(crate) tunnel_idle: Duration,
    pub(crate) drain: Drain,
    pub(crate) access_log: AccessLog,
    pub(crate) connect: Connect,
}

/// An address that takes requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Whom it believes when it is told who the client is.
    pub(crate) trust: Trust,
}

/// Where the control API listens and who may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) address: SocketAddr,
    /// Lower-case names without port, beside `localhost` and IP addresses.
    pub(crate) allowed_hosts: Vec<String>,
    /// As browsers send them: scheme, host and, unless implied, port; lower-case.
    pub(crate) allowed_origins: Vec<String>,
}

/// Times between SIGTERM and exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drain {
    /// New connections are still accepted.
    pub(crate) delay: Duration,
    /// Running requests may still finish.
    pub(crate) timeout: Duration,
}

/// Which requests are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AccessLog {
    Off,
    /// Status 500 and above.
    #[default]
    Errors,
    All,
}

pub(super) fn compile(document: &At<Document>, report: &mut Report) -> Settings {
    check_version(document, report);
    let listeners = listeners(document, report);
    let control = control(document.control.as_ref(), &listeners, report);
    let drain = document.drain.as_ref();
    Settings {
        control,
        client_idle: positive_duration(document.client_idle_timeout.as_ref(), CLIENT_IDLE, report),
        tunnel_idle: positive_duration(document.tunnel_idle_timeout.as_ref(), TUNNEL_IDLE, report),
        drain: Drain {
            delay: duration(drain.and_then(|d| d.delay.as_ref()), DRAIN_DELAY, report),
            timeout: duration(
                drain.and_then(|d| d.timeout.as_ref()),
                DRAIN_TIMEOUT,
                report,
            ),
        },
        access_log: match document.access_log {
            None => AccessLog::default(),
            Some(schema::AccessLog::Off) => AccessLog::Off,
            Some(schema::AccessLog::Errors) => AccessLog::Errors,
            Some(schema::AccessLog::All) => AccessLog::All,
        },
        connect: match document.connect_requests {
            None | Some(schema::ConnectRequests::Refuse) => Connect::Refuse,
            Some(schema::ConnectRequests::Forward) => Connect::Forward,
        },
        listeners: listeners
            .into_iter()
            .map(|(listener, _)| listener)
            .collect(),
    }
}

fn check_version(document: &At<Document>, report: &mut Report) {
    let hint = format!("write `apiVersion: {API_VERSION}`");
    match &document.api_version {
        None => {
            report
                .error(
                    "missing-field",
                    document.place,
                    "the file does not say its `apiVersion`",
                )
                .hint(format!("{hint} as its first line"));
        }
        Some(version) if **version != API_VERSION => {
            let message = format!(
                "this Pointsman does not know the format `{}`",
                version.value
            );
            report
                .error("unsupported-version", version.place, message)
                .hint(hint);
        }
        Some(_) => {}
    }
}

fn listeners(document: &At<Document>, report: &mut Report) -> Vec<(Listener, Location)> {
    const HINT: &str = "for example `listeners: [{name: web, address: \"0.0.0.0:8080\"}]`";
    let written = document.listeners.as_ref();
    if written.is_none_or(|list| list.is_empty()) {
        let place = written.map_or(document.place, |list| list.place);
        report
            .error(
                "no-listeners",
                place,
                "there is no listener, so no request could come in",
            )
            .hint(HINT);
    }
    let mut names = Unique::default();
    let mut found: Vec<(Listener, Location)> = Vec::new();
    for one in written.into_iter().flat_map(|list| &list.value) {
        // A listener has the law of route names: both stand in metric labels and file names.
        if names::read(&one.name, RouteName::parse, report).is_some() {
            names.check("listener", &one.name, report);
        }
        let trust = trust::compile(one, report);
        let Some(address) = address(&one.address, report) else {
            continue;
        };
        let place = one.address.place;
        if let Some((other, first)) = found
            .iter()
            .find(|(other, _)| overlaps(other.address, address))
        {
            let message = format!("the listener `{}` takes this address already", other.name);
            report
                .error("address-in-use", place, message)
                .hint("give each listener a port of its own; every listener serves every route")
                .also(*first, "the other one");
        }
        let name = one.name.value.clone();
        let listener = Listener {
            name,
            address,
            trust,
        };
        found.push((listener, place));
    }
    found
}

fn control(
    written: Option<&schema::Control>,
    listeners: &[(Listener, Location)],
    report: &mut Report,
) -> Option<Control> {
    let written_address = written.and_then(|control| control.address.as_ref());
    let (address, place) = match written_address {
        Some(off) if **off == "none" => return None,
        Some(written) => (address(written, report)?, written.place),
        // Only the listener that stands in the way has a place in the file.
        None => (CONTROL_ADDRESS, Location::UNKNOWN),
    };
    let taken = listeners
        .iter()
        .find(|(one, _)| overlaps(one.address, address));
    if let Some((listener, at)) = taken {
        let message = format!(
            "the control API and the listener `{}` cannot share the address {address}",
            listener.name
        );
        let default = written_address.is_none();
        let problem = report.error("address-in-use", if default { *at } else { place }, message);
        if default {
            problem.hint("the control API is at 127.0.0.1:7070 unless `control.address` says else");
        } else {
            problem
                .hint("give one of them another port")
                .also(*at, "the listener");
        }
    }
    let hosts = written.and_then(|control| control.allowed_hosts.as_ref());
    let origins = written.and_then(|control| control.allowed_origins.as_ref());
    let mut allowed = Control {
        address,
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
    };
    for host in hosts.into_iter().flatten() {
        allowed.allowed_hosts.extend(allowed_host(host, report));
    }
    for origin in origins.into_iter().flatten() {
        allowed
            .allowed_origins
            .extend(allowed_origin(origin, report));
    }
    Some(allowed)
}

fn allowed_host(host: &At<String>, report: &mut Report) -> Option<String> {
    match HostPattern::parse(host) {
        Ok(HostPattern::Exact(name)) => Some(name.into_string()),
        Ok(HostPattern::Any | HostPattern::Below(_)) => {
            report
                .error("bad-host", host.place, "wildcards are not possible here")
                .hint("name each host: an open list would let any web page call the control API");
            None
        }
        Err(why) => {
            bad_host(host, &why, report);
            None
        }
    }
}

fn allowed_origin(origin: &At<String>, report: &mut Report) -> Option<String> {
    let lower = origin.to_ascii_lowercase();
    let (implied, rest) = if let Some(rest) = lower.strip_prefix("https://") {
        (":443", rest)
    } else if let Some(rest) = lower.strip_prefix("http://") {
        (":80", rest)
    } else {
        ("", "")
    };
    let authority = rest.parse::<http::uri::Authority>().ok();
    let good = authority.is_some_and(|authority| {
        let host = HostPattern::parse(authority.host());
        matches!(host, Ok(HostPattern::Exact(_))) && !authority.as_str().contains('@')
    });
    if good {
        return Some(lower.strip_suffix(implied).unwrap_or(&lower).to_owned());
    }
    let message = format!("`{}` is not the origin of a web page", origin.value);
    report
        .error("bad-origin", origin.place, message)
        .hint("write scheme, host and port, no path, as in `https://ops.example.com:8443`");
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Base;
    use crate::model::{ForwardingHeaders, ProxyProtocol};

    fn settings(text: &str) -> Settings {
        let head =
            "apiVersion: pointsman.dev/v1\nlisteners: [{name: web, address: \"[::1]:80\"}]\n";
        let base = Base::parse("test.yaml", &format!("{head}{text}"));
        base.unwrap_or_else(|problems| panic!("{problems}"))
            .settings()
            .clone()
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let seconds = Duration::from_secs;
        let found = settings("routes: []\n");
        let control = found.control.expect("on by default");
        assert_eq!(control.address.to_string(), "127.0.0.1:7070");
        assert!(control.allowed_hosts.is_empty() && control.allowed_origins.is_empty());
        assert_eq!(
            (found.drain.delay, found.drain.timeout),
            (seconds(5), seconds(25))
        );
        assert_eq!(
            (found.client_idle, found.access_log),
            (seconds(75), AccessLog::Errors)
        );
    }

    #[test]
    fn a_listener_believes_nobody_unless_told() {
        let listener = |options: &str| {
            let text = format!(
                "apiVersion: pointsman.dev/v1\nlisteners: [{{name: web, address: \"[::1]:80\"{options}}}]\n"
            );
            let base = Base::parse("test.yaml", &text);
            let base = base.unwrap_or_else(|problems| panic!("{problems}"));
            let codes = base.warnings().iter().map(|one| one.code);
            let codes: Vec<_> = codes.filter(|code| *code != "no-routes").collect();
            (base.settings().listeners[0].trust.clone(), codes)
        };
        assert_eq!(listener(""), (Trust::default(), vec![]));
        let (trust, warnings) = listener(
            ", trustedProxies: [10.0.0.0/8, \"::1\"], forwardingHeaders: both, proxyProtocol: required",
        );
        assert_eq!((trust.proxies.len(), warnings.len()), (2, 0));
        assert_eq!(trust.headers, ForwardingHeaders::Both);
        assert_eq!(trust.proxy_protocol, ProxyProtocol::Required);
        for (options, warning) in [
            (", proxyProtocol: required", "proxy-protocol-open"),
            (
                ", proxyProtocol: required, trustedProxies: []",
                "proxy-protocol-open",
            ),
            (", trustedProxies: [0.0.0.0/0]", "trusts-everyone"),
        ] {
            assert_eq!(listener(options).1, [warning], "{options}");
        }
        assert_eq!(listener(", proxyProtocol: off").0, Trust::default());
    }

    #[test]
    fn hosts_and_origins_are_kept_as_browsers_send_them() {
        let control = settings(
            "control: {allowedHosts: [Ops.Example.com], allowedOrigins: [\"HTTPS://Ops.example.com:443\", \
             \"http://a.example:8080\"]}",
        );
        let control = control.control.expect("on");
        assert_eq!(control.allowed_hosts, ["ops.example.com"]);
        assert_eq!(
            control.allowed_origins,
            ["https://ops.example.com", "http://a.example:8080"]
        );
    }
}
