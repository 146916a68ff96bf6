//! A load for tests that change something while traffic flows, and then ask: did anyone notice?
//!
//! Closed loop over keep-alive connections. A server that says `Connection: close` has asked for a
//! new connection, and gets one; a request that is refused, reset or cut is a failure, because a
//! user would have seen it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::{Answer, Client};

/// Only this many failures are told in full.
const REASONS_MAX: usize = 20;
/// A dead server is asked again, but not in a tight loop.
const FAILURE_PAUSE: Duration = Duration::from_millis(5);

/// What a load did and saw.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub answered: u64,
    pub by_status: BTreeMap<u16, u64>,
    /// By `x-origin`, or `x-podinfo-version` where there is none; answers with neither are `""`.
    pub by_origin: BTreeMap<String, u64>,
    /// Requests without a whole answer.
    pub failed: u64,
    /// The first twenty failures.
    pub reasons: Vec<String>,
    /// Connections opened.
    pub connections: u64,
    /// Connects refused after `ends_when_refused`; no failures, for there was no request yet.
    pub refused: u64,
}

impl Counts {
    /// How many answers came from this origin.
    pub fn from(&self, origin: &str) -> u64 {
        self.by_origin.get(origin).copied().unwrap_or_default()
    }

    /// How many answers had this status.
    pub fn status(&self, code: u16) -> u64 {
        self.by_status.get(&code).copied().unwrap_or_default()
    }

    fn saw(&mut self, answer: &Answer) {
        self.answered += 1;
        *self.by_status.entry(answer.status.as_u16()).or_default() += 1;
        let origin = answer
            .header("x-origin")
            .or_else(|| answer.header("x-podinfo-version"));
        *self
            .by_origin
            .entry(origin.unwrap_or_default().to_owned())
            .or_default() += 1;
    }

    fn failed(&mut self, error: &io::Error) {
        self.failed += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(error.to_string());
        }
    }
}

/// A load about to start.
#[derive(Clone, Debug)]
pub struct Load {
    address: SocketAddr,
    connections: usize,
    host: Option<String>,
    path: String,
    pause: Duration,
    keep_alive: bool,
    ends_when_refused: bool,
}

impl Load {
    /// Four connections asking for `/` as fast as they are answered.
    pub fn keep_alive(address: SocketAddr) -> Self {
        Self {
            address,
            connections: 4,
            host: None,
            path: "/".to_owned(),
            pause: Duration::ZERO,
            keep_alive: true,
            ends_when_refused: false,
        }
    }

    /// The same with a new connection for each request.
    pub fn fresh(address: SocketAddr) -> Self {
        Self {
            keep_alive: false,
            ..Self::keep_alive(address)
        }
    }

    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Rests between an answer and the next request.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// A refused connect ends its lane quietly: for tests in which the server is meant to leave.
    #[must_use]
    pub fn ends_when_refused(mut self) -> Self {
        self.ends_when_refused = true;
        self
    }

    pub fn start(self) -> RunningLoad {
        let (stop, stopping) = watch::channel(false);
        let counts = Arc::new(Mutex::new(Counts::default()));
        let mut lanes = JoinSet::new();
        for _ in 0..self.connections {
            let lane = Lane {
                load: self.clone(),
                counts: counts.clone(),
                kept: None,
            };
            lanes.spawn(Box::pin(lane.run(stopping.clone())));
        }
        RunningLoad {
            counts,
            stop,
            lanes,
        }
    }
}

/// A load that runs until told to stop.
#[derive(Debug)]
pub struct RunningLoad {
    counts: Arc<Mutex<Counts>>,
    stop: watch::Sender<bool>,
    lanes: JoinSet<()>,
}

impl RunningLoad {
    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().expect("no holder panics").clone()
    }

    /// Waits until `answered` requests have been answered in all.
    pub async fn wait_for(&self, answered: u64, limit: Duration) -> io::Result<()> {
        let enough = async {
            while self.counts.lock().expect("no holder panics").answered < answered {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let late = |_| {
            let counts = self.counts();
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("not {answered} answers: {counts:?}"),
            )
        };
        tokio::time::timeout(limit, enough).await.map_err(late)
    }

    /// Waits until every lane has ended by itself, which they do after `ends_when_refused`.
    pub async fn ended(mut self, limit: Duration) -> io::Result<Counts> {
        let all = async { while self.lanes.join_next().await.is_some() {} };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the load still runs");
        tokio::time::timeout(limit, all).await.map_err(late)?;
        Ok(self.counts())
    }

    /// Finishes the requests in flight.
    pub async fn stop(mut self) -> Counts {
        self.stop.send_replace(true);
        while self.lanes.join_next().await.is_some() {}
        self.counts()
    }
}

/// One connection's loop.
struct Lane {
    load: Load,
    counts: Arc<Mutex<Counts>>,
    kept: Option<Client>,
}

impl Lane {
    async fn run(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let mut client = match self.client().await {
                Ok(client) => client,
                Err(error) if self.leaves(&error) => {
                    self.note(|counts| counts.refused += 1);
                    return;
                }
                Err(error) => {
                    self.note(|counts| counts.failed(&error));
                    tokio::time::sleep(FAILURE_PAUSE).await;
                    continue;
                }
            };
            match client.get(&self.load.path).await {
                Ok(answer) => {
                    self.note(|counts| counts.saw(&answer));
                    self.kept = Some(client).filter(|_| self.load.keep_alive && !answer.closes());
                }
                Err(error) => {
                    self.note(|counts| counts.failed(&error));
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
            }
            // A pause of zero still lets the other lanes of this thread run.
            match self.load.pause {
                Duration::ZERO => tokio::task::yield_now().await,
                pause => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn client(&mut self) -> io::Result<Client> {
        if let Some(client) = self.kept.take() {
            // Used even if the server has closed it meanwhile without a word: that is a failure.
            return Ok(client);
        }
        let client = Client::connect(self.load.address).await?;
        self.note(|counts| counts.connections += 1);
        Ok(match &self.load.host {
            Some(host) => client.host(host),
            None => client,
        })
    }

    fn leaves(&self, error: &io::Error) -> bool {
        self.load.ends_when_refused && error.kind() == io::ErrorKind::ConnectionRefused
    }

    fn note(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().expect("no holder panics"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Behaviour, Origin};

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_load_counts_by_status_and_origin_on_kept_connections() {
        let origin = Origin::named("v1").await.unwrap();
        let load = Load::keep_alive(origin.address())
            .connections(3)
            .host("a.example")
            .start();
        load.wait_for(60, LIMIT).await.unwrap();
        let counts = load.stop().await;
        assert_eq!((counts.failed, counts.connections), (0, 3), "{counts:?}");
        assert_eq!(counts.from("v1"), counts.answered);
        assert_eq!(counts.status(200), counts.answered);
        assert_eq!(origin.last().unwrap().header("host"), Some("a.example"));
    }

    #[tokio::test]
    async fn a_connection_the_server_closes_by_word_is_no_failure() {
        let origin = Origin::behaving("v1", Behaviour::LastAnswer).await.unwrap();
        let load = Load::keep_alive(origin.address()).connections(1).start();
        load.wait_for(10, LIMIT).await.unwrap();
        let counts = load.stop().await;
        assert_eq!((counts.failed, counts.connections), (0, counts.answered));
    }

    #[tokio::test]
    async fn a_request_that_is_cut_is_a_failure_with_a_reason() {
        let origin = Origin::behaving("v1", Behaviour::Close).await.unwrap();
        let load = Load::keep_alive(origin.address()).connections(1).start();
        origin.wait_for(25, LIMIT).await.unwrap();
        let counts = load.stop().await;
        assert!(counts.failed >= 25 && counts.answered == 0, "{counts:?}");
        assert_eq!(counts.reasons.len(), REASONS_MAX);
        assert!(
            counts.reasons[0].starts_with("answer: "),
            "{:?}",
            counts.reasons
        );
    }

    #[tokio::test]
    async fn a_load_told_so_ends_quietly_when_the_server_leaves() {
        let origin = Origin::named("v1").await.unwrap();
        let load = Load::fresh(origin.address())
            .connections(2)
            .ends_when_refused()
            .start();
        load.wait_for(5, LIMIT).await.unwrap();
        origin.stop().await;
        let counts = load.ended(LIMIT).await.unwrap();
        assert_eq!(counts.refused, 2);
    }
}
