//! The story's hands: the control API and the fault switch, over HTTP like anybody else's.
//!
//! Reads before it writes, and writes with `If-Match`: when someone moves the weights by hand while
//! the demo runs, neither overwrites the other unseen.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use super::fault::Fault;
use crate::admin::view;

/// A control API that takes longer is as good as gone.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The largest answer read.
const BODY_MAX: usize = 1024 * 1024;

/// Names in the demo's config, shared with whoever writes it.
pub(crate) const ROUTE: &str = "podinfo";
pub(crate) const RULE: &str = "everyone";
pub(crate) const PRIMARY: &str = "primary";
pub(crate) const CANARY: &str = "canary";

/// A call that did not do what it should: which one, and why.
#[derive(Debug)]
pub(crate) struct ControlError {
    call: String,
    why: String,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.why)
    }
}

impl std::error::Error for ControlError {}

/// A client of one Pointsman's control API.
#[derive(Clone, Debug)]
pub(crate) struct ControlClient {
    address: SocketAddr,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl ControlClient {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            http: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Where the split of the demo lives.
    pub(crate) fn split_url(&self) -> String {
        format!(
            "http://{}/api/v1/routes/{ROUTE}/rules/{RULE}/split",
            self.address
        )
    }

    /// The split as it is: weights, shares, statistics.
    pub(crate) async fn split(&self) -> Result<view::Split, ControlError> {
        let url = self.split_url();
        let body = self.call(Method::GET, &url, None, Bytes::new()).await?;
        serde_json::from_slice(&body).map_err(|error| ControlError {
            call: format!("GET {url}"),
            why: error.to_string(),
        })
    }

    /// Gives the canary `percent` of the requests and the primary the rest.
    pub(crate) async fn shift(&self, percent: u32, reason: &str) -> Result<(), ControlError> {
        let revision = self.split().await?.revision;
        let weights = BTreeMap::from([
            (PRIMARY.to_owned(), 100_u32.saturating_sub(percent).into()),
            (CANARY.to_owned(), percent.into()),
        ]);
        let change = view::SplitChange {
            weights,
            reason: Some(reason.to_owned()),
            expires_in: None,
        };
        let body = json!(change).to_string().into();
        self.call(Method::PUT, &self.split_url(), Some(revision), body)
            .await
            .map(drop)
    }

    /// Turns the fault switch of an origin.
    pub(crate) async fn break_origin(
        &self,
        origin: SocketAddr,
        fault: Fault,
    ) -> Result<(), ControlError> {
        let url = format!("http://{origin}/fault");
        self.call(Method::PUT, &url, None, json!(fault).to_string().into())
            .await
            .map(drop)
    }

    /// One call within its limits; anything but a success is an error with the API's own words.
    async fn call(
        &self,
        method: Method,
        url: &str,
        revision: Option<u64>,
        body: Bytes,
    ) -> Result<Bytes, ControlError> {
        let call = format!("{method} {url}");
        let failed = |why: String| ControlError {
            call: call.clone(),
            why,
        };
        let mut request = Request::builder().method(method).uri(url);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(revision) = revision {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| failed(error.to_string()))?;
        let answered = async {
            let response = self
                .http
                .request(request)
                .await
                .map_err(|error| causes(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_MAX).collect().await;
            Ok((
                head.status,
                body.map_err(|error| error.to_string())?.to_bytes(),
            ))
        };
        let late = |_| failed(format!("no answer within {ANSWER_MAX:?}"));
        let (status, body) = tokio::time::timeout(ANSWER_MAX, answered)
            .await
            .map_err(late)?
            .map_err(&failed)?;
        if status.is_success() {
            return Ok(body);
        }
        let problem = serde_json::from_slice::<view::Problem>(&body);
        Err(failed(match problem {
            Ok(problem) => format!("{status}: {}", problem.detail),
            Err(_) => status.to_string(),
        }))
    }
}

/// An error and what stands behind it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
