//! A connection that lets others have their turn.
//!
//! A flood of tiny frames arrives faster than it is worked through, so a connection's task would
//! find more to read for as long as its runtime lets it: a megabyte, which is 60,000 frames, while
//! everybody else on the worker waits. Here it stops after a fraction of that and goes to the back
//! of the queue.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// Reads in one turn; h2 reads up to 8 KiB at a time, so these are 64 KiB.
const READS_MAX: u32 = 8;

/// A stream that is read in turns.
#[derive(Debug)]
pub(super) struct Fair<IO> {
    io: IO,
    /// In this turn.
    reads: u32,
}

impl<IO> Fair<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self { io, reads: 0 }
    }
}

impl<IO: Read + Unpin> Read for Fair<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reads >= READS_MAX {
            self.reads = 0;
            // Unlike a plain wake-up, this lets the runtime look at everybody's sockets before.
            return pin!(tokio::task::yield_now()).poll(cx).map(Ok);
        }
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.reads = if polled.is_ready() { self.reads + 1 } else { 0 };
        polled
    }
}

impl<IO: Write + Unpin> Write for Fair<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper::rt::ReadBuf;
    use hyper_util::rt::TokioIo;

    use super::*;

    #[tokio::test]
    async fn after_some_reads_it_is_somebody_elses_turn() {
        let endless = tokio::io::repeat(b'x');
        let mut fair = pin!(Fair::new(TokioIo::new(tokio::io::join(
            endless,
            tokio::io::sink()
        ))));
        let mut read = |cx: &mut Context<'_>| {
            let mut bytes = [0; 16];
            let mut buffer = ReadBuf::new(&mut bytes);
            fair.as_mut().poll_read(cx, buffer.unfilled()).is_ready()
        };
        let ready = poll_fn(|cx| Poll::Ready((0..20).map(|_| read(cx)).collect::<Vec<_>>())).await;
        let turns: Vec<usize> = ready.split(|ready| !ready).map(<[bool]>::len).collect();
        assert_eq!(turns, [8, 8, 2]);
    }
}
