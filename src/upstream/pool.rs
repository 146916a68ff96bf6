//! What one worker has of a backend, and the way of a request through it.
//!
//! Choose an endpoint, take an idle connection or open one, send, give back the response with the
//! connection inside. An idle connection may have been closed by the other side while the request
//! was on its way; a request that may be repeated is then sent once more on a new connection, so
//! that an old connection never surfaces as an error.

use std::cell::Cell;
use std::io;
use std::mem::take;
use std::rc::Rc;
use std::sync::Arc;

use http::header::EXPECT;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use rand::RngExt as _;

use super::backend::{Backend, Balance, Protocol, Target};
use super::body::{BodyError, RequestBody, ResponseBody};
use super::connect::connect;
use super::endpoint::{Busy, EndpointPool};
use super::http1::{Broken, Connection, Interim, Progress};
use super::http2::{Place, Way};
use super::stream::is_malformed;
use crate::metrics::BackendCells;
use crate::model::Fault;

/// A request that got no response, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    pub(crate) source: Option<BodyError>,
}

impl From<(Fault, io::Error)> for Failure {
    fn from((fault, error): (Fault, io::Error)) -> Self {
        Self {
            fault,
            source: Some(error.into()),
        }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        let fault = match &broken {
            Broken::Client(_) => Fault::RequestBody,
            Broken::Endpoint(_) | Broken::Closed => Fault::UpstreamReset,
            Broken::Malformed(_) => Fault::UpstreamProtocol,
        };
        Self {
            fault,
            source: Some(broken.into()),
        }
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        let fault = if error.is_parse() || is_malformed(&error) {
            Fault::UpstreamProtocol
        } else {
            Fault::UpstreamReset
        };
        Self {
            fault,
            source: Some(error.into()),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            source: None,
        }
    }
}

/// One worker's side of a backend.
#[derive(Debug)]
pub(crate) struct Pool {
    backend: Arc<Backend>,
    cells: Arc<BackendCells>,
    endpoints: Box<[Rc<EndpointPool>]>,
    /// Whose turn is next (round robin).
    turn: Cell<usize>,
}

impl Pool {
    /// `previous` is the pool of the backend as it was before; connections to addresses that stay
    /// are taken over.
    pub(crate) fn new(
        backend: Arc<Backend>,
        cells: Arc<BackendCells>,
        previous: Option<&Self>,
    ) -> Self {
        let addresses = match &backend.target {
            Target::Endpoints(addresses) => &**addresses,
            Target::Invalid(_) => &[],
        };
        let same_protocol = previous.filter(|pool| pool.backend.protocol == backend.protocol);
        let endpoint = |address| {
            let known = same_protocol.into_iter().flat_map(|pool| &pool.endpoints);
            let endpoint = known
                .filter(|endpoint| endpoint.address == address)
                .map(Rc::clone)
                .next()
                .unwrap_or_else(|| Rc::new(EndpointPool::new(address, Arc::clone(&cells))));
            endpoint.limit(backend.idle_max);
            endpoint
        };
        let endpoints = addresses.iter().copied().map(endpoint).collect();
        let turn = Cell::new(previous.map_or(0, |pool| pool.turn.get()));
        Self {
            backend,
            cells,
            endpoints,
            turn,
        }
    }

    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Whether requests can go here at all.
    pub(crate) fn is_ready(&self) -> bool {
        self.problem().is_none()
    }

    /// Why requests cannot go here.
    pub(crate) fn problem(&self) -> Option<Fault> {
        match &self.backend.target {
            Target::Invalid(_) => Some(Fault::BackendInvalid),
            Target::Endpoints(_) if self.endpoints.is_empty() => Some(Fault::NoEndpoints),
            Target::Endpoints(_) => None,
        }
    }

    /// Sends a request to one of the endpoints and waits for the head of the response.
    ///
    /// The request comes with its path in origin form and a `Host`; it is lent, because every
    /// hand-over of one is a copy of 200 bytes in the future.
    pub(crate) async fn send(
        &self,
        request: &mut Request<RequestBody>,
        interim: &dyn Interim,
    ) -> Result<Response<ResponseBody>, Failure> {
        let endpoint = self.choose().ok_or(Fault::NoEndpoints)?;
        let busy = Busy::at(endpoint);
        match self.backend.protocol {
            Protocol::Http1 => {
                let (answer, connection) = self.send_http1(endpoint, request, interim).await?;
                let upgraded = connection.has_switched();
                Ok(answer.map(|()| ResponseBody::http1(connection, upgraded, busy)))
            }
            Protocol::H2c => {
                let sent = Box::pin(self.send_http2(endpoint, request, interim)).await?;
                let (answer, place) = sent;
                Ok(answer.map(|incoming| ResponseBody::http2(incoming, place, busy)))
            }
        }
    }

    /// The endpoint for the next request.
    fn choose(&self) -> Option<&Rc<EndpointPool>> {
        let count = self.endpoints.len();
        match self.backend.balance {
            _ if count < 2 => self.endpoints.first(),
            Balance::RoundRobin => {
                let turn = self.turn.get() % count;
                self.turn.set(turn + 1);
                self.endpoints.get(turn)
            }
            Balance::PowerOfTwo => {
                let first = rand::rng().random_range(0..count);
                // One of the others: a step of 1..count around the circle.
                let second = (first + rand::rng().random_range(1..count)) % count;
                let pair = [self.endpoints.get(first)?, self.endpoints.get(second)?];
                pair.into_iter().min_by_key(|endpoint| endpoint.in_flight())
            }
        }
    }

    async fn send_http1(
        &self,
        endpoint: &Rc<EndpointPool>,
        request: &mut Request<RequestBody>,
        interim: &dyn Interim,
    ) -> Result<(Response<()>, Box<Connection>), Failure> {
        if let Some(mut connection) = endpoint.check_out() {
            let repeatable = is_repeatable(request);
            let broken = match connection.send(request, interim).await {
                Ok(answer) => return Ok((answer, connection)),
                Err(broken) => broken,
            };
            let unsent = connection.progress() == Progress::NothingSent;
            let again = unsent || (repeatable && connection.may_have_been_stale());
            if !again || matches!(broken, Broken::Client(_) | Broken::Malformed(_)) {
                return Err(broken.into());
            }
            self.cells.retries.add(1);
            if unsent {
                return Box::pin(self.resend(endpoint, connection, interim)).await;
            }
        }
        // Boxed, because it is rare and large: every request would carry room for it otherwise.
        Box::pin(self.send_on_new(endpoint, request, interim)).await
    }

    async fn send_on_new(
        &self,
        endpoint: &Rc<EndpointPool>,
        request: &mut Request<RequestBody>,
        interim: &dyn Interim,
    ) -> Result<(Response<()>, Box<Connection>), Failure> {
        let stream = self.connect(endpoint).await?;
        let mut connection = Connection::new(stream, &self.cells);
        let answer = connection.send(request, interim).await?;
        Ok((answer, connection))
    }

    /// Sends what an idle connection did not take, whatever it is: not a byte of it went out.
    async fn resend(
        &self,
        endpoint: &Rc<EndpointPool>,
        mut connection: Box<Connection>,
        interim: &dyn Interim,
    ) -> Result<(Response<()>, Box<Connection>), Failure> {
        let stream = self.connect(endpoint).await?;
        let answer = connection.resend(stream, interim).await?;
        Ok((answer, connection))
    }

    async fn send_http2(
        &self,
        endpoint: &Rc<EndpointPool>,
        request: &mut Request<RequestBody>,
        interim: &dyn Interim,
    ) -> Result<(Response<Incoming>, Rc<Place>), Failure> {
        if request.method() == Method::CONNECT {
            return Err(Fault::MethodRefused.into()); // tunnels need a connection of their own
        }
        if request.headers_mut().remove(EXPECT).is_some() {
            // hyper does not pass on what an endpoint would say to it, so it is said here.
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            interim.pass(&go_on);
        }
        let (body, client) = take(request.body_mut()).watched();
        *request.body_mut() = body;
        let way = Way {
            connect: || async { self.connect(endpoint).await.map_err(Failure::from) },
            patience: self.backend.connect_timeout,
            cells: &self.cells,
        };
        let sent = endpoint.http2.send(request, &way).await;
        // hyper reports a body that the client broke as an error of the backend's connection.
        sent.map_err(|failure| match client.is_set() {
            true => Failure {
                fault: Fault::RequestBody,
                ..failure
            },
            false => failure,
        })
    }

    async fn connect(
        &self,
        endpoint: &EndpointPool,
    ) -> Result<tokio::net::TcpStream, (Fault, io::Error)> {
        connect(endpoint.address, self.backend.connect_timeout, &self.cells).await
    }

    /// Once a second: closes what the endpoints closed or what was idle for too long.
    pub(crate) fn sweep(&self) {
        let sweeps_max = self.backend.idle_timeout.as_secs().max(1);
        self.endpoints.iter().for_each(|one| one.sweep(sweeps_max));
    }
}

/// Whether a request may be sent twice: safe to repeat (RFC 9110, 9.2.2) and without a body that
/// would be gone.
fn is_repeatable(request: &Request<RequestBody>) -> bool {
    request.method().is_idempotent() && matches!(request.body(), RequestBody::Empty)
}
