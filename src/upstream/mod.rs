//! Where requests go: backends, their endpoints, and the connections to them.
//!
//! A [`Backend`] is what the config says, immutable and shared. A [`Pool`] is what one worker has
//! of it: turns, counts, idle connections; nothing of it is ever seen by another thread.
//!
//! An HTTP/1.1 connection is driven by the request that uses it and by nobody else: no task of its
//! own, no hand-over between tasks, and a request that is dropped takes its connection along.

mod backend;
mod body;
mod connect;
mod endpoint;
mod http1;
mod http2;
mod pool;
mod replay;
mod socket;
mod stream;
pub(crate) mod translate;
mod until;
mod wire;

pub(crate) use backend::{Backend, Balance, Protocol, Target};
pub(crate) use body::{BodyError, PolledFrame, RequestBody, ResponseBody, Upload, frame};
pub(crate) use http1::{Interim, Upgraded, is_the_clients_doing};
pub(crate) use pool::{Failure, Pool};
pub(crate) use socket::{QUEUE_BYTES_MAX, READ_BYTES_MAX, Socket, Stream};
pub(crate) use wire::Wire;
