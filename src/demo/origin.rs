//! One embedded origin: the socket, its connections, and their orderly end.
//!
//! The demo must need nothing but the binary, so the two versions it shifts traffic between live
//! inside it. HTTP/1.1 and HTTP/2 by prior knowledge share one port, as they do on the proxy.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::podinfo::Podinfo;

/// More connections than this wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1_024;
/// What still runs this long after `stop` is cut.
const STOP_MAX: Duration = Duration::from_secs(3);
/// Out of file descriptors is no reason to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What tells one origin from another.
#[derive(Clone, Debug)]
pub(crate) struct OriginOptions {
    pub(crate) version: String,
    pub(crate) hostname: String,
    /// Port 0 lets the kernel choose.
    pub(crate) address: SocketAddr,
}

impl OriginOptions {
    /// A version on a loopback port of the kernel's choice.
    pub(crate) fn local(version: &str, hostname: &str) -> Self {
        Self {
            version: version.to_owned(),
            hostname: hostname.to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}

/// A running origin. Dropping it stops it too, without waiting for the end.
#[derive(Debug)]
pub(crate) struct Origin {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Origin {
    /// Binds and serves; answers only once the socket listens.
    pub(crate) async fn start(options: OriginOptions) -> io::Result<Self> {
        let podinfo = Podinfo::new(&options.version, &options.hostname).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "a version must fit into a header",
            )
        })?;
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, Arc::new(podinfo), stopping));
        Ok(Self {
            address,
            stop,
            accepting,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, finishes what is in flight, and cuts what takes longer than three seconds.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        // An error here is a panic of the accept loop, already reported by the runtime.
        self.accepting.await.ok();
    }
}

async fn accept(listener: TcpListener, podinfo: Arc<Podinfo>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let carried = stop.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(Box::pin(carry(stream, podinfo.clone(), carried.clone())));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_MAX, drained).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection to its end, or to the end of its last request after `stop`.
async fn carry(stream: TcpStream, podinfo: Arc<Podinfo>, mut stop: watch::Receiver<bool>) {
    // Small answers must not wait for an acknowledgement; failing to say so costs only time.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |request| {
        let podinfo = podinfo.clone();
        async move { Ok::<_, Infallible>(podinfo.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .http2()
        .timer(TokioTimer::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let stopping = tokio::select! {
        // A client's broken connection is the client's affair.
        _ = connection.as_mut() => false,
        () = stopped(&mut stop) => true,
    };
    if stopping {
        connection.as_mut().graceful_shutdown();
        connection.await.ok();
    }
}

/// Resolves when told to stop, or when whoever could tell is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}
