//! HTTP/2 to an endpoint: a few shared connections a worker, as many streams as the endpoint allows.
//!
//! hyper multiplexes the streams of a connection in tasks of its own; what is kept here is a handle
//! to each and a count of its streams, so that a request is never given to a connection that has no
//! room for it. Where none has, another is opened, and where there are enough, requests wait for
//! room, in turn and for a limited time. A connection that dies or says GOAWAY takes no more
//! requests; what the endpoint says it did not look at is sent once more, on another connection.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};

use super::body::RequestBody;
use super::connect::notice_silence;
use super::endpoint::Counted;
use super::pool::Failure;
use super::replay::{Lent, Replay};
use super::stream::{Lost, judge};
use super::translate::{check_response, to_http2};
use super::wire::Wire;
use crate::metrics::BackendCells;
use crate::model::Fault;

/// Flow control windows: 64 KiB for a stream and no limit for all together (the largest window
/// there is), so that slow clients make their own streams wait, and nobody else's.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// A response's head, as large as one of HTTP/1.1 may be.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Connections of one worker to one endpoint; more than one only when all their streams are taken.
const CONNECTIONS_MAX: usize = 8;
/// What an endpoint allows before it has said how much: one, to which no setting is equal. Whoever
/// comes second waits for its first word, and looks for it so often.
const UNSAID: usize = usize::MAX - 1;
const SETTINGS_PATIENCE: Duration = Duration::from_millis(1);
/// Requests that wait for room on one of them.
const WAITING_MAX: usize = 1024;

/// A request's body holds its place, like the response does: the stream ends with both.
type Body = Lent<Rc<Place>>;

/// The connections of one worker to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Shared {
    links: RefCell<Vec<Rc<Link>>>,
    /// Held while connecting, so that requests that come together open one connection together.
    /// Tokio's, because it is held across the connect; one thread only ever queues here.
    connecting: Mutex<()>,
    /// Rung when a stream ends.
    room: Rc<Notify>,
    waiting: Cell<usize>,
    /// How many connects have failed, and how the last did: those who waited for it fail with it,
    /// instead of each waiting for a timeout of its own.
    failed: Cell<(u64, Option<Fault>)>,
}

type Connection = http2::Connection<Wire, Body, LocalExecutor>;

/// One connection.
struct Link {
    sender: SendRequest<Body>,
    /// hyper's side of it, run by a task of its own, which takes it out when it has ended.
    connection: Rc<RefCell<Option<Connection>>>,
    streams: Cell<usize>,
    /// Sweeps since the last stream ended.
    idle_sweeps: Cell<u64>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Whether it is open and may carry one more stream.
    fn has_room(&self) -> bool {
        let allowed = match self.allowed() {
            UNSAID => 1,
            allowed => allowed,
        };
        self.streams.get() < allowed
    }

    /// How many streams it may carry.
    fn allowed(&self) -> usize {
        match &*self.connection.borrow() {
            Some(connection) if !self.sender.is_closed() => connection.current_max_send_streams(),
            _ => 0,
        }
    }
}

/// A stream's place on its connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    link: Rc<Link>,
    room: Rc<Notify>,
    /// Whether the connection had carried something before.
    used: bool,
}

impl Place {
    fn take(link: &Rc<Link>, room: &Rc<Notify>, used: bool) -> Rc<Self> {
        link.streams.set(link.streams.get() + 1);
        Rc::new(Self {
            link: Rc::clone(link),
            room: Rc::clone(room),
            used,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.link.streams.set(self.link.streams.get() - 1);
        self.link.idle_sweeps.set(0);
        self.room.notify_one();
    }
}

/// How a connection is opened, and what counts it.
pub(super) struct Way<'a, C> {
    pub(super) connect: C,
    /// For how long a request may wait for room: as long as for a connection.
    pub(super) patience: Duration,
    pub(super) cells: &'a Arc<BackendCells>,
}

impl Shared {
    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// When there is no response, after a second attempt where one is safe.
    pub(super) async fn send<C, F>(
        &self,
        request: &mut Request<RequestBody>,
        way: &Way<'_, C>,
    ) -> Result<(Response<Incoming>, Rc<Place>), Failure>
    where
        C: Fn() -> F,
        F: Future<Output = Result<TcpStream, Failure>>,
    {
        to_http2(request)?;
        let replay = Replay::new(std::mem::take(request));
        let mut failed: Option<(Rc<Link>, Failure)> = None;
        // Each connection may turn out to be closed, and each of them once.
        for _ in 0..CONNECTIONS_MAX + 2 {
            let avoided = failed.as_ref().map(|(link, _)| link);
            let place = self.place(avoided, way).await?;
            let Some(lent) = replay.lend(Rc::clone(&place)) else {
                // Too much of the body is gone.
                break;
            };
            let mut sender = place.link.sender.clone();
            let error = match sender.try_send_request(lent).await {
                Ok(answer) => {
                    check_response(&answer)?;
                    replay.settle();
                    return Ok((answer, place));
                }
                Err(error) => error,
            };
            let again = match judge(&error) {
                Lost::Unsent => true,
                Lost::Unseen => failed.is_none(),
                Lost::Unknown => failed.is_none() && place.used && replay.is_idempotent(),
                Lost::Refused => false,
            };
            let failure = Failure::from(error.into_error());
            if !again {
                return Err(failure);
            }
            way.cells.retries.add(1);
            failed = Some((Rc::clone(&place.link), failure));
        }
        Err(failed.map_or_else(|| Fault::UpstreamReset.into(), |(_, failure)| failure))
    }

    /// A place on a connection: one that is open, else a new one, else the next that is free.
    async fn place<C, F>(
        &self,
        avoided: Option<&Rc<Link>>,
        way: &Way<'_, C>,
    ) -> Result<Rc<Place>, Failure>
    where
        C: Fn() -> F,
        F: Future<Output = Result<TcpStream, Failure>>,
    {
        if let Some(place) = self.free(avoided) {
            return Ok(place);
        }
        let (failures, _) = self.failed.get();
        {
            let _first = self.connecting.lock().await;
            if let Some(place) = self.free(avoided) {
                return Ok(place);
            }
            if let (now, Some(fault)) = self.failed.get()
                && now != failures
            {
                return Err(fault.into());
            }
            if self.settings(way.patience).await
                && let Some(place) = self.free(avoided)
            {
                return Ok(place);
            }
            self.forget_closed();
            if self.links.borrow().len() < CONNECTIONS_MAX {
                return self.open(way).await;
            }
        }
        if self.waiting.get() >= WAITING_MAX {
            return Err(Fault::UpstreamBusy.into());
        }
        let waits = Waits::begin(&self.waiting);
        let free = tokio::time::timeout(way.patience, self.wait()).await;
        drop(waits);
        free.map_err(|_| Fault::UpstreamBusy.into())
    }

    /// Waits for what a new connection will allow. False: there is nothing to wait for.
    async fn settings(&self, patience: Duration) -> bool {
        let unsaid = |link: &Rc<Link>| link.allowed() == UNSAID;
        let link = self
            .links
            .borrow()
            .iter()
            .find(|link| unsaid(link))
            .cloned();
        let Some(link) = link else {
            return false;
        };
        let said = async {
            while unsaid(&link) {
                tokio::time::sleep(SETTINGS_PATIENCE).await;
            }
        };
        tokio::time::timeout(patience, said).await.is_ok()
    }

    async fn open<C, F>(&self, way: &Way<'_, C>) -> Result<Rc<Place>, Failure>
    where
        C: Fn() -> F,
        F: Future<Output = Result<TcpStream, Failure>>,
    {
        let link = open(way).await.inspect_err(|failure| {
            let (failures, _) = self.failed.get();
            self.failed.set((failures + 1, Some(failure.fault)));
        })?;
        let place = Place::take(&link, &self.room, false);
        self.links.borrow_mut().push(link);
        Ok(place)
    }

    async fn wait(&self) -> Rc<Place> {
        loop {
            let room = self.room.notified();
            if let Some(place) = self.free(None) {
                return place;
            }
            room.await;
        }
    }

    fn free(&self, avoided: Option<&Rc<Link>>) -> Option<Rc<Place>> {
        let links = self.links.borrow();
        let others = |link: &&Rc<Link>| avoided.is_none_or(|avoided| !Rc::ptr_eq(avoided, link));
        let link = links.iter().filter(others).find(|link| link.has_room())?;
        Some(Place::take(link, &self.room, true))
    }

    fn forget_closed(&self) {
        self.links
            .borrow_mut()
            .retain(|link| !link.sender.is_closed());
    }

    /// Once a second: lets go of connections that have died, and of those that nobody used for
    /// `sweeps_max` sweeps. hyper says GOAWAY for us.
    pub(super) fn sweep(&self, sweeps_max: u64) {
        self.links.borrow_mut().retain(|link| {
            if link.streams.get() == 0 {
                link.idle_sweeps.set(link.idle_sweeps.get() + 1);
            }
            !link.sender.is_closed() && link.idle_sweeps.get() <= sweeps_max
        });
    }
}

/// Counts who waits.
struct Waits<'a>(&'a Cell<usize>);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn open<C, F>(way: &Way<'_, C>) -> Result<Rc<Link>, Failure>
where
    C: Fn() -> F,
    F: Future<Output = Result<TcpStream, Failure>>,
{
    let stream = (way.connect)().await?;
    notice_silence(&stream);
    let (sender, connection) = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .initial_max_send_streams(UNSAID)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .handshake(Wire::new(stream, bytes::BytesMut::new()))
        .await?;
    let connection = Rc::new(RefCell::new(Some(connection)));
    tokio::task::spawn_local(carry(Rc::clone(&connection), Counted::new(way.cells)));
    Ok(Rc::new(Link {
        sender,
        connection,
        streams: Cell::new(0),
        idle_sweeps: Cell::new(0),
    }))
}

/// Runs a connection to its end. Its streams hear of an error themselves.
async fn carry(connection: Rc<RefCell<Option<Connection>>>, _counted: Counted) {
    poll_fn(|cx| {
        let mut connection = connection.borrow_mut();
        let Some(running) = &mut *connection else {
            return Poll::Ready(());
        };
        Pin::new(running).poll(cx).map(drop)
    })
    .await;
    let ended = connection.borrow_mut().take();
    drop(ended);
}

/// Runs hyper's HTTP/2 tasks on the worker's own thread.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
