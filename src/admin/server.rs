//! The listening side: connections with limits and deadlines.
//!
//! Whoever can reach the socket must not be able to use it up: connections are counted, a head has
//! a deadline (an idle connection waits for one too), a body has one, an answer that nobody takes
//! has one in the kernel. At the end streams are told to stop and the rest may finish.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::context::{Context, Peer};
use super::router::router;

/// Connections that may be open at once; the next ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// How long a head may take, the wait for it included. Tests have less patience.
const HEAD_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 15 });
/// How long a peer may leave bytes unacknowledged.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers of one request, and bytes of its head.
const HEADERS_MAX: usize = 64;
const HEAD_MAX: usize = 32 * 1024;
/// How long calls that run may go on after the end was called.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after `accept` failed (usually: no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the control API until `shutdown`, then lets calls that run finish.
///
/// # Errors
/// When the listener has no address.
pub(crate) async fn serve(
    listener: TcpListener,
    mut context: Context,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (end, ending) = watch::channel(false);
    context.address = listener.local_addr()?;
    context.ending = ending.clone();
    let router = router(context);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (stream, peer, permit) = accept(&listener, &room) => {
                let connection = connection(stream, peer, router.clone(), ending.clone(), permit);
                connections.spawn(connection);
            }
        }
    }
    drop(listener);
    end.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(END_TIMEOUT, finished).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(why) => {
                tracing::debug!(%why, "the control API could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut ending: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let options = socket2::SockRef::from(&stream);
    let set = options
        .set_tcp_nodelay(true)
        .and_then(|()| options.set_tcp_user_timeout(Some(SEND_TIMEOUT)));
    if let Err(why) = set {
        tracing::debug!(%why, "a connection to the control API is gone already");
        return;
    }
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(Some(peer)));
        let router = router.clone();
        async move {
            let response = router.oneshot(request).await;
            response.map_err(|never: Infallible| match never {})
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { drop(ending.wait_for(|ending| *ending).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(why) = ended {
        tracing::debug!(%why, %peer, "a connection to the control API ended early");
    }
    drop(permit);
}
