//! What the shell, the packager and the container ask for: completions, manual pages, the version
//! and whether it is healthy.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use super::api::Api;
use super::args::{Cli, Format};
use super::exit::{Exit, Failure};
use super::output::{Printer, say};

pub(super) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pointsman", &mut script);
    Printer::new().text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

pub(super) fn man(dir: Option<&Path>) -> Result<Exit, Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        Printer::new().text(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Ok);
    };
    let write = |dir: &Path| -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        clap_mangen::generate_to(Cli::command(), dir)
    };
    write(dir).map_err(|error| {
        Failure::new(format!(
            "cannot write manual pages to {}: {error}",
            dir.display()
        ))
    })?;
    Ok(Exit::Ok)
}

pub(super) fn version(format: Format) -> Result<Exit, Failure> {
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    });
    let mut out = Printer::new();
    match format {
        Format::Json => out.json(&value)?,
        Format::Yaml => out.yaml(&value)?,
        Format::Name => out.line(&env!("CARGO_PKG_VERSION"))?,
        Format::Table | Format::Wide => {
            out.line(&concat!("pointsman ", env!("CARGO_PKG_VERSION")))?;
        }
    }
    Ok(Exit::Ok)
}

/// For `HEALTHCHECK` and `ExecStartPost`: 0 or 1 and nothing else, whatever goes wrong.
pub(super) async fn healthcheck(api: &Api, live: bool) -> Result<Exit, Failure> {
    let (path, good) = if live {
        ("/livez", "alive")
    } else {
        ("/readyz", "ready")
    };
    let answer = api.health(path).await;
    let answer = answer.map_err(|failure| failure.exit(Exit::Error))?;
    if answer.status.is_success() {
        Printer::new().line(&good)?;
        return Ok(Exit::Ok);
    }
    let why = String::from_utf8_lossy(&answer.body);
    let why = super::api::printable(why.trim());
    say(&format_args!("not {good}: {} {why}", answer.status));
    Ok(Exit::Error)
}
