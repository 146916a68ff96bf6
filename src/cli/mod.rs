//! The command line: what people and scripts type.
//!
//! Everything that looks or acts goes through the control API, as any other client would; the
//! file commands (`validate`, `schema`, `explain -c`) need no running Pointsman. Data goes to
//! standard output, everything else to standard error, and the exit code says how it went.
//!
//! `args` is the grammar, `entry` the way from words to program; `client` and `api` talk,
//! `output` and `table` print, and the other files are one command each.

mod api;
mod args;
mod client;
mod entry;
mod exit;
mod explain;
mod get;
mod output;
mod rows;
mod run;
mod shell;
mod table;
mod units;
mod url;
mod validate;
mod watch;
mod weight;

pub use entry::main;
