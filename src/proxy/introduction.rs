//! Who a connection is made for, heard before its first request where the listener asks for it.
//!
//! The header of the [PROXY protocol](super::proxy_protocol) is taken off the connection's input
//! when it is complete, and not a byte of what follows. Nobody is waited for longer than
//! [`HEADER_TIMEOUT`] after the first byte.

use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Buf as _;

use super::proxy_protocol::{HEADER_BYTES_MAX, Parsed, Source, parse};
use super::service::Proxy;
use crate::upstream::Socket;

/// How long a PROXY header may take from its first byte.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Hears whose requests will come, if the listener wants to know. False: the connection has to be
/// closed; it is counted unless the client went without a word.
pub(super) async fn introduce(socket: &mut Socket, proxy: &mut Proxy) -> bool {
    if !proxy.client.introduces() {
        return true;
    }
    let local = Rc::clone(&proxy.local);
    if !proxy.client.may_introduce() {
        local.cells().protocol_errors.add(1);
        return false;
    }
    if !socket.more().await {
        return false; // a health check by connecting, as balancers do
    }
    let due = Instant::now() + HEADER_TIMEOUT;
    let header = local.deadlines.by(due, pin!(header(socket))).await;
    let Some(Some((length, source))) = header else {
        local.cells().protocol_errors.add(1);
        return false;
    };
    socket.input.advance(length);
    proxy.client = Rc::new(proxy.client.introduced(source));
    true
}

/// The header's length and who it names. `None`: there is none, or there will never be one.
async fn header(socket: &mut Socket) -> Option<(usize, Option<Source>)> {
    loop {
        match parse(&socket.input).ok()? {
            Parsed::Header { length, source } => return Some((length, source)),
            Parsed::Incomplete if socket.input.len() > HEADER_BYTES_MAX => return None,
            Parsed::Incomplete if socket.more().await => {}
            Parsed::Incomplete => return None,
        }
    }
}
