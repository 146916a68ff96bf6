//! The set: two origins, a Pointsman between them and the load, and a state directory to throw
//! away. What is put up in one order is taken down in the other.

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use futures_util::future::BoxFuture;

use super::control::{CANARY, ControlClient, PRIMARY, ROUTE, RULE};
use super::error::{DemoError, Failure};
use super::load::{Load, LoadOptions};
use super::origin::{Origin, OriginOptions};
use super::ports::{self, Port};
use super::run::{DemoOptions, VERSIONS};
use super::screen::Screen;

const USUAL_PORT: u16 = 8080;
const USUAL_CONTROL_PORT: u16 = 7070;
/// The load says which site it wants, as browsers do; the demo's route takes any.
const HOST: &str = "podinfo.example.com";

/// What to run between the origins.
#[derive(Clone, Debug)]
pub(crate) struct ProxyOptions {
    /// A whole config, as `pointsman run` takes it.
    pub(crate) config: String,
    /// `None`: as `pointsman run` decides.
    pub(crate) workers: Option<usize>,
    pub(crate) state_dir: PathBuf,
}

/// A running proxy, as the work of taking it down: it serves until this is awaited or dropped.
pub(crate) type Proxy = BoxFuture<'static, ()>;

/// Everything that runs during a demo.
pub(crate) struct Stage {
    primary: Origin,
    canary: Origin,
    proxy: Proxy,
    load: Load,
    control: ControlClient,
    port: Port,
    control_port: Port,
    requests_per_second: u32,
    // Last: the directory goes when nobody writes to it any more.
    _state: StateDir,
}

impl Stage {
    /// Puts up everything; `launch` answers once the proxy serves.
    pub(crate) async fn put_up(
        options: &DemoOptions,
        launch: impl AsyncFnOnce(ProxyOptions) -> Result<Proxy, Failure>,
    ) -> Result<Self, DemoError> {
        let port = ports::choose("--port", options.port, USUAL_PORT)?;
        let control_port =
            ports::choose("--control-port", options.control_port, USUAL_CONTROL_PORT)?;
        let primary = origin(VERSIONS.primary, "podinfo-primary").await?;
        let canary = origin(VERSIONS.canary, "podinfo-canary").await?;
        let state = StateDir::create().map_err(|e| DemoError::start("the state directory", e))?;
        let addresses = [
            port.address,
            control_port.address,
            primary.address(),
            canary.address(),
        ];
        let proxy = launch(ProxyOptions {
            config: config(addresses),
            workers: options.workers,
            state_dir: state.path.clone(),
        });
        let proxy = proxy
            .await
            .map_err(|error| DemoError::start("the proxy", error))?;
        let load = Load::start(LoadOptions {
            address: port.address,
            host: HOST.to_owned(),
            requests_per_second: options.requests_per_second,
        });
        let control = ControlClient::new(control_port.address);
        let requests_per_second = options.requests_per_second;
        Ok(Self {
            primary,
            canary,
            proxy,
            load,
            control,
            port,
            control_port,
            requests_per_second,
            _state: state,
        })
    }

    pub(crate) fn control(&self) -> &ControlClient {
        &self.control
    }

    pub(crate) fn canary_address(&self) -> SocketAddr {
        self.canary.address()
    }

    /// Who runs where, and which port is not the usual one.
    pub(crate) fn introduce(&self, screen: &mut Screen<'_>) -> io::Result<()> {
        let (primary, canary) = (self.primary.address(), self.canary.address());
        for port in [self.port, self.control_port] {
            if let Some(usual) = port.instead_of {
                screen.hint(&format!("{usual} is taken, using {} instead", port.address))?;
            }
        }
        let primary_name = format!("podinfo {} (primary)", VERSIONS.primary);
        screen.runs(&primary_name, &format!("http://{primary}/"))?;
        let canary_name = format!("podinfo {} (canary)", VERSIONS.canary);
        screen.runs(&canary_name, &format!("http://{canary}/"))?;
        screen.runs("proxy", &format!("http://{}/", self.port.address))?;
        let control = self.control_port.address;
        screen.runs("control API", &format!("http://{control}/api/v1/routes"))?;
        screen.runs("metrics", &format!("http://{control}/metrics"))?;
        screen.runs("load", &format!("{} requests/s", self.requests_per_second))
    }

    /// What the clients noticed, for the proxy's own numbers are only half of the truth.
    pub(crate) fn load_report(&self, screen: &mut Screen<'_>) -> io::Result<()> {
        let counts = self.load.counts();
        screen.hint(&format!(
            "Seen by the clients: {} answers, {} of them 5xx, {} requests without an answer.",
            counts.answered, counts.server_errors, counts.unanswered,
        ))
    }

    /// Lines to paste into another terminal while everything still runs, or what to try next.
    pub(crate) fn suggest(&self, screen: &mut Screen<'_>, options: &DemoOptions) -> io::Result<()> {
        if options.headless {
            return match options.fail {
                true => Ok(()),
                false => screen.hint("Try: pointsman demo --fail"),
            };
        }
        let proxy = self.port.address;
        let canary = self.canary.address();
        let split = self.control.split_url();
        screen.hint("Try by hand, from another terminal:")?;
        for line in [
            format!("curl http://{proxy}/version    # which one answers?"),
            format!("curl -H 'x-canary: insider' http://{proxy}/version    # always the canary"),
            format!("curl {split}"),
            format!(
                "curl -X PUT -H 'content-type: application/json' \\\n    \
                 -d '{{\"weights\": {{\"{PRIMARY}\": 80, \"{CANARY}\": 20}}}}' \\\n    {split}"
            ),
            format!("curl -X PUT -d '{{\"errorRate\": 0.3}}' http://{canary}/fault"),
            format!(
                "curl -N http://{}/api/v1/watch    # what happens, live",
                self.control_port.address
            ),
        ] {
            screen.line(format_args!("  {line}"))?;
        }
        Ok(())
    }

    /// In the order in which nothing fails: the load first, the origins last.
    pub(crate) async fn take_down(self) {
        self.load.stop().await;
        self.proxy.await;
        self.primary.stop().await;
        self.canary.stop().await;
    }
}

async fn origin(version: &str, hostname: &str) -> Result<Origin, DemoError> {
    Origin::start(OriginOptions::local(version, hostname))
        .await
        .map_err(|error| DemoError::start(format!("podinfo {version}"), error))
}

/// The config of a demo: what a newcomer would write, plus a door for insiders. It drains at once,
/// because nobody waits behind a load balancer here, and logs nothing into the story.
fn config([web, control, primary, canary]: [SocketAddr; 4]) -> String {
    format!(
        r#"apiVersion: pointsman.dev/v1
listeners:
  - {{name: web, address: "{web}"}}
control:
  address: "{control}"
drain: {{delay: 0s, timeout: 2s}}
accessLog: off
routes:
  - name: {ROUTE}
    rules:
      - name: insiders
        matches: [{{path: {{prefix: /}}, headers: [{{name: x-canary, exact: insider}}]}}]
        split: [{{backend: {CANARY}, weight: 1}}]
      - name: {RULE}
        matches: [{{path: {{prefix: /}}}}]
        split: [{{backend: {PRIMARY}, weight: 100}}, {{backend: {CANARY}, weight: 0}}]
backends:
  - {{name: {PRIMARY}, endpoints: ["{primary}"]}}
  - {{name: {CANARY}, endpoints: ["{canary}"]}}
"#
    )
}

/// A directory of this demo alone, gone with it.
struct StateDir {
    path: PathBuf,
}

impl StateDir {
    fn create() -> io::Result<Self> {
        let name = format!("pointsman-demo-{}", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        // Not `create_dir_all`: somebody else's directory is not ours to use, or to remove.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // What cannot be removed is in the temporary directory, which others clean.
        std::fs::remove_dir_all(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Base;

    #[test]
    fn the_config_of_the_demo_compiles_without_a_warning() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = config([address(8080), address(7070), address(9001), address(9002)]);
        let base = Base::parse("demo.yaml", &text).unwrap();
        assert!(base.warnings().is_empty(), "{:?}", base.warnings());
    }

    #[test]
    fn a_state_directory_is_gone_with_its_demo() {
        let state = StateDir::create().unwrap();
        let path = state.path.clone();
        std::fs::write(path.join("state.db"), "x").unwrap();
        drop(state);
        assert!(!path.exists());
    }
}
