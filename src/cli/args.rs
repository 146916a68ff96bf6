//! The grammar of the command line.
//!
//! Doc comments here are the help texts; `tests/cli/*.trycmd` hold them word for word.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::url::Server;
use super::weight::{Assignment, Target};
use crate::config::parse_duration;

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  pointsman explain http://shop.example.com/cart
  pointsman explain -c pointsman.yaml -X POST -H 'x-canary: insider' shop.example.com/cart";

const WEIGHT_SET_EXAMPLES: &str = "\
Examples:
  pointsman weight set podinfo canary=5 primary=95
  pointsman weight set podinfo/everyone canary=20 --reason 'looks fine' --expires-in 30m";

const EXIT_CODES: &str = "\
Exit codes:
  0    ok
  1    error
  2    usage
  3    a rollout failed or was rolled back
  4    timed out
  7    conflict: the revision is not the current one
  10   warnings, and --deny-warnings
  69   the control API cannot be reached
  130  interrupted";

/// L7 proxy for progressive delivery: exact splits, live weights, honest statistics.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, after_long_help = EXIT_CODES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Control API of the Pointsman to talk to.
    #[arg(long, global = true, env = "POINTSMAN_SERVER", value_name = "URL")]
    #[arg(default_value = "http://127.0.0.1:7070", hide_env_values = true)]
    pub(super) server: Server,

    /// When to colour; NO_COLOR and CLICOLOR_FORCE are heard as well.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorWhen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the proxy with a config file
    Run(Run),
    /// Show a canary release: two versions, load, and the weight moving between them
    Demo(Demo),
    /// Check config files without applying them
    Validate(Validate),
    /// Print the JSON Schema of the config file
    Schema,
    /// Tell why a request would go where it goes
    Explain(Explain),
    /// Show what runs
    #[command(subcommand)]
    Get(Get),
    /// Move the weights of a split
    #[command(subcommand)]
    Weight(Weight),
    /// Exit with 0 when the running Pointsman is ready, with 1 when it is not
    Healthcheck(Healthcheck),
    /// Print the completion script of a shell
    Completions {
        /// Shell to complete in.
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands
    Man(Man),
    /// Print the version
    Version {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Config file.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) config: PathBuf,

    /// Threads that serve requests [default: the cores this process may use].
    #[arg(long, value_name = "N", value_parser = parse_workers)]
    pub(super) workers: Option<usize>,

    /// Where live weights and the history are kept [default: $STATE_DIRECTORY, else
    /// $XDG_STATE_HOME/pointsman, else ~/.local/state/pointsman].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) state_dir: Option<PathBuf>,

    /// How to write the log; `auto`: text on a terminal, else JSON.
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(super) log_format: LogFormat,

    /// What to log: a level (`error`, `warn`, `info`, `debug`, `trace`) or filters such as
    /// `info,pointsman::store=debug`.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "POINTSMAN_LOG",
        hide_env_values = true
    )]
    #[arg(default_value = "info")]
    pub(super) log_level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Auto,
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// End when the story has been told, instead of staying up.
    #[arg(long)]
    pub(super) headless: bool,

    /// Make the new version fail, and watch the traffic go back (exit code 3).
    #[arg(long)]
    pub(super) fail: bool,

    /// Port of the proxy [default: 8080, or a free one when that is taken].
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,

    /// Port of the control API [default: 7070, or a free one when that is taken].
    #[arg(long, value_name = "PORT")]
    pub(super) control_port: Option<u16>,

    /// Requests a second of the built-in load.
    #[arg(long, value_name = "N", default_value_t = 150)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) rate: u32,

    /// How long each weight is held.
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) step_seconds: u64,

    /// Threads that serve requests [default: the cores this process may use].
    #[arg(long, value_name = "N", value_parser = parse_workers)]
    pub(super) workers: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// Config files.
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) files: Vec<PathBuf>,

    /// Exit with 10 when there are warnings.
    #[arg(long)]
    pub(super) deny_warnings: bool,
}

#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(super) struct Explain {
    /// Ask this config file instead of a running Pointsman.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,

    /// Method of the request.
    #[arg(
        short = 'X',
        long = "request",
        value_name = "METHOD",
        default_value = "GET"
    )]
    pub(super) method: http::Method,

    /// Header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,

    /// Cookie of the request; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) cookie: Vec<String>,

    /// Where the request goes: `http://HOST/PATH`, `HOST/PATH` or `/PATH`.
    #[arg(value_hint = ValueHint::Url)]
    pub(super) url: String,

    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Subcommand)]
pub(super) enum Get {
    /// Show routes, their splits and how each backend does
    #[command(visible_alias = "route")]
    Routes(Look),
    /// Show backends and their endpoints
    #[command(visible_alias = "backend")]
    Backends(Look),
    /// Show who changed what, when and why
    #[command(visible_alias = "event")]
    #[command(mut_arg("name", |arg| arg.value_name("ROUTE").help("Only events of this route")))]
    Events(Look),
}

#[derive(Debug, Args)]
pub(super) struct Look {
    /// Only this one.
    pub(super) name: Option<String>,

    #[command(flatten)]
    pub(super) output: Output,

    /// Keep showing: redraws on a terminal, appends what changes on a pipe.
    #[arg(short, long)]
    pub(super) watch: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Output {
    /// How to print.
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(super) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // Plain comments: as help texts they would make every help twice as long.
    Table,
    // With more columns.
    Wide,
    // What the API says.
    Json,
    Yaml,
    // Names only, for scripts.
    Name,
}

#[derive(Debug, Subcommand)]
pub(super) enum Weight {
    /// Set weights; backends that are not named keep theirs
    Set(WeightSet),
    /// Go back to the weights of the config
    Reset(WeightReset),
}

#[derive(Debug, Args)]
#[command(after_help = WEIGHT_SET_EXAMPLES)]
pub(super) struct WeightSet {
    /// Route, and the rule in it when it has several.
    #[arg(value_name = "ROUTE[/RULE]")]
    pub(super) target: Target,

    /// New weights: shares from 0 to 1000000, not percentages.
    #[arg(required = true, value_name = "BACKEND=N")]
    pub(super) weights: Vec<Assignment>,

    /// Why; kept in the history.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,

    /// Go back to the weights of the config after this time, such as `30m`.
    #[arg(long, value_name = "DURATION", value_parser = check_duration)]
    pub(super) expires_in: Option<String>,

    #[command(flatten)]
    pub(super) change: Change,
}

#[derive(Debug, Args)]
pub(super) struct WeightReset {
    /// Route, and the rule in it when it has several.
    #[arg(value_name = "ROUTE[/RULE]")]
    pub(super) target: Target,

    /// Why; kept in the history.
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,

    #[command(flatten)]
    pub(super) change: Change,
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Only if this is still the revision of the split; exit code 7 if not.
    #[arg(long, value_name = "REVISION")]
    pub(super) if_match: Option<u64>,

    #[command(flatten)]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Ask whether it is alive, ready or not.
    #[arg(long)]
    pub(super) live: bool,
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write one page a command into this directory.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) dir: Option<PathBuf>,
}

fn parse_workers(text: &str) -> Result<usize, String> {
    const WORKERS_MAX: usize = 1024;
    match text.parse() {
        Ok(workers @ 1..=WORKERS_MAX) => Ok(workers),
        _ => Err(format!("a number from 1 to {WORKERS_MAX} is needed")),
    }
}

/// Sent as it was typed; checked here, so that a typo costs no round trip.
fn check_duration(text: &str) -> Result<String, String> {
    parse_duration(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }
}
