//! Who a connection is made for, heard before its first request where the listener asks for it.
//!
//! The header of the [PROXY protocol](super::proxy_protocol) is looked at without taking it, and
//! taken when it is complete: not a byte of what follows. Nobody is waited for longer than
//! [`HEADER_TIMEOUT`] after the first byte.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::proxy_protocol::{HEADER_BYTES_MAX, Parsed, parse};
use super::service::Proxy;

/// How long a PROXY header may take from its first byte.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection is looked at again that has sent a part of its header.
const HEADER_PATIENCE: Duration = Duration::from_millis(5);

/// Hears whose requests will come, if the listener wants to know. False: the connection has to be
/// closed; it is counted unless the client went without a word.
pub(super) async fn hear(stream: &mut TcpStream, proxy: &mut Proxy) -> bool {
    if !proxy.client.introduces() {
        return true;
    }
    if !proxy.client.may_introduce() {
        proxy.local.cells().protocol_errors.add(1);
        return false;
    }
    if !matches!(stream.peek(&mut [0]).await, Ok(1..)) {
        return false; // a health check by connecting, as balancers do
    }
    if let Ok(Some(Parsed::Header { length, source })) =
        timeout(HEADER_TIMEOUT, header(stream)).await
        && skip(stream, length).await.is_ok()
    {
        proxy.client = Rc::new(proxy.client.introduced(source));
        return true;
    }
    proxy.local.cells().protocol_errors.add(1);
    false
}

/// The header, when it is complete. `None`: there is none, or there will never be one.
async fn header(stream: &TcpStream) -> Option<Parsed> {
    let mut seen = vec![0; HEADER_BYTES_MAX];
    let mut known = 0;
    loop {
        let length = stream.peek(&mut seen).await.ok()?;
        match parse(seen.get(..length)?).ok()? {
            Parsed::Incomplete if length == 0 => return None,
            // The same bytes would be there again at once; more of them take a moment.
            Parsed::Incomplete => {
                if length == known {
                    sleep(HEADER_PATIENCE).await;
                }
                known = length;
            }
            header @ Parsed::Header { .. } => return Some(header),
        }
    }
}

async fn skip(stream: &mut TcpStream, length: usize) -> io::Result<()> {
    let mut taken = vec![0; length];
    stream.read_exact(&mut taken).await.map(drop)
}
