//! Who the client is, and what backends are told about it.
//!
//! Whoever is not a trusted proxy of the listener is the client: what it says about where a request
//! comes from is replaced, in every spelling, so that nobody can claim another address. A trusted
//! proxy is believed: its own peer joins the chain, and the client is the right-most address in it
//! that is no trusted proxy. Only the headers that the listener names are believed: a proxy that
//! writes `X-Forwarded-For` lets its clients' `Forwarded` pass, and the other way round.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::hops::{self, Found, Hop};
use super::proxy_protocol::Source;
use crate::model::{ForwardingHeaders, ProxyProtocol, Trust};

const X_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What is spoken on every listener.
const SCHEME: &str = "http";

/// What a connection knows about its client, once for all its requests.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Who is at the other end, or on whose behalf, as a PROXY header said.
    ip: IpAddr,
    /// The same as text.
    text: HeaderValue,
    /// Port it connected to: that of the listener, or of the balancer before it.
    port: u16,
    trust: Rc<Trust>,
    /// Whether it is a proxy whose word counts.
    trusted: bool,
}

impl Client {
    pub(super) fn new(peer: IpAddr, port: u16, trust: &Rc<Trust>) -> Self {
        let ip = peer.to_canonical();
        let text = HeaderValue::try_from(ip.to_string());
        Self {
            ip,
            text: text.unwrap_or(HeaderValue::from_static("unknown")),
            port,
            trust: Rc::clone(trust),
            trusted: trust.covers(ip),
        }
    }

    /// Whether its connection has to begin with a PROXY header.
    pub(super) fn introduces(&self) -> bool {
        self.trust.proxy_protocol == ProxyProtocol::Required
    }

    /// Whether it may say by a PROXY header who somebody else is.
    pub(super) fn may_introduce(&self) -> bool {
        self.trusted || self.trust.proxies.is_empty()
    }

    /// Who is meant after a PROXY header. Without a source it stays who it is, but is not believed
    /// any more: it may speak for a stranger it cannot name.
    pub(super) fn introduced(&self, source: Option<Source>) -> Self {
        match source {
            Some(source) => Self::new(source.address.ip(), source.entrance, &self.trust),
            None => Self {
                trusted: false,
                ..self.clone()
            },
        }
    }

    /// Whether a header of this name is not passed on. Those that are written anew are not among
    /// them.
    pub(super) fn takes_off(&self, name: &HeaderName) -> bool {
        let writes = self.trust.headers;
        match speaks(name.as_str()) {
            None => false,
            Some(Speaks::Alias) => true,
            Some(Speaks::XForwarded) => !writes.writes_x(),
            Some(Speaks::Forwarded) => !writes.writes_forwarded(),
            Some(Speaks::Beside) => !(self.trusted && writes.writes_x()),
            Some(Speaks::Other) => !self.trusted,
        }
    }

    fn believes_x(&self) -> bool {
        self.trusted && self.trust.headers.writes_x()
    }

    /// Where the chain of a request leads.
    fn find(&self, headers: &HeaderMap) -> Found {
        let nobody = || hops::client([], self.ip, &self.trust);
        if !self.trusted {
            return nobody();
        }
        if self.trust.headers.writes_x() {
            let chain = headers.get_all(&X_FOR);
            return hops::client(hops::x_forwarded_for(&chain), self.ip, &self.trust);
        }
        match hops::forwarded(&headers.get_all(FORWARDED)) {
            Some(chain) => hops::client(chain, self.ip, &self.trust),
            None => nobody(),
        }
    }
}

/// How a header's name speaks about where requests come from.
enum Speaks {
    /// One of the three that are written.
    XForwarded,
    Forwarded,
    /// Says in other words what the three say.
    Beside,
    /// `X-Forwarded-` and anything else.
    Other,
    /// One of these with underscores: the same name to a backend that reads variables.
    Alias,
}

/// Whether a header's name belongs to those that only trusted proxies may use.
fn speaks(name: &str) -> Option<Speaks> {
    match name.as_bytes() {
        [b'x', ..] => match name {
            "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto" => {
                Some(Speaks::XForwarded)
            }
            "x-forwarded-port" | "x-real-ip" => Some(Speaks::Beside),
            _ => {
                let rest = name.get(1..)?.strip_prefix(['-', '_'])?;
                if !rest.starts_with("forwarded") && !matches!(rest, "real_ip" | "real-ip") {
                    None
                } else if name.contains('_') {
                    Some(Speaks::Alias)
                } else {
                    Some(Speaks::Other)
                }
            }
        },
        b"forwarded" => Some(Speaks::Forwarded),
        _ => None,
    }
}

/// The client's address for the log. Allocates for trusted proxies only.
pub(super) fn client_ip<'a>(headers: &HeaderMap, client: &'a Client) -> Cow<'a, str> {
    let found = client.find(headers);
    if found.hops == 0 {
        Cow::Borrowed(client.text.to_str().unwrap_or(""))
    } else {
        Cow::Owned(found.ip.to_string())
    }
}

/// By which scheme and port the client came, as far as it is known.
pub(super) fn entrance(headers: &HeaderMap, client: &Client) -> (&'static str, u16) {
    let said = if client.believes_x() {
        last(headers, &X_PROTO).and_then(|name| hops::secure(name.as_bytes()))
    } else {
        client.find(headers).secure
    };
    let Some(secure) = said else {
        return (SCHEME, client.port);
    };
    let (scheme, implied) = if secure { ("https", 443) } else { ("http", 80) };
    let port = Some(headers)
        .filter(|_| client.believes_x())
        .and_then(|headers| last(headers, &X_PORT))
        .and_then(|port| port.to_str().ok()?.parse().ok());
    (scheme, port.unwrap_or(implied))
}

/// Writes what backends are told about the client. Hop-by-hop headers, and those that the client
/// [takes off](Client::takes_off), are gone already.
/// `host` is what the client called us.
pub(super) fn apply(headers: &mut HeaderMap, client: &Client, host: Option<HeaderValue>) {
    if client.trusted {
        vouched(headers, client, host);
        return;
    }
    let mode = client.trust.headers;
    if mode.writes_forwarded() {
        let text = element(client.ip, host.as_ref(), Some(SCHEME));
        insert(headers, FORWARDED, text);
    }
    if mode.writes_x() {
        headers.insert(X_FOR, client.text.clone());
        headers.insert(X_PROTO, HeaderValue::from_static(SCHEME));
        match host {
            Some(host) => headers.insert(X_HOST, host),
            None => headers.remove(X_HOST),
        };
    }
}

/// The same for a request of a trusted proxy: what it says is kept, and it joins the chain itself.
fn vouched(headers: &mut HeaderMap, client: &Client, host: Option<HeaderValue>) {
    match client.trust.headers {
        ForwardingHeaders::XForwarded => extend_x(headers, client, host),
        ForwardingHeaders::Forwarded => {
            let own = element(client.ip, host.as_ref(), Some(SCHEME));
            // Behind a broken line nobody would find our element.
            if hops::forwarded(&headers.get_all(FORWARDED)).is_none() {
                headers.remove(FORWARDED);
            }
            append(headers, FORWARDED, own.as_bytes());
        }
        ForwardingHeaders::Both => {
            let text = translated(headers, client, host.as_ref());
            extend_x(headers, client, host);
            insert(headers, FORWARDED, text);
        }
    }
}

/// Appends to `X-Forwarded-For`, and fills in what is not said.
fn extend_x(headers: &mut HeaderMap, client: &Client, host: Option<HeaderValue>) {
    if headers.contains_key(X_REAL_IP) {
        // Its own word for it could be its client's.
        insert(headers, X_REAL_IP, client.find(headers).ip.to_string());
    }
    append(headers, X_FOR, client.text.as_bytes());
    let scheme = HeaderValue::from_static(SCHEME);
    for (name, otherwise) in [(X_PROTO, Some(scheme)), (X_HOST, host), (X_PORT, None)] {
        // Of several lines the last is the trusted proxy's own.
        match last(headers, &name).cloned().or(otherwise) {
            Some(value) => headers.insert(name, value),
            None => headers.remove(name),
        };
    }
}

/// The chain of `X-Forwarded-For` in the words of RFC 7239, and our own element.
fn translated(headers: &HeaderMap, client: &Client, host: Option<&HeaderValue>) -> String {
    let chain = headers.get_all(&X_FOR);
    let hops: Vec<Hop> = hops::x_forwarded_for(&chain).collect();
    let found = client.find(headers);
    let scheme = last(headers, &X_PROTO)
        .and_then(|name| hops::secure(name.as_bytes()))
        .map(|secure| if secure { "https" } else { "http" });
    let mut text = String::new();
    for (at, hop) in hops.iter().enumerate().rev() {
        let element = match hop.ip {
            None => "for=unknown".to_owned(),
            // What is said about the client's way belongs to the client.
            Some(ip) if at + 1 == found.hops => element(ip, last(headers, &X_HOST), scheme),
            Some(ip) => element(ip, None, None),
        };
        text.push_str(&element);
        text.push_str(", ");
    }
    text.push_str(&element(client.ip, host, Some(SCHEME)));
    text
}

/// One element of `Forwarded`.
fn element(ip: IpAddr, host: Option<&HeaderValue>, scheme: Option<&str>) -> String {
    let mut text = match ip {
        IpAddr::V4(ip) => format!("for={ip}"),
        IpAddr::V6(ip) => format!("for=\"[{ip}]\""),
    };
    if let Some(host) = host.and_then(|host| host.to_str().ok()) {
        text.push_str(";host=");
        if !host.is_empty() && host.bytes().all(hops::is_token) {
            text.push_str(host);
        } else {
            text.push('"');
            for c in host.chars() {
                if matches!(c, '"' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
            text.push('"');
        }
    }
    if let Some(scheme) = scheme {
        // Writing to a text cannot fail.
        write!(text, ";proto={scheme}").unwrap_or_default();
    }
    text
}

/// The last line of a header.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let line = headers.get_all(name).iter().next_back();
    line.filter(|line| !line.is_empty())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: String) {
    match HeaderValue::from_maybe_shared(Bytes::from(text)) {
        Ok(value) => headers.insert(name, value),
        // Addresses and hosts are fit for a header; better nothing than something half.
        Err(_) => headers.remove(name),
    };
}

/// Appends an entry to a list header; its lines, in order, become one.
fn append(headers: &mut HeaderMap, name: HeaderName, entry: &[u8]) {
    let mut list = Vec::new();
    for line in headers.get_all(&name) {
        let line = line.as_bytes().trim_ascii();
        if !line.is_empty() {
            list.extend_from_slice(line);
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(entry);
    match HeaderValue::from_maybe_shared(Bytes::from(list)) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}

#[cfg(test)]
#[path = "forwarding_tests.rs"]
mod tests;
