//! Whom a listener believes: trusted proxies, forwarding headers, the PROXY protocol.

use super::problem::Report;
use super::schema::{self, At};
use crate::model::{ForwardingHeaders, Network, NetworkError, ProxyProtocol, Trust};

pub(super) fn compile(written: &schema::Listener, report: &mut Report) -> Trust {
    let proxies = written.trusted_proxies.iter().flatten();
    let trust = Trust {
        proxies: proxies.filter_map(|one| network(one, report)).collect(),
        headers: match written.forwarding_headers {
            None | Some(schema::ForwardingHeaders::XForwarded) => ForwardingHeaders::XForwarded,
            Some(schema::ForwardingHeaders::Forwarded) => ForwardingHeaders::Forwarded,
            Some(schema::ForwardingHeaders::Both) => ForwardingHeaders::Both,
        },
        proxy_protocol: match written.proxy_protocol.as_deref() {
            None | Some(schema::ProxyProtocol::Off) => ProxyProtocol::Off,
            Some(schema::ProxyProtocol::Required) => ProxyProtocol::Required,
        },
    };
    let nobody_named = written.trusted_proxies.iter().flatten().next().is_none();
    if let Some(choice) = &written.proxy_protocol
        && trust.proxy_protocol == ProxyProtocol::Required
        && nobody_named
    {
        report
            .warning(
                "proxy-protocol-open",
                choice.place,
                "whoever reaches this listener can claim to be any client",
            )
            .hint("name the load balancers or their network in `trustedProxies`");
    }
    trust
}

fn network(written: &At<String>, report: &mut Report) -> Option<Network> {
    let text = &written.value;
    let (message, hint) = match Network::parse(text) {
        Ok(network) => {
            if network.is_everything() {
                report
                    .warning(
                        "trusts-everyone",
                        written.place,
                        "everyone is a trusted proxy, so any client can claim to be another",
                    )
                    .hint("name the networks of the proxies that are yours");
            }
            return Some(network);
        }
        Err(NetworkError::NotAnAddress) => (
            format!("`{text}` is not an IP address or network"),
            "for example `10.0.0.0/8`, `fd00::/8` or `192.0.2.7`; names are not looked up"
                .to_owned(),
        ),
        Err(NetworkError::Prefix(bits)) => (
            format!("`{text}` is not a network: behind `/` stands a number from 0 to {bits}"),
            "the number of bits that all its addresses have in common, as in `10.0.0.0/8`"
                .to_owned(),
        ),
        Err(NetworkError::HostBits(network)) => {
            let alone = text.split('/').next().unwrap_or(text);
            (
                format!("`{text}` has bits set behind its prefix"),
                format!("write `{network}` for the network, or `{alone}` for this address alone"),
            )
        }
    };
    report
        .error("bad-network", written.place, message)
        .hint(hint);
    None
}
