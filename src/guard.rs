//! Overrides that go away by themselves.
//!
//! An override may carry the time at which it is over. The guard waits for the next such time and
//! asks the store to drop what is over then; that is a change like any other, durable and in the
//! history. What ended while Pointsman was down never serves again: the store sees to that at start.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::{Change, Refusal, Store};

/// Longest sleep: the wall clock may be set, and a long sleep would not notice.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// Pause after the disk refused, so that a full one is not hammered.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Drops overrides when their time has come, until `shutdown`.
pub(crate) async fn run(store: Store, shutdown: impl Future<Output = ()>) {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut events = store.subscribe();
    loop {
        let now = Timestamp::now();
        let nap = match store.desired().next_expiry() {
            Some(at) if at <= now => match store.apply(Change::Expire { now }).await {
                Ok(_) => continue,
                Err(Refusal::Stopped) => return,
                Err(why) => {
                    tracing::error!(%why, "an override is over but could not be dropped");
                    RETRY_AFTER
                }
            },
            // A moment late rather than a moment early, which would only wake twice.
            Some(at) => at.duration_since(now).unsigned_abs() + Duration::from_millis(1),
            None => SLEEP_MAX,
        };
        tokio::select! {
            () = &mut shutdown => return,
            () = tokio::time::sleep(nap.min(SLEEP_MAX)) => {}
            heard = events.recv() => match heard {
                // Whatever happened may have brought an earlier end.
                Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            },
        }
    }
}
