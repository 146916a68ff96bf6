//! The control API as a test calls it: one connection a call, JSON in, JSON out.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use pointsman::testing::Client;
use serde_json::{Value, json};

/// The split that most tests move.
pub(crate) const SPLIT: &str = "/api/v1/routes/shop/rules/everyone/split";

/// Where a control API is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    address: SocketAddr,
}

/// What it said.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// `null` where the body is no JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    /// A field of the body by its JSON pointer, as text.
    pub(crate) fn said(&self, pointer: &str) -> &str {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} of {}", self.text))
    }

    pub(crate) fn number(&self, pointer: &str) -> u64 {
        let found = self.body.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no number at {pointer} of {}", self.text))
    }

    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        let found = self.body.pointer(pointer).and_then(Value::as_array);
        found.unwrap_or_else(|| panic!("no list at {pointer} of {}", self.text))
    }
}

impl Api {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Sends a request; an error is a connection that did not work.
    pub(crate) async fn send(
        self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> std::io::Result<Reply> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.unwrap_or_default()));
        let mut client = Client::connect(self.address).await?;
        let answer = client
            .send(request.expect("a test writes a valid request"))
            .await?;
        let text = answer.text();
        Ok(Reply {
            status: answer.status,
            headers: answer.headers,
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
        })
    }

    pub(crate) async fn get(self, path: &str) -> Reply {
        let sent = self.send(Method::GET, path, &[], None).await;
        sent.expect("the control API answers")
    }

    pub(crate) async fn put(self, path: &str, body: &Value) -> Reply {
        let sent = self
            .send(Method::PUT, path, &[], Some(body.to_string()))
            .await;
        sent.expect("the control API answers")
    }

    pub(crate) async fn post(self, path: &str) -> Reply {
        let sent = self.send(Method::POST, path, &[], None).await;
        sent.expect("the control API answers")
    }

    /// Weighs the two versions.
    pub(crate) async fn weigh(self, primary: u32, canary: u32) -> Reply {
        let body = json!({"weights": {"primary": primary, "canary": canary}});
        let reply = self.put(SPLIT, &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply
    }

    /// The weights in force, primary first.
    pub(crate) async fn weights(self) -> (u64, u64) {
        let split = self.get(SPLIT).await;
        (
            split.number("/weights/primary"),
            split.number("/weights/canary"),
        )
    }

    pub(crate) async fn revision(self) -> u64 {
        self.get("/api/v1/routes").await.number("/revision")
    }

    /// Every kind of event in the history, oldest first, with its message.
    pub(crate) async fn events(self) -> Vec<(String, String)> {
        let page = self.get("/api/v1/events?limit=1000").await;
        let items = page.list("/items");
        let text = |event: &Value, field: &str| {
            let text = event.get(field).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        items
            .iter()
            .map(|event| (text(event, "kind"), text(event, "message")))
            .collect()
    }

    /// A metric without labels, or with exactly these: the name as it is exported.
    pub(crate) async fn metric(self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").await;
        let line = page.text.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' '))
        });
        line?.rsplit(' ').next()?.parse().ok()
    }
}
