//! Opening a TCP connection to an endpoint, in time or not at all.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

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
