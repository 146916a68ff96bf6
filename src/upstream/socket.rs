//! A TCP connection with one buffer for what comes and one for what goes.
//!
//! Buffers are for connections that are at work: one that rests has none, and takes one of the
//! worker's spare buffers when something comes. So ten thousand idle connections cost little, and a
//! few busy ones use the same few warm buffers in turn.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http1::Output;

/// Room for an ordinary head, with an ordinary body behind it.
const BUFFER_BYTES: usize = 8 * 1024;
/// Less room than this is not worth a read.
const READ_BYTES_MIN: usize = 2 * 1024;
/// Most that is asked for at once while a body comes.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;
/// Most that is asked for at once of a message that begins: a head, and a body behind it.
const MESSAGE_BYTES_MAX: usize = READ_BYTES_MAX + BUFFER_BYTES;
/// More than this is not queued for a connection before it was written.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024;
/// Spare buffers that a worker keeps.
const SPARE_MAX: usize = 128;
/// Slices in one `writev`.
const SLICES_MAX: usize = 16;

thread_local! {
    /// The worker's spare buffers to read into, the warmest last.
    static INPUTS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    /// The same to write into.
    static OUTPUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a buffer for others, unless it is a large one.
fn keep<B>(spare: &mut Vec<B>, buffer: B, capacity: usize) {
    if spare.len() < SPARE_MAX && capacity < 2 * BUFFER_BYTES {
        spare.push(buffer);
    }
}

/// What bytes come and go by.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Ready when a read may give something, as far as that can be known without a buffer.
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Stream for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

/// A stream of HTTP/2 that carries something else.
impl Stream for TokioIo<Upgraded> {}

/// A connection to a client or an endpoint.
#[derive(Debug)]
pub(crate) struct Socket<S = TcpStream> {
    stream: S,
    /// What came and was not yet understood.
    pub(crate) input: BytesMut,
    /// What is to be written.
    pub(crate) output: Output,
    /// Bytes read of the present message.
    heard: usize,
    /// How long the last message was, where one buffer is not enough for it.
    usual: usize,
}

impl<S: Stream> Socket<S> {
    /// `input` is what came already.
    pub(crate) fn new(stream: S, input: BytesMut) -> Self {
        Self {
            stream,
            input,
            output: Output::default(),
            heard: 0,
            usual: 0,
        }
    }

    /// Reads once; `Ok(0)` is the end. `wanted` is how many bytes are known to come.
    pub(crate) fn poll_read(
        &mut self,
        wanted: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // Of a message that begins nothing is known but how long the last one was.
        let wanted = if self.heard == 0 { self.usual } else { wanted };
        let room = self.input.capacity() - self.input.len();
        if room < wanted || room < READ_BYTES_MIN {
            // Room is not made before there is something to put into it.
            ready!(self.stream.poll_readable(cx))?;
            self.make_room(wanted);
        }
        // A future without a state of its own: it may be made anew for each poll.
        let read = ready!(pin!(self.stream.read_buf(&mut self.input)).poll(cx));
        self.heard += *read.as_ref().unwrap_or(&0);
        Poll::Ready(read)
    }

    fn make_room(&mut self, wanted: usize) {
        if wanted >= BUFFER_BYTES {
            // A byte more than comes: a read that fills the buffer would ask for another one.
            self.input.reserve(wanted + 1);
        } else if self.input.capacity() > 0 {
            self.input.reserve(BUFFER_BYTES);
        } else {
            self.input = INPUTS
                .with_borrow_mut(Vec::pop)
                .unwrap_or_else(|| BytesMut::with_capacity(BUFFER_BYTES));
        }
    }

    /// Reads once; false when nothing more will come.
    pub(crate) async fn more(&mut self) -> bool {
        matches!(poll_fn(|cx| self.poll_read(0, cx)).await, Ok(1..))
    }

    /// Writes everything, or as much as goes now.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let stream = Pin::new(&mut self.stream);
            let written = match self.output.chunks_vectored(&mut slices) {
                // The ordinary `send` costs less than a `writev` of one.
                ..=1 => stream.poll_write(cx, self.output.chunk()),
                count => stream.poll_write_vectored(cx, slices.get(..count).unwrap_or_default()),
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.output.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Queues what came somewhere else.
    pub(crate) fn pass(&mut self, other: &mut BytesMut) {
        if !other.is_empty() {
            self.prepare_output();
            self.output.pass(other.split().freeze());
        }
    }

    /// Makes sure that there is a buffer to write into.
    pub(crate) fn prepare_output(&mut self) {
        if !self.output.has_buffer() {
            let spare = OUTPUTS.with_borrow_mut(Vec::pop);
            let buffer = spare.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES));
            self.output.lend(buffer);
        }
    }

    /// Gives the buffers back: nothing is under way. One that somebody still holds a slice of stays
    /// for the next time.
    pub(crate) fn rest(&mut self) {
        if self.heard > 0 {
            let long = self.heard > BUFFER_BYTES;
            self.usual = if long {
                self.heard.min(MESSAGE_BYTES_MAX)
            } else {
                0
            };
            self.heard = 0;
        }
        let known = self.input.capacity() > 0;
        if known && self.input.is_empty() && self.input.try_reclaim(BUFFER_BYTES) {
            let buffer = std::mem::take(&mut self.input);
            let capacity = buffer.capacity();
            INPUTS.with_borrow_mut(|spare| keep(spare, buffer, capacity));
        }
        if self.output.is_empty() && self.output.has_buffer() {
            let buffer = self.output.reclaim();
            let capacity = buffer.capacity();
            OUTPUTS.with_borrow_mut(|spare| keep(spare, buffer, capacity));
        }
    }

    /// Whether the other side neither closed nor sent anything, as far as is known: what an idle
    /// connection must be to be used.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
        read.is_pending()
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Socket {
    /// Lets the connection end in a reset, so that the end is not taken for the end of a message.
    pub(crate) fn reset_on_close(&self) {
        // Where that does not work, the connection is gone already.
        drop(self.stream.set_zero_linger());
    }

    /// Goes on with another connection; what was to be written is written there.
    pub(crate) fn replace(&mut self, stream: TcpStream) {
        self.stream = stream;
        self.input.clear();
    }

    /// The bare connection, and what came and was not read.
    pub(crate) fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.input)
    }
}
