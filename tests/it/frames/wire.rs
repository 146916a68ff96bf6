//! A peer that writes any bytes it likes as frames, and reads what comes through h2's own codec.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the frames that it waits for, and panics where it was wrong"
)]

use std::collections::VecDeque;
use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::frame::{Frame, Headers, Reason};
use http::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::StreamExt as _;

use crate::LIMIT;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// Settings.
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame, right or wrong.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field as a literal without index and without Huffman (RFC 7541, 6.2.2): any bytes at all.
pub(crate) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        match text.len() {
            short @ 0..127 => bytes.push(u8::try_from(short).expect("short")),
            long => {
                bytes.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    bytes.push(u8::try_from(rest % 128).expect("seven bits") | 128);
                    rest /= 128;
                }
                bytes.push(u8::try_from(rest).expect("seven bits"));
            }
        }
        bytes.extend(text);
    }
    bytes
}

/// A header block.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let field = |(name, value): &(&str, &str)| field(name.as_bytes(), value.as_bytes());
    fields.iter().flat_map(field).collect()
}

/// HEADERS in one frame.
pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// An ordinary request, and what it says beside.
pub(crate) fn request(stream: u32, flags: u8, method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", method),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "a"),
    ];
    fields.extend(more);
    headers(stream, flags, &fields)
}

/// An ordinary GET.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    request(stream, END_STREAM, "GET", &[])
}

pub(crate) fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

pub(crate) fn reset(stream: u32, reason: Reason) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes())
}

pub(crate) fn goaway(last: u32, reason: Reason) -> Vec<u8> {
    let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()];
    frame(GOAWAY, 0, 0, payload.as_flattened())
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in pairs {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// How a stream ended, or its connection before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A whole answer: its status and its body.
    Answer(u16, String),
    Reset(Reason),
    GoAway(Reason),
    Closed,
}

impl Ending {
    /// The status of a whole answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(status, _) => Some(*status),
            _ => None,
        }
    }
}

/// A request as a backend sees it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) stream: u32,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) authority: String,
    pub(crate) fields: HeaderMap,
    pub(crate) end: bool,
}

/// One side of a connection.
pub(crate) struct Peer {
    codec: h2::Codec<TcpStream, Cursor<Bytes>>,
    /// Frames that somebody else may be interested in.
    backlog: VecDeque<Frame>,
    /// Set once the other side has said it.
    pub(crate) goodbye: Option<(u32, Reason)>,
}

impl Peer {
    /// A client that has sent its preface and these settings.
    pub(crate) async fn client_with(address: SocketAddr, pairs: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let mut peer = Self::over(stream);
        let mut hello = PREFACE.to_vec();
        hello.extend(settings(pairs));
        peer.send(&hello).await;
        peer
    }

    pub(crate) async fn client(address: SocketAddr) -> Self {
        Self::client_with(address, &[]).await
    }

    /// A server that has read the preface and sent these settings.
    async fn server(mut stream: TcpStream, pairs: &[(u16, u32)]) -> Option<Self> {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.ok()?;
        assert_eq!(preface, PREFACE);
        let mut peer = Self::over(stream);
        peer.send(&settings(pairs)).await;
        Some(peer)
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket");
        Self {
            codec: h2::Codec::new(stream),
            backlog: VecDeque::new(),
            goodbye: None,
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let sent = timeout(LIMIT, self.codec.get_mut().write_all(bytes)).await;
        sent.expect("it reads").expect("it is open");
    }

    /// Sends what the other side will take: it may have closed before the end.
    pub(crate) async fn offer(&mut self, bytes: &[u8]) {
        let sent = timeout(LIMIT, self.codec.get_mut().write_all(bytes)).await;
        drop(sent.expect("it reads or it closes"));
    }

    /// The next frame off the wire, with SETTINGS and PING acknowledged. `None`: the end.
    async fn read(&mut self) -> Option<Frame> {
        loop {
            let next = timeout(LIMIT, self.codec.next()).await;
            let read = next.expect("it says something or closes")?.ok()?;
            match &read {
                Frame::Settings(settings) if !settings.is_ack() => {
                    self.offer(&frame(SETTINGS, ACK, 0, &[])).await;
                }
                Frame::Ping(ping) if !ping.is_ack() => {
                    self.offer(&frame(PING, ACK, 0, ping.payload())).await;
                }
                Frame::GoAway(end) => {
                    self.goodbye = Some((u32::from(end.last_stream_id()), end.reason()));
                    return Some(read);
                }
                Frame::Settings(_) | Frame::Ping(_) | Frame::WindowUpdate(_) => {}
                _ => return Some(read),
            }
        }
    }

    /// The next frame of a stream, or of the connection when that ends. `None`: the end.
    async fn next_of(&mut self, stream: u32) -> Option<Frame> {
        if let Some(at) = self.backlog.iter().position(|it| stream_of(it) == stream) {
            return self.backlog.remove(at);
        }
        loop {
            let frame = self.read().await?;
            match &frame {
                Frame::GoAway(end) if end.reason() == Reason::NO_ERROR => {}
                Frame::GoAway(_) => return Some(frame),
                _ if stream_of(&frame) == stream => return Some(frame),
                _ => self.backlog.push_back(frame),
            }
        }
    }

    /// Waits for the end of a stream.
    pub(crate) async fn ending(&mut self, stream: u32) -> Ending {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let end = match self.next_of(stream).await {
                None => return Ending::Closed,
                Some(Frame::GoAway(end)) => return Ending::GoAway(end.reason()),
                Some(Frame::Reset(reset)) => return Ending::Reset(reset.reason()),
                Some(Frame::Headers(head)) => {
                    let end = head.is_end_stream();
                    status = head.into_parts().0.status.map_or(status, |it| it.as_u16());
                    end
                }
                Some(Frame::Data(data)) => {
                    body.extend_from_slice(data.payload());
                    data.is_end_stream()
                }
                Some(_) => false,
            };
            if end {
                let body = String::from_utf8_lossy(&body).into_owned();
                return Ending::Answer(status, body);
            }
        }
    }

    /// The head of an answer.
    pub(crate) async fn head(&mut self, stream: u32) -> (StatusCode, HeaderMap) {
        match self.next_of(stream).await {
            Some(Frame::Headers(head)) => {
                let (pseudo, fields) = head.into_parts();
                (pseudo.status.expect("a status"), fields)
            }
            other => panic!("no head: {other:?}"),
        }
    }

    /// A piece of a body.
    pub(crate) async fn piece(&mut self, stream: u32) -> Bytes {
        match self.next_of(stream).await {
            Some(Frame::Data(data)) => data.payload().clone(),
            other => panic!("no data: {other:?}"),
        }
    }

    /// Trailers, and whether they are the end.
    pub(crate) async fn trailers(&mut self, stream: u32) -> (HeaderMap, bool) {
        match self.next_of(stream).await {
            Some(Frame::Headers(head)) => {
                let end = head.is_end_stream();
                (head.into_parts().1, end)
            }
            other => panic!("no trailers: {other:?}"),
        }
    }

    /// The reason for which the connection is ended; `None` when it closes without a word.
    pub(crate) async fn goodbye(&mut self) -> Option<Reason> {
        while self.goodbye.is_none() && self.read().await.is_some() {}
        self.goodbye.map(|(_, reason)| reason)
    }

    /// The same, as far as it has been said already.
    pub(crate) async fn was_told_to_go(&mut self) -> bool {
        let soon = std::time::Duration::from_millis(2);
        while let Ok(Some(_)) = timeout(soon, self.read()).await {}
        self.goodbye.is_some()
    }

    /// Waits until the other side closes.
    pub(crate) async fn closes(&mut self) {
        while self.read().await.is_some() {}
    }

    /// The next request, as a backend reads it. `None`: the connection has ended.
    pub(crate) async fn asked(&mut self) -> Option<Asked> {
        loop {
            if let Frame::Headers(head) = self.read().await? {
                return Some(asked(head));
            }
        }
    }

    /// Answers 200 with this body.
    pub(crate) async fn answer(&mut self, stream: u32, body: &str) {
        let mut bytes = headers(stream, 0, &[(":status", "200")]);
        bytes.extend(data(stream, END_STREAM, body.as_bytes()));
        self.offer(&bytes).await;
    }

    /// Answers every request with this body until the connection ends.
    pub(crate) async fn serve(&mut self, body: &str) {
        while let Some(asked) = self.asked().await {
            self.answer(asked.stream, body).await;
        }
    }
}

fn asked(head: Headers) -> Asked {
    let stream = u32::from(head.stream_id());
    let end = head.is_end_stream();
    let (pseudo, fields) = head.into_parts();
    Asked {
        stream,
        method: pseudo.method.expect("a method"),
        path: pseudo.path.expect("a path").to_string(),
        authority: pseudo.authority.expect("an authority").to_string(),
        fields,
        end,
    }
}

fn stream_of(frame: &Frame) -> u32 {
    let id = match frame {
        Frame::Data(frame) => frame.stream_id(),
        Frame::Headers(frame) => frame.stream_id(),
        Frame::Reset(frame) => frame.stream_id(),
        _ => return 0,
    };
    u32::from(id)
}

/// A backend that speaks frames; it counts its connections.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Arc<Mutex<usize>>,
    accepting: JoinHandle<()>,
}

impl Backend {
    /// Serves each connection, numbered from one, all at the same time.
    pub(crate) async fn serving<F>(
        pairs: &'static [(u16, u32)],
        serve: impl Fn(usize, Peer) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let connections = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut running = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut number = counted.lock().expect("no holder panics");
                    *number += 1;
                    *number
                };
                if let Some(peer) = Peer::server(stream, pairs).await {
                    running.spawn(serve(number, peer));
                }
            }
        });
        Self {
            address,
            connections,
            accepting,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().expect("no holder panics")
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
