//! Reading the config again when its file changes or somebody asks by SIGHUP.
//!
//! The *directory* is watched, not the file: editors replace files, and Kubernetes swaps a link. A
//! change that leaves the text as it was is no change. What cannot change while Pointsman runs
//! (addresses, limits of the start) is said in the log instead of silently ignored.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify_debouncer_full::notify::{self, RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, RecommendedCache, new_debouncer};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::Settings;
use crate::store::{Actor, EventKind, Origin, Store};

/// How long a file must be quiet before it is read: editors write in several steps.
const QUIET: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The directory changed; maybe nothing of ours.
    Changed,
    BySignal,
}

/// Reloads when there is a reason to, until `end`.
///
/// It listens from the call on, not from the first poll: once the start is over, nobody knows that
/// a SIGHUP might come too early, and an unheard one ends the process.
pub(super) fn follow(
    store: Store,
    started: Settings,
    end: impl Future,
) -> impl Future<Output = ()> {
    let listening = match store.origin() {
        Origin::File(path) => Listening::begin(path.clone()),
        Origin::BuiltIn => None,
    };
    async move {
        if let Some(listening) = listening {
            listening.follow(store, started, end).await;
        }
    }
}

/// What a reason to reload is heard by.
struct Listening {
    path: PathBuf,
    asked: mpsc::Receiver<Asked>,
    hang_up: Signal,
    /// Kept, both: dropping the first ends the watching, without the second nobody could ask.
    _watching: notify::Result<Watching>,
    _ask: mpsc::Sender<Asked>,
}

impl Listening {
    fn begin(path: PathBuf) -> Option<Self> {
        let (ask, asked) = mpsc::channel(1);
        let watching = watch(&path, ask.clone());
        if let Err(error) = &watching {
            tracing::warn!(%error, "the config file is not watched; send SIGHUP after a change");
        }
        let hang_up = match signal(SignalKind::hangup()) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be heard");
                return None;
            }
        };
        Some(Self {
            path,
            asked,
            hang_up,
            _watching: watching,
            _ask: ask,
        })
    }

    async fn follow(self, store: Store, started: Settings, end: impl Future) {
        let Self {
            path,
            mut asked,
            mut hang_up,
            _watching,
            _ask,
        } = self;
        let mut events = store.subscribe();
        let mut refused = None;
        // What changed after the start had read it and before the watching began.
        reload(&store, &path, Asked::Changed, &mut refused).await;
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                _ = end.as_mut() => return,
                Some(why) = asked.recv() => reload(&store, &path, why, &mut refused).await,
                Some(()) = hang_up.recv() => reload(&store, &path, Asked::BySignal, &mut refused).await,
                Ok(event) = events.recv() => {
                    if event.kind == EventKind::ConfigReloaded {
                        tell_what_needs_a_restart(&started, store.desired().base.settings());
                    }
                }
            }
        }
    }
}

type Watching = Debouncer<RecommendedWatcher, RecommendedCache>;

fn watch(path: &Path, ask: mpsc::Sender<Asked>) -> notify::Result<Watching> {
    let heard = move |events: DebounceEventResult| {
        let ours = events.is_ok_and(|events| events.iter().any(|event| !event.kind.is_access()));
        if ours && ask.try_send(Asked::Changed).is_err() {
            // One question is waiting already, and asks for the newest text.
        }
    };
    let mut watching = new_debouncer(QUIET, None, heard)?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    watching.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watching)
}

/// Reloads; `refused` is the text that was refused last, so that one broken file is told once,
/// however often something else happens in its directory.
async fn reload(store: &Store, path: &Path, why: Asked, refused: &mut Option<String>) {
    let text = match tokio::fs::read_to_string(path).await {
        Ok(text) => Some(text),
        // In the middle of being replaced; the next event brings the new one.
        Err(error) if why == Asked::Changed && error.kind() == ErrorKind::NotFound => return,
        // Told by the reload itself, with what to do about it.
        Err(_) => None,
    };
    let serves = |text: &str| text == store.desired().base.text();
    let known = |text: &String| serves(text) || refused.as_ref() == Some(text);
    if why == Asked::Changed && text.as_ref().is_some_and(known) {
        return;
    }
    match store.reload(Actor::file(), false).await {
        Ok(_) => {
            *refused = None;
            tracing::info!(path = %path.display(), "the config was reloaded");
        }
        Err(why) => {
            *refused = text;
            let path = path.display();
            tracing::error!(%path, "the config was refused, the old one serves on:\n{why}");
        }
    }
}

fn tell_what_needs_a_restart(started: &Settings, now: &Settings) {
    for (what, same) in [
        ("listeners", started.listeners == now.listeners),
        ("control", started.control == now.control),
        ("clientIdleTimeout", started.client_idle == now.client_idle),
        ("tunnelIdleTimeout", started.tunnel_idle == now.tunnel_idle),
        ("drain", started.drain == now.drain),
        ("accessLog", started.access_log == now.access_log),
        ("connectRequests", started.connect == now.connect),
    ] {
        if !same {
            tracing::warn!("`{what}` changed in the config and takes effect at the next start");
        }
    }
}
