//! Who changed what, when and why: as a list, and as it happens.
//!
//! `/watch` sends server-sent events. A client that comes back with `Last-Event-ID` gets what it
//! missed; when that is no longer kept, or it was too slow, it gets `resync` instead and has to
//! read everything anew.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use crate::admin::context::Context;
use crate::admin::params::{Params, bad};
use crate::admin::problem::{Answer, Failure};
use crate::admin::{show, view};
use crate::store::{Event, Store};

/// Events in an answer that does not say how many it wants.
const LIMIT: u64 = 100;
/// Quiet time after which a watcher hears `: ping`.
const PING: Duration = Duration::from_secs(15);

#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", operation_id = "listEvents",
    summary = "The history, oldest first",
    description = "The newest 10,000 events are kept.",
    params(
        ("after" = Option<u64>, Query, description = "Only what came after this event; without it \
                                                      the newest"),
        ("limit" = Option<u64>, Query, description = "At most so many: 1 to 1000, 100 if not said"),
    ),
    responses(
        (status = 200, body = view::Page<view::Event>),
        (status = 400, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(context): State<Context>,
    params: Params,
) -> Answer<Json<view::Page<view::Event>>> {
    let params = params.known(&["after", "limit"])?;
    let limit = params.number("limit")?.unwrap_or(LIMIT);
    if !(1..=Store::EVENTS_MAX).contains(&limit) {
        return Err(bad(&format!(
            "limit is a number from 1 to {}",
            Store::EVENTS_MAX
        )));
    }
    let history = context.store.events(params.number("after")?, limit).await?;
    let items = history.events.iter().map(show::event).collect();
    let revision = context.store.desired().revision.get();
    Ok(Json(view::Page {
        revision,
        items,
        parked: Vec::new(),
    }))
}

#[utoipa::path(
    get, path = "/api/v1/watch", tag = "events", operation_id = "watchEvents",
    summary = "The history as it happens (server-sent events)",
    description = "Each event has the id and shape of /events. `resync`: some were missed, read \
                   everything anew.",
    params(("last-event-id" = Option<u64>, Header, description = "Go on after this event")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 503, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn watch(
    State(context): State<Context>,
    params: Params,
    headers: HeaderMap,
) -> Answer<Response> {
    params.known(&[])?;
    let last = match headers.get("last-event-id") {
        None => None,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse::<u64>().ok());
            Some(id.ok_or_else(|| bad("Last-Event-ID is the id of an event, a number"))?)
        }
    };
    let Ok(permit) = context.watchers.clone().try_acquire_owned() else {
        return Err(Failure::unavailable(
            "too-many-watchers",
            "too many clients watch already",
        ));
    };
    // First listen, then look back: what happens in between is seen twice and told once.
    let live = context.store.subscribe();
    let mut watcher = Watcher {
        queue: VecDeque::new(),
        last: 0,
        live,
        ending: context.ending.clone(),
        _permit: permit,
    };
    watcher.look_back(&context.store, last).await?;
    let events = stream::unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(PING).text("ping"))
        .into_response())
}

/// One client that watches.
struct Watcher {
    /// To be sent before anything new.
    queue: VecDeque<sse::Event>,
    /// Newest event that was sent or queued.
    last: u64,
    live: broadcast::Receiver<Event>,
    ending: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    async fn look_back(&mut self, store: &Store, last: Option<u64>) -> Answer<()> {
        let Some(last) = last else { return Ok(()) };
        let history = store.events(Some(last), Store::EVENTS_MAX).await?;
        let newest = history.kept.map_or(0, |(_, newest)| newest);
        let told = history.events.last().map_or(last, |event| event.id);
        if history.continues(last) && told == newest {
            self.queue.extend(history.events.iter().map(message));
        } else {
            self.queue.push_back(resync(newest));
        }
        self.last = newest;
        Ok(())
    }

    /// `None`: Pointsman is about to end.
    async fn next(&mut self) -> Option<sse::Event> {
        if let Some(event) = self.queue.pop_front() {
            return Some(event);
        }
        loop {
            let heard = tokio::select! {
                () = async { drop(self.ending.wait_for(|ending| *ending).await) } => return None,
                heard = self.live.recv() => heard,
            };
            match heard {
                Ok(event) if event.id <= self.last => {}
                Ok(event) => {
                    self.last = event.id;
                    return Some(message(&event));
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    self.last = self.last.saturating_add(missed);
                    return Some(resync(self.last));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn message(event: &Event) -> sse::Event {
    let data = serde_json::to_string(&show::event(event)).expect("an event is plain JSON");
    sse::Event::default()
        .id(event.id.to_string())
        .event(event.kind.as_str())
        .data(data)
}

fn resync(id: u64) -> sse::Event {
    sse::Event::default()
        .id(id.to_string())
        .event("resync")
        .data("{}")
}
