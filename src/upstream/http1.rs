//! One HTTP/1.1 connection to an endpoint, driven by the request that uses it.
//!
//! hyper wants its connections polled; usually a task does that. Here the request does it while it
//! waits, which saves two task switches a request, and a sweep looks after the idle ones.

use std::future::{Future, poll_fn};
use std::mem::take;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;

use super::body::RequestBody;
use super::wire::Wire;
use crate::metrics::BackendCells;

type Driver = http1::Connection<Wire, RequestBody>;

/// An open connection. Counted as long as it lives.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// `None` once hyper is done with the connection. Boxed, because it is large and often moved.
    driver: Option<Box<Driver>>,
    bell: Arc<Bell>,
    /// The bell, as hyper knows it.
    waker: Waker,
    /// Sweeps since it was used last: a count costs a request less than a clock.
    idle_sweeps: u64,
    cells: Arc<BackendCells>,
}

/// Whether anything of a request may have reached the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    Something,
}

/// A request that got no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) error: hyper::Error,
    pub(super) sent: Sent,
}

impl Connection {
    pub(super) async fn open(stream: TcpStream, cells: Arc<BackendCells>) -> hyper::Result<Self> {
        let (sender, driver) = http1::handshake(Wire::new(stream)).await?;
        cells.connections.add(1);
        let bell = Arc::new(Bell::default());
        Ok(Self {
            sender,
            driver: Some(Box::new(driver)),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            idle_sweeps: 0,
            cells,
        })
    }

    /// Sends a request and waits for the head of its response. The request is taken, unless not
    /// a byte of it was sent.
    pub(super) async fn send(
        &mut self,
        request: &mut Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        // Unconstrained, because a poll that tokio's budget puts off would wake nobody.
        let mut response = pin!(unconstrained(self.sender.try_send_request(take(request))));
        let answer = poll_fn(|cx| {
            self.bell.user.register(cx.waker());
            drive(&mut self.driver, &self.waker);
            response.as_mut().poll(&mut nobody())
        });
        answer.await.map_err(|mut refused| {
            let sent = match refused.take_message() {
                Some(unsent) => {
                    *request = unsent;
                    Sent::Nothing
                }
                None => Sent::Something,
            };
            Unanswered {
                error: refused.into_error(),
                sent,
            }
        })
    }

    /// Lets hyper read and write what can be read and written now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        self.bell.user.register(cx.waker());
        drive(&mut self.driver, &self.waker);
    }

    /// Does something that makes the driver want to run, by somebody who runs it anyhow.
    pub(super) fn quietly<T>(&self, something: impl FnOnce() -> T) -> T {
        self.bell.muted.store(true, Relaxed);
        let result = something();
        self.bell.muted.store(false, Relaxed);
        result
    }

    /// Whether the connection is open and free for another request, as far as can be known now.
    pub(super) fn is_reusable(&mut self) -> bool {
        drive(&mut self.driver, Waker::noop());
        self.driver.is_some() && self.sender.is_ready()
    }

    pub(super) fn rests(&mut self) {
        self.idle_sweeps = 0;
    }

    /// Whether an idle connection is to be kept at a sweep: open, and not idle for too long.
    pub(super) fn keeps(&mut self, sweeps_max: u64) -> bool {
        self.idle_sweeps += 1;
        self.idle_sweeps <= sweeps_max && self.is_reusable()
    }
}

/// What hyper rings when a connection wants to be driven: it wakes the task that uses the
/// connection, unless that task is the one that made it want.
#[derive(Debug, Default)]
struct Bell {
    muted: AtomicBool,
    user: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // One thread rings and mutes; the atomics are what `Waker` asks for.
        if !self.muted.load(Relaxed) {
            self.user.wake();
        }
    }
}

/// For polls whose outcome only the driver can change, which the same task polls right before: a
/// wake-up would only make the task run once more for nothing (measured: a third of all runs).
pub(super) fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn drive(driver: &mut Option<Box<Driver>>, waker: &Waker) {
    if let Some(connection) = driver
        && let Poll::Ready(_ended) =
            Pin::new(&mut **connection).poll(&mut Context::from_waker(waker))
    {
        // An error has reached whoever waits for the response; dropping the driver tells the rest.
        *driver = None;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cells.connections.subtract(1);
    }
}
