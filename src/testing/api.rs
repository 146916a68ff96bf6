//! The control API as a test calls it, and the numbers it gives.
//!
//! For a proxy in the test's own process and for a built program alike. What does not answer
//! panics, with its reason: no test has anything better to do.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::client::{Answer, Client};

/// Where the control API has the split of the rule `app/everyone`, which tests work with.
pub const SPLIT: &str = "/api/v1/routes/app/rules/everyone/split";

/// The control API of one Pointsman. Every call has a connection of its own.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    address: SocketAddr,
}

impl Api {
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One call; an empty `body` is none, any other is JSON.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Bytes::from(body))
            .expect("a test writes a valid request");
        let mut client = Client::connect(self.address).await.expect("it listens");
        client.send(request).await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], String::new()).await
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        serde_json::from_slice(&answer.body).unwrap_or_else(|why| panic!("{why}: {answer:?}"))
    }

    /// The split of the rule `app/everyone`.
    pub async fn split(&self) -> Value {
        self.get_json(SPLIT).await
    }

    /// Sets the weights of the rule `app/everyone`; returns when they serve.
    pub async fn put_split(&self, weights: &[(&str, u32)]) -> Answer {
        let answer = self
            .call(Method::PUT, SPLIT, &[], split_change(weights))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }

    /// Goes back to the weights of the config.
    pub async fn delete_split(&self) -> Answer {
        let answer = self.call(Method::DELETE, SPLIT, &[], String::new()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        answer
    }

    /// `/metrics`, as it is now.
    pub async fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics").await.text())
    }
}

/// The body of a change of weights.
#[must_use]
pub fn split_change(weights: &[(&str, u32)]) -> String {
    let pair = |(name, weight): &(&str, u32)| ((*name).to_owned(), json!(weight));
    let weights: serde_json::Map<_, _> = weights.iter().map(pair).collect();
    json!({ "weights": weights }).to_string()
}

/// The text of `/metrics`.
#[derive(Clone, Debug)]
pub struct Metrics(pub String);

impl Metrics {
    /// The sum over the series of that name which have all these labels; `None` without any.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let label = |(name, value): &(&str, &str)| format!("{name}=\"{value}\"");
        let wanted: Vec<_> = labels.iter().map(label).collect();
        let values = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (family, labels) = series.split_once('{').unwrap_or((series, "}"));
            let labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
            let all = wanted.iter().all(|label| labels.contains(&label.as_str()));
            (family == name && all)
                .then(|| value.parse::<f64>().ok())
                .flatten()
        });
        values.reduce(|sum, value| sum + value)
    }
}
