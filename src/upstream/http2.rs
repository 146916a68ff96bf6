//! HTTP/2 to an endpoint: one shared connection a worker, any number of streams.
//!
//! hyper multiplexes the streams in a task of its own; what is kept here is a handle to it. When it
//! dies its streams die with it, and the next request opens another.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::body::RequestBody;
use super::endpoint::Counted;
use super::wire::Wire;
use crate::metrics::BackendCells;

/// Flow control windows: 64 KiB for a stream and no limit for all together (the largest window
/// there is), so that slow clients make their own streams wait, and nobody else's.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// The connection of one worker to one endpoint, if there is one.
#[derive(Debug, Default)]
pub(super) struct Shared {
    current: RefCell<Option<SendRequest<RequestBody>>>,
    /// Held while connecting, so that requests that come together open one connection together.
    /// Tokio's, because it is held across the connect; one thread only ever queues here.
    connecting: Mutex<()>,
}

impl Shared {
    fn open(&self) -> Option<SendRequest<RequestBody>> {
        self.current
            .borrow()
            .clone()
            .filter(|sender| !sender.is_closed())
    }

    /// The connection, opened by `connect` where there is none.
    pub(super) async fn sender<E, C>(
        &self,
        cells: &Arc<BackendCells>,
        connect: impl FnOnce() -> C,
    ) -> Result<SendRequest<RequestBody>, E>
    where
        C: Future<Output = Result<TcpStream, E>>,
        E: From<hyper::Error>,
    {
        if let Some(sender) = self.open() {
            return Ok(sender);
        }
        let _first = self.connecting.lock().await;
        if let Some(sender) = self.open() {
            return Ok(sender);
        }
        let stream = connect().await?;
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(Wire::new(stream, bytes::BytesMut::new()))
            .await?;
        let counted = Counted::new(cells);
        tokio::task::spawn_local(async move {
            // Its streams hear of an error themselves.
            drop(connection.await);
            drop(counted);
        });
        *self.current.borrow_mut() = Some(sender.clone());
        Ok(sender)
    }

    /// Lets go of a connection that has died.
    pub(super) fn sweep(&self) {
        let dead = self
            .current
            .borrow()
            .as_ref()
            .is_some_and(SendRequest::is_closed);
        if dead {
            self.current.borrow_mut().take();
        }
    }
}

/// Runs hyper's HTTP/2 tasks on the worker's own thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
