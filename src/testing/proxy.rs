//! A whole Pointsman inside a test: its workers, its control API, its store.
//!
//! Started the way `pointsman run` starts it, on ports of the kernel's choice, with its state in
//! memory unless the test brings a directory. The workers are threads of their own, as always; the
//! control plane runs on the test's runtime. What does not start or answer panics, with its reason:
//! no test has anything better to do.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use http::Request;

use super::api::Api;
use super::client::{Answer, Client, H2Client};
use crate::app::{self, Leave, Options, Running, Source};

/// A config in the making. Rules end up in one route for every host, called `app`.
#[derive(Clone, Debug, Default)]
pub struct Config {
    settings: String,
    listener: String,
    rules: String,
    routes: String,
    backends: String,
}

impl Config {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A backend with one endpoint.
    #[must_use]
    pub fn backend(self, name: &str, address: SocketAddr) -> Self {
        self.backend_of(&format!("name: {name}, endpoints: [\"{address}\"]"))
    }

    /// A backend, as the inside of a YAML map in braces.
    #[must_use]
    pub fn backend_of(mut self, yaml: &str) -> Self {
        item(&mut self.backends, "  ", yaml);
        self
    }

    /// The rule `everyone`, which takes every request and splits it.
    #[must_use]
    pub fn split(self, weights: &[(&str, u32)]) -> Self {
        let entry = |(name, weight): &(&str, u32)| format!("{{backend: {name}, weight: {weight}}}");
        let entries: Vec<_> = weights.iter().map(entry).collect();
        self.rule(&format!("name: everyone, split: [{}]", entries.join(", ")))
    }

    /// A rule of the route `app`, as the inside of a YAML map in braces.
    #[must_use]
    pub fn rule(mut self, yaml: &str) -> Self {
        item(&mut self.rules, "      ", yaml);
        self
    }

    /// Another route, as the inside of a YAML map in braces.
    #[must_use]
    pub fn route(mut self, yaml: &str) -> Self {
        item(&mut self.routes, "  ", yaml);
        self
    }

    /// A line on the top level, such as `accessLog: all`.
    #[must_use]
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }

    /// Options of the listener, as the inside of a YAML map in braces.
    #[must_use]
    pub fn listener(mut self, yaml: &str) -> Self {
        self.listener.push_str(", ");
        self.listener.push_str(yaml);
        self
    }

    /// The file.
    #[must_use]
    pub fn yaml(&self) -> String {
        let Self {
            settings,
            listener,
            rules,
            routes,
            backends,
        } = self;
        let app = if rules.is_empty() {
            String::new()
        } else {
            format!("  - name: app\n    rules:\n{rules}")
        };
        format!(
            "apiVersion: pointsman.dev/v1\n\
             listeners:\n  - {{name: web, address: \"127.0.0.1:0\"{listener}}}\n\
             control: {{address: \"127.0.0.1:0\"}}\n\
             drain: {{delay: 0s, timeout: 2s}}\n\
             {settings}routes:\n{app}{routes}backends:\n{backends}"
        )
    }
}

fn item(list: &mut String, indent: &str, yaml: &str) {
    writeln!(list, "{indent}- {{{yaml}}}").expect("text grows");
}

/// A running Pointsman. Dropping it cuts everything at once; `stop` is the polite way.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    api: Api,
    running: Running,
}

impl Proxy {
    /// One worker, state in memory.
    pub async fn start(config: &Config) -> Self {
        Self::start_with(config, 1, None).await
    }

    /// So many workers, state in this directory.
    pub async fn start_with(config: &Config, workers: usize, state_dir: Option<PathBuf>) -> Self {
        let text = config.yaml();
        let source = Source::Text {
            name: "test.yaml".to_owned(),
            text,
        };
        let options = Options {
            source,
            workers: Some(workers),
            state_dir,
        };
        let started = Box::pin(app::start(options)).await;
        let running = started.unwrap_or_else(|why| panic!("{why}\n{}", config.yaml()));
        let address = running.addresses().first().copied();
        let control = running.control_address();
        Self {
            address: address.expect("the config has a listener"),
            api: Api::at(control.expect("the config has a control API")),
            running,
        }
    }

    /// Where requests are taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its control API.
    pub fn api(&self) -> Api {
        self.api
    }

    /// A new HTTP/1.1 connection.
    pub async fn client(&self) -> Client {
        Client::connect(self.address).await.expect("it listens")
    }

    /// A new HTTP/2 connection.
    pub async fn h2_client(&self) -> H2Client {
        H2Client::connect(self.address).await.expect("it listens")
    }

    /// Asks once, on a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        self.client().await.get(path).await.expect("an answer")
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        self.client().await.send(request).await.expect("an answer")
    }

    /// Finishes what runs, closes everything.
    pub async fn stop(self) {
        Box::pin(self.running.leave(Leave::Quickly)).await;
    }
}
