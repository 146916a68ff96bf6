//! Query parameters, read strictly: a misspelt `dryrun` must not change anything for real.

use axum::extract::FromRequestParts;
use axum::extract::Query;
use http::request::Parts;

use super::problem::{Answer, Failure};

/// The parameters of one request, in their order.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Refuses every parameter that is not `known`.
    pub(super) fn known(self, known: &[&str]) -> Answer<Self> {
        match self.0.iter().find(|(name, _)| !known.contains(&&**name)) {
            None => Ok(self),
            Some((odd, _)) if known.is_empty() => Err(bad(&format!(
                "this call takes no parameters, {odd:?} among them"
            ))),
            Some((odd, _)) => Err(bad(&format!(
                "there is no parameter {odd:?} here, only {}",
                known.join(", ")
            ))),
        }
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(given, _)| given == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that may be given once.
    pub(super) fn one<'a>(&'a self, name: &'a str) -> Answer<Option<&'a str>> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(bad(&format!("{name} is given twice"))),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Answer<bool> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(_) => Err(bad(&format!("{name} is true or false"))),
        }
    }

    pub(super) fn number(&self, name: &str) -> Answer<Option<u64>> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| bad(&format!("{name} is a number")))
        };
        self.one(name)?.map(number).transpose()
    }
}

pub(super) fn bad(detail: &str) -> Failure {
    Failure::bad_request("bad-parameter", detail)
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        pairs
            .map(|Query(pairs)| Self(pairs))
            .map_err(|why| bad(&why.to_string()))
    }
}
