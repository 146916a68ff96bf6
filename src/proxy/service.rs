//! The life of a request. Start reading at [`Proxy::handle`].

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, Version};

use super::body::{Body, Recorded};
use super::error;
use super::forwarding::{Client, entrance};
use super::headers;
use super::leash::Leash;
use super::local::{Local, RunningRule};
use super::record::Record;
use crate::drain::Phase;
use crate::http1::{Malformed, recycle};
use crate::model::Fault;
use crate::routing::{Found, Origin, Redirect, View};
use crate::upstream::{Failure, Interim, Pool, RequestBody, ResponseBody};

/// Answers the requests of one client connection.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) local: Rc<Local>,
    pub(super) client: Rc<Client>,
    pub(super) leash: Rc<Leash>,
}

impl Proxy {
    /// Every early exit is an `Err`, and [`Proxy::answer`] turns errors into responses.
    async fn handle(
        &self,
        request: &mut Request<RequestBody>,
        interim: &dyn Interim,
        record: &mut Record,
    ) -> Result<Response<Body>, Failure> {
        headers::check(request, self.local.connect())?;
        let world = self.local.world(); // one snapshot for the whole request
        let found = self
            .find(&world.snapshot.router, request)
            .ok_or(Fault::NoRoute)?;
        let running = self
            .local
            .running(&world, found.rule)
            .ok_or(Fault::NoRoute)?;
        record.matched(running);
        let rule = &running.rule;
        if let Some(redirect) = &rule.filters.redirect {
            let mut answer = self.redirect(redirect, found, request)?;
            rule.filters.response.apply(answer.headers_mut());
            return Ok(answer);
        }
        headers::prepare(request, &self.client, &mut *self.local.random.borrow_mut());
        record.identified(request.headers(), world.snapshot.revision.get());
        let entry = running.select()?; // the dice roll here
        let (choice, edits) = chosen(running, entry)?;
        record.selected(entry, choice);
        if let Some(problem) = choice.pool.problem() {
            return Err(problem.into()); // invalid → 500, no endpoints → 503
        }
        self.edit(running, found, request);
        edits.request.apply(request.headers_mut());
        let due = record.due(rule.timeouts.request);
        record.bounds(request);
        let mut response = self.forward(&choice.pool, request, interim, due).await?;
        headers::clean(&mut response)?;
        rule.filters.response.apply(response.headers_mut());
        edits.response.apply(response.headers_mut());
        Ok(response.map(Body::Upstream))
    }

    /// Handles a request and answers it, whatever happens; `interim` hears what the backend says
    /// before its answer.
    pub(super) async fn answer(
        &self,
        mut request: Request<RequestBody>,
        interim: &dyn Interim,
    ) -> Response<Recorded> {
        let mut record = Record::open(&self.local, &self.leash);
        record.describe(&request, &self.client);
        let (version, is_head) = (request.version(), request.method() == Method::HEAD);
        let mut response = match self.handle(&mut request, interim, &mut record).await {
            Ok(response) => response,
            Err(failure) => refusal(&failure, &mut record),
        };
        recycle(std::mem::take(request.headers_mut()));
        record.answers(response.status(), response.headers());
        if is_head && let Body::Text(text) = response.body() {
            let length = HeaderValue::from(text.len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
            *response.body_mut() = Body::Empty;
        }
        if version == Version::HTTP_2 {
            response.headers_mut().remove(CONNECTION);
        } else if self.local.phase() > Phase::Serving {
            // Leaving: the client takes its next request elsewhere, and loses none.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Recorded::new(body, record))
    }

    /// Answers what is no request, or not beyond doubt.
    /// `line` is its first.
    pub(super) fn refuse(&self, line: &[u8], malformed: Malformed) -> Response<Recorded> {
        let mut record = Record::open(&self.local, &self.leash);
        record.describe_refused(line, &self.client);
        self.local.cells().protocol_errors.add(1);
        record.failed(error::fault_of(malformed), Some(&malformed));
        let response = error::correction(malformed);
        record.answers(response.status(), response.headers());
        response.map(|body| Recorded::new(body, record))
    }

    /// Sends the request on, in time or not at all.
    async fn forward(
        &self,
        pool: &Pool,
        request: &mut Request<RequestBody>,
        interim: &dyn Interim,
        due: Option<(Instant, Fault)>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let answer = pin!(pool.send(request, interim));
        let Some((due, fault)) = due else {
            return answer.await;
        };
        match self.local.deadlines.by(due, answer).await {
            // A deadline ends the request's body, too, which may show here as an error first.
            Some(Err(_)) if fault == Fault::Deadline && Instant::now() >= due => Err(fault.into()),
            Some(answer) => answer,
            None => Err(fault.into()),
        }
    }

    fn find(
        &self,
        router: &crate::routing::Router,
        request: &Request<RequestBody>,
    ) -> Option<Found> {
        router.find(view(request), &mut self.local.scratch.borrow_mut())
    }

    fn redirect(
        &self,
        redirect: &Redirect,
        found: Found,
        request: &Request<RequestBody>,
    ) -> Result<Response<Body>, Failure> {
        let scratch = &mut *self.local.scratch.borrow_mut();
        let origin = self.origin(found, view(request), scratch);
        let location = redirect.location(origin).ok_or(Fault::BadRequest)?;
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = redirect.status;
        response.headers_mut().insert(LOCATION, location);
        Ok(response)
    }

    /// Applies the rule's own filters to a request.
    fn edit(&self, running: &RunningRule, found: Found, request: &mut Request<RequestBody>) {
        let filters = &running.rule.filters;
        if let Some(rewrite) = &filters.rewrite {
            let mut uri = request.uri().clone();
            let mut headers = std::mem::take(request.headers_mut());
            let scratch = &mut *self.local.scratch.borrow_mut();
            let origin = self.origin(found, view(request), scratch);
            rewrite.apply(origin, &mut uri, &mut headers);
            *request.uri_mut() = uri;
            *request.headers_mut() = headers;
        }
        filters.request.apply(request.headers_mut());
    }

    fn origin<'a>(
        &self,
        found: Found,
        view: View<'a>,
        scratch: &'a mut crate::routing::Scratch,
    ) -> Origin<'a> {
        let (scheme, port) = entrance(view.headers, &self.client);
        Origin {
            scheme,
            authority: view.authority,
            port,
            path: view.normal_path(scratch),
            prefix_length: found.prefix_length,
            query: view.query,
        }
    }
}

/// The answer of our own to a request that failed.
fn refusal(failure: &Failure, record: &mut Record) -> Response<Body> {
    let cause = failure.source.as_deref();
    record.failed(failure.fault, cause.map(|cause| cause as _));
    if record.is_call() {
        error::outcome(failure.fault)
    } else {
        error::answer(failure.fault)
    }
}

fn view(request: &Request<RequestBody>) -> View<'_> {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    View {
        method: request.method(),
        authority: host.unwrap_or(""),
        path: request.uri().path(),
        query: request.uri().query(),
        headers: request.headers(),
    }
}

/// The chosen entry, ready to run, and its own edits.
fn chosen(
    running: &RunningRule,
    entry: usize,
) -> Result<(&super::local::RunningChoice, &crate::routing::Choice), Fault> {
    let choice = running.choices.get(entry).ok_or(Fault::BackendInvalid)?;
    let (edits, _) = running
        .rule
        .split
        .entries()
        .get(entry)
        .ok_or(Fault::BackendInvalid)?;
    Ok((choice, edits))
}

/// For tests that need no socket; connections call [`Proxy::answer`] directly.
impl tower::Service<Request<RequestBody>> for Proxy {
    type Response = Response<Recorded>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.answer(request, &()).await) })
    }
}
