//! Workers: one thread, one current-thread runtime, one of everything.
//!
//! A worker takes connections from its own sockets and never hands a task to another thread. What
//! it does beside requests is little and bounded: it lets go of old snapshots after a publish, and
//! sweeps idle upstream connections once a second.

use std::hash::RandomState;
use std::io;
use std::net::TcpListener as StdListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;
use tokio::task::spawn_local;

use super::connection::{Open, serve};
use super::forwarding::Client;
use super::leash::Patience;
use super::listener::Bound;
use super::local::{Local, Shared};
use super::service::Proxy;
use crate::drain::{Phase, Watch};
use crate::metrics::Registry;
use crate::model::{Connect, Trust};
use crate::snapshot::Reader;
use crate::telemetry::AccessLog;

/// How long to wait before accepting again when the machine has no descriptor to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What the data plane needs to run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) listeners: Vec<Bound>,
    pub(crate) workers: usize,
    pub(crate) reader: Reader,
    pub(crate) registry: Arc<Registry>,
    pub(crate) log: Option<AccessLog>,
    /// How long a client connection may be idle, and how long a request's head may take.
    pub(crate) idle_timeout: Duration,
    /// How long nothing may move in a tunnel.
    pub(crate) tunnel_idle_timeout: Duration,
    /// What is done with CONNECT.
    pub(crate) connect: Connect,
    pub(crate) watch: Watch,
}

/// The running threads.
#[derive(Debug, Default)]
pub(crate) struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    /// Waits until every worker has drained. Blocks.
    pub(crate) fn join(self) {
        for handle in self.0 {
            if handle.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

/// Starts the workers; returns when each of them accepts connections.
///
/// # Errors
/// When a thread or a runtime cannot be made.
pub(crate) async fn start(options: Options) -> io::Result<Workers> {
    let Options {
        listeners,
        workers,
        reader,
        registry,
        log,
        idle_timeout,
        tunnel_idle_timeout,
        connect,
        watch,
    } = options;
    let patience = Patience {
        connection: sweeps(idle_timeout),
        tunnel: sweeps(tunnel_idle_timeout),
    };
    let shared = Shared {
        reader,
        registry,
        log,
        workers,
        connect,
        phases: RandomState::new(),
    };
    let mut handles = Vec::with_capacity(workers);
    let mut started = Vec::with_capacity(workers);
    let mut sockets: Vec<Vec<Socket>> = (0..workers).map(|_| Vec::new()).collect();
    for bound in listeners {
        for (share, socket) in sockets.iter_mut().zip(bound.sockets) {
            share.push((socket, bound.trust.clone()));
        }
    }
    for (number, sockets) in sockets.into_iter().enumerate() {
        let (up, is_up) = oneshot::channel();
        let worker = Worker {
            number,
            shared: shared.clone(),
            patience,
            watch: watch.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        handles.push(thread.spawn(move || worker.main(sockets, up))?);
        started.push(is_up);
    }
    for is_up in started {
        is_up
            .await
            .map_err(|_| io::Error::other("a worker ended while it started"))??;
    }
    Ok(Workers(handles))
}

/// A worker's share of a listener.
type Socket = (StdListener, Trust);

struct Worker {
    number: usize,
    shared: Shared,
    patience: Patience,
    watch: Watch,
}

impl Worker {
    fn main(self, sockets: Vec<Socket>, up: oneshot::Sender<io::Result<()>>) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.run(sockets, up)),
            // Whoever starts us hears of it; if nobody listens, nobody is left to tell.
            Err(error) => drop(up.send(Err(error))),
        }
    }

    async fn run(self, sockets: Vec<Socket>, up: oneshot::Sender<io::Result<()>>) {
        let Self {
            number,
            shared,
            patience,
            watch,
        } = self;
        let reader = shared.reader.clone();
        let local = Local::new(number, shared);
        let listeners: io::Result<Vec<_>> = sockets
            .into_iter()
            .map(|(socket, trust)| Ok((TcpListener::from_std(socket)?, Rc::new(trust))))
            .collect();
        let listeners = match listeners {
            Ok(listeners) => listeners,
            Err(error) => return drop(up.send(Err(error))),
        };
        let chores = [
            spawn_local(refresh(Rc::clone(&local), reader)),
            spawn_local(sweep(Rc::clone(&local), patience)),
            spawn_local(keep_deadlines(Rc::clone(&local))),
            spawn_local(follow(Rc::clone(&local), watch.clone())),
        ];
        // The tasks of all connections hold this; when the last is gone, so is the last sender.
        let (busy, mut idle) = tokio::sync::mpsc::channel::<()>(1);
        let mut accepting = Vec::new();
        for (listener, trust) in listeners {
            let accept = Accept {
                trust,
                local: Rc::clone(&local),
                watch: watch.clone(),
                busy: busy.clone(),
            };
            accepting.push(spawn_local(accept.run(listener)));
        }
        drop(busy);
        drop(up.send(Ok(())));
        // Nothing is ever sent: this ends when the accepting tasks and all connections have.
        while idle.recv().await.is_some() {}
        accepting
            .into_iter()
            .chain(chores)
            .for_each(|task| task.abort());
    }
}

/// Takes connections from one socket.
struct Accept {
    trust: Rc<Trust>,
    local: Rc<Local>,
    watch: Watch,
    busy: tokio::sync::mpsc::Sender<()>,
}

impl Accept {
    async fn run(self, listener: TcpListener) {
        let port = listener.local_addr().map_or(0, |address| address.port());
        let mut watch = self.watch.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = listener.accept() => accepted,
                () = watch.reached(Phase::Draining) => return self.empty(listener, port),
            };
            match accepted {
                Ok((stream, peer)) => self.take(stream, peer.ip(), port),
                Err(_) => {
                    self.local.cells().accept_errors.add(1);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Takes what still waits in the queue: closing the socket would reset it.
    fn empty(&self, listener: TcpListener, port: u16) {
        let Ok(socket) = listener.into_std() else {
            return;
        };
        while let Ok((stream, peer)) = socket.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.take(stream, peer.ip(), port);
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: std::net::IpAddr, port: u16) {
        // A socket that refuses is closed already, and serving it will say so.
        stream.set_nodelay(true).unwrap_or_default();
        let open = Open::new(&self.local);
        let proxy = Proxy {
            local: Rc::clone(&self.local),
            client: Rc::new(Client::new(peer, port, &self.trust)),
            leash: Rc::clone(open.leash()),
        };
        let busy = self.busy.clone();
        spawn_local(async move {
            serve(stream, proxy, open.leash()).await;
            drop((open, busy));
        });
    }
}

/// Lets go of old snapshots, so that an idle worker does not keep them.
async fn refresh(local: Rc<Local>, mut reader: Reader) {
    while reader.changed().await.is_some() {
        local.refresh();
    }
}

/// How many sweeps a time is.
fn sweeps(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX).max(1)
}

async fn sweep(local: Rc<Local>, patience: Patience) {
    let mut clock = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        clock.tick().await;
        local.sweep(patience);
    }
}

async fn keep_deadlines(local: Rc<Local>) {
    local.deadlines.keep().await;
}

/// Keeps the worker's own copy of the phase, which requests look at.
async fn follow(local: Rc<Local>, mut watch: Watch) {
    for phase in [
        Phase::LameDuck,
        Phase::Draining,
        Phase::CloseIdle,
        Phase::Cut,
    ] {
        watch.reached(phase).await;
        local.enter(phase);
    }
}
