//! What the control API can see and ask.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use http::HeaderMap;
use tokio::sync::{Semaphore, watch};

use crate::metrics::Registry;
use crate::ready::Ready;
use crate::store::{Actor, Store};

/// Names who asks, for the history.
const ACTOR_HEADER: &str = "x-pointsman-actor";
/// Streams of events that may be open at once.
const WATCHERS_MAX: usize = 64;

/// Everything the handlers work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(super) store: Store,
    pub(super) metrics: Arc<Registry>,
    pub(super) exposition: Arc<dyn Fn() -> String + Send + Sync>,
    pub(super) ready: Ready,
    /// Host names under which the API may be called, beside its address.
    pub(super) names: Arc<[String]>,
    /// Foreign origins whose pages may call the API.
    pub(super) origins: Arc<[String]>,
    pub(super) watchers: Arc<Semaphore>,
    /// Set by the server: where it listens, and whether it is about to end.
    pub(super) address: SocketAddr,
    pub(super) ending: watch::Receiver<bool>,
}

impl Context {
    /// `exposition` renders `/metrics`; `names` and `origins` are what the config
    /// allows beside the API's own address.
    pub(crate) fn new(
        store: Store,
        metrics: Arc<Registry>,
        exposition: impl Fn() -> String + Send + Sync + 'static,
        ready: Ready,
        names: &[String],
        origins: &[String],
    ) -> Self {
        let (_, ending) = watch::channel(false);
        Self {
            store,
            metrics,
            exposition: Arc::new(exposition),
            ready,
            names: names.into(),
            origins: origins.into(),
            watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            ending,
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("address", &self.address)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) Option<SocketAddr>);

impl Peer {
    pub(super) fn of(request: &Request) -> Self {
        request.extensions().get().copied().unwrap_or(Self(None))
    }

    /// Who asks, as the client says (`x-pointsman-actor`), else by address. A word for the history,
    /// not a proof.
    pub(super) fn actor(self, headers: &HeaderMap) -> Actor {
        let named = headers
            .get(ACTOR_HEADER)
            .and_then(|value| value.to_str().ok());
        named.and_then(Actor::parse).unwrap_or_else(|| {
            let address = self
                .0
                .map_or_else(|| "unknown".to_owned(), |peer| peer.ip().to_string());
            Actor::parse(&format!("api:{address}")).unwrap_or_else(Actor::pointsman)
        })
    }
}
