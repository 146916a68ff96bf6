//! The server side of HTTP/2: one client connection, from its preface to its end.
//!
//! hyper and h2 speak the protocol; what is here is what they leave to a proxy that trusts nobody.
//! The limits are set, and two things are watched that no limit of theirs covers: a client that
//! takes nothing more of an answer would hold its backend for ever (its stream is given up after
//! five minutes), and a client that gives up most of what it asks for, one by one and slowly enough for
//! each to reach a backend, makes work for nothing (it is told to go). `docs/guide/http.md` says
//! what is done about which attack, with numbers.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::time::{Instant, Sleep, sleep};

use super::connection::Ended;
use super::extended;
use super::fair::Fair;
use super::leash::{Leash, Pull};
use super::service::Proxy;
use super::streams::{Streams, Tasks, Watched};
use crate::drain::Phase;
use crate::upstream::RequestBody;

/// Requests of one connection that run at the same time; the next one is refused, safe to repeat.
const STREAMS_MAX: u32 = 100;
const STREAM_WINDOW: u32 = 64 * 1024;
/// Room for every stream's window: uploads that nobody reads hold up no other stream.
const CONNECTION_WINDOW: u32 = STREAMS_MAX * STREAM_WINDOW;
/// What is held of an answer that the client does not take.
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// More than that is answered 431, four times that ends the connection.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Streams reset for the client's own mistakes, or by the client before they were looked at.
const RESET_STREAMS_MAX: usize = 64;
const UNSEEN_RESET_STREAMS_MAX: usize = 20;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the streams of a connection are looked at, and how many looks one may take nothing:
/// five minutes, because to pause a stream for a while is what flow control is for.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
pub(super) const LOOKS_MAX: u32 = 10;
/// So many requests given up, and more than half of all: the client is told to go. One that does
/// not listen is made to, at twice as many.
const GIVEN_UP_MIN: u32 = 500;

/// Serves a connection to its end. `io` starts with the preface.
pub(super) async fn serve<IO>(io: IO, proxy: Proxy, leash: &Leash) -> Ended
where
    IO: Read + Write + Unpin + 'static,
{
    let streams = Rc::new(Streams::default());
    let watched = Rc::clone(&streams);
    let service = service_fn(move |request: Request<Incoming>| {
        let proxy = proxy.clone();
        let stream = watched.open();
        async move {
            let mut request = request.map(RequestBody::from);
            let tunnel = extended::translate(&mut request, &mut *proxy.local.random.borrow_mut());
            let mut answer = proxy.answer(request, &()).await;
            if let Some(client) = tunnel {
                answer = extended::answer(answer, client, &proxy);
            }
            Ok::<_, Infallible>(answer.map(|body| Watched::new(body, stream)))
        }
    });
    let connection = builder(&streams).serve_connection(Fair::new(io), service);
    run(connection, leash, &streams, LOOK_INTERVAL).await
}

fn builder(streams: &Rc<Streams>) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(Tasks(Rc::clone(streams)));
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX)
        .max_pending_accept_reset_streams(UNSEEN_RESET_STREAMS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Whether a connection ended because we found something wrong with what came, and said so.
fn is_the_clients_mistake(error: &hyper::Error) -> bool {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(h2::Error::is_library)
}

/// What is run: hyper's connection, which can be asked to finish.
trait Finish: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl<IO, S, B> Finish for http2::Connection<IO, S, Tasks>
where
    IO: Read + Write + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Future: 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection: asks it to finish when it is time, and cuts it in the end.
async fn run(
    connection: impl Finish,
    leash: &Leash,
    streams: &Streams,
    look_interval: Duration,
) -> Ended {
    let mut connection = pin!(connection);
    let mut looks = Looks::new(look_interval);
    let mut told = false;
    poll_fn(|cx| {
        leash.listen(cx.waker());
        match leash.pull() {
            Pull::Idle => return Poll::Ready(Ended::Idle),
            Pull::Phase(Phase::Cut) => return Poll::Ready(Ended::Cut),
            Pull::Phase(_) => {}
        }
        if streams.are_mostly_given_up(2 * GIVEN_UP_MIN) {
            return Poll::Ready(Ended::Broken);
        }
        if !told && (leash.says_goodbye() || streams.are_mostly_given_up(GIVEN_UP_MIN)) {
            told = true;
            connection.as_mut().finish();
        }
        let polled = connection.as_mut().poll(cx);
        if polled.is_pending() {
            looks.keep(streams, cx);
        }
        polled.map(|ended| match ended {
            Err(error) if is_the_clients_mistake(&error) => Ended::Broken,
            // Finished, or the client went away.
            Ok(()) | Err(_) => Ended::ByItself,
        })
    })
    .await
}

/// The clock by which streams are looked at; it stands still while there are none.
struct Looks {
    interval: Duration,
    clock: Pin<Box<Sleep>>,
    running: bool,
}

impl Looks {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            clock: Box::pin(sleep(interval)),
            running: false,
        }
    }

    fn keep(&mut self, streams: &Streams, cx: &mut Context<'_>) {
        if !self.running {
            if streams.are_none() {
                return;
            }
            self.running = true;
            self.clock.as_mut().reset(Instant::now() + self.interval);
        }
        while self.running && self.clock.as_mut().poll(cx).is_ready() {
            streams.look();
            self.running = !streams.are_none();
            self.clock.as_mut().reset(Instant::now() + self.interval);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;
    use http_body_util::Full;
    use hyper_util::rt::TokioIo;
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    const LOOK: Duration = Duration::from_millis(20);
    const LENGTH: usize = 1 << 20;

    /// Serves a megabyte to whoever asks, in one chunk; gives back the answer's body.
    async fn megabyte(streams: Rc<Streams>) -> h2::RecvStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let watched = Rc::clone(&streams);
        let service = service_fn(move |_: Request<Incoming>| {
            let body = Full::new(Bytes::from(vec![b'x'; LENGTH]));
            let stream = watched.open();
            async move { Ok::<_, Infallible>(Response::new(Watched::new(body, stream))) }
        });
        let connection = builder(&streams).serve_connection(TokioIo::new(far), service);
        spawn_local(async move {
            let leash = Leash::new(Phase::Serving);
            run(connection, &leash, &streams, LOOK).await;
        });
        let client = h2::client::Builder::new().initial_window_size(1000).clone();
        let (sender, connection) = client.handshake::<_, Bytes>(near).await.expect("it speaks");
        spawn_local(async move { drop(connection.await) });
        let mut sender = sender.ready().await.expect("it is open");
        let request = Request::get("http://a/").body(()).expect("valid");
        let (answer, _) = sender.send_request(request, true).expect("it is open");
        answer.await.expect("an answer").into_body()
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let tasks = LocalSet::new();
        let all = tasks.run_until(async {
            let streams = Rc::new(Streams::default());
            let mut body = megabyte(Rc::clone(&streams)).await;
            let mut bytes = 0;
            loop {
                match body.data().await.expect("no end") {
                    Ok(data) => bytes += data.len(),
                    Err(error) => break assert_eq!(error.reason(), Some(h2::Reason::CANCEL)),
                }
            }
            assert_eq!(bytes, 1000, "as much as it had room for");
            assert!(streams.are_none());
            assert_eq!(streams.given_up.get(), 1);
        });
        let limit = LOOK * LOOKS_MAX * 100;
        tokio::time::timeout(limit, all).await.expect("it ends");
    }

    #[tokio::test]
    async fn who_takes_slowly_gets_everything() {
        LocalSet::new()
            .run_until(async {
                let streams = Rc::new(Streams::default());
                let mut body = megabyte(Rc::clone(&streams)).await;
                let (mut bytes, mut untold) = (0, 0);
                let begun = Instant::now();
                while let Some(data) = body.data().await {
                    let length = data.expect("it goes on").len();
                    (bytes, untold) = (bytes + length, untold + length);
                    // In 16 steps over twice the time after which a stalled one is given up.
                    let due = LOOK * LOOKS_MAX * 2 * u32::try_from(bytes).expect("small")
                        / u32::try_from(LENGTH).expect("small");
                    if untold >= 1000 {
                        tokio::time::sleep_until(begun + due).await;
                        body.flow_control().release_capacity(untold).expect("held");
                        untold = 0;
                    }
                }
                assert_eq!(bytes, LENGTH);
                assert!(begun.elapsed() > LOOK * LOOKS_MAX);
                assert_eq!(streams.given_up.get(), 0);
            })
            .await;
    }
}
