//! Two connections that have left HTTP: bytes are passed on, both ways, until both ends have closed.
//!
//! A side that closes its half closes the other side's half behind everything it said before. What
//! one side does not take is not read from the other: no more than a queue of each is held. A
//! tunnel in which nothing moves is ended by the leash, like an idle connection.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::leash::Leash;
use crate::upstream::{QUEUE_BYTES_MAX, READ_BYTES_MAX, Socket, Stream, Upgraded};

/// Passes bytes between the two until both are done or one breaks.
pub(super) async fn run<S: Stream>(mut client: Socket<S>, mut upgraded: Upgraded, leash: &Leash) {
    let mut tunnel = Some(leash.tunnel());
    let mut up = Way::default();
    let mut down = Way::default();
    let endpoint = &mut upgraded.socket;
    poll_fn(|cx| {
        let sent = up.poll(&mut client, endpoint, leash, cx);
        let received = down.poll(endpoint, &mut client, leash, cx);
        if sent.is_ready() || received.is_ready() {
            // One side has closed: the other is given the time of an idle connection to follow.
            tunnel = None;
        }
        match (sent, received) {
            (Poll::Ready(Err(_)), _) // one broke: nothing of the other is of use to anybody
            | (_, Poll::Ready(Err(_)))
            | (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The one side has closed; the other is to hear of it behind the last byte.
    Closing,
    Closed,
}

impl Way {
    fn poll<F: Stream, T: Stream>(
        &mut self,
        from: &mut Socket<F>,
        to: &mut Socket<T>,
        leash: &Leash,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            to.pass(&mut from.input);
            let queued = to.output.len();
            let written = to.poll_write(cx)?;
            if to.output.len() < queued {
                leash.stirs();
            }
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Closing => {
                    std::task::ready!(written);
                    std::task::ready!(to.poll_shutdown(cx))?;
                    self.state = State::Closed;
                }
                State::Open if to.output.len() >= QUEUE_BYTES_MAX => return Poll::Pending,
                State::Open => match std::task::ready!(from.poll_read(READ_BYTES_MAX, cx))? {
                    0 => self.state = State::Closing,
                    _ => leash.stirs(),
                },
            }
        }
    }
}
