//! One client connection, from its first byte to its end.
//!
//! HTTP/1.1 and HTTP/2 share a port: the first bytes tell them apart (RFC 9113, 3.4), and have to
//! come in time. Leaving is told to HTTP/2 by GOAWAY; an HTTP/1.1 connection stays readable until
//! it was answered once more with `Connection: close`, because closing an idle one at once would
//! race the client's next request. For the same reason GOAWAY waits for the first request: who
//! opens a connection while load balancers still send them here has one to make.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::local::Local;
use super::service::Proxy;
use crate::drain::{Phase, Watch};
use crate::upstream::{LocalExecutor, RequestBody, Wire};

/// What every HTTP/2 connection without TLS begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long the first bytes may take that tell the protocols apart.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection is looked at again that has sent a part of the preface.
const PREFACE_PATIENCE: Duration = Duration::from_millis(5);
/// Room for a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// HTTP/2's limits: hyper's own are made for trusted peers (`docs/guide/operations.md`).
const STREAMS_MAX: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
const RESET_STREAMS_MAX: usize = 64;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, proxy: Proxy, idle: Duration, mut watch: Watch) {
    let local = Rc::clone(&proxy.local);
    let detected = tokio::select! {
        biased;
        detected = timeout(PREFACE_TIMEOUT, detect(&stream)) => detected,
        // Opened, but never used: nothing to wait for.
        () = watch.reached(Phase::CloseIdle) => return,
    };
    let Ok(Some(protocol)) = detected else {
        return;
    };
    let answer = move |request: http::Request<Incoming>| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(proxy.answer(request.map(RequestBody::new)).await) }
    };
    let io = Wire::new(stream);
    let ended = match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(idle)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(io, service_fn(answer));
            let mut told = watch.clone();
            let goodbye = async move { told.reached(Phase::CloseIdle).await };
            let finish = http1::Connection::graceful_shutdown;
            run(connection, goodbye, finish, watch).await
        }
        Protocol::Http2 => {
            let (first, heard) = oneshot::channel::<()>();
            let first = Cell::new(Some(first));
            let service = service_fn(move |request| {
                drop(first.take());
                answer(request)
            });
            let connection = http2::Builder::new(LocalExecutor)
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
                .max_header_list_size(HEADER_LIST_BYTES_MAX)
                .max_local_error_reset_streams(RESET_STREAMS_MAX)
                .keep_alive_interval(PING_INTERVAL)
                .keep_alive_timeout(PING_TIMEOUT)
                .serve_connection(io, service);
            let mut told = watch.clone();
            let goodbye = async move {
                told.reached(Phase::LameDuck).await;
                tokio::select! {
                    _ = heard => {}
                    () = told.reached(Phase::CloseIdle) => {}
                }
            };
            let finish = http2::Connection::graceful_shutdown;
            run(connection, goodbye, finish, watch).await
        }
    };
    match ended {
        Ended::ByItself(Ok(())) => {}
        Ended::ByItself(Err(error)) if error.is_parse() => local.cells().protocol_errors.add(1),
        // The client went away or was idle for too long: ordinary ends.
        Ended::ByItself(Err(_)) => {}
        Ended::Cut => local.cells().cut.add(1),
    }
}

enum Ended {
    ByItself(hyper::Result<()>),
    Cut,
}

/// Runs a connection; after `goodbye` it is asked to finish, and in the end it is cut.
async fn run<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    goodbye: impl Future<Output = ()>,
    finish: impl FnOnce(Pin<&mut C>),
    mut watch: Watch,
) -> Ended {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => return Ended::ByItself(result),
        () = goodbye => finish(connection.as_mut()),
    }
    tokio::select! {
        biased;
        result = connection => Ended::ByItself(result),
        () = watch.reached(Phase::Cut) => Ended::Cut,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them. `None`: the client is gone.
async fn detect(stream: &TcpStream) -> Option<Protocol> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let length = stream
            .peek(&mut seen)
            .await
            .ok()
            .filter(|length| *length > 0)?;
        match judge(seen.get(..length).unwrap_or_default()) {
            Some(protocol) => return Some(protocol),
            // The same bytes would be there again at once; more of them take a moment.
            None => sleep(PREFACE_PATIENCE).await,
        }
    }
}

/// What the first bytes say; `None` while they say too little.
fn judge(seen: &[u8]) -> Option<Protocol> {
    if !PREFACE.starts_with(seen) {
        return Some(Protocol::Http1);
    }
    (seen.len() == PREFACE.len()).then_some(Protocol::Http2)
}

/// Counts a connection as open for as long as it lives.
#[derive(Debug)]
pub(super) struct Open(Rc<Local>);

impl Open {
    pub(super) fn count(local: &Rc<Local>) -> Self {
        local.cells().accepted.add(1);
        local.cells().open.add(1);
        Self(Rc::clone(local))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.cells().open.subtract(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_protocols_apart() {
        assert_eq!(judge(b"GET / HTTP/1.1"), Some(Protocol::Http1));
        assert_eq!(judge(b"POST"), Some(Protocol::Http1));
        assert_eq!(judge(b"PRI * HTTP/1.1\r\n"), Some(Protocol::Http1));
        for short in 1..PREFACE.len() {
            assert_eq!(judge(&PREFACE[..short]), None);
        }
        assert_eq!(judge(PREFACE), Some(Protocol::Http2));
    }
}
