//! Pointsman over real sockets, as clients, backends and operators see it.
//!
//! Each test starts a proxy of its own between origins that behave as told; nothing is shared, and
//! everything runs at the same time. Time is waited for with a limit, never slept away.

mod binary;
mod faults;
mod filters;
mod forwarding;
mod frames;
mod framing;
mod fuzz;
mod grpc;
mod headers;
mod http2;
mod interim;
mod live;
mod log;
mod metrics;
mod raw;
mod routing;
mod split;
mod streaming;
mod upgrade;
mod wire;
mod wire_h2;
mod wire_timing;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use pointsman::testing::{Answer, Behaviour, Config, Origin, Proxy, Seen};

/// No test waits longer for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);

/// An origin that answers with its name.
pub(crate) async fn origin(name: &str) -> Origin {
    Origin::named(name).await.expect("a free port")
}

/// An origin that does the same to every request.
pub(crate) async fn behaving(behaviour: Behaviour) -> Origin {
    Origin::behaving("app", behaviour)
        .await
        .expect("a free port")
}

/// An origin that decides request by request.
pub(crate) async fn scripted(
    script: impl Fn(&Seen) -> Behaviour + Send + Sync + 'static,
) -> Origin {
    Origin::scripted("app", script).await.expect("a free port")
}

/// Everything goes to one backend, called `app`.
pub(crate) fn all_to(origin: &Origin) -> Config {
    Config::new()
        .backend("app", origin.address())
        .split(&[("app", 1)])
}

/// A proxy in front of one origin.
pub(crate) async fn in_front_of(origin: &Origin) -> Proxy {
    Proxy::start(&all_to(origin)).await
}

/// A proxy in front of an origin with `protocol: h2c`.
pub(crate) async fn in_front_of_h2c(origin: &Origin) -> Proxy {
    Proxy::start(&backend_with(origin, "protocol: h2c").split(&[("app", 1)])).await
}

/// The backend `app` with more settings.
pub(crate) fn backend_with(origin: &Origin, settings: &str) -> Config {
    let address = origin.address();
    Config::new().backend_of(&format!(
        "name: app, endpoints: [\"{address}\"], {settings}"
    ))
}

/// A GET with these headers.
pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Request<Bytes> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Bytes::new()).expect("a valid request")
}

/// Looks again and again until it is there.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The word for the reason of an answer that the proxy made itself.
pub(crate) fn fault(answer: &Answer) -> (u16, &str) {
    (
        answer.status.as_u16(),
        answer.header("x-pointsman-fault").unwrap_or("none"),
    )
}
