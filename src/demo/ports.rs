//! Which ports a demo takes: the usual ones, unless somebody was there first.
//!
//! The proxy's sockets share their port (`SO_REUSEPORT`), so a second demo would not fail to bind:
//! it would silently take half of the first one's requests. Hence the exclusive try before.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::error::DemoError;

/// A port to use, and whether it is not the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    /// The usual address, when it was taken.
    pub(crate) instead_of: Option<SocketAddr>,
}

/// The port asked for, which must be free; or the usual one; or one that is free.
///
/// The port is free again when this returns, so somebody quick may still take it; the proxy's own
/// bind then says so.
pub(crate) fn choose(
    flag: &'static str,
    asked: Option<u16>,
    usual: u16,
) -> Result<Port, DemoError> {
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let wanted = local(asked.unwrap_or(usual));
    match (free(wanted), asked) {
        (Ok(address), _) => Ok(Port {
            address,
            instead_of: None,
        }),
        (Err(error), Some(_)) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(DemoError::PortTaken {
                flag,
                address: wanted,
            })
        }
        (Err(error), Some(_)) => Err(DemoError::start(format!("on {wanted}"), error)),
        (Err(_), None) => match free(local(0)) {
            Ok(address) => Ok(Port {
                address,
                instead_of: Some(wanted),
            }),
            Err(error) => Err(DemoError::start("on any port of 127.0.0.1", error)),
        },
    }
}

/// Binds alone, looks which address that gave, and lets go.
fn free(address: SocketAddr) -> io::Result<SocketAddr> {
    TcpListener::bind(address)?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_port_that_is_taken_is_replaced_and_an_asked_one_refused() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let port = choose("--port", None, address.port()).unwrap();
        assert_eq!(port.instead_of, Some(address));
        assert_ne!(port.address, address);
        let refused = choose("--port", Some(address.port()), 8080)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(&address.to_string()) && refused.contains("--port"),
            "{refused}"
        );
        drop(taken);
        let port = choose("--port", Some(address.port()), 8080).unwrap();
        assert_eq!(
            port,
            Port {
                address,
                instead_of: None
            }
        );
    }
}
