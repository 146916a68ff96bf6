//! `validate` and `schema`: config files without anything running.

use std::path::Path;

use super::args::Validate;
use super::exit::{Exit, Failure};
use super::output::{Printer, say, stderr_takes_color};
use crate::config::{self, Base};

/// Checks every file, and says everything that is wrong with each.
pub(super) fn validate(args: &Validate) -> Result<Exit, Failure> {
    let mut out = Printer::new();
    let mut exit = Exit::Ok;
    for file in &args.files {
        let name = file.display();
        match Base::load(file) {
            Ok(base) if base.warnings().is_empty() => out.line(&format_args!("{name}: ok"))?,
            Ok(base) => {
                warn(&base);
                let count = base.warnings().len();
                let noun = if count == 1 { "warning" } else { "warnings" };
                out.line(&format_args!("{name}: ok, with {count} {noun}"))?;
                if args.deny_warnings && exit == Exit::Ok {
                    exit = Exit::Warnings;
                }
            }
            Err(problems) => {
                say(&problems.render(stderr_takes_color()).trim_end());
                out.line(&format_args!("{name}: not valid"))?;
                exit = Exit::Error;
            }
        }
    }
    Ok(exit)
}

/// A config for a command that needs one: its problems are printed, its warnings too.
pub(super) fn load(file: &Path) -> Result<Base, Failure> {
    let base = Base::load(file).map_err(|problems| {
        say(&problems.render(stderr_takes_color()).trim_end());
        Failure::quiet(Exit::Error)
    })?;
    if !base.warnings().is_empty() {
        warn(&base);
    }
    Ok(base)
}

fn warn(base: &Base) {
    let text = config::render(base.warnings(), stderr_takes_color());
    say(&text.trim_end());
}

pub(super) fn schema() -> Result<Exit, Failure> {
    Printer::new().line(&config::schema_json().trim_end())?;
    Ok(Exit::Ok)
}
