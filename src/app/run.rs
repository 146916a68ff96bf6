//! `pointsman run`: start, say so, serve until told to leave.

use std::path::PathBuf;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::start::{Leave, Options, Running, Source, StartError, start};

/// What `pointsman run` was told.
#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) config: PathBuf,
    pub(crate) workers: Option<usize>,
    pub(crate) state_dir: PathBuf,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    InOrder,
    /// A second signal came before everything was finished.
    AtOnce,
}

/// Threads of the control plane: it does little, and nothing of it is urgent.
const CONTROL_THREADS: usize = 1;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(options: RunOptions) -> Result<Ended, StartError> {
    stay_small();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| StartError::Io("the control plane", error))?;
    let ended = runtime.block_on(serve(options));
    // What still runs after a second signal is not waited for.
    runtime.shutdown_background();
    ended
}

/// Huge pages round every thread's few hundred kilobytes up to megabytes: an idle process would be
/// 12 MB larger where the system hands them out unasked. A system that cannot be told is no reason
/// not to serve.
fn stay_small() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}

async fn serve(options: RunOptions) -> Result<Ended, StartError> {
    let hear = |kind| signal(kind).map_err(|error| StartError::Io("listening to signals", error));
    let (mut term, mut int) = (
        hear(SignalKind::terminate())?,
        hear(SignalKind::interrupt())?,
    );
    let state_dir = options.state_dir.clone();
    let running = start(Options {
        source: Source::File(options.config),
        workers: options.workers,
        state_dir: Some(options.state_dir),
    })
    .await?;
    announce(&running, &state_dir);
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "systemd was not told that we serve");
    }
    let how = tokio::select! {
        _ = term.recv() => Leave::Gently,
        _ = int.recv() => Leave::Quickly,
    };
    tracing::info!("leaving; a second signal leaves at once");
    Ok(leave(running, how, &mut term, &mut int).await)
}

async fn leave(running: Running, how: Leave, term: &mut Signal, int: &mut Signal) -> Ended {
    tokio::select! {
        () = running.leave(how) => {
            tracing::info!("everything is finished");
            Ended::InOrder
        }
        _ = term.recv() => Ended::AtOnce,
        _ = int.recv() => Ended::AtOnce,
    }
}

fn announce(running: &Running, state_dir: &std::path::Path) {
    for address in running.addresses() {
        tracing::info!("requests are taken at http://{address}");
    }
    match running.control_address() {
        Some(address) => tracing::info!("the control API is at http://{address}"),
        None => tracing::info!("the control API is off"),
    }
    let (workers, state) = (running.worker_count(), state_dir.display());
    let desired = running.store().desired();
    let revision = desired.revision;
    tracing::info!(workers, %revision, %state, "serving");
    for (rule, one) in &desired.overrides {
        let weights: Vec<String> = one
            .weights
            .iter()
            .map(|(name, weight)| format!("{name}={}", weight.get()))
            .collect();
        let weights = weights.join(" ");
        tracing::info!(%rule, %weights, since = %one.since, "live weights are in force");
    }
    for rule in desired.parked.keys() {
        tracing::warn!(%rule, "live weights are parked: the config no longer has what they name");
    }
}
