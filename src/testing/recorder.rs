//! An origin that keeps every byte it gets and judges it: what did the proxy really send?
//!
//! Raw TCP, no HTTP library: whatever a library would repair, or refuse before it is seen, arrives
//! here as it was sent. The strict parser reads along. What it objects to is kept as a violation
//! and answered with 400; every whole request is answered as the test says.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::strict::{self, Message, Violation};

/// A connection that sends more is cut: no test means to.
const KEPT_MAX: usize = 16 * 1024 * 1024;
/// So many connections are kept; later ones are not accepted.
const CONNECTIONS_MAX: usize = 4_096;

/// When a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After its last byte.
    Complete,
    /// After its head, whether its body has come or not.
    Head,
    Never,
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    ReadOn,
    Close,
    /// It stays open, and what comes on it is not read any more.
    StopReading,
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Sent as they are.
    pub bytes: Bytes,
    pub when: When,
    /// This long after that moment.
    pub delay: Duration,
    pub then: Then,
}

impl Reply {
    /// These bytes after the whole request; the connection goes on.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            when: When::Complete,
            delay: Duration::ZERO,
            then: Then::ReadOn,
        }
    }

    /// 200 with `ok`, with its length alone if HEAD was asked.
    pub fn ok(request: &Message) -> Self {
        let whole = &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..];
        let head = whole.strip_suffix(b"ok").unwrap_or(whole);
        Self::bytes(if request.method() == b"HEAD" {
            head
        } else {
            whole
        })
    }

    #[must_use]
    pub fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    #[must_use]
    pub fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

type Script = Box<dyn Fn(&Message) -> Reply + Send + Sync>;

/// A running recorder. Dropping it cuts everything at once.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    script: Script,
    kept: Mutex<Kept>,
    changed: Notify,
}

/// What came, in the order in which it did.
#[derive(Debug, Default)]
struct Kept {
    connections: Vec<Taken>,
    requests: Vec<Message>,
    violations: Vec<(usize, Violation)>,
}

/// What came on one connection.
#[derive(Debug, Default)]
struct Taken {
    bytes: Vec<u8>,
    /// Where the request begins that is not whole yet.
    begun: usize,
    /// Whether the request before it was the last one.
    closing: bool,
    ended: bool,
}

impl Recorder {
    /// Answers 200 to everything.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> io::Result<Self> {
        Self::scripted(Reply::ok).await
    }

    /// Decides request by request, on the head.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn scripted(
        script: impl Fn(&Message) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Box::new(script),
            kept: Mutex::default(),
            changed: Notify::new(),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All whole requests, in the order in which their last bytes came.
    pub fn requests(&self) -> Vec<Message> {
        self.shared.kept().requests.clone()
    }

    /// How many those are.
    pub fn count(&self) -> usize {
        self.shared.kept().requests.len()
    }

    /// Every byte of every connection.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        let kept = self.shared.kept();
        kept.connections.iter().map(|it| it.bytes.clone()).collect()
    }

    /// How many bytes have come in all.
    pub fn bytes_total(&self) -> usize {
        let kept = self.shared.kept();
        kept.connections.iter().map(|it| it.bytes.len()).sum()
    }

    /// What was wrong, and on which connection.
    pub fn violations(&self) -> Vec<(usize, Violation)> {
        self.shared.kept().violations.clone()
    }

    /// The beginnings of requests that did not become whole, and whether their connection ended.
    pub fn unfinished(&self) -> Vec<(Vec<u8>, bool)> {
        let kept = self.shared.kept();
        let rests = kept.connections.iter();
        let rests = rests.map(|it| (it.rest().to_vec(), it.ended));
        rests.filter(|(rest, _)| !rest.is_empty()).collect()
    }

    /// Waits until it holds of the whole requests that have come, or of what did not become one.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub async fn wait_until(
        &self,
        limit: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> io::Result<()> {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, wait)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it did not come to that"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // The task owns the socket and all connections.
        self.accepting.abort();
    }
}

impl Taken {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.begun..).unwrap_or(&[])
    }

    /// The next whole request; or why there will never be one.
    fn next(&mut self) -> Result<Option<Message>, Violation> {
        let at = self.begun;
        if self.closing && !self.rest().is_empty() {
            let rule = "bytes after the last request";
            return Err(Violation { offset: at, rule });
        }
        let mut parsed = strict::requests(self.rest());
        if !parsed.messages.is_empty() {
            let mut first = parsed.messages.swap_remove(0);
            first.span = first.span.start + at..first.span.end + at;
            self.begun = first.span.end;
            self.closing = first.is_last();
            return Ok(Some(first));
        }
        parsed.violation().map_or(Ok(None), |violation| {
            Err(Violation {
                offset: violation.offset + at,
                rule: violation.rule,
            })
        })
    }
}

impl Kept {
    fn connection(&mut self, connection: usize) -> &mut Taken {
        self.connections
            .get_mut(connection)
            .expect("made when it was accepted")
    }

    /// The next whole request of a connection. What is wrong is kept, too.
    fn next(&mut self, connection: usize) -> Result<Option<Message>, Violation> {
        let next = self.connection(connection).next();
        match &next {
            Ok(request) => self.requests.extend(request.clone()),
            Err(violation) => self.violations.push((connection, violation.clone())),
        }
        next
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panics")
    }

    /// Changes what is kept, and tells whoever waits.
    fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        let result = change(&mut self.kept());
        self.changed.notify_waiters();
        result
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let connection = {
            let connections = &mut shared.kept().connections;
            if connections.len() == CONNECTIONS_MAX {
                return;
            }
            connections.push(Taken::default());
            connections.len() - 1
        };
        stream.set_nodelay(true).ok();
        let shared = shared.clone();
        connections.spawn(async move {
            carry(stream, connection, &shared).await.ok();
            shared.with(|kept| kept.connection(connection).ended = true);
        });
    }
}

/// Reads and answers until the connection ends.
async fn carry(mut stream: TcpStream, connection: usize, shared: &Shared) -> io::Result<()> {
    let mut read = Vec::with_capacity(64 * 1024);
    // The reply to the request that is coming, decided on its head.
    let mut reply: Option<Reply> = None;
    loop {
        read.clear();
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        let bytes = shared.with(|kept| {
            let bytes = &mut kept.connection(connection).bytes;
            bytes.extend_from_slice(&read);
            bytes.len()
        });
        if bytes > KEPT_MAX {
            return Ok(());
        }
        loop {
            if reply.is_none() {
                let head = strict::first_request(shared.kept().connection(connection).rest());
                reply = head.ok().flatten().map(|head| (shared.script)(&head));
                if let Some(early) = reply.as_ref().filter(|reply| reply.when == When::Head)
                    && !answer(&mut stream, early).await?
                {
                    return Ok(());
                }
            }
            let next = shared.with(|kept| kept.next(connection));
            match next {
                Ok(None) => break,
                Ok(Some(_)) => {
                    let due = reply.take().filter(|reply| reply.when == When::Complete);
                    if let Some(due) = due
                        && !answer(&mut stream, &due).await?
                    {
                        return Ok(());
                    }
                }
                Err(violation) => return refuse(&mut stream, violation.rule).await,
            }
        }
    }
}

/// Sends it, and says whether the connection goes on.
async fn answer(stream: &mut TcpStream, reply: &Reply) -> io::Result<bool> {
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    stream.write_all(&reply.bytes).await?;
    match reply.then {
        Then::ReadOn => Ok(true),
        Then::Close => Ok(false),
        Then::StopReading => std::future::pending().await,
    }
}

/// Says on the wire as well what was wrong: it shows in the answers of the test.
async fn refuse(stream: &mut TcpStream, rule: &str) -> io::Result<()> {
    let text = format!(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{rule}",
        rule.len()
    );
    stream.write_all(text.as_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    async fn sent(recorder: &Recorder, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(recorder.address())
            .await
            .expect("it listens");
        stream.write_all(bytes).await.expect("it reads");
        stream.shutdown().await.expect("an open socket");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok();
        answer
    }

    #[tokio::test]
    async fn what_came_is_kept_to_the_byte_and_answered() {
        let recorder = Recorder::start().await.expect("a free port");
        let bytes = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\nHEAD /b HTTP/1.1\r\nhost: a\r\n\r\nGET /c";
        let answer = sent(&recorder, bytes).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2);
        assert_eq!(answer.matches("\r\n\r\nok").count(), 1);
        assert_eq!(recorder.bytes(), [bytes.to_vec()]);
        let targets: Vec<_> = recorder
            .requests()
            .iter()
            .map(|it| it.target().to_vec())
            .collect();
        assert_eq!(targets, [b"/a", b"/b"]);
        recorder
            .wait_until(LIMIT, |it| it.unfinished() == [(b"GET /c".to_vec(), true)])
            .await
            .expect("the connection has ended");
        assert_eq!(recorder.violations(), []);
    }

    #[tokio::test]
    async fn a_violation_is_kept_with_its_place_in_the_connection() {
        let recorder = Recorder::start().await.expect("a free port");
        let good = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let bytes = format!("{good}GET / HTTP/1.1\r\nhost : a\r\n\r\n");
        let answer = sent(&recorder, bytes.as_bytes()).await;
        assert!(answer.contains("HTTP/1.1 400 "));
        let violation = Violation {
            offset: good.len() + 16,
            rule: "white space before the colon",
        };
        assert_eq!(recorder.violations(), [(0, violation)]);
        assert_eq!(recorder.requests().len(), 1);
    }

    #[tokio::test]
    async fn an_early_answer_does_not_wait_for_the_body() {
        let early = |head: &Message| Reply::ok(head).when(When::Head).then(Then::Close);
        let recorder = Recorder::scripted(early).await.expect("a free port");
        let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
        assert!(sent(&recorder, head).await.ends_with("ok"));
        assert_eq!(recorder.requests(), []);
        assert_eq!(recorder.unfinished().len(), 1);
    }
}
