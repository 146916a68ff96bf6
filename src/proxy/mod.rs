//! The data plane: workers that take connections and forward requests.
//!
//! Start reading at [`service`](self): `handle` is the life of a request on one screen. A
//! `worker` is one thread with its own sockets, its own upstream connections, its own dice and its
//! own cells (`local`); workers share a snapshot to read and nothing to write.
//!
//! What is absent: this folder publishes nothing and knows no config. What it learns it leaves in
//! its own worker's cells.

mod body;
mod call;
mod connection;
mod deadline;
mod error;
mod extended;
mod fair;
mod forwarding;
mod grpc;
mod headers;
mod hops;
mod http1;
mod http2;
mod introduction;
mod leash;
mod listener;
mod local;
mod proxy_protocol;
mod record;
mod service;
mod streams;
mod translate;
mod tunnel;
mod worker;

pub(crate) use listener::{BindError, bind};
#[cfg(feature = "testing")]
pub(crate) use translate::check as check_http2;
pub(crate) use worker::{Options, Workers, start};
