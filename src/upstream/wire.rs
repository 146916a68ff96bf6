//! A TCP stream as hyper's HTTP/2 sees it, with small writes put together.
//!
//! hyper hands over a head and a body as two slices for `writev`. For a few hundred bytes copying
//! them into one `send` is cheaper: it spares the kernel the way through the file layer (measured:
//! 4 % of the CPU of a small request). Large writes stay vectored.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Up to here slices are put together.
const TOGETHER_BYTES_MAX: usize = 2048;

/// A connection to a client or an endpoint.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TokioIo<TcpStream>,
    /// What was read before hyper had the stream.
    first: BytesMut,
}

impl Wire {
    /// `first` is what came already.
    pub(crate) fn new(stream: TcpStream, first: BytesMut) -> Self {
        Self {
            stream: TokioIo::new(stream),
            first,
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(self.first.get(..length).unwrap_or_default());
        self.first.advance(length);
        if self.first.is_empty() {
            self.first = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [one] = slices {
            return Pin::new(&mut self.stream).poll_write(cx, one);
        }
        let mut together = [0; TOGETHER_BYTES_MAX];
        let mut length = 0;
        for slice in slices {
            match together.get_mut(length..length + slice.len()) {
                Some(space) => space.copy_from_slice(slice),
                None => return Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
            }
            length += slice.len();
        }
        let bytes = together.get(..length).unwrap_or_default();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
