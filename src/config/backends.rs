//! Backends: names, endpoints, protocol, limits of their connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_saphyr::Location;

use super::names::{self, Unique, nearest_hint};
use super::problem::Report;
use super::schema::{self, At, Document, Number};
use super::settings::Listener;
use super::units::{address, overlaps, positive_duration};
use crate::model::BackendName;
use crate::upstream::{Backend, Balance, Protocol, Target};

/// Long enough for a lost SYN to be sent once more, short enough for the client to stay.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Half of the 60 s and more that most servers and load balancers keep idle connections: when both
/// sides close after the same time, requests race with the closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections per worker and endpoint: above the concurrency of one worker, usually.
const IDLE_CONNECTIONS: usize = 256;
const IDLE_CONNECTIONS_MAX: u64 = 65_536;

/// All backends, the broken ones by name only.
#[derive(Default)]
pub(super) struct Backends {
    pub(super) found: HashMap<BackendName, Arc<Backend>>,
    written: HashMap<String, Written>,
}

struct Written {
    place: Location,
    used: bool,
}

impl Backends {
    /// Notes that a split names a backend; reports it when there is none of this name.
    pub(super) fn refer(&mut self, name: &At<String>, report: &mut Report) -> Option<BackendName> {
        if let Some(written) = self.written.get_mut(&name.value) {
            written.used = true;
            return BackendName::parse(name).ok();
        }
        let known = self.written.keys().map(String::as_str);
        let hint = nearest_hint(name, known, report).unwrap_or_else(|| {
            format!(
                "add it: `backends: [{{name: {}, endpoints: [\"127.0.0.1:9898\"]}}]`",
                name.value
            )
        });
        let message = format!("there is no backend named `{}`", name.value);
        report
            .error("unknown-backend", name.place, message)
            .hint(hint);
        None
    }

    /// Warns about backends that no split names.
    pub(super) fn warn_unused(&self, report: &mut Report) {
        for (name, written) in self.written.iter().filter(|(_, written)| !written.used) {
            let message = format!("no split names the backend `{name}`");
            report
                .warning("unused-backend", written.place, message)
                .hint("name it in a split, with weight 0 if it is to wait, or remove it");
        }
    }
}

pub(super) fn compile(
    document: &Document,
    listeners: &[Listener],
    report: &mut Report,
) -> Backends {
    let mut backends = Backends::default();
    let mut names = Unique::default();
    for written in document.backends.iter().flat_map(|list| &list.value) {
        names.check("backend", &written.name, report);
        let place = written.name.place;
        let entry = Written { place, used: false };
        backends.written.insert(written.name.value.clone(), entry);
        let backend = backend(written, listeners, report);
        if let Some(backend) = backend {
            backends
                .found
                .insert(backend.name.clone(), Arc::new(backend));
        }
    }
    backends
}

fn backend(
    written: &At<schema::Backend>,
    listeners: &[Listener],
    report: &mut Report,
) -> Option<Backend> {
    let name = names::read(&written.name, BackendName::parse, report);
    let target = target(written, listeners, report);
    let timeouts = written.timeouts.as_ref();
    let connect = timeouts.and_then(|timeouts| timeouts.connect.as_ref());
    let idle = timeouts.and_then(|timeouts| timeouts.idle.as_ref());
    let connect_timeout = positive_duration(connect, CONNECT_TIMEOUT, report);
    let idle_timeout = positive_duration(idle, IDLE_TIMEOUT, report);
    let idle_max = idle_connections(written.max_idle.as_ref(), report);
    Some(Backend {
        name: name?,
        target: target?,
        protocol: match written.protocol {
            None | Some(schema::Protocol::Http1) => Protocol::Http1,
            Some(schema::Protocol::H2c) => Protocol::H2c,
        },
        balance: match written.balance {
            None | Some(schema::Balance::RoundRobin) => Balance::RoundRobin,
            Some(schema::Balance::PowerOfTwo) => Balance::PowerOfTwo,
        },
        connect_timeout,
        idle_timeout,
        idle_max,
    })
}

fn target(
    written: &At<schema::Backend>,
    listeners: &[Listener],
    report: &mut Report,
) -> Option<Target> {
    let name = &written.name.value;
    match (&written.endpoints, &written.invalid) {
        (Some(endpoints), None) => {
            endpoint_list(endpoints, listeners, report).map(Target::Endpoints)
        }
        (None, Some(reason)) => Some(Target::Invalid(reason.value.as_str().into())),
        (Some(_), Some(invalid)) => {
            let message = format!("the backend `{name}` has endpoints and is invalid at once");
            report
                .error("conflict", invalid.place, message)
                .hint("keep one of `endpoints` and `invalid`");
            None
        }
        (None, None) => {
            let message = format!("the backend `{name}` has no `endpoints`");
            report
                .error("missing-field", written.name.place, message)
                .hint("add `endpoints: [\"127.0.0.1:9898\"]`, or `endpoints: []` for none as yet");
            None
        }
    }
}

fn endpoint_list(
    written: &[At<String>],
    listeners: &[Listener],
    report: &mut Report,
) -> Option<Box<[SocketAddr]>> {
    let mut seen: HashMap<SocketAddr, Location> = HashMap::new();
    let mut found = Vec::with_capacity(written.len());
    for text in written {
        let Some(address) = address(text, report) else {
            continue;
        };
        if address.port() == 0 || address.ip().is_unspecified() {
            report
                .error(
                    "bad-address",
                    text.place,
                    "nothing can be reached at this address",
                )
                .hint("write the IP address and the port at which the endpoint listens");
        } else if let Some(own) = listeners.iter().find(|one| overlaps(one.address, address)) {
            let message = format!("this is Pointsman's own listener `{}`: a loop", own.name);
            report
                .error("loop", text.place, message)
                .hint("write the address of the service, not of the proxy in front of it");
        } else if let Some(first) = seen.insert(address, text.place) {
            report
                .error(
                    "duplicate-endpoint",
                    text.place,
                    "this endpoint is in the list already",
                )
                .hint("shares are set by the weights of a split, not by repeating endpoints")
                .also(first, "the other one");
        } else {
            found.push(address);
        }
    }
    (found.len() == written.len()).then(|| found.into())
}

fn idle_connections(written: Option<&At<Number>>, report: &mut Report) -> usize {
    let Some(written) = written else {
        return IDLE_CONNECTIONS;
    };
    match written.value {
        Number::Natural(number) if number <= IDLE_CONNECTIONS_MAX => {
            usize::try_from(number).unwrap_or(IDLE_CONNECTIONS)
        }
        _ => {
            let message = format!("`maxIdle` is a whole number from 0 to {IDLE_CONNECTIONS_MAX}");
            report
                .error("bad-number", written.place, message)
                .hint("0 keeps no connection open between requests");
            IDLE_CONNECTIONS
        }
    }
}
