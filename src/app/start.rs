//! Starting everything, and taking it down again.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{chores, reload};
use crate::admin::{self, Context};
use crate::config::{AccessLog as Wanted, Base, Control, Problems, Settings};
use crate::drain::{self, Drain, Phase};
use crate::guard;
use crate::metrics::Registry;
use crate::proxy::{self, BindError, Workers};
use crate::ready::Ready;
use crate::store::{Origin, Store, StoreError, StoreOptions};
use crate::telemetry::{AccessLog, Logged};

/// How long the workers may take to notice that time is up.
const CUT_GRACE: Duration = Duration::from_secs(1);
/// How long the control plane may take to finish what it does.
const CONTROL_GRACE: Duration = Duration::from_secs(2);

/// Where the config comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Watched, and read again on SIGHUP.
    File(PathBuf),
    /// Part of the program.
    Text { name: String, text: String },
}

/// What to start.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) source: Source,
    /// `None`: one for each core this process may use, cgroup quota included.
    pub(crate) workers: Option<usize>,
    /// `None`: state lives in memory and dies with the process.
    pub(crate) state_dir: Option<PathBuf>,
}

/// Why nothing was started.
#[derive(Debug)]
pub(crate) enum StartError {
    Config(Problems),
    Bind(BindError),
    Store(StoreError),
    Io(&'static str, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => f.write_str(&problems.render(io::stderr().is_terminal())),
            Self::Bind(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Io(what, error) => write!(f, "cannot start {what}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A Pointsman that serves.
#[derive(Debug)]
pub(crate) struct Running {
    settings: Settings,
    listeners: Vec<SocketAddr>,
    control: Option<SocketAddr>,
    store: Store,
    drain: Arc<Drain>,
    workers: Workers,
    worker_count: usize,
    registry: Arc<Registry>,
    /// Ends the control plane.
    ending: watch::Sender<bool>,
    chores: JoinSet<()>,
    log_writer: Option<std::thread::JoinHandle<()>>,
}

/// Starts everything and returns when it serves.
///
/// # Errors
/// Says what could not be started; then nothing was.
pub(crate) async fn start(options: Options) -> Result<Running, StartError> {
    let Options {
        source,
        workers,
        state_dir,
    } = options;
    let (base, origin) = load(source)?;
    for warning in base.warnings() {
        tracing::warn!(at = warning.position(), "{}", warning.message);
    }
    let settings = base.settings().clone();
    let worker_count = workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let listeners: Result<Vec<_>, _> = settings
        .listeners
        .iter()
        .map(|one| {
            let mut bound = proxy::bind(one.address, worker_count)?;
            bound.trust = one.trust.clone();
            Ok(bound)
        })
        .collect();
    let listeners = listeners.map_err(StartError::Bind)?;
    let control = settings.control.as_ref().map(bind_control).transpose()?;
    let (store, reader) = Store::open(StoreOptions {
        state_dir,
        base,
        origin,
    })
    .map_err(StartError::Store)?;

    let registry = Registry::new(worker_count);
    let (drain, watch) = drain::channel();
    let drain = Arc::new(drain);
    let ready = Ready::new(Arc::clone(&drain));
    let pending = ready.pending("workers");
    let (log, log_writer) = open_log(settings.access_log)?;
    let mut running = Running {
        listeners: listeners.iter().map(|bound| bound.address).collect(),
        control: control.as_ref().and_then(|one| one.local_addr().ok()),
        workers: Workers::default(),
        worker_count,
        registry: Arc::clone(&registry),
        store: store.clone(),
        drain,
        ending: watch::channel(false).0,
        chores: JoinSet::new(),
        log_writer,
        settings,
    };
    running.workers = proxy::start(proxy::Options {
        listeners,
        workers: worker_count,
        reader,
        registry: Arc::clone(&registry),
        log,
        idle_timeout: running.settings.client_idle,
        tunnel_idle_timeout: running.settings.tunnel_idle,
        connect: running.settings.connect,
        watch,
    })
    .await
    .map_err(|error| StartError::Io("the workers", error))?;
    running.spawn_control_plane(control, &registry, ready);
    drop(pending);
    Ok(running)
}

fn load(source: Source) -> Result<(Base, Origin), StartError> {
    match source {
        Source::File(path) => {
            let base = Base::load(&path).map_err(StartError::Config)?;
            Ok((base, Origin::File(path)))
        }
        Source::Text { name, text } => {
            let base = Base::parse(&name, &text).map_err(StartError::Config)?;
            Ok((base, Origin::BuiltIn))
        }
    }
}

fn bind_control(control: &Control) -> Result<tokio::net::TcpListener, StartError> {
    let bound = proxy::bind(control.address, 1).map_err(StartError::Bind)?;
    let fail = |error| StartError::Io("the control API", error);
    let socket = bound.sockets.into_iter().next();
    let socket = socket.ok_or_else(|| fail(io::ErrorKind::NotFound.into()))?;
    tokio::net::TcpListener::from_std(socket).map_err(fail)
}

type Log = (Option<AccessLog>, Option<std::thread::JoinHandle<()>>);

fn open_log(wanted: Wanted) -> Result<Log, StartError> {
    let logged = match wanted {
        Wanted::Off => return Ok((None, None)),
        Wanted::Errors => Logged::Errors,
        Wanted::All => Logged::All,
    };
    let (log, writer) = AccessLog::start(logged, io::stdout())
        .map_err(|error| StartError::Io("the access log", error))?;
    Ok((Some(log), Some(writer)))
}

/// How much time leaving may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// A load balancer has to notice first: unready, then no new connections, then the rest.
    Gently,
    /// Somebody waits at the terminal: what runs is finished, nothing else is waited for.
    Quickly,
}

impl Running {
    fn spawn_control_plane(
        &mut self,
        control: Option<tokio::net::TcpListener>,
        registry: &Arc<Registry>,
        ready: Ready,
    ) {
        let ended = |mut end: watch::Receiver<bool>| async move {
            if end.wait_for(|over| *over).await.is_err() {
                // A sender that is gone has ended as well.
            }
        };
        let end = || ended(self.ending.subscribe());
        self.chores.spawn(guard::run(self.store.clone(), end()));
        self.chores.spawn(chores::keep_windows(
            self.store.clone(),
            Arc::clone(registry),
            end(),
        ));
        self.chores.spawn(reload::follow(
            self.store.clone(),
            self.settings.clone(),
            end(),
        ));
        if let Some(listener) = control {
            let allowed = self.settings.control.as_ref();
            let hosts = allowed
                .map(|one| one.allowed_hosts.as_slice())
                .unwrap_or_default();
            let origins = allowed
                .map(|one| one.allowed_origins.as_slice())
                .unwrap_or_default();
            let (store, metrics) = (self.store.clone(), Arc::clone(registry));
            let render = chores::renderer(store.clone(), Arc::clone(registry));
            let context = Context::new(store, metrics, render, ready, hosts, origins);
            let serving = admin::serve(listener, context, end());
            self.chores.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(%error, "the control API ended");
                }
            });
        }
    }

    /// Where requests are taken, in the order of the config.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.listeners
    }

    pub(crate) fn control_address(&self) -> Option<SocketAddr> {
        self.control
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn worker_count(&self) -> usize {
        self.worker_count
    }

    /// Leaves in order (`design.md` 13). Dropping the future leaves at once.
    pub(crate) async fn leave(mut self, how: Leave) {
        let drain = Arc::clone(&self.drain);
        let limits = self.settings.drain;
        drain.enter(Phase::LameDuck);
        if how == Leave::Gently {
            tokio::time::sleep(limits.delay).await;
        }
        drain.enter(Phase::Draining);
        let mut workers = tokio::task::spawn_blocking(|| self.workers.join());
        // Idle connections had the delay to be told; they get as long again after the listeners
        // closed, and a request that comes in that time is still answered.
        let idle_grace = match how {
            Leave::Gently => limits.delay.min(limits.timeout),
            Leave::Quickly => Duration::ZERO,
        };
        let mut drained = timeout(idle_grace, &mut workers).await.is_ok();
        if !drained {
            drain.enter(Phase::CloseIdle);
            let rest = limits.timeout.saturating_sub(idle_grace);
            drained = timeout(rest, &mut workers).await.is_ok();
        }
        if !drained {
            drain.enter(Phase::Cut);
            if timeout(CUT_GRACE, workers).await.is_err() {
                tracing::error!("the workers did not end");
            }
            let cut: u64 = (0..self.worker_count)
                .map(|one| self.registry.worker(one).cut.read())
                .sum();
            tracing::warn!(
                cut,
                "time was up: connections that were still busy were cut"
            );
        }
        self.ending.send_replace(true);
        let chores = async { while self.chores.join_next().await.is_some() {} };
        if timeout(CONTROL_GRACE, chores).await.is_err() {
            tracing::warn!("the control plane did not end in time");
        }
        self.store.close().await;
        if let Some(writer) = self.log_writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the access log's thread panicked");
        }
    }
}
