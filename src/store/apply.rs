//! The one writer: takes changes in turn, makes each durable, serves it, then answers.
//!
//! A thread of its own, because a commit waits for the disk. Its queue is bounded; whoever finds
//! it full waits. The order inside `apply` is the promise of the control API: commit, publish,
//! answer. Whatever fails before the commit leaves everything as it was.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::change::{Actor, Applied, Change, Refusal, ReplaceBase};
use super::desired::Desired;
use super::directory::StoreError;
use super::history::{Event, EventKind, History, NewEvent};
use super::journal::Journal;
use super::step::Step;
use super::words;
use crate::config::Base;
use crate::snapshot::{self, Publisher, Reader};

/// Changes that may wait for their turn.
const QUEUE_MAX: usize = 64;
/// Events that a slow subscriber may be behind before it misses some.
const LAG_MAX: usize = 256;
/// Longest sentence about a refusal in the history.
const MESSAGE_MAX: usize = 1_000;

/// What a store starts from.
#[derive(Debug)]
pub(crate) struct StoreOptions {
    /// Where the state lives. `None`: in memory, gone with the process.
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) base: Base,
    pub(crate) origin: Origin,
}

/// Where the base comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file owns it: edit the file, then reload.
    File(PathBuf),
    /// Part of the program; it cannot change.
    BuiltIn,
}

/// The handle to the desired state. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Request>,
    desired: Arc<ArcSwap<Desired>>,
    events: broadcast::Sender<Event>,
    origin: Origin,
    /// Reloads one after the other, so that the newest reading of the file is the last. Holds the
    /// last refusal: whoever asks again and again must not push everything else out of the history.
    reloading: tokio::sync::Mutex<Option<String>>,
    reload_ok: AtomicBool,
    /// Seconds since 1970.
    reloaded_at: AtomicI64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

#[derive(Debug)]
enum Request {
    Apply(Box<Change>, Answer<Applied>),
    Note(NewEvent),
    History {
        after: Option<u64>,
        limit: u64,
        answer: Answer<History>,
    },
    Close,
}

impl Store {
    /// Most events that one question gets.
    pub(crate) const EVENTS_MAX: u64 = 1_000;

    /// Opens the state, brings it together with the base, and serves the first snapshot.
    ///
    /// # Errors
    /// Says what is wrong with the state and what to do about it; nothing was changed then.
    pub(crate) fn open(options: StoreOptions) -> Result<(Self, Reader), StoreError> {
        let StoreOptions {
            state_dir,
            base,
            origin,
        } = options;
        let mut journal = Journal::open(state_dir.as_deref())?;
        let now = Timestamp::now();
        let Step { next, events, .. } =
            Desired::start(journal.saved().clone(), Arc::new(base), now);
        journal
            .commit(&next, events, now)
            .map_err(|why| journal.failed(&why))?;
        let (publisher, reader) = snapshot::channel(next.snapshot());
        let desired = Arc::new(ArcSwap::from_pointee(next));
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let (events, _) = broadcast::channel(LAG_MAX);
        let writer = Writer {
            journal,
            publisher,
            desired: Arc::clone(&desired),
            events: events.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(requests))
            .map_err(|why| StoreError::Failed {
                path: state_dir.unwrap_or_default(),
                why: format!("its thread did not start: {why}"),
            })?;
        let inner = Inner {
            queue,
            desired,
            events,
            origin,
            reloading: tokio::sync::Mutex::default(),
            reload_ok: AtomicBool::new(true),
            reloaded_at: AtomicI64::new(now.as_second()),
            writer: Mutex::new(Some(thread)),
        };
        let store = Self {
            inner: Arc::new(inner),
        };
        Ok((store, reader))
    }

    /// Carries out a change. `Ok` means: on the disk, and serving (or, for a dry run: it would be).
    ///
    /// # Errors
    /// Says why not; then nothing changed.
    pub(crate) async fn apply(&self, change: Change) -> Result<Applied, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Apply(Box::new(change), answer)).await?;
        answered.await.map_err(|_| Refusal::Stopped)?
    }

    /// Reads the config file again and puts it under the overrides.
    ///
    /// # Errors
    /// Everything that is wrong with the file; the old config keeps serving then.
    pub(crate) async fn reload(&self, actor: Actor, dry_run: bool) -> Result<Applied, Refusal> {
        let Origin::File(path) = self.inner.origin.clone() else {
            return Err(Refusal::NoFile);
        };
        let mut told = self.inner.reloading.lock().await;
        let read = tokio::task::spawn_blocking(move || Base::load(&path)).await;
        let base = read.map_err(|_| Refusal::Stopped)?;
        let outcome = match base {
            Ok(base) => self.replace(base, actor.clone(), dry_run).await,
            Err(problems) => Err(Refusal::Config(problems)),
        };
        if dry_run {
            return outcome;
        }
        self.inner
            .reload_ok
            .store(outcome.is_ok(), Ordering::Relaxed);
        let refusal = outcome.as_ref().err().map(refused);
        match &refusal {
            None => {
                let now = Timestamp::now().as_second();
                self.inner.reloaded_at.store(now, Ordering::Relaxed);
            }
            Some(why) if told.as_ref() == Some(why) => {}
            Some(why) => self.note_refusal(actor, why.clone()).await,
        }
        *told = refusal;
        outcome
    }

    async fn note_refusal(&self, actor: Actor, message: String) {
        let event = NewEvent {
            kind: EventKind::ConfigRefused,
            actor,
            rule: None,
            message,
            reason: None,
        };
        // The refusal is the answer, whether or not it also reaches the history.
        drop(self.ask(Request::Note(event)).await);
    }

    /// Says what the config in `text` would change, without changing anything.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub(crate) async fn judge(&self, text: String, actor: Actor) -> Result<Applied, Refusal> {
        let parse = move || Base::parse("request", &text);
        let read = tokio::task::spawn_blocking(parse).await;
        let base = read
            .map_err(|_| Refusal::Stopped)?
            .map_err(Refusal::Config)?;
        self.replace(base, actor, true).await
    }

    async fn replace(&self, base: Base, actor: Actor, dry_run: bool) -> Result<Applied, Refusal> {
        let base = Arc::new(base);
        let change = Change::ReplaceBase(ReplaceBase {
            base,
            actor,
            dry_run,
        });
        self.apply(change).await
    }

    /// The state that serves, with where each part of it comes from.
    pub(crate) fn desired(&self) -> Arc<Desired> {
        self.inner.desired.load_full()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.inner.origin
    }

    /// Whether the config file was good when it was last read.
    pub(crate) fn last_reload_successful(&self) -> bool {
        self.inner.reload_ok.load(Ordering::Relaxed)
    }

    /// When a config was last applied, in seconds since 1970.
    pub(crate) fn last_reload_time(&self) -> i64 {
        self.inner.reloaded_at.load(Ordering::Relaxed)
    }

    /// Up to `limit` events behind `after`, oldest first; without `after` the newest ones.
    ///
    /// # Errors
    /// When the history cannot be read, or the store is closed.
    pub(crate) async fn events(&self, after: Option<u64>, limit: u64) -> Result<History, Refusal> {
        let limit = limit.min(Self::EVENTS_MAX);
        let (answer, answered) = oneshot::channel();
        self.ask(Request::History {
            after,
            limit,
            answer,
        })
        .await?;
        answered.await.map_err(|_| Refusal::Stopped)?
    }

    /// Events from now on. Whoever falls too far behind is told so, and misses some.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// Takes no more changes, finishes those that wait, and lets the state directory go.
    pub(crate) async fn close(&self) {
        if self.ask(Request::Close).await.is_err() {
            return;
        }
        let Some(thread) = self.take_writer() else {
            return;
        };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the store's thread panicked");
        }
    }

    fn take_writer(&self) -> Option<JoinHandle<()>> {
        self.inner
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    async fn ask(&self, request: Request) -> Result<(), Refusal> {
        self.inner
            .queue
            .send(request)
            .await
            .map_err(|_| Refusal::Stopped)
    }
}

/// The thread's own: the disk, and the right to publish.
#[derive(Debug)]
struct Writer {
    journal: Journal,
    publisher: Publisher,
    desired: Arc<ArcSwap<Desired>>,
    events: broadcast::Sender<Event>,
}

impl Writer {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.blocking_recv() {
            match request {
                Request::Apply(change, answer) => give(answer, self.apply(&change)),
                Request::Note(event) => self.note(event),
                Request::History {
                    after,
                    limit,
                    answer,
                } => {
                    give(
                        answer,
                        self.journal
                            .history(after, limit)
                            .map_err(|why| journal_refusal(&why)),
                    );
                }
                // What already waits is finished; what comes later finds the door shut.
                Request::Close => requests.close(),
            }
        }
        self.journal.close();
    }

    fn apply(&mut self, change: &Change) -> Result<Applied, Refusal> {
        let now = Timestamp::now();
        let current = self.desired.load_full();
        let Step {
            next,
            events,
            differences,
            warnings,
        } = current.step(change, now)?;
        if events.is_empty() || change.is_dry_run() {
            let desired = if events.is_empty() {
                current
            } else {
                Arc::new(next)
            };
            return Ok(Applied {
                desired,
                events: Vec::new(),
                differences,
                warnings,
            });
        }
        let events = self
            .journal
            .commit(&next, events, now)
            .map_err(|why| journal_refusal(&why))?;
        self.publisher.publish(next.snapshot());
        let desired = Arc::new(next);
        self.desired.store(Arc::clone(&desired));
        self.tell(&events);
        Ok(Applied {
            desired,
            events,
            differences,
            warnings,
        })
    }

    /// Something that belongs into the history but changes nothing.
    fn note(&mut self, event: NewEvent) {
        let current = self.desired.load_full();
        match self.journal.commit(&current, vec![event], Timestamp::now()) {
            Ok(events) => self.tell(&events),
            Err(why) => tracing::error!(%why, "an event is missing in the history"),
        }
    }

    fn tell(&self, events: &[Event]) {
        for event in events {
            // An error only says that nobody listens.
            drop(self.events.send(event.clone()));
        }
    }
}

/// Whoever asked may be gone; what was done stays done.
fn give<T>(answer: Answer<T>, result: Result<T, Refusal>) {
    drop(answer.send(result));
}

fn journal_refusal(why: &rusqlite::Error) -> Refusal {
    Refusal::Journal(why.to_string())
}

fn refused(why: &Refusal) -> String {
    if let Refusal::Config(problems) = why {
        return words::bad_config(problems);
    }
    words::shown(&why.to_string(), MESSAGE_MAX)
}
