//! One client connection, from its first byte to its end.
//!
//! HTTP/1.1 and HTTP/2 share a port: the first bytes tell them apart (RFC 9113, 3.4), and have to
//! come in time. A connection is told from outside when it has to go, by its [`Leash`]: leaving is
//! said to HTTP/2 by GOAWAY; an HTTP/1.1 connection stays readable until it was answered once more
//! with `Connection: close`, because closing an idle one at once would race the client's next
//! request. For the same reason GOAWAY waits for the first request: who opens a connection while
//! load balancers still send them here has one to make.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::introduction::hear;
use super::local::Local;
use super::service::Proxy;
use crate::drain::Phase;
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
/// Room for every stream's window: uploads that nobody reads hold up no other stream.
const CONNECTION_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
const RESET_STREAMS_MAX: usize = 64;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(super) async fn serve(mut stream: TcpStream, mut proxy: Proxy, leash: &Leash) {
    let local = Rc::clone(&proxy.local);
    let introduced = leash.unless_closing(hear(&mut stream, &mut proxy)).await;
    if introduced != Some(true) {
        return;
    }
    let detected = leash
        .unless_closing(timeout(PREFACE_TIMEOUT, detect(&stream)))
        .await;
    let Some(Ok(Some(protocol))) = detected else {
        return;
    };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(proxy.answer(request.map(RequestBody::new)).await) }
    });
    let io = Wire::new(stream);
    let ended = match protocol {
        Protocol::Http1 => {
            // No timer: idle time is the leash's to watch, for a fifth of what hyper's costs.
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(io, service);
            let finish = http1::Connection::graceful_shutdown;
            run(connection, Leash::closes_idle, finish, leash).await
        }
        Protocol::Http2 => {
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
            let finish = http2::Connection::graceful_shutdown;
            run(connection, Leash::says_goodbye, finish, leash).await
        }
    };
    match ended {
        Ended::ByItself(Err(error)) if error.is_parse() => local.cells().protocol_errors.add(1),
        // Finished, or the client went away: ordinary ends.
        Ended::ByItself(_) | Ended::Idle => {}
        Ended::Cut => local.cells().cut.add(1),
    }
}

enum Ended {
    ByItself(hyper::Result<()>),
    /// Idle for too long, or slower than that with the head of a request.
    Idle,
    Cut,
}

/// Runs a connection; when it is `time` it is asked to finish, and in the end it is cut.
async fn run<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    time: impl Fn(&Leash) -> bool,
    finish: impl FnOnce(Pin<&mut C>),
    leash: &Leash,
) -> Ended {
    let mut connection = pin!(connection);
    let mut finish = Some(finish);
    poll_fn(|cx| {
        leash.listen(cx.waker());
        match leash.pull.get() {
            Pull::Idle => return Poll::Ready(Ended::Idle),
            Pull::Phase(Phase::Cut) => return Poll::Ready(Ended::Cut),
            Pull::Phase(Phase::Serving) => {}
            Pull::Phase(_) => {
                if let Some(finish) = finish.take_if(|_| time(leash)) {
                    finish(connection.as_mut());
                }
            }
        }
        connection.as_mut().poll(cx).map(Ended::ByItself)
    })
    .await
}

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pull {
    Phase(Phase),
    Idle,
}

/// By which a connection is held from outside: it says whether the connection is idle and for how
/// long, and tells it to go. One thread's own, so it costs a request a few plain stores.
#[derive(Debug)]
pub(super) struct Leash {
    pull: Cell<Pull>,
    waker: RefCell<Option<Waker>>,
    /// Requests running.
    busy: Cell<u32>,
    /// Whether there was ever a request.
    used: Cell<bool>,
    /// Sweeps since the last request ended.
    idle_sweeps: Cell<u32>,
}

impl Leash {
    pub(super) fn new(phase: Phase) -> Rc<Self> {
        Rc::new(Self {
            pull: Cell::new(Pull::Phase(phase)),
            waker: RefCell::default(),
            busy: Cell::new(0),
            used: Cell::new(false),
            idle_sweeps: Cell::new(0),
        })
    }

    fn listen(&self, waker: &Waker) {
        let mut listening = self.waker.borrow_mut();
        if !listening
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            *listening = Some(waker.clone());
        }
    }

    fn tell(&self, pull: Pull) {
        self.pull.set(pull);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    fn has_come(&self, phase: Phase) -> bool {
        match self.pull.get() {
            Pull::Phase(now) => now >= phase,
            Pull::Idle => true,
        }
    }

    /// Idle connections are not waited for any more.
    fn closes_idle(&self) -> bool {
        self.has_come(Phase::CloseIdle)
    }

    /// Time for GOAWAY: somebody leaves, and the first request is here.
    fn says_goodbye(&self) -> bool {
        self.closes_idle() || (self.used.get() && self.has_come(Phase::LameDuck))
    }

    /// The future's result, or `None` when idle connections are closed before it is there.
    async fn unless_closing<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.listen(cx.waker());
            match future.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if self.closes_idle() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.tell(Pull::Phase(phase));
    }

    /// Once a sweep: whoever was idle for `sweeps_max` of them has to go.
    pub(super) fn sweep(&self, sweeps_max: u32) {
        if self.busy.get() > 0 {
            return;
        }
        self.idle_sweeps.set(self.idle_sweeps.get() + 1);
        if self.idle_sweeps.get() > sweeps_max {
            self.tell(Pull::Idle);
        }
    }

    pub(super) fn request_begins(&self) {
        self.busy.set(self.busy.get() + 1);
        self.used.set(true);
    }

    pub(super) fn request_ends(&self) {
        self.busy.set(self.busy.get().saturating_sub(1));
        self.idle_sweeps.set(0);
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

/// A connection that is open: counted, and on its leash. Both end when it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    local: Rc<Local>,
    pub(super) leash: Rc<Leash>,
    key: usize,
}

impl Open {
    pub(super) fn new(local: &Rc<Local>) -> Self {
        local.cells().accepted.add(1);
        local.cells().open.add(1);
        let leash = Leash::new(local.phase());
        let key = local.leashes.borrow_mut().insert(Rc::clone(&leash));
        Self {
            local: Rc::clone(local),
            leash,
            key,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.local.cells().open.subtract(1);
        self.local.leashes.borrow_mut().try_remove(self.key);
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

    #[test]
    fn only_an_idle_connection_is_told_to_go_and_a_request_starts_the_count_anew() {
        let leash = Leash::new(Phase::Serving);
        leash.request_begins();
        (0..10).for_each(|_| leash.sweep(2));
        leash.request_ends();
        leash.sweep(2);
        leash.sweep(2);
        assert_eq!(leash.pull.get(), Pull::Phase(Phase::Serving));
        leash.sweep(2);
        assert_eq!(leash.pull.get(), Pull::Idle);
    }
}
