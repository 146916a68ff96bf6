//! Bytes on a socket: for what no HTTP library would send, and to see what really comes back.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::LIMIT;

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("it listens"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket");
        Self {
            stream,
            seen: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it reads");
    }

    /// Sends what the other side will take: it may have answered and closed before the end.
    pub(crate) async fn offer(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()).await);
    }

    /// Reads until `end` has come, and takes everything up to there.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.seen).into_owned();
            if let Some(at) = text.find(end) {
                let rest = self.seen.split_off(at + end.len());
                let taken = std::mem::replace(&mut self.seen, rest);
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let read = timeout(LIMIT, self.stream.read_buf(&mut self.seen)).await;
            let read = read.unwrap_or_else(|_| panic!("no {end:?} after {text:?}"));
            assert!(
                read.is_ok_and(|bytes| bytes > 0),
                "it closed after {text:?}"
            );
        }
    }

    /// What has come and was not asked for.
    pub(crate) fn unread(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn close_half(&mut self) {
        self.stream.shutdown().await.expect("an open socket");
    }

    /// The head of the next answer.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        // A reset ends a connection as well.
        let read = timeout(LIMIT, self.stream.read_to_end(&mut self.seen)).await;
        drop(read.unwrap_or_else(|_| panic!("it stays open: {:?}", self.seen)));
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

/// Sends this on a connection of its own; gives back everything that comes until its end.
pub(crate) async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut raw = Raw::connect(address).await;
    raw.send(text).await;
    raw.rest().await
}

/// Answers the head of every request with these bytes and closes.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl RawOrigin {
    pub(crate) async fn answering(bytes: &'static str) -> Self {
        Self::serving(move |mut raw| async move {
            raw.head().await;
            raw.send(bytes).await;
        })
        .await
    }

    /// Serves one connection after the other.
    pub(crate) async fn serving<F>(serve: impl Fn(Raw) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(Raw::over(stream)).await;
            }
        });
        Self { address, accepting }
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
