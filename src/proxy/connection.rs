//! One client connection, from its first byte to its end.
//!
//! HTTP/1.1 and HTTP/2 share a port: the first bytes tell them apart (RFC 9113, 3.4). A connection
//! may be silent for as long as an idle one; once it has begun to speak it has to say what it
//! speaks, in time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::TcpStream;

use super::http1;
use super::http2;
use super::introduction::introduce;
use super::leash::{Leash, Pull};
use super::local::Local;
use super::service::Proxy;
use crate::drain::Phase;
use crate::upstream::{Socket, Wire};

/// What every HTTP/2 connection without TLS begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long the rest of the first bytes may take that tell the protocols apart.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, mut proxy: Proxy, leash: &Leash) {
    let local = Rc::clone(&proxy.local);
    let mut socket = Socket::new(stream, BytesMut::new());
    let introduced = leash
        .unless_closing(pin!(introduce(&mut socket, &mut proxy)))
        .await;
    if introduced != Some(true) {
        return;
    }
    let detected = leash
        .unless_closing(pin!(detect(&mut socket, &local)))
        .await;
    let ended = match detected.flatten() {
        None => return,
        Some(Protocol::Http1) => run(pin!(http1::serve(socket, proxy, leash)), leash).await,
        Some(Protocol::Http2) => {
            let (stream, first) = socket.into_parts();
            // Boxed, so that connections of HTTP/1.1 need no room for it.
            Box::pin(http2::serve(Wire::new(stream, first), proxy, leash)).await
        }
    };
    match ended {
        Ended::ByItself | Ended::Idle => {}
        Ended::Broken => local.cells().protocol_errors.add(1),
        Ended::Cut => local.cells().cut.add(1),
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Finished, or the client went away: ordinary ends.
    ByItself,
    /// The client broke the protocol.
    Broken,
    /// Idle for too long, or slower than that with the head of a request.
    Idle,
    Cut,
}

/// Runs a connection of HTTP/1.1, or a tunnel, until it ends or the leash is pulled.
pub(super) async fn run<C: Future<Output = ()>>(
    mut connection: Pin<&mut C>,
    leash: &Leash,
) -> Ended {
    poll_fn(|cx| {
        leash.listen(cx.waker());
        match leash.pull() {
            Pull::Idle => return Poll::Ready(Ended::Idle),
            Pull::Phase(Phase::Cut) => return Poll::Ready(Ended::Cut),
            Pull::Phase(_) => {}
        }
        connection.as_mut().poll(cx).map(|()| Ended::ByItself)
    })
    .await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Reads what tells the protocols apart, and leaves it in the socket's input. `None`: the client is
/// gone, or too slow.
async fn detect(socket: &mut Socket, local: &Local) -> Option<Protocol> {
    if socket.input.is_empty() && !socket.more().await {
        return None;
    }
    let told = pin!(async {
        loop {
            match judge(&socket.input) {
                Some(protocol) => return Some(protocol),
                None if socket.more().await => {}
                None => return None,
            }
        }
    });
    let due = Instant::now() + PREFACE_TIMEOUT;
    local.deadlines.by(due, told).await.flatten()
}

/// What the first bytes say; `None` while they say too little.
fn judge(seen: &[u8]) -> Option<Protocol> {
    if seen.starts_with(PREFACE) {
        return Some(Protocol::Http2);
    }
    (!PREFACE.starts_with(seen)).then_some(Protocol::Http1)
}

/// Something on a leash of its own, which the worker holds until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    local: Rc<Local>,
    pub(super) leash: Rc<Leash>,
    key: usize,
}

impl Held {
    pub(super) fn new(local: &Rc<Local>) -> Self {
        let leash = Leash::new(local.phase());
        let key = local.leashes.borrow_mut().insert(Rc::clone(&leash));
        Self {
            local: Rc::clone(local),
            leash,
            key,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.local.leashes.borrow_mut().try_remove(self.key);
    }
}

/// A connection that is open: counted, and held.
#[derive(Debug)]
pub(super) struct Open(Held);

impl Open {
    pub(super) fn new(local: &Rc<Local>) -> Self {
        local.cells().accepted.add(1);
        local.cells().open.add(1);
        Self(Held::new(local))
    }

    pub(super) fn leash(&self) -> &Rc<Leash> {
        &self.0.leash
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.local.cells().open.subtract(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocols_apart() {
        for http1 in ["GET / HTTP/1.1", "POST", "PRI * HTTP/1.1\r\n", "P0", "x"] {
            assert_eq!(judge(http1.as_bytes()), Some(Protocol::Http1));
        }
        for short in 0..PREFACE.len() {
            assert_eq!(judge(&PREFACE[..short]), None);
        }
        let mut more = PREFACE.to_vec();
        assert_eq!(judge(&more), Some(Protocol::Http2));
        more.extend(b"\0\0\0");
        assert_eq!(judge(&more), Some(Protocol::Http2));
    }
}
