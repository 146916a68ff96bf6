//! The cells a worker counts in, resolved once and held beside what they count.

use std::time::Duration;

use http::StatusCode;

use super::cell::Cell;
use super::histogram::Latencies;
use crate::model::{Fault, GrpcStatus};

/// Status codes with a cell of their own; the others share one for each class.
const KNOWN_CODES: [u16; 59] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304,
    305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415,
    416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504,
    505, 511,
];
/// A client that went away before its answer was complete: nginx's number for it, never sent.
pub(super) const CLIENT_GONE: u16 = 499;
const CLASSES: usize = 5;
const CODE_CELLS: usize = KNOWN_CODES.len() + CLASSES;

/// Cell of every three-digit code, computed at compile time: the request path does one look-up.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time, where a wrong index does not compile"
)]
const CELL_OF_CODE: [u8; 1000] = {
    let mut cells = [0_u8; 1000];
    let mut code = 0;
    while code < cells.len() {
        let class = match code / 100 {
            1..=5 => code / 100 - 1,
            _ => CLASSES - 1,
        };
        cells[code] = (KNOWN_CODES.len() + class) as u8;
        code += 1;
    }
    let mut known = 0;
    while known < KNOWN_CODES.len() {
        cells[KNOWN_CODES[known] as usize] = known as u8;
        known += 1;
    }
    cells
};

/// Label of a code cell: `200`, or `2xx` for codes that nobody registered.
fn code_label(cell: usize) -> String {
    match KNOWN_CODES.get(cell) {
        Some(code) => code.to_string(),
        None => format!("{}xx", cell - KNOWN_CODES.len() + 1),
    }
}

fn is_failure(cell: usize) -> bool {
    match KNOWN_CODES.get(cell) {
        Some(code) => *code >= 500,
        None => cell == CODE_CELLS - 1,
    }
}

/// One worker's counts of one rule and backend.
#[derive(Debug)]
#[repr(align(128))] // no two workers on one cache line, nor on the line the prefetcher takes along
pub(crate) struct SeriesCells {
    codes: [Cell; CODE_CELLS],
    faults: [Cell; Fault::ALL.len()],
    /// How gRPC calls ended.
    grpc: [Cell; GrpcStatus::ALL.len()],
    /// Failures that no code shows: answers that began well and broke off, or whose gRPC status
    /// says so.
    hidden_failures: Cell,
    /// Requests that other entries of the split took over.
    pub(crate) redistributed: Cell,
    latencies: Latencies,
}

impl Default for SeriesCells {
    fn default() -> Self {
        Self {
            codes: std::array::from_fn(|_| Cell::default()),
            faults: std::array::from_fn(|_| Cell::default()),
            grpc: std::array::from_fn(|_| Cell::default()),
            hidden_failures: Cell::default(),
            redistributed: Cell::default(),
            latencies: Latencies::default(),
        }
    }
}

/// A series read at one moment, summed over workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    /// Finished requests without those whose client went away.
    pub(super) samples: u64,
    pub(super) failures: u64,
}

impl SeriesCells {
    /// A request that was answered in full, in `duration` from head to last byte.
    pub(crate) fn answered(&self, status: StatusCode, duration: Duration) {
        self.count(status.as_u16());
        self.latencies.record(duration);
    }

    /// A request whose client went away; says nothing about the backend.
    pub(crate) fn client_gone(&self) {
        self.count(CLIENT_GONE);
    }

    /// A request that failed, whatever the head of its answer said: it broke off, or its gRPC
    /// status is a failure.
    pub(crate) fn failed(&self, status: StatusCode, duration: Duration) {
        self.answered(status, duration);
        // A 5xx is a failure already.
        if status.as_u16() < 500 {
            self.hidden_failures.add(1);
        }
    }

    /// A gRPC call; it was counted as a request, too.
    pub(crate) fn called(&self, status: GrpcStatus) {
        if let Some(cell) = self.grpc.get(status.number()) {
            cell.add(1);
        }
    }

    pub(crate) fn fault(&self, fault: Fault) {
        if let Some(cell) = self.faults.get(fault.index()) {
            cell.add(1);
        }
    }

    fn count(&self, code: u16) {
        let cell = CELL_OF_CODE
            .get(usize::from(code))
            .copied()
            .unwrap_or_default();
        if let Some(cell) = self.codes.get(usize::from(cell)) {
            cell.add(1);
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals {
            samples: 0,
            failures: self.hidden_failures.read(),
        };
        for (at, cell) in self.codes.iter().enumerate() {
            let count = cell.read();
            if KNOWN_CODES.get(at) != Some(&CLIENT_GONE) {
                totals.samples += count;
            }
            if is_failure(at) {
                totals.failures += count;
            }
        }
        totals
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = (String, u64)> {
        let counted = self
            .codes
            .iter()
            .map(Cell::read)
            .enumerate()
            .filter(|(_, n)| *n > 0);
        counted.map(|(cell, count)| (code_label(cell), count))
    }

    pub(super) fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = Fault::ALL.iter().zip(&self.faults);
        counts
            .map(|(fault, cell)| (fault.label(), cell.read()))
            .filter(|(_, n)| *n > 0)
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = (GrpcStatus, u64)> {
        let counts = GrpcStatus::ALL.iter().copied().zip(&self.grpc);
        counts
            .map(|(status, cell)| (status, cell.read()))
            .filter(|(_, n)| *n > 0)
    }

    pub(super) fn latencies(&self) -> &Latencies {
        &self.latencies
    }
}

/// How an attempt to connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectOutcome {
    Ok,
    Failed,
    Timeout,
}

/// One worker's counts of one backend.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct BackendCells {
    pub(crate) in_flight: Cell,
    pub(crate) connections: Cell,
    pub(super) connected: Cell,
    pub(super) connect_failed: Cell,
    pub(super) connect_timeout: Cell,
    /// Requests sent again because an idle connection turned out to be closed.
    pub(crate) retries: Cell,
    /// Tunnels open now.
    pub(crate) tunnels: Cell,
    /// Tunnels opened.
    pub(crate) tunnels_opened: Cell,
}

impl BackendCells {
    pub(crate) fn connect(&self, outcome: ConnectOutcome) {
        match outcome {
            ConnectOutcome::Ok => self.connected.add(1),
            ConnectOutcome::Failed => self.connect_failed.add(1),
            ConnectOutcome::Timeout => self.connect_timeout.add(1),
        }
    }
}

/// One worker's counts of its own work.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerCells {
    /// Client connections taken.
    pub(crate) accepted: Cell,
    /// Client connections open now.
    pub(crate) open: Cell,
    /// Connections that failed to be taken.
    pub(crate) accept_errors: Cell,
    /// Client connections that broke the protocol and were closed.
    pub(crate) protocol_errors: Cell,
    /// Connections that were still busy when the time to drain was over.
    pub(crate) cut: Cell,
    /// Access log lines that found the queue full.
    pub(crate) log_dropped: Cell,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(codes: &[u16]) -> SeriesCells {
        let series = SeriesCells::default();
        for code in codes {
            series.answered(
                StatusCode::from_u16(*code).expect("code"),
                Duration::from_millis(1),
            );
        }
        series
    }

    #[test]
    fn server_errors_fail_and_clients_that_leave_do_not_count() {
        let series = series(&[200, 200, 404, 500, 599, 503]);
        series.client_gone();
        series.failed(StatusCode::OK, Duration::from_millis(1));
        let totals = series.totals();
        assert_eq!((totals.samples, totals.failures), (7, 4));
    }

    #[test]
    fn a_call_that_failed_twice_over_is_one_failure() {
        let series = SeriesCells::default();
        for status in [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE] {
            series.failed(status, Duration::from_millis(1));
            series.called(GrpcStatus::Unavailable);
        }
        let totals = series.totals();
        assert_eq!((totals.samples, totals.failures), (2, 2));
        let calls: Vec<_> = series.calls().collect();
        assert_eq!(calls, [(GrpcStatus::Unavailable, 2)]);
    }

    #[test]
    fn known_codes_have_their_own_label_and_the_others_their_class() {
        let series = series(&[200, 299, 418, 599, 999]);
        let codes: Vec<_> = series.codes().collect();
        let labels: Vec<_> = codes
            .iter()
            .map(|(label, n)| (label.as_str(), *n))
            .collect();
        assert_eq!(labels, [("200", 1), ("418", 1), ("2xx", 1), ("5xx", 2)]);
    }
}
