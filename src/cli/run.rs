//! `run` and `demo`: the commands that serve.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use super::args::{Demo, LogFormat, Run};
use super::exit::{Exit, Failure};
use super::output::{Printer, Sink, say, stderr_takes_color};
use crate::app::{self, Ended, Leave, Options, RunOptions, Source, StartError};
use crate::demo::{self, DemoOptions, DemoOutcome, Look, ProxyOptions};
use crate::telemetry;

pub(super) fn run(args: Run) -> Result<Exit, Failure> {
    let Run {
        config,
        workers,
        state_dir,
        log_format,
        log_level,
    } = args;
    let state_dir = state_dir
        .or_else(|| usual_state_dir(|name| std::env::var_os(name)))
        .ok_or_else(|| {
            Failure::usage("there is no usual place for state here: HOME is not set")
                .hint("name a directory with --state-dir")
        })?;
    let format = match log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Auto if io::stderr().is_terminal() => telemetry::LogFormat::Text,
        LogFormat::Auto | LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::init(format, &log_level, stderr_takes_color()).map_err(Failure::usage)?;
    let options = RunOptions {
        config,
        workers,
        state_dir,
    };
    match app::run(options) {
        Ok(Ended::InOrder) => Ok(Exit::Ok),
        Ok(Ended::AtOnce) => Ok(Exit::Interrupted),
        Err(StartError::Config(problems)) => {
            say(&problems.render(stderr_takes_color()).trim_end());
            Err(Failure::quiet(Exit::Error))
        }
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

/// systemd's directory, else the XDG one; `None` when not even a home is known.
fn usual_state_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(systemd) = path("STATE_DIRECTORY") {
        // Several `StateDirectory=` come with colons between them; the first is ours.
        return std::env::split_paths(&systemd).next();
    }
    let xdg = path("XDG_STATE_HOME").map(PathBuf::from);
    // A relative one must be ignored, says the XDG Base Directory Specification.
    let xdg = xdg.filter(|path| path.is_absolute());
    let home = || Some(PathBuf::from(path("HOME")?).join(".local/state"));
    Some(xdg.or_else(home)?.join("pointsman"))
}

pub(super) fn demo(args: &Demo) -> Result<Exit, Failure> {
    let options = DemoOptions {
        headless: args.headless,
        fail: args.fail,
        port: args.port,
        control_port: args.control_port,
        requests_per_second: args.rate,
        step: Duration::from_secs(args.step_seconds),
        workers: args.workers,
        look: match Printer::sink() {
            Sink::Terminal => Look::Terminal,
            Sink::Pipe => Look::Plain,
        },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let mut out = Printer::new();
    match runtime.block_on(demo::run(options, out.writer(), launch)) {
        Ok(DemoOutcome::Promoted) => Ok(Exit::Ok),
        Ok(DemoOutcome::RolledBack) => Ok(Exit::RolledBack),
        Ok(DemoOutcome::Interrupted) => Ok(Exit::Interrupted),
        Err(error) => {
            let failure = Failure::new(error.to_string());
            Err(match error.source() {
                Some(cause) => failure.note(cause.to_string()),
                None => failure,
            })
        }
    }
}

/// Starts the proxy of a demo, as `run` does, in this process.
async fn launch(proxy: ProxyOptions) -> Result<demo::Proxy, demo::Failure> {
    let running = app::start(Options {
        source: Source::Text {
            name: "the demo's config".to_owned(),
            text: proxy.config,
        },
        workers: proxy.workers,
        state_dir: Some(proxy.state_dir),
    })
    .await?;
    Ok(Box::pin(running.leave(Leave::Quickly)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_systemds_else_xdgs_else_at_home() {
        let usual = |variables: &[(&str, &str)]| {
            let found = usual_state_dir(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.into())
            });
            found.map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/ada");
        for (variables, path) in [
            (
                &[("STATE_DIRECTORY", "/var/lib/pointsman:/b"), home][..],
                "/var/lib/pointsman",
            ),
            (&[("XDG_STATE_HOME", "/x"), home], "/x/pointsman"),
            (
                &[("XDG_STATE_HOME", "relative"), home],
                "/home/ada/.local/state/pointsman",
            ),
            (&[home], "/home/ada/.local/state/pointsman"),
        ] {
            assert_eq!(usual(variables).as_deref(), Some(path));
        }
        assert_eq!(usual(&[]), None);
    }
}
