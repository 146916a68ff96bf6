//! Opening a TCP connection to an endpoint, in time or not at all.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::metrics::{BackendCells, ConnectOutcome};
use crate::model::Fault;

/// Connects within `timeout`.
///
/// # Errors
/// [`Fault::Connect`] when the endpoint refuses or cannot be reached, [`Fault::ConnectTimeout`]
/// when it does not answer.
pub(super) async fn connect(
    address: SocketAddr,
    timeout: Duration,
    cells: &BackendCells,
) -> Result<TcpStream, (Fault, io::Error)> {
    let (outcome, result) = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => (ConnectOutcome::Ok, Ok(stream)),
        Ok(Err(error)) => (ConnectOutcome::Failed, Err((Fault::Connect, error))),
        Err(elapsed) => (
            ConnectOutcome::Timeout,
            Err((Fault::ConnectTimeout, io::Error::from(elapsed))),
        ),
    };
    cells.connect(outcome);
    let stream = result?;
    // Small writes must not wait for the acknowledgement of the write before.
    stream
        .set_nodelay(true)
        .map_err(|error| (Fault::Connect, error))?;
    Ok(stream)
}

/// How long an endpoint may be silent on the level of TCP before it is asked, and how long what it
/// was sent may be without an acknowledgement.
const SILENCE_MAX: Duration = Duration::from_secs(20);
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
const PROBES_MAX: u32 = 3;
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// Lets the kernel notice an endpoint that is gone without a word, where many requests share one
/// connection. Not by PINGs of HTTP/2: servers of gRPC count those, and say GOAWAY for a few.
pub(super) fn notice_silence(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new()
        .with_time(SILENCE_MAX)
        .with_interval(PROBE_INTERVAL)
        .with_retries(PROBES_MAX);
    // A socket that refuses is closed already, and using it will say so.
    socket.set_tcp_keepalive(&probes).unwrap_or_default();
    #[cfg(target_os = "linux")]
    socket
        .set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
        .unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_is_told_to_notice_silence() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let stream = TcpStream::connect(address).await.expect("it listens");
        notice_silence(&stream);
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().expect("an open socket"));
        assert_eq!(
            socket.tcp_keepalive_time().expect("an open socket"),
            SILENCE_MAX
        );
        #[cfg(target_os = "linux")]
        assert_eq!(
            socket.tcp_user_timeout().expect("an open socket"),
            Some(UNACKNOWLEDGED_MAX)
        );
    }
}
