//! The demo's own traffic: a fixed, modest rate over a few keep-alive connections.
//!
//! Open loop: requests start by the clock and not when the last one is answered, so that a slow
//! version shows as slow instead of as less traffic. Bounded all the same: a lane that is still
//! waiting lets its turn pass and counts it, and the number of lanes never changes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

/// Connections, and so the most requests in flight.
const LANES: u32 = 16;
/// An answer that takes longer is a failure.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What a visitor of podinfo asks for.
const PATHS: [&str; 4] = ["/", "/api/info", "/version", "/headers"];

/// Where to send how much.
#[derive(Clone, Debug)]
pub(crate) struct LoadOptions {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    pub(crate) requests_per_second: u32,
}

/// What has been sent and seen so far, from the client's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadCounts {
    pub(crate) answered: u64,
    /// Of those answered, the ones with a status of 500 or more.
    pub(crate) server_errors: u64,
    /// No answer at all: refused, reset, cut or too late.
    pub(crate) unanswered: u64,
    /// Turns that passed because the lane was still waiting for its last answer.
    pub(crate) skipped: u64,
}

#[derive(Debug, Default)]
struct Counters {
    answered: AtomicU64,
    server_errors: AtomicU64,
    unanswered: AtomicU64,
    skipped: AtomicU64,
}

/// A running load. Dropping it stops it without waiting.
#[derive(Debug)]
pub(crate) struct Load {
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    lanes: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(options: LoadOptions) -> Self {
        let counters = Arc::new(Counters::default());
        let (stop, stopping) = watch::channel(false);
        let options = Arc::new(options);
        let mut lanes = JoinSet::new();
        for index in 0..LANES {
            let lane = Lane {
                index,
                options: options.clone(),
                counters: counters.clone(),
            };
            lanes.spawn(Box::pin(lane.run(stopping.clone())));
        }
        Self {
            counters,
            stop,
            lanes,
        }
    }

    pub(crate) fn counts(&self) -> LoadCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LoadCounts {
            answered: read(&self.counters.answered),
            server_errors: read(&self.counters.server_errors),
            unanswered: read(&self.counters.unanswered),
            skipped: read(&self.counters.skipped),
        }
    }

    /// Lets every lane finish the request it is in.
    pub(crate) async fn stop(mut self) -> LoadCounts {
        self.stop.send_replace(true);
        while self.lanes.join_next().await.is_some() {}
        self.counts()
    }
}

/// One connection with its share of the rate.
struct Lane {
    index: u32,
    options: Arc<LoadOptions>,
    counters: Arc<Counters>,
}

impl Lane {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let period = Duration::from_secs(1) * LANES / self.options.requests_per_second.max(1);
        // Lanes start one after the other, so that together they tick evenly.
        let first = tokio::time::Instant::now() + period * self.index / LANES;
        let mut turns = interval_at(first, period);
        turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut connection = None;
        let mut round = self.index as usize;
        loop {
            let due = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                due = turns.tick() => due,
            };
            let path = PATHS.get(round % PATHS.len()).copied().unwrap_or("/");
            round = round.wrapping_add(1);
            let counter = match timeout(ANSWER_MAX, self.ask(&mut connection, path)).await {
                Ok(Ok(status)) if status < 500 => &self.counters.answered,
                Ok(Ok(_)) => {
                    self.counters.answered.fetch_add(1, Ordering::Relaxed);
                    &self.counters.server_errors
                }
                Ok(Err(_)) | Err(_) => {
                    connection = None;
                    &self.counters.unanswered
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
            let turns_taken = due.elapsed().as_nanos() / period.as_nanos().max(1);
            let skipped = u64::try_from(turns_taken).unwrap_or(u64::MAX);
            self.counters.skipped.fetch_add(skipped, Ordering::Relaxed);
        }
    }

    /// One request on the lane's connection, which is opened when there is none.
    async fn ask(&self, kept: &mut Option<Connection>, path: &str) -> io::Result<u16> {
        let mut connection = match kept.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => Connection::open(self.options.address).await?,
        };
        let request = Request::get(path)
            .header(HOST, &self.options.host)
            .header(
                USER_AGENT,
                concat!("pointsman-demo/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())
            .map_err(io::Error::other)?;
        let response = connection.send(request).await?;
        let status = response.status().as_u16();
        let closes = response
            .headers()
            .get(CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        response
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?;
        if !closes {
            *kept = Some(connection);
        }
        Ok(status)
    }
}

/// A client connection together with the task that carries it.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    // Dropping the set ends the task with the connection.
    _carrier: JoinSet<()>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, carried) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let mut carrier = JoinSet::new();
        carrier.spawn(async move { carried.await.unwrap_or_default() });
        Ok(Self {
            sender,
            _carrier: carrier,
        })
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> io::Result<Response<Incoming>> {
        self.sender.ready().await.map_err(io::Error::other)?;
        self.sender
            .send_request(request)
            .await
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Origin;

    #[tokio::test]
    async fn the_load_keeps_its_rate_over_a_few_connections() {
        let origin = Origin::named("v1").await.unwrap();
        let load = Load::start(LoadOptions {
            address: origin.address(),
            host: "podinfo.example.com".to_owned(),
            requests_per_second: 200,
        });
        origin.wait_for(100, Duration::from_secs(10)).await.unwrap();
        let counts = load.stop().await;
        assert_eq!(
            (counts.unanswered, counts.server_errors),
            (0, 0),
            "{counts:?}"
        );
        assert!((100..200).contains(&counts.answered), "{counts:?}");
        assert!(origin.connections() <= u64::from(LANES));
    }

    #[tokio::test]
    async fn a_dead_target_is_counted_and_not_hammered() {
        let origin = Origin::named("v1").await.unwrap();
        let address = origin.address();
        origin.stop().await;
        let load = Load::start(LoadOptions {
            address,
            host: "podinfo.example.com".to_owned(),
            requests_per_second: 100,
        });
        let failed = async {
            while load.counts().unanswered < 5 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), failed).await.unwrap();
        assert_eq!(load.stop().await.answered, 0);
    }
}
