//! What one worker has of one endpoint: its idle connections and its count of running requests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::http1::Connection;
use super::http2::Shared;
use crate::metrics::BackendCells;

/// One address of a backend, as one worker sees it.
#[derive(Debug)]
pub(super) struct EndpointPool {
    pub(super) address: SocketAddr,
    cells: Arc<BackendCells>,
    /// Used from the back, so that the least used grow old at the front.
    idle: RefCell<VecDeque<Box<Connection>>>,
    idle_max: Cell<usize>,
    pub(super) http2: Shared,
    in_flight: Cell<usize>,
}

impl EndpointPool {
    pub(super) fn new(address: SocketAddr, cells: Arc<BackendCells>) -> Self {
        Self {
            address,
            cells,
            idle: RefCell::default(),
            idle_max: Cell::new(0),
            http2: Shared::default(),
            in_flight: Cell::new(0),
        }
    }

    /// How many idle connections may be kept from now on.
    pub(super) fn limit(&self, idle_max: usize) {
        self.idle_max.set(idle_max);
        let mut idle = self.idle.borrow_mut();
        let surplus = idle.len().saturating_sub(idle_max);
        idle.drain(..surplus);
    }

    /// The idle connection used last that is still open, as far as can be known now.
    pub(super) fn check_out(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut connection) = idle.pop_back() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection that can carry another request, and closes another one.
    pub(super) fn check_in(&self, mut connection: Box<Connection>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.idle_max.get() && connection.rests() {
            idle.push_back(connection);
        }
    }

    /// Closes connections that the endpoint closed or that were idle for `sweeps_max` sweeps.
    pub(super) fn sweep(&self, sweeps_max: u64) {
        self.idle
            .borrow_mut()
            .retain_mut(|connection| connection.keeps(sweeps_max));
        self.http2.sweep(sweeps_max);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }
}

/// A request that runs at an endpoint; dropped when it is over, however it ends.
#[derive(Debug)]
pub(super) struct Busy(Rc<EndpointPool>);

impl Busy {
    pub(super) fn at(endpoint: &Rc<EndpointPool>) -> Self {
        endpoint.in_flight.set(endpoint.in_flight.get() + 1);
        endpoint.cells.in_flight.add(1);
        Self(Rc::clone(endpoint))
    }

    pub(super) fn endpoint(&self) -> &EndpointPool {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0
            .in_flight
            .set(self.0.in_flight.get().saturating_sub(1));
        self.0.cells.in_flight.subtract(1);
    }
}

/// Counts a tunnel as open as long as it lives.
#[derive(Debug)]
pub(super) struct Tunnel(Arc<BackendCells>);

impl Tunnel {
    pub(super) fn new(busy: &Busy) -> Self {
        let cells = Arc::clone(&busy.endpoint().cells);
        cells.tunnels.add(1);
        cells.tunnels_opened.add(1);
        Self(cells)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.0.tunnels.subtract(1);
    }
}

/// Counts a connection as open as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<BackendCells>);

impl Counted {
    pub(super) fn new(cells: &Arc<BackendCells>) -> Self {
        cells.connections.add(1);
        Self(Arc::clone(cells))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.subtract(1);
    }
}
