//! The facts about one request, gathered along its way and told once at its end.
//!
//! The end is the last byte of the answer, or the moment somebody gives up: a record that is
//! dropped before it was completed means that the client went away.

use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use http::header::USER_AGENT;
use http::{HeaderMap, Request, StatusCode, Version};

use super::call::Call;
use super::error;
use super::forwarding::{Client, client_ip};
use super::leash::Leash;
use super::local::{Local, RunningChoice, RunningRule};
use crate::metrics::SeriesCells;
use crate::model::{Fault, GrpcStatus};
use crate::telemetry::{Line, Logged};
use crate::upstream::{BodyError, RequestBody};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The client went away, unless something else is noted.
    ClientGone,
    Complete,
    BrokeOff,
}

/// What is known about a request so far.
#[derive(Debug)]
pub(crate) struct Record {
    local: Rc<Local>,
    leash: Rc<Leash>,
    start: Instant,
    /// Where it is counted: under nothing, then its rule, then its backend.
    running: Option<Rc<RunningRule>>,
    entry: Option<usize>,
    status: StatusCode,
    fault: Option<Fault>,
    ending: Ending,
    bytes_out: u64,
    /// What there is to know only about gRPC.
    call: Option<Box<Call>>,
    /// The line for the access log, made only where one is kept.
    line: Option<Box<Line>>,
}

impl Record {
    /// Opens the record when the head of a request is complete, or cannot become it.
    pub(super) fn open(local: &Rc<Local>, leash: &Rc<Leash>) -> Self {
        leash.request_begins();
        Self {
            local: Rc::clone(local),
            leash: Rc::clone(leash),
            start: Instant::now(),
            running: None,
            entry: None,
            status: StatusCode::OK,
            fault: None,
            ending: Ending::ClientGone,
            bytes_out: 0,
            call: None,
            line: None,
        }
    }

    /// Takes down what the request is, and for the log whose.
    pub(super) fn describe(&mut self, request: &Request<RequestBody>, client: &Client) {
        self.call = Call::of(request, self.start, &self.local.deadlines);
        if self.is_logged() {
            self.line = Some(line(request, client));
        }
    }

    /// The same for what is no request: what its first line says, as far as it says it.
    pub(super) fn describe_refused(&mut self, first_line: &[u8], client: &Client) {
        if self.is_logged() {
            let mut words = first_line
                .split(|b| *b == b' ')
                .map(String::from_utf8_lossy);
            self.line = Some(Box::new(Line {
                client_ip: client_ip(&HeaderMap::new(), client).into_owned(),
                method: words.next().unwrap_or_default().into_owned(),
                path: words.next().unwrap_or_default().into_owned(),
                protocol: "HTTP/1.1",
                ..begun()
            }));
        }
    }

    fn is_logged(&self) -> bool {
        self.local
            .log()
            .is_some_and(|log| log.logged != Logged::None)
    }

    /// When an answer has to have begun, with the fault it is otherwise: the sooner of the rule's
    /// timeout and the client's deadline.
    pub(super) fn due(&self, timeout: Option<Duration>) -> Option<(Instant, Fault)> {
        let timeout = timeout.map(|limit| (self.start + limit, Fault::RequestTimeout));
        let deadline = self.call.as_ref().and_then(|call| call.due());
        let deadline = deadline.map(|due| (due, Fault::Deadline));
        [timeout, deadline]
            .into_iter()
            .flatten()
            .min_by_key(|it| it.0)
    }

    /// Whether the request is a gRPC call.
    pub(super) fn is_call(&self) -> bool {
        self.call.is_some()
    }

    /// Holds the request's body to the client's deadline.
    pub(super) fn bounds(&self, request: &mut Request<RequestBody>) {
        if let Some(call) = &self.call {
            call.bound(request.body_mut());
        }
    }

    /// How the answer has to end now, if the client's deadline has passed.
    pub(super) fn overdue(&mut self, waker: &Waker) -> Option<Result<HeaderMap, BodyError>> {
        let call = self.call.as_mut()?;
        if self.ending != Ending::ClientGone {
            return None;
        }
        let end = call.overdue(waker)?;
        self.fault = Some(Fault::Deadline);
        Some(end)
    }

    pub(super) fn matched(&mut self, rule: &Rc<RunningRule>) {
        self.running = Some(Rc::clone(rule));
        if let Some(line) = &mut self.line {
            line.route = Some(rule.rule.id.route.as_str().into());
            line.rule = Some(rule.rule.id.rule.as_str().into());
        }
    }

    /// The request goes to the entry at this position of the rule's split.
    pub(super) fn selected(&mut self, entry: usize, choice: &RunningChoice) {
        self.entry = Some(entry);
        if let Some(line) = &mut self.line {
            line.backend = Some(choice.name.as_str().into());
        }
    }

    fn series(&self) -> &SeriesCells {
        let Some(running) = &self.running else {
            return self.local.unrouted();
        };
        let choice = self.entry.and_then(|entry| running.choices.get(entry));
        choice.map_or(&running.own, |choice| &choice.series)
    }

    /// The request has its id now, and the snapshot that decides is known.
    pub(super) fn identified(&mut self, headers: &HeaderMap, revision: u64) {
        if let Some(line) = &mut self.line {
            line.request_id = text(headers.get(super::headers::REQUEST_ID));
            line.revision = revision;
        }
    }

    pub(super) fn failed(
        &mut self,
        fault: Fault,
        cause: Option<&(dyn std::error::Error + 'static)>,
    ) {
        self.fault = Some(fault);
        if let Some(line) = &mut self.line {
            line.cause = cause.map(chain);
        }
    }

    pub(super) fn answers(&mut self, status: StatusCode, head: &HeaderMap) {
        self.status = status;
        if let Some(call) = &mut self.call {
            call.answers(head);
        }
    }

    /// The answer ends with these trailers.
    pub(super) fn hears(&mut self, trailers: Option<&HeaderMap>) {
        if let (Some(call), Some(trailers)) = (&mut self.call, trailers) {
            call.hears(trailers);
        }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    pub(super) fn complete(&mut self) {
        if self.ending == Ending::ClientGone {
            self.ending = Ending::Complete;
        }
    }

    pub(super) fn broke_off(&mut self, cause: &(dyn std::error::Error + 'static)) {
        self.ending = Ending::BrokeOff;
        self.failed(self.fault.unwrap_or(Fault::Truncated), Some(cause));
    }

    /// How the call ended, if the request is one, and whether that speaks against the backend.
    fn outcome(&mut self, duration: Duration) -> Option<(GrpcStatus, bool)> {
        let call = self.call.take()?;
        let gone = self.ending == Ending::ClientGone || self.fault == Some(Fault::RequestBody);
        if gone && call.was_late(duration) {
            // Whose clock is first is chance: either way the backend was too slow.
            self.ending = Ending::Complete;
            self.fault = Some(Fault::Deadline);
        }
        let status = match (self.ending, self.fault) {
            (Ending::ClientGone, _) => GrpcStatus::Cancelled,
            (_, Some(fault)) => error::grpc_status(fault),
            (_, None) => call.outcome(self.status),
        };
        // What Pointsman made counts the same as over plain HTTP.
        let failed = match self.fault {
            Some(fault) => error::is_failure(fault),
            None => status.is_failure(),
        };
        Some((status, failed && self.ending != Ending::ClientGone))
    }

    fn close(&mut self) {
        self.leash.request_ends();
        let duration = self.start.elapsed();
        let outcome = self.outcome(duration);
        let call_failed = outcome.is_some_and(|(_, failed)| failed);
        let series = self.series();
        match self.ending {
            Ending::ClientGone => series.client_gone(),
            Ending::Complete if !call_failed => series.answered(self.status, duration),
            Ending::Complete | Ending::BrokeOff => series.failed(self.status, duration),
        }
        if let Some((status, _)) = outcome {
            series.called(status);
        }
        if let Some(fault) = self.fault {
            series.fault(fault);
        }
        if let Some(mut line) = self.line.take() {
            line.status = match self.ending {
                Ending::ClientGone => 499,
                Ending::Complete | Ending::BrokeOff => self.status.as_u16(),
            };
            line.bytes_out = self.bytes_out;
            line.duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3;
            line.fault = self.fault.map(Fault::label);
            line.grpc_status = outcome.map(|(status, _)| status.label());
            let error = self.fault.is_some() || self.status.is_server_error() || call_failed;
            self.local.write(line, error);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.close();
    }
}

fn line(request: &Request<RequestBody>, client: &Client) -> Box<Line> {
    let headers = request.headers();
    let host = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned());
    Box::new(Line {
        client_ip: client_ip(headers, client).into_owned(),
        method: request.method().as_str().to_owned(),
        host: host.unwrap_or_else(|| text(headers.get(http::header::HOST))),
        path: request.uri().path().to_owned(),
        protocol: match request.version() {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            _ => "HTTP/1.1",
        },
        user_agent: headers.get(USER_AGENT).map(|value| text(Some(value))),
        ..begun()
    })
}

/// A line that begins now.
fn begun() -> Line {
    Line {
        ts: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
            .to_string(),
        msg: "request",
        ..Line::default()
    }
}

fn text(value: Option<&http::HeaderValue>) -> String {
    value
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// An error and its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
