//! Leaving: nobody notices, unless told to hurry.
//!
//! The promise of a SIGTERM is to connections that were open, and to those opened within
//! `drain.delay` of it. So the loads here stop opening connections shortly before the delay is
//! over; what comes later may be refused, and is in no test.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use pointsman::testing::{Answer, Behaviour, Client, H2Client, Load, Origin, RunningLoad, whole};
use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fixture::{Home, LIMIT, Pointsman, Versions, until};

const DELAY: Duration = Duration::from_secs(1);
/// The last moment of the delay is nobody's: a connect on a busy machine takes a while.
const MARGIN: Duration = Duration::from_millis(150);
/// An end that waits for nothing takes no longer than this, on a machine with other things to do.
const AT_ONCE: Duration = Duration::from_secs(5);

async fn refuses_connections(address: SocketAddr) {
    let refused = async || TcpStream::connect(address).await.is_err();
    until("no new connection is taken", refused).await;
}

async fn is_unready(pointsman: &Pointsman) {
    let unready = async || {
        let reply = pointsman.api().get("/readyz").await;
        reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.text.contains("draining")
    };
    until("/readyz says 503", unready).await;
}

/// Starts a request whose answer does not come.
async fn hang(pointsman: &Pointsman, origin: &Origin) -> JoinHandle<bool> {
    let mut client = Client::connect(pointsman.address())
        .await
        .expect("a connection");
    let asked = origin.count();
    let waiting = tokio::spawn(async move { client.get("/").await.is_err() });
    origin
        .wait_for(asked + 1, LIMIT)
        .await
        .expect("the request arrives");
    waiting
}

/// Asks over HTTP/2 until told to stop. A connection that said goodbye is replaced; the first
/// request of a new one has to be answered, like every request that was sent.
async fn ask_by_h2(address: SocketAddr, stop: watch::Receiver<bool>) -> (u64, Vec<String>) {
    let (mut answered, mut failures) = (0, Vec::new());
    let mut client = H2Client::connect(address).await.expect("a connection");
    let mut is_new = true;
    while !*stop.borrow() {
        match client.get("/").await {
            Ok(answer) if answer.status == StatusCode::OK => {
                answered += 1;
                is_new = false;
            }
            Ok(answer) => failures.push(answer.status.to_string()),
            Err(error) if !is_new && is_unsent(&error.to_string()) => {
                client = H2Client::connect(address).await.expect("a connection");
                is_new = true;
            }
            Err(error) => failures.push(error.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (answered, failures)
}

/// After a GOAWAY without an error the client itself refuses: nothing was sent.
fn is_unsent(error: &str) -> bool {
    error.starts_with("connection: ")
        || error.contains("operation was canceled")
        || error.contains("not a result of an error")
}

/// Everything that asks while Pointsman leaves.
struct Traffic {
    kept: RunningLoad,
    fresh: RunningLoad,
    by_h2: JoinHandle<(u64, Vec<String>)>,
    stop: watch::Sender<bool>,
}

impl Traffic {
    async fn start(address: SocketAddr) -> Self {
        let pause = Duration::from_millis(2);
        let (stop, stopping) = watch::channel(false);
        let traffic = Self {
            kept: Load::keep_alive(address)
                .connections(8)
                .pause(pause)
                .start(),
            fresh: Load::fresh(address).connections(2).pause(pause).start(),
            by_h2: tokio::spawn(ask_by_h2(address, stopping)),
            stop,
        };
        for (load, answers) in [(&traffic.kept, 200), (&traffic.fresh, 20)] {
            load.wait_for(answers, LIMIT).await.expect("the load runs");
        }
        traffic
    }

    /// Stops asking; fails the test if anybody noticed.
    async fn stop(self) {
        self.stop.send_replace(true);
        for load in [self.kept, self.fresh] {
            let counts = load.stop().await;
            assert_eq!(counts.failed, 0, "{counts:?}");
            assert_eq!(counts.status(200), counts.answered, "{counts:?}");
        }
        let (answered, failures) = self.by_h2.await.expect("no panic");
        assert!(
            failures.is_empty() && answered > 0,
            "{answered}: {failures:?}"
        );
    }
}

/// Beside the split a rule whose answer takes longer than the delay.
fn with_download(versions: &Versions, slow: &Origin) -> String {
    let extra = format!(
        "  - {{name: slow, endpoints: [\"{}\"]}}\ndrain: {{delay: 1s, timeout: 10s}}\n",
        slow.address()
    );
    versions.config(&extra).replace(
        "rules:\n",
        "rules:\n      - name: download\n        matches: [{path: {exact: /download}}]\n        \
         split: [{backend: slow}]\n",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sigterm_under_load_fails_no_request() {
    let versions = Versions::start().await;
    let long = Behaviour::Trickle {
        chunk: Bytes::from_static(&[b'x'; 1024]),
        chunks: 30,
        every: Duration::from_millis(60),
    };
    let slow = Origin::behaving("slow", long).await.expect("an origin");
    let home = Home::with(&with_download(&versions, &slow));
    let mut pointsman = home.start().await;
    let address = pointsman.address();
    let mut idle = Client::connect(address).await.expect("a connection");
    let before = idle.get("/").await.expect("an answer");
    assert!(!before.closes(), "{before:?}");
    let traffic = Traffic::start(address).await;
    let mut client = Client::connect(address).await.expect("a connection");
    let request = Request::get("/download").body(whole(Bytes::new()));
    let request = request.expect("a request");
    let response = client.start(request).await.expect("the head");

    let told = Instant::now();
    pointsman.signal(Signal::TERM);
    is_unready(&pointsman).await;
    tokio::time::sleep_until((told + DELAY - MARGIN).into()).await;
    traffic.stop().await;

    // Listeners are closed, and yet whoever was idle is heard once more.
    refuses_connections(address).await;
    let last = idle
        .get("/")
        .await
        .expect("an idle connection is answered once more");
    assert!(last.status == StatusCode::OK && last.closes(), "{last:?}");
    let download = Answer::read(response)
        .await
        .expect("a download is finished");
    assert_eq!(download.body.len(), 30 * 1024);
    assert_eq!(pointsman.ended().await, Some(0), "{}", pointsman.log());
    assert!(told.elapsed() >= DELAY);
    assert!(
        pointsman.log().contains("everything is finished"),
        "{}",
        pointsman.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_leaves_at_once() {
    let versions = Versions::start().await;
    versions.primary.set(Behaviour::Hang);
    let home = Home::with(&versions.config("drain: {delay: 60s, timeout: 60s}"));
    let mut pointsman = home.start().await;
    let waiting = hang(&pointsman, &versions.primary).await;
    pointsman.signal(Signal::TERM);
    is_unready(&pointsman).await;
    assert!(pointsman.runs());
    let told = Instant::now();
    pointsman.signal(Signal::TERM);
    assert_eq!(pointsman.ended().await, Some(130));
    assert!(told.elapsed() < AT_ONCE, "{:?}", told.elapsed());
    assert!(
        waiting.await.expect("no panic"),
        "the hanging request was answered"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sigint_finishes_what_runs_and_waits_for_nothing_else() {
    let versions = Versions::start().await;
    versions
        .primary
        .set(Behaviour::Delay(Duration::from_millis(500)));
    let home = Home::with(&versions.config("drain: {delay: 60s, timeout: 60s}"));
    let mut pointsman = home.start().await;
    let mut idle = Client::connect(pointsman.address())
        .await
        .expect("a connection");
    idle.get("/").await.expect("an answer");
    let mut busy = Client::connect(pointsman.address())
        .await
        .expect("a connection");
    let asked = versions.primary.count();
    let running = tokio::spawn(async move { busy.get("/").await });
    versions
        .primary
        .wait_for(asked + 1, LIMIT)
        .await
        .expect("the request arrives");
    let told = Instant::now();
    pointsman.signal(Signal::INT);
    let answer = running
        .await
        .expect("no panic")
        .expect("what runs is finished");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(pointsman.ended().await, Some(0));
    assert!(told.elapsed() < AT_ONCE, "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_busy_when_time_is_up_is_cut_and_counted() {
    let versions = Versions::start().await;
    versions.primary.set(Behaviour::Hang);
    let home = Home::with(&versions.config("drain: {delay: 100ms, timeout: 1s}"));
    let mut pointsman = home.start().await;
    let first = hang(&pointsman, &versions.primary).await;
    let second = hang(&pointsman, &versions.primary).await;
    let told = Instant::now();
    pointsman.signal(Signal::TERM);
    assert_eq!(pointsman.ended().await, Some(0), "{}", pointsman.log());
    assert!(
        told.elapsed() >= Duration::from_millis(1_100),
        "{:?}",
        told.elapsed()
    );
    assert!(told.elapsed() < AT_ONCE, "{:?}", told.elapsed());
    for waiting in [first, second] {
        assert!(
            waiting.await.expect("no panic"),
            "a cut request was answered"
        );
    }
    let log = pointsman.log();
    assert!(log.contains("\"cut\":2"), "{log}");
    assert!(!log.contains("did not end"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_never_said_a_word_does_not_hold_up_the_end() {
    let versions = Versions::start().await;
    let home = Home::with(&versions.config("drain: {delay: 100ms, timeout: 30s}"));
    let mut pointsman = home.start().await;
    let mut silent = TcpStream::connect(pointsman.address())
        .await
        .expect("a connection");
    // A request on another one makes sure that this one was taken out of the queue, or soon is.
    let mut client = Client::connect(pointsman.address())
        .await
        .expect("a connection");
    client.get("/").await.expect("an answer");
    let told = Instant::now();
    pointsman.signal(Signal::TERM);
    assert_eq!(pointsman.ended().await, Some(0), "{}", pointsman.log());
    assert!(
        told.elapsed() < AT_ONCE,
        "{:?}: {}",
        told.elapsed(),
        pointsman.log()
    );
    let mut rest = Vec::new();
    let read = silent.read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.is_empty(), "{rest:?}");
}
