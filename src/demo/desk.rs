//! A stand-in for the control API in tests of the story: a few lines that count as a proxy would.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::testing::{Behaviour, Origin, Seen};

/// Opens a desk of its own at `address`.
pub(super) async fn open(address: SocketAddr) -> Origin {
    let desk = Desk::default();
    let script = move |seen: &Seen| desk.answer(&seen.method, seen.uri.path());
    Origin::scripted_at(address, "desk", script).await.unwrap()
}

/// Enough of the control API, and of a fault switch: every look sees a thousand more requests, split
/// by the weight of the moment; the canary fails from the moment it is broken.
#[derive(Default)]
struct Desk {
    weight: AtomicU32,
    broken: AtomicU32,
    counts: Mutex<[u64; 3]>,
}

impl Desk {
    fn answer(&self, method: &Method, path: &str) -> Behaviour {
        if path == "/fault" {
            self.broken.store(1, Ordering::SeqCst);
            return Behaviour::Answer;
        }
        if *method == Method::PUT {
            // The scripts of test origins see heads only, so the desk knows the weights by order.
            let next = match self.weight.load(Ordering::SeqCst) {
                0 => 5,
                5 => 50,
                50 if self.broken.load(Ordering::SeqCst) == 0 => 100,
                _ => 0,
            };
            self.weight.store(next, Ordering::SeqCst);
            return Behaviour::Answer;
        }
        let weight = self.weight.load(Ordering::SeqCst);
        let mut counts = self.counts.lock().unwrap();
        let [primary, canary, failures] = &mut *counts;
        *primary += u64::from(100 - weight) * 10;
        *canary += u64::from(weight) * 10;
        *failures += u64::from(weight * self.broken.load(Ordering::SeqCst)) * 3;
        let split = json!({
            "revision": 7, "weights": {"primary": 100 - weight, "canary": weight}, "override": null,
            "entries": [entry("primary", 100 - weight, *primary, 0), entry("canary", weight, *canary, *failures)],
        });
        Behaviour::Body(Bytes::from(split.to_string()))
    }
}

fn entry(backend: &str, weight: u32, samples: u64, failures: u64) -> Value {
    let window = json!({
        "samples": samples, "failures": failures, "successRatio": null, "rate": 0.0,
        "p50": 0.001, "p90": 0.002, "p99": 0.004,
    });
    json!({
        "backend": backend, "weight": weight, "baseWeight": 0, "desired": f64::from(weight) / 100.0,
        "observed": null, "last1m": window, "last5m": window,
    })
}
