//! Binding: one `SO_REUSEPORT` socket for each worker and listener, all before anything serves.
//!
//! `SO_REUSEPORT` would let a second instance listen on the same port in silence and take half of
//! the connections. So the address is first bound without it, which fails if anybody is there.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::model::Trust;

/// Connections that may wait to be accepted, for each socket.
const BACKLOG: i32 = 1024;

/// A listener's sockets, one for each worker.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The real address: port 0 has become a number.
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
    /// Whom it believes when it is told who the client is; nobody, until somebody is named.
    pub(crate) trust: Trust,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source } = self;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the kinds of IO errors are not ours"
        )]
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there, maybe another Pointsman; stop it or choose \
                 another port"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE; choose a higher port"
            }
            io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address",
            _ => "check the address of the listener",
        };
        write!(f, "cannot listen on {address}: {source}: {hint}")
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    ReusePort,
}

/// Binds `address` once for each worker.
///
/// # Errors
/// When the address cannot be bound, or somebody listens there already.
pub(crate) fn bind(address: SocketAddr, workers: usize) -> Result<Bound, BindError> {
    let fail = |source| BindError { address, source };
    if address.port() != 0 {
        drop(socket(address, Sharing::Alone).map_err(fail)?);
    }
    let first = socket(address, Sharing::ReusePort).map_err(fail)?;
    let address = first.local_addr().map_err(fail)?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(socket(address, Sharing::ReusePort).map_err(fail)?);
    }
    Ok(Bound {
        address,
        sockets,
        trust: Trust::default(),
    })
}

fn socket(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Without it, connections of the process before in TIME_WAIT would block the address.
    socket.set_reuse_address(true)?;
    if sharing == Sharing::ReusePort {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_gets_a_socket_and_nobody_else_does() {
        let bound = bind("127.0.0.1:0".parse().expect("address"), 3).expect("free port");
        assert_eq!(bound.sockets.len(), 3);
        assert_ne!(bound.address.port(), 0);
        let second = bind(bound.address, 1).expect_err("in use");
        let text = second.to_string();
        assert!(text.contains(&bound.address.to_string()), "{text}");
        assert!(text.contains("another process listens there"), "{text}");
    }
}
