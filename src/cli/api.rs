//! The control API, call by call.
//!
//! Answers stay JSON where they are printed as they are, so that a field this CLI does not know
//! yet is shown all the same; they become the shapes of [`view`] where the
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
    /// Revision that the change is based on.
    pub(super) if_match: Option<u64>,
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

    /// The newest events, as many as the API gives at once.
    pub(super) async fn many_events(&self) -> Result<Value, Failure> {
        self.json(Call::get("/api/v1/events?limit=1000")).await
    }

    /// One of a kind by its name; `None` when there is none.
    pub(super) async fn find(&self, kind: Kind, name: &str) -> Result<Option<Value>, Failure> {
        let path = format!("/api/v1/{}/{}", kind.plural(), encode(name));
        let answer = self.0.send(Call::get(&path)).await?;
        let unknown = answer.status == StatusCode::NOT_FOUND
            && serde_json::from_slice::<view::Problem>(&answer.body).is_ok();
        if unknown {
            return Ok(None);
        }
        self.read(&answer).map(Some)
    }

    /// One of a kind by its name, or a failure that helps to find the right one.
    pub(super) async fn one(&self, kind: Kind, name: &str) -> Result<Value, Failure> {
        match self.find(kind, name).await? {
            Some(found) => Ok(found),
            None => Err(self.unknown(kind, name).await),
        }
    }

    /// What to say about a name that there is not.
    pub(super) async fn unknown(&self, kind: Kind, name: &str) -> Failure {
        let failure = Failure::new(format!("there is no {} {name}", kind.singular()));
        let Ok(page) = self.list(kind).await else {
            return failure;
        };
        let items = page.get("items").and_then(Value::as_array);
        let names = items.into_iter().flatten();
        let names = names.filter_map(|item| item.get("name")?.as_str());
        let names: Vec<&str> = names.collect();
        match closest(name, &names) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint(format!(
                "`pointsman get {}` lists what there is",
                kind.plural()
            )),
        }
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
        self.change_split(place, terms, method, None, Some(body))
            .await
    }

    /// Drops the override of a split.
    pub(super) async fn reset_split(
        &self,
        place: Place<'_>,
        terms: Terms,
        reason: Option<&str>,
    ) -> Result<Value, Failure> {
        let reason = reason.map(|reason| format!("reason={}", encode(reason)));
        self.change_split(place, terms, Method::DELETE, reason, None)
            .await
    }

    async fn change_split(
        &self,
        place: Place<'_>,
        terms: Terms,
        method: Method,
        query: Option<String>,
        body: Option<Vec<u8>>,
    ) -> Result<Value, Failure> {
        let dry_run = terms.dry_run.then(|| "dryRun=true".to_owned());
        let query: Vec<String> = dry_run.into_iter().chain(query).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let path = format!(
            "/api/v1/routes/{}/rules/{}/split{mark}{}",
            encode(place.route),
            encode(place.rule),
            query.join("&")
        );
        let call = Call {
            method,
            path: &path,
            body,
            if_match: terms.if_match,
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
        self.read(&answer)
    }

    /// No content is `null`.
    fn read(&self, answer: &Answer) -> Result<Value, Failure> {
        if !answer.status.is_success() {
            return Err(self.problem(answer));
        }
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
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
        // The detail says what is wrong here; the title only what kind of thing that is.
        let message = match problem.detail.as_str() {
            "" => &problem.title,
            detail => detail,
        };
        let mut failure = Failure::new(printable(message)).exit(exit);
        for error in &problem.errors {
            failure = failure.note(printable(&format!("{}: {}", error.pointer, error.message)));
            if let Some(hint) = &error.hint {
                failure = failure.note(printable(&format!("  hint: {hint}")));
            }
        }
        failure
    }
}

/// The name that was probably meant.
pub(super) fn closest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let near = names
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), *other))
        .filter(|(similarity, _)| *similarity > 0.8);
    near.max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, other)| other)
}

/// Text from elsewhere without what could steer the terminal.
pub(super) fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name() {
        let names = ["everyone", "insiders"];
        assert_eq!(closest("evryone", &names), Some("everyone"));
        assert_eq!(closest("beta", &names), None);
    }
}
