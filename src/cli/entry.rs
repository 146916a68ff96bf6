//! From words to program: reads the command line, does what it says, ends with its exit code.

use std::future::Future;
use std::process::ExitCode;

use clap::Parser as _;

use super::api::Api;
use super::args::{Cli, Command};
use super::exit::{Exit, Failure};
use super::explain::Asked;
use super::output::{choose_color, say};
use super::{explain, get, run, shell, validate, weight};

/// The whole program.
pub fn main() -> ExitCode {
    choose_color(std::env::args_os());
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(words) => {
            // Help and version come this way too, with code 0. A closed pipe hears neither.
            words.print().unwrap_or_default();
            return u8::try_from(words.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match perform(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.is_quiet() {
                say(&failure.to_string().trim_end());
            }
            failure.exit.into()
        }
    }
}

fn perform(cli: Cli) -> Result<Exit, Failure> {
    let api = || Api::new(cli.global.server.clone());
    match cli.command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => run::demo(&args),
        Command::Validate(args) => validate::validate(&args),
        Command::Schema => validate::schema(),
        Command::Explain(mut args) => {
            let config = args.config.take();
            let asked = Asked::new(args)?;
            match config {
                Some(config) => explain::of_file(&asked, &config),
                None => wait_for(async { explain::of_running(&asked, &api()).await }),
            }
        }
        Command::Get(what) => wait_for(async { get::get(&api(), what).await }),
        Command::Weight(what) => wait_for(async { weight::weight(&api(), what).await }),
        Command::Healthcheck(args) => {
            wait_for(async { shell::healthcheck(&api(), args.live).await })
        }
        Command::Completions { shell } => shell::completions(shell),
        Command::Man(args) => shell::man(args.dir.as_deref()),
        Command::Version { output } => shell::version(output.format),
    }
}

/// Does what needs the network, on one thread, until it is done or the user has had enough.
fn wait_for(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done,
            Ok(()) = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })
}
