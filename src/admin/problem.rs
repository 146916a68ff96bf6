//! Errors of the API: RFC 9457 problem details, one table from a refusal to its answer.
//!
//! `type` is short and stable, for programs; `detail` says what is wrong here and what to do.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use super::view::{Problem, ProblemDetail};
use crate::config::Problems;
use crate::store::{Fault, Refusal, orphan};

/// An answer that is a problem.
#[derive(Debug)]
pub(super) struct Failure(Box<Problem>);

pub(super) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(super) fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: kind.to_owned(),
            title: status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            current: None,
        }))
    }

    pub(super) fn bad_request(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, detail)
    }

    pub(super) fn not_found(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, kind, detail)
    }

    pub(super) fn unprocessable(kind: &str, detail: &str, errors: Vec<ProblemDetail>) -> Self {
        let mut failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, kind, detail);
        failure.0.errors = errors;
        failure
    }

    pub(super) fn unavailable(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
    }

    pub(super) fn faults(faults: Vec<Fault>) -> Self {
        let detail = match faults.len() {
            1 => "one thing is wrong with the change, so nothing was changed".to_owned(),
            n => format!("{n} things are wrong with the change, so nothing was changed"),
        };
        let errors = faults.into_iter().map(|fault| ProblemDetail {
            pointer: fault.pointer,
            message: fault.message,
            hint: fault.hint,
        });
        Self::unprocessable("bad-change", &detail, errors.collect())
    }

    pub(super) fn bad_config(problems: &Problems) -> Self {
        let errors = problems.iter().map(|problem| ProblemDetail {
            pointer: problem.position(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
        });
        let detail = "the config has problems; nothing was changed, the old config keeps serving";
        Self::unprocessable("bad-config", detail, errors.collect())
    }

    /// Shows what the split is now beside the problem.
    pub(super) fn with_current(mut self, split: super::view::Split) -> Self {
        self.0.current = Some(Box::new(split));
        self
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownRule(_) => Self::not_found("unknown-rule", detail),
            Refusal::NoSplit(_) => Self::new(StatusCode::CONFLICT, "no-split", detail),
            Refusal::Faults(faults) => Self::faults(faults),
            Refusal::Stale { .. } => Self::new(StatusCode::PRECONDITION_FAILED, "stale", detail),
            Refusal::Orphans(orphans) => {
                let errors = orphans.iter().map(|one| ProblemDetail {
                    pointer: one.0.to_string(),
                    message: orphan(one),
                    hint: Some(format!("pointsman weight reset {}", one.0)),
                });
                let errors = errors.collect();
                let mut failure = Self::new(StatusCode::CONFLICT, "override-in-use", detail);
                failure.0.errors = errors;
                failure
            }
            Refusal::Config(problems) => Self::bad_config(&problems),
            Refusal::NoFile => Self::new(StatusCode::CONFLICT, "no-config-file", detail),
            Refusal::Journal(_) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "not-durable", detail)
            }
            Refusal::Stopped => Self::unavailable("stopping", detail),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(&*self.0)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
