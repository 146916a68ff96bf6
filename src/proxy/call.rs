//! What is known about one gRPC call: its deadline, and the outcome it was told.
//!
//! The deadline a client sets (`grpc-timeout`) holds for the whole call, streams included, unlike
//! a rule's timeout, which holds until the head of the answer. Before the head it is met like that
//! timeout; after it the answer is ended by trailers that say so, and the request is not read on.
//! A call without a deadline costs nothing of this.

use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, StatusCode};

use super::deadline::{Alarm, Deadlines};
use super::{error, grpc};
use crate::model::{Fault, GrpcStatus};
use crate::upstream::{BodyError, RequestBody};

/// A client's clock starts before ours, by the way its request takes; so one that leaves when its
/// deadline is nearly over has left because of it: within a tenth of it, and within this.
const EARLY_MAX: Duration = Duration::from_millis(100);

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    deadline: Option<Deadline>,
    /// What the answer said so far.
    told: Option<GrpcStatus>,
    /// Whether the answer's length was promised, so that it cannot be ended early.
    length_promised: bool,
}

/// When the client stops waiting.
#[derive(Debug)]
struct Deadline {
    limit: Duration,
    due: Instant,
    deadlines: Rc<Deadlines>,
    /// Until it went off.
    alarm: Option<Alarm>,
}

impl Call {
    /// The call that a request is, if it is one. Boxed, because most requests are none.
    pub(super) fn of(
        request: &Request<RequestBody>,
        start: Instant,
        deadlines: &Rc<Deadlines>,
    ) -> Option<Box<Self>> {
        if !grpc::is_call(request) {
            return None;
        }
        let deadline = grpc::timeout(request.headers()).and_then(|limit| {
            let due = start.checked_add(limit)?;
            Some(Deadline {
                limit,
                due,
                deadlines: Rc::clone(deadlines),
                alarm: Some(Alarm::new(deadlines, due)),
            })
        });
        Some(Box::new(Self {
            deadline,
            told: None,
            length_promised: false,
        }))
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.deadline.as_ref().map(|deadline| deadline.due)
    }

    /// Lets the request's body end with the deadline. Without this a client that goes on sending
    /// after it was told that time is over would keep a stream to the backend busy.
    pub(super) fn bound(&self, body: &mut RequestBody) {
        let Some(deadline) = &self.deadline else {
            return;
        };
        let mut alarm = Alarm::new(&deadline.deadlines, deadline.due);
        body.end_when(move |waker| alarm.is_over(waker));
    }

    /// Hears the head of the answer.
    pub(super) fn answers(&mut self, head: &HeaderMap) {
        self.hears(head);
        self.length_promised = head.contains_key(CONTENT_LENGTH);
    }

    /// Hears trailers; what they say counts more than what the head said.
    pub(super) fn hears(&mut self, fields: &HeaderMap) {
        self.told = grpc::status(fields).or(self.told);
    }

    /// How an answer that runs has to end now, if its time is over: by trailers where there may be
    /// some, otherwise in the middle. Said once.
    pub(super) fn overdue(&mut self, waker: &Waker) -> Option<Result<HeaderMap, BodyError>> {
        let deadline = self.deadline.as_mut()?;
        if !deadline.alarm.as_mut()?.is_over(waker) {
            return None;
        }
        deadline.alarm = None;
        if self.length_promised {
            return Some(Err(Fault::Deadline.label().into()));
        }
        Some(Ok(error::trailers(Fault::Deadline)))
    }

    /// Whether a client that went away after `waited` did so because of its deadline.
    pub(super) fn was_late(&self, waited: Duration) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| {
            let early = (deadline.limit / 10).min(EARLY_MAX);
            waited + early >= deadline.limit
        })
    }

    /// The outcome of a call that was answered with this HTTP status, to its end.
    pub(super) fn outcome(&self, status: StatusCode) -> GrpcStatus {
        self.told.unwrap_or_else(|| GrpcStatus::of_http(status))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, Version};

    use super::*;

    fn call(timeout: Option<&'static str>) -> Box<Call> {
        let mut request = Request::new(RequestBody::Empty);
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        if let Some(timeout) = timeout {
            headers.insert("grpc-timeout", HeaderValue::from_static(timeout));
        }
        let call = Call::of(&request, Instant::now(), &Rc::default());
        call.expect("it is a call")
    }

    fn fields(status: &'static str) -> HeaderMap {
        let status = HeaderValue::from_static(status);
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status)])
    }

    #[test]
    fn trailers_count_more_than_the_head_and_a_missing_status_is_judged_by_http() {
        let mut call = call(None);
        assert_eq!(call.outcome(StatusCode::OK), GrpcStatus::Unknown);
        assert_eq!(
            call.outcome(StatusCode::SERVICE_UNAVAILABLE),
            GrpcStatus::Unavailable
        );
        call.answers(&fields("0"));
        assert_eq!(call.outcome(StatusCode::OK), GrpcStatus::Ok);
        call.hears(&fields("13"));
        call.hears(&HeaderMap::new());
        assert_eq!(call.outcome(StatusCode::OK), GrpcStatus::Internal);
    }

    #[test]
    fn an_overdue_answer_is_ended_once_by_trailers() {
        let mut call = call(Some("0n"));
        let mut look = || call.overdue(Waker::noop());
        assert!(look().is_none(), "the first look only asks to be woken");
        let trailers = look().expect("it is over").expect("trailers");
        assert_eq!(grpc::status(&trailers), Some(GrpcStatus::DeadlineExceeded));
        assert!(look().is_none());
    }

    #[test]
    fn an_overdue_answer_of_a_promised_length_breaks_off() {
        let mut call = call(Some("0n"));
        let length = HeaderValue::from_static("10");
        call.answers(&HeaderMap::from_iter([(CONTENT_LENGTH, length)]));
        assert!(call.overdue(Waker::noop()).is_none());
        assert!(call.overdue(Waker::noop()).expect("it is over").is_err());
    }

    #[test]
    fn who_leaves_at_its_deadline_has_waited_in_vain() {
        let waited = |call: &Call, ms| call.was_late(Duration::from_millis(ms));
        let short = call(Some("200m"));
        assert!(waited(&short, 190) && !waited(&short, 150));
        let long = call(Some("1H"));
        assert!(!waited(&long, 3_500_000) && waited(&long, 3_599_950));
        assert!(!waited(&call(None), 1_000_000));
    }
}
