//! A backend of HTTP/1.1 that remembers everything, and judges by the letter.

#![expect(clippy::indexing_slicing, reason = "a test panics where it was wrong")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A backend of HTTP/1.1 that keeps every byte it is sent, connection by connection, and answers
/// each request that it can tell the end of.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    accepting: JoinHandle<()>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
    }

    pub(crate) async fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            let mut running = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut kept = kept.lock().expect("no holder panics");
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                running.spawn(record(stream, number, Arc::clone(&kept), answer));
            }
        });
        Self {
            address,
            seen,
            accepting,
        }
    }

    /// What came on each connection.
    pub(crate) fn connections(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("no holder panics");
        seen.iter()
            .map(|bytes| bytes.iter().copied().map(char::from).collect())
            .collect()
    }

    /// Everything that came.
    pub(crate) fn text(&self) -> String {
        self.connections().concat()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn record(
    mut stream: TcpStream,
    number: usize,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    answer: &'static str,
) {
    let (mut pending, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        kept.lock().expect("no holder panics")[number].extend(&buffer[..length]);
        pending.extend(&buffer[..length]);
        while let Some(end) = end_of_request(&pending) {
            pending.drain(..end);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Where the first request ends, by the letter: a length, or chunks, or neither.
pub(crate) fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let find = |needle: &[u8]| bytes.windows(needle.len()).position(|it| it == needle);
    let body = find(b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..body]).to_ascii_lowercase();
    let value = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    if value("transfer-encoding:").is_some() {
        let mut at = body;
        loop {
            let line = bytes[at..].windows(2).position(|it| it == b"\r\n")?;
            let size = String::from_utf8_lossy(&bytes[at..at + line]).into_owned();
            let size = usize::from_str_radix(&size, 16).expect("a chunk size and nothing else");
            at += line + 2;
            if size == 0 {
                let trailers = bytes[at - 2..]
                    .windows(4)
                    .position(|it| it == b"\r\n\r\n")?;
                return Some(at - 2 + trailers + 4);
            }
            at += size + 2;
            if at > bytes.len() {
                return None;
            }
        }
    }
    let length = value("content-length:").map_or(0, |it| it.parse().expect("a length"));
    (bytes.len() >= body + length).then_some(body + length)
}
