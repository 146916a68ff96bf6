//! The control API, call by call.
//!
//! Answers stay JSON where they are printed as they are, so that a field this CLI does not know
//! yet is shown all the same; they become the shapes of [`view`](crate::admin::view) where the
//! CLI works with them. An answer that is a problem becomes a readable failure here.

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::{Answer, Call, Client};
use super::exit::{Exit, Failure};
use super::url::{Server, encode};
use crate::admin::view;

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Routes,
    Backends,
    Events,
}

impl Kind {
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Backends => "backends",
            Self::Events => "events",
        }
    }

    pub(super) const fn singular(self) -> &'static str {
        match self {
            Self::Routes => "route",
            Self::Backends => "backend",
            Self::Events => "event",
        }
    }
}

/// Where a split stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) route: &'a str,
    pub(super) rule: &'a str,
}

/// How a change is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) dry_run: bool,
    pub(super) if_match: u64,
}

/// A control API that can be called.
#[derive(Debug)]
pub(super) struct Api(Client);

impl Api {
    pub(super) fn new(server: Server) -> Self {
        Self(Client::new(server))
    }

    /// All of a kind: a page.
    pub(super) async fn list(&self, kind: Kind) -> Result<Value, Failure> {
        let path = format!("/api/v1/{}", kind.plural());
        self.json(Call::get(&path)).await
    }

    /// One of a kind by its name.
    pub(super) async fn one(&self, kind: Kind, name: &str) -> Result<Value, Failure> {
        let path = format!("/api/v1/{}/{}", kind.plural(), encode(name));
        self.json(Call::get(&path)).await
    }

    pub(super) async fn route(&self, name: &str) -> Result<view::Route, Failure> {
        let route = self.one(Kind::Routes, name).await?;
        self.shape(route)
    }

    /// Sets weights: of every backend of the split (`PUT`), or of some (`PATCH`).
    pub(super) async fn set_split(
        &self,
        place: Place<'_>,
        terms: Terms,
        method: Method,
        change: &view::SplitChange,
    ) -> Result<Value, Failure> {
        let body = serde_json::to_vec(change).expect("plain data always serialises");
        self.change_split(place, terms, method, Some(body)).await
    }

    /// Drops the override of a split.
    pub(super) async fn reset_split(
        &self,
        place: Place<'_>,
        terms: Terms,
    ) -> Result<Value, Failure> {
        self.change_split(place, terms, Method::DELETE, None).await
    }

    async fn change_split(
        &self,
        place: Place<'_>,
        terms: Terms,
        method: Method,
        body: Option<Vec<u8>>,
    ) -> Result<Value, Failure> {
        let dry = if terms.dry_run { "?dryRun=true" } else { "" };
        let path = format!(
            "/api/v1/routes/{}/rules/{}/split{dry}",
            encode(place.route),
            encode(place.rule)
        );
        let call = Call {
            method,
            path: &path,
            body,
            if_match: Some(terms.if_match),
        };
        self.json(call).await
    }

    pub(super) async fn explain(
        &self,
        url: &str,
        method: &Method,
        headers: &[String],
    ) -> Result<Value, Failure> {
        let mut path = format!(
            "/api/v1/explain?url={}&method={}",
            encode(url),
            encode(method.as_str())
        );
        for header in headers {
            path.push_str("&header=");
            path.push_str(&encode(header));
        }
        self.json(Call::get(&path)).await
    }

    /// `/readyz` or `/livez`, as it comes.
    pub(super) async fn health(&self, path: &str) -> Result<Answer, Failure> {
        self.0.send(Call::get(path)).await
    }

    /// Reads an answer in the shape it should have.
    pub(super) fn shape<T: DeserializeOwned>(&self, value: Value) -> Result<T, Failure> {
        serde_json::from_value(value).map_err(|error| self.foreign(&error))
    }

    async fn json(&self, call: Call<'_>) -> Result<Value, Failure> {
        let answer = self.0.send(call).await?;
        if !answer.status.is_success() {
            return Err(self.problem(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.foreign(&error))
    }

    fn foreign(&self, why: &serde_json::Error) -> Failure {
        Failure::new(format!(
            "{} answered, but not as a control API of this version does: {why}",
            self.0.server()
        ))
        .hint("compare `pointsman version` here and there, and check the address")
    }

    /// Problem details (RFC 9457) in words.
    fn problem(&self, answer: &Answer) -> Failure {
        let exit = match answer.status {
            StatusCode::PRECONDITION_FAILED => Exit::Conflict,
            _ => Exit::Error,
        };
        let Ok(problem) = serde_json::from_slice::<view::Problem>(&answer.body) else {
            return Failure::new(format!("{} answered {}", self.0.server(), answer.status))
                .exit(exit)
                .hint("is this the address of the control API, and not of the proxy?");
        };
        let mut failure = Failure::new(printable(&problem.title)).exit(exit);
        if !problem.detail.is_empty() && problem.detail != problem.title {
            failure = failure.note(printable(&problem.detail));
        }
        for error in &problem.errors {
            failure = failure.note(printable(&format!("{}: {}", error.pointer, error.message)));
            if let Some(hint) = &error.hint {
                failure = failure.note(printable(&format!("  hint: {hint}")));
            }
        }
        failure
    }
}

/// Text from elsewhere without what could steer the terminal.
pub(super) fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}
