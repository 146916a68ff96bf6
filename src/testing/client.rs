//! Small clients: one connection each, HTTP/1.1 or HTTP/2 by prior knowledge.
//!
//! No pool and no retries: a test wants to know what happened on *this* connection. Every failure
//! comes back as an `io::Error` that says at which stage; every wait has a limit.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// No test waits longer for one thing.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// A request body of any shape.
pub type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The body as text; what is not UTF-8 shows as replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the server said that this connection ends with this answer.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Reads a streamed answer to its end.
    pub async fn read(response: Response<Incoming>) -> io::Result<Self> {
        let (head, body) = response.into_parts();
        let body = bounded("body", body.collect()).await?;
        Ok(Self {
            status: head.status,
            version: head.version,
            headers: head.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        })
    }
}

/// One HTTP/1.1 connection, kept alive as long as the server lets it.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    host: Option<String>,
    sender: http1::SendRequest<RequestBody>,
    // Dropping the set ends the connection with the client.
    _carrier: JoinSet<()>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = open(address).await?;
        let handshake = http1::handshake(TokioIo::new(stream));
        let (sender, connection) = bounded("handshake", handshake).await?;
        let mut carrier = JoinSet::new();
        // Its error reaches whoever waits for an answer.
        carrier.spawn(async move { connection.with_upgrades().await.unwrap_or_default() });
        Ok(Self {
            address,
            host: None,
            sender,
            _carrier: carrier,
        })
    }

    /// The `Host` of requests that carry none; the address unless told.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(
            Request::get(path)
                .body(Bytes::new())
                .map_err(io::Error::other)?,
        )
        .await
    }

    /// Sends a whole request and reads the whole answer.
    pub async fn send(&mut self, request: Request<Bytes>) -> io::Result<Answer> {
        Answer::read(self.start(request.map(whole)).await?).await
    }

    /// Sends a request with a body of any shape; answers as soon as the head of the answer is here.
    pub async fn start(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> io::Result<Response<Incoming>> {
        if !request.headers().contains_key(HOST) {
            let host = self
                .host
                .clone()
                .unwrap_or_else(|| self.address.to_string());
            let host = HeaderValue::try_from(host).map_err(io::Error::other)?;
            request.headers_mut().insert(HOST, host);
        }
        bounded("connection", self.sender.ready()).await?;
        bounded("answer", self.sender.send_request(request)).await
    }
}

/// One HTTP/2 connection by prior knowledge. Clones share it.
#[derive(Clone, Debug)]
pub struct H2Client {
    authority: String,
    sender: http2::SendRequest<RequestBody>,
}

impl H2Client {
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = open(address).await?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = bounded("handshake", handshake).await?;
        // Ends by itself when the last sender and the last stream are gone.
        tokio::spawn(connection);
        Ok(Self {
            authority: address.to_string(),
            sender,
        })
    }

    /// The `:authority` of requests; the address unless told.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.authority);
        self
    }

    /// Whether the connection has ended, or takes no more requests.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(
            Request::get(path)
                .body(Bytes::new())
                .map_err(io::Error::other)?,
        )
        .await
    }

    /// Sends a whole request and reads the whole answer.
    pub async fn send(&mut self, request: Request<Bytes>) -> io::Result<Answer> {
        Answer::read(self.start(request.map(whole)).await?).await
    }

    /// Sends a request with a body of any shape; answers as soon as the head of the answer is here.
    pub async fn start(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> io::Result<Response<Incoming>> {
        if request.uri().authority().is_none() {
            let mut parts = request.uri().clone().into_parts();
            parts.scheme = Some(Scheme::HTTP);
            let authority = Authority::try_from(self.authority.as_str());
            parts.authority = Some(authority.map_err(io::Error::other)?);
            *request.uri_mut() = Uri::from_parts(parts).map_err(io::Error::other)?;
        }
        bounded("connection", self.sender.ready()).await?;
        bounded("answer", self.sender.send_request(request)).await
    }
}

/// A body that is all there; an empty one says so, and gets no framing.
pub fn whole(body: Bytes) -> RequestBody {
    Full::new(body).map_err(io::Error::other).boxed_unsync()
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let connected = tokio::time::timeout(WAIT_MAX, TcpStream::connect(address)).await;
    let stream = connected.map_err(|_| late("connect"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Waits within the limit and names the stage that failed.
async fn bounded<T>(
    stage: &str,
    waited: impl Future<Output = Result<T, hyper::Error>>,
) -> io::Result<T> {
    match tokio::time::timeout(WAIT_MAX, waited).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(io::Error::other(format!("{stage}: {}", causes(&error)))),
        Err(_) => Err(late(stage)),
    }
}

fn late(stage: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("{stage}: nothing within {WAIT_MAX:?}"),
    )
}

/// hyper's error and what it hides.
fn causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
