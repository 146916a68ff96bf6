//! A gRPC server that does what it is asked, and a client to ask it.
//!
//! The service has a method for each kind of call. Messages are bytes as they are, so that nothing
//! has to be generated. What the client wants beyond the message it says in metadata.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::uri::PathAndQuery;
use pointsman::testing::{Config, Proxy};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{Service, service_fn};

/// Messages are bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }
    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// What the server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) calls: AtomicUsize,
    /// Calls whose work was dropped before it was done.
    pub(crate) cancelled: AtomicUsize,
}

/// The service `test.Probe`.
#[derive(Clone, Debug)]
struct Probe {
    name: &'static str,
    seen: Arc<Seen>,
}

type Messages = BoxStream<'static, Result<Bytes, Status>>;

impl Probe {
    /// What every method begins with: fails if the client wants that, and answers its metadata.
    fn begin<T>(&self, asked: &MetadataMap, answer: T) -> Result<Response<T>, Status> {
        self.seen.calls.fetch_add(1, SeqCst);
        if let Some(code) = text(asked, "x-fail").and_then(|code| code.parse().ok()) {
            let mut status = Status::new(Code::from_i32(code), "on purpose: 100 %");
            let told = status.metadata_mut();
            told.insert("x-name", self.name.parse().expect("ASCII"));
            return Err(status);
        }
        let mut response = Response::new(answer);
        let told = response.metadata_mut();
        told.insert("x-name", self.name.parse().expect("ASCII"));
        if let Some(value) = asked.get("x-ask") {
            told.insert("x-told", value.clone());
        }
        if let Some(value) = asked.get_bin("x-ask-bin") {
            told.insert_bin("x-told-bin", value.clone());
        }
        Ok(response)
    }

    async fn unary(self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let message = request.get_ref().clone();
        let response = self.begin(request.metadata(), message)?;
        if text(request.metadata(), "x-hang").is_some() {
            let _held = Held(Some(self.seen));
            std::future::pending::<()>().await;
        }
        Ok(response)
    }

    /// As many messages as the client asks for; then the end, an error, or nothing ever.
    async fn count(self, request: Request<Bytes>) -> Result<Response<Messages>, Status> {
        let wanted = String::from_utf8_lossy(request.get_ref()).parse::<u32>();
        let wanted = wanted.map_err(|_| Status::invalid_argument("not a number"))?;
        let numbers = stream::iter(0..wanted).map(|at| Ok(Bytes::from(at.to_string())));
        let end: Messages = match text(request.metadata(), "x-end") {
            Some("hang") => stream::unfold(Held(Some(Arc::clone(&self.seen))), async |held| {
                std::future::pending::<()>().await;
                Some((Ok(Bytes::new()), held))
            })
            .boxed(),
            Some("endless") => {
                let held = Held(Some(Arc::clone(&self.seen)));
                let chunk = Bytes::from(vec![b'x'; 1024]);
                let more = move |_| (Ok(chunk.clone()), &held).0;
                stream::iter(0..u64::MAX).map(more).boxed()
            }
            Some("fail") => stream::iter([Err(Status::data_loss("too late"))]).boxed(),
            _ => stream::empty().boxed(),
        };
        self.begin(request.metadata(), numbers.chain(end).boxed())
    }

    /// Sums the lengths of all messages.
    async fn sum(self, request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        let response = self.begin(&metadata, ())?;
        let held = Held(Some(self.seen));
        let mut sum = 0;
        while let Some(message) = messages.message().await? {
            sum += message.len();
        }
        if text(&metadata, "x-hang").is_some() {
            // tonic shows a request that was cancelled as one that has ended.
            std::future::pending::<()>().await;
        }
        held.done();
        Ok(response.map(|()| Bytes::from(sum.to_string())))
    }

    /// Gives back every message as it comes.
    async fn echo(self, request: Request<Streaming<Bytes>>) -> Result<Response<Messages>, Status> {
        let (metadata, _, messages) = request.into_parts();
        let hangs = text(&metadata, "x-hang").is_some();
        let held = Held(Some(Arc::clone(&self.seen)));
        let answer = move |(mut messages, held): (Streaming<Bytes>, Held)| async move {
            match messages.message().await.transpose() {
                Some(message) => Some((message, (messages, held))),
                // As in `sum`.
                None if hangs => std::future::pending().await,
                None => {
                    held.done();
                    None
                }
            }
        };
        let answers = stream::unfold((messages, held), answer);
        self.begin(&metadata, answers.boxed())
    }
}

/// Held by work that runs; counts it as cancelled when it is dropped first.
struct Held(Option<Arc<Seen>>);

impl Held {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(seen) = &self.0 {
            seen.cancelled.fetch_add(1, SeqCst);
        }
    }
}

fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name)?.to_str().ok()
}

impl NamedService for Probe {
    const NAME: &'static str = "test.Probe";
}

impl Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let probe = self.clone();
        let mut grpc = tonic::server::Grpc::new(Plain);
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/test.Probe/Unary" => {
                    let method = service_fn(move |it| probe.clone().unary(it));
                    grpc.unary(method, request).await
                }
                "/test.Probe/Count" => {
                    let method = service_fn(move |it| probe.clone().count(it));
                    grpc.server_streaming(method, request).await
                }
                "/test.Probe/Sum" => {
                    let method = service_fn(move |it| probe.clone().sum(it));
                    grpc.client_streaming(method, request).await
                }
                "/test.Probe/Echo" => {
                    let method = service_fn(move |it| probe.clone().echo(it));
                    grpc.streaming(method, request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// The service by which tools ask whether a server is well: it is.
#[derive(Clone, Debug)]
struct Health(Arc<Seen>);

impl NamedService for Health {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl Service<http::Request<Body>> for Health {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.calls.fetch_add(1, SeqCst);
        let mut grpc = tonic::server::Grpc::new(Plain);
        let serving = service_fn(async |_| Ok(Response::new(Bytes::from_static(SERVING))));
        Box::pin(async move { Ok(grpc.unary(serving, request).await) })
    }
}

/// `HealthCheckResponse { status: SERVING }`, encoded.
const SERVING: &[u8] = &[8, 1];

/// A server on a port of the kernel's choice. Dropping it cuts everything.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    _running: JoinSet<()>,
}

impl Backend {
    pub(crate) fn named(name: &'static str) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let incoming = TcpIncoming::bind(any).expect("a free port");
        let incoming = incoming.with_nodelay(Some(true));
        let address = incoming.local_addr().expect("it listens");
        let seen = Arc::<Seen>::default();
        let probe = Probe {
            name,
            seen: Arc::clone(&seen),
        };
        let mut running = JoinSet::new();
        let served = Server::builder()
            .add_service(probe)
            .add_service(Health(Arc::clone(&seen)))
            .serve_with_incoming(incoming);
        running.spawn(async move { served.await.expect("it serves") });
        Self {
            address,
            seen,
            _running: running,
        }
    }

    /// As a backend of a config, called `name`.
    pub(crate) fn entry(&self, name: &str) -> String {
        entry(name, self.address)
    }
}

/// A backend that speaks HTTP/2.
pub(crate) fn entry(name: &str, address: SocketAddr) -> String {
    format!("name: {name}, endpoints: [\"{address}\"], protocol: h2c")
}

/// A proxy in front of one server, which is the backend `app`.
pub(crate) async fn in_front_of(backend: &Backend) -> Proxy {
    let config = Config::new().backend_of(&backend.entry("app"));
    Proxy::start(&config.split(&[("app", 1)])).await
}

/// One connection to call on. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Caller(tonic::client::Grpc<Channel>);

impl Caller {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let connected = tokio::time::timeout(crate::LIMIT, endpoint.connect()).await;
        let channel = connected.expect("in time").expect("it listens");
        Self(tonic::client::Grpc::new(channel))
    }

    async fn ready(&mut self) -> &mut tonic::client::Grpc<Channel> {
        let ready = tokio::time::timeout(crate::LIMIT, self.0.ready()).await;
        ready.expect("in time").expect("a connection");
        &mut self.0
    }

    pub(crate) async fn unary(
        &mut self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Status> {
        let called = self.ready().await.unary(request, path("Unary"), Plain);
        bounded(called).await
    }

    /// What `grpc_health_probe` and `grpcurl` ask.
    pub(crate) async fn check_health(&mut self) -> Result<(), Status> {
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let called = self
            .ready()
            .await
            .unary(Request::new(Bytes::new()), path, Plain);
        let answer = bounded(called).await?;
        assert_eq!(answer.into_inner(), SERVING);
        Ok(())
    }

    pub(crate) async fn count(
        &mut self,
        request: Request<Bytes>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        let called = self
            .ready()
            .await
            .server_streaming(request, path("Count"), Plain);
        bounded(called).await
    }

    pub(crate) async fn sum(
        &mut self,
        request: Request<impl Stream<Item = Bytes> + Send + 'static>,
    ) -> Result<Response<Bytes>, Status> {
        let called = self
            .ready()
            .await
            .client_streaming(request, path("Sum"), Plain);
        bounded(called).await
    }

    pub(crate) async fn echo(
        &mut self,
        request: Request<impl Stream<Item = Bytes> + Send + 'static>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        let called = self.ready().await.streaming(request, path("Echo"), Plain);
        bounded(called).await
    }
}

fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/test.Probe/{method}")).expect("a path")
}

/// What a call gives, or a failure of the test when it gives nothing.
pub(crate) async fn bounded<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(crate::LIMIT, call)
        .await
        .expect("the call ends")
}

/// A request with metadata.
pub(crate) fn asking<T>(message: T, metadata: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        let value = value.parse().expect("ASCII");
        request.metadata_mut().insert(*name, value);
    }
    request
}

/// A request whose client waits so long.
pub(crate) fn within<T>(deadline: Duration, mut request: Request<T>) -> Request<T> {
    request.set_timeout(deadline);
    request
}
