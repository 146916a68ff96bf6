//! A whole demo around a stand-in for the proxy: who starts whom, what is printed, what is left.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{DemoOptions, DemoOutcome, Proxy, ProxyOptions, run};
use crate::demo::{desk, ports};
use crate::testing::Origin as Server;

fn options(fail: bool) -> DemoOptions {
    let free = || ports::choose("--port", None, 0).unwrap().address.port();
    DemoOptions {
        headless: true,
        fail,
        port: Some(free()),
        control_port: Some(free()),
        step: Duration::from_millis(300),
        ..DemoOptions::default()
    }
}

/// Runs the demo with a desk for its control API and an origin for its data plane.
async fn given(options: DemoOptions) -> (DemoOutcome, String, PathBuf) {
    let [web, control] = [options.port, options.control_port]
        .map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port.unwrap())));
    let state = Arc::new(Mutex::new(PathBuf::new()));
    let seen = state.clone();
    let launch = async move |proxy: ProxyOptions| {
        assert!(proxy.state_dir.is_dir());
        *seen.lock().unwrap() = proxy.state_dir;
        let (web, control) = (Server::at(web, "web").await?, desk::open(control).await);
        let take_down = async move {
            web.stop().await;
            control.stop().await;
        };
        Ok(Box::pin(take_down) as Proxy)
    };
    let mut out = Vec::new();
    let demo = tokio::time::timeout(Duration::from_secs(20), run(options, &mut out, launch));
    let outcome = demo.await.unwrap().unwrap();
    let state = state.lock().unwrap().clone();
    (outcome, String::from_utf8(out).unwrap(), state)
}

#[tokio::test]
async fn a_headless_demo_promotes_and_leaves_nothing_behind() {
    let options = options(false);
    let port = options.port.unwrap();
    let (outcome, text, state) = given(options).await;
    assert_eq!(outcome, DemoOutcome::Promoted, "{text}");
    assert!(
        text.contains(&format!("proxy: http://127.0.0.1:{port}/")),
        "{text}"
    );
    assert!(text.contains("promoted: podinfo 6.2.0"), "{text}");
    assert!(text.contains(" 0 requests without an answer"), "{text}");
    assert!(!state.exists());
}

#[tokio::test]
async fn a_proxy_that_does_not_start_ends_the_demo_with_its_reason() {
    let mut out = Vec::new();
    let launch = async |_: ProxyOptions| Err("no room".into());
    let error = run(options(false), &mut out, launch).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot start the proxy");
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "no room"
    );
}
