//! A recording, scriptable origin: what stands behind the proxy in every test.
//!
//! It says who it is (in the body and in `x-origin`), remembers what it was asked, and misbehaves
//! exactly as told. It speaks HTTP/1.1 and HTTP/2 by prior knowledge on one port.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::behaviour::{Accept, Behaviour, Body, Outcome, full};

/// Older requests are forgotten beyond this many.
const SEEN_MAX: usize = 4_096;
/// Of each body, this much is kept to look at; the rest is only counted.
const BODY_KEPT_MAX: usize = 64 * 1024;
/// `stop` cuts what still runs after this long.
const STOP_MAX: Duration = Duration::from_secs(2);

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    /// The first 64 KiB; empty for `Behaviour::Echo`, which does not hold on to it.
    pub body: Bytes,
    /// The length of all of it.
    pub body_bytes: u64,
    pub trailers: Option<HeaderMap>,
    /// False when the body ended in an error.
    pub whole: bool,
}

impl Seen {
    /// A header as text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

type Script = Arc<dyn Fn(&Seen) -> Behaviour + Send + Sync>;

/// A running origin. Dropping it cuts everything at once; `stop` is the polite way.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

struct Shared {
    name: String,
    name_header: HeaderValue,
    script: Mutex<Script>,
    accept: Mutex<Accept>,
    seen: Mutex<VecDeque<Seen>>,
    requests: AtomicU64,
    connections: AtomicU64,
    arrived: Notify,
}

impl Origin {
    /// Answers 200 with its name.
    pub async fn named(name: &str) -> io::Result<Self> {
        Self::behaving(name, Behaviour::Answer).await
    }

    /// Does the same to every request.
    pub async fn behaving(name: &str, behaviour: Behaviour) -> io::Result<Self> {
        Self::scripted(name, move |_| behaviour.clone()).await
    }

    /// Decides request by request.
    pub async fn scripted(
        name: &str,
        script: impl Fn(&Seen) -> Behaviour + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::scripted_at(any, name, script).await
    }

    /// Decides request by request, on an address of the test's choice.
    pub async fn scripted_at(
        address: SocketAddr,
        name: &str,
        script: impl Fn(&Seen) -> Behaviour + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start(address, name, Arc::new(script)).await
    }

    /// Answers 200 with its name on an address of the test's choice: an origin that comes back.
    pub async fn at(address: SocketAddr, name: &str) -> io::Result<Self> {
        Self::start(address, name, Arc::new(|_: &Seen| Behaviour::Answer)).await
    }

    async fn start(address: SocketAddr, name: &str, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            name_header: HeaderValue::from_str(name).map_err(io::Error::other)?,
            script: Mutex::new(script),
            accept: Mutex::default(),
            seen: Mutex::default(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            arrived: Notify::new(),
        });
        let (stop, stopping) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, shared.clone(), stopping));
        Ok(Self {
            address,
            shared,
            stop,
            accepting,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Changes what happens to requests from the next one on.
    pub fn set(&self, behaviour: Behaviour) {
        *lock(&self.shared.script) = Arc::new(move |_: &Seen| behaviour.clone());
    }

    /// Changes what happens to connections from the next one on.
    pub fn set_accept(&self, accept: Accept) {
        *lock(&self.shared.accept) = accept;
    }

    /// How many requests have arrived, all of them.
    pub fn count(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many connections have been accepted, all of them.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The last 4096 requests, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).iter().cloned().collect()
    }

    /// The newest request.
    pub fn last(&self) -> Option<Seen> {
        lock(&self.shared.seen).back().cloned()
    }

    /// Waits until `count` requests have arrived since the start.
    pub async fn wait_for(&self, count: u64, limit: Duration) -> io::Result<()> {
        let arrived = async {
            loop {
                let notified = self.shared.arrived.notified();
                if self.count() >= count {
                    return;
                }
                notified.await;
            }
        };
        let late = || {
            let seen = self.count();
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{seen} of {count} requests arrived"),
            )
        };
        tokio::time::timeout(limit, arrived)
            .await
            .map_err(|_| late())
    }

    /// Closes the socket, lets running requests finish for two seconds, cuts the rest.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        (&mut self.accepting).await.ok();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // The task owns the socket and all connections.
        self.accepting.abort();
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Outcome {
        let (head, body) = request.into_parts();
        let mut seen = Seen {
            method: head.method,
            uri: head.uri,
            version: head.version,
            headers: head.headers,
            body: Bytes::new(),
            body_bytes: 0,
            trailers: None,
            whole: true,
        };
        let is_head = seen.method == Method::HEAD;
        // The script is asked on the head, before the body: an echo must not wait for its end.
        let script = lock(&self.script).clone();
        let behaviour = script(&seen);
        if matches!(behaviour, Behaviour::Echo) {
            self.remember(seen);
            let mut response = Response::new(body.map_err(io::Error::other).boxed_unsync());
            response
                .headers_mut()
                .insert("x-origin", self.name_header.clone());
            return Outcome::Respond(response);
        }
        read(body, &mut seen).await;
        self.remember(seen);
        let mut outcome = behaviour.perform(&self.name).await;
        if let Outcome::Respond(response) = &mut outcome {
            let headers = response.headers_mut();
            headers.insert("x-origin", self.name_header.clone());
            if is_head {
                leave_out_body(response);
            }
        }
        outcome
    }

    fn remember(&self, seen: Seen) {
        let mut all = lock(&self.seen);
        if all.len() == SEEN_MAX {
            all.pop_front();
        }
        all.push_back(seen);
        self.requests.fetch_add(1, Ordering::SeqCst);
        drop(all);
        self.arrived.notify_waiters();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

/// Keeps the length; hyper leaves the body out over HTTP/1.1 only.
fn leave_out_body(response: &mut Response<Body>) {
    if let Some(length) = response.body().size_hint().exact() {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = full(Bytes::new());
}

async fn read(mut body: Incoming, seen: &mut Seen) {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            seen.whole = false;
            break;
        };
        match frame.into_data() {
            Ok(data) => {
                seen.body_bytes += data.len() as u64;
                let room = BODY_KEPT_MAX.saturating_sub(kept.len()).min(data.len());
                kept.extend_from_slice(data.get(..room).unwrap_or_default());
            }
            Err(frame) => seen.trailers = frame.into_trailers().ok(),
        }
    }
    seen.body = kept.freeze();
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let carried = stop.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of file descriptors: breathe instead of spinning.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let how = *lock(&shared.accept);
                connections.spawn(Box::pin(carry(stream, how, shared.clone(), carried.clone())));
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_MAX, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn carry(
    stream: TcpStream,
    how: Accept,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    match how {
        Accept::Serve => serve(stream, shared, stop).await,
        Accept::Close => drop(stream),
        Accept::Reset => reset(stream),
        Accept::Hang => {
            stopped(&mut stop).await;
            drop(stream);
        }
    }
}

/// How a request asks its connection to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Carry,
    Close,
    Reset,
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    stream.set_nodelay(true).ok();
    // A second handle on the socket: hyper owns the first, and a reset needs an option set on it.
    let Ok((stream, handle)) = duplicate(stream) else {
        return;
    };
    let (order, mut ordered) = watch::channel(Order::Carry);
    let order = Arc::new(order);
    let service = service_fn(move |request| {
        let (shared, order) = (shared.clone(), order.clone());
        async move {
            match shared.answer(request).await {
                Outcome::Respond(response) => return Ok::<Response<Body>, io::Error>(response),
                Outcome::Hang => {}
                Outcome::Close => {
                    order.send_replace(Order::Close);
                }
                Outcome::Reset => {
                    order.send_replace(Order::Reset);
                }
            }
            // The connection ends around this request, or never.
            std::future::pending().await
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
    let order = async {
        ordered
            .wait_for(|order| *order != Order::Carry)
            .await
            .map(|o| *o)
    };
    let mut order = pin!(order);
    let stopping = tokio::select! {
        _ = connection.as_mut() => return,
        order = order.as_mut() => {
            if matches!(order, Ok(Order::Reset)) {
                handle.set_linger(Some(Duration::ZERO)).ok();
            }
            false
        }
        () = stopped(&mut stop) => true,
    };
    if stopping {
        connection.as_mut().graceful_shutdown();
        connection.await.ok();
    }
}

/// The stream and one more handle on its socket.
fn duplicate(stream: TcpStream) -> io::Result<(TcpStream, socket2::Socket)> {
    let stream = stream.into_std()?;
    let handle = socket2::Socket::from(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, handle))
}

/// Closes with RST: no lingering means nothing left to say politely.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .ok();
    drop(stream);
}

/// Resolves when told to stop, or when whoever could tell is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}
