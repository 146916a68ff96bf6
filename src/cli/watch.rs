//! `get … --watch`: what runs, again and again.
//!
//! The API is asked once a second, which is as often as its numbers change. A terminal is redrawn
//! in place and outlives a restart of Pointsman; a pipe gets each row when it is new or has
//! changed, complete, and ends with the first answer that does not come.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use serde_json::Value;
use tokio::time::{Interval, MissedTickBehavior};

use super::api::Api;
use super::args::Format;
use super::exit::{Exit, Failure};
use super::get::Wanted;
use super::output::{Printer, Sink};
use super::rows::Breadth;
use super::table::Layout;

const PERIOD: Duration = Duration::from_secs(1);

/// Shows until something fails or the user interrupts.
pub(super) async fn watch(api: &Api, wanted: &Wanted) -> Result<Exit, Failure> {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut out = Printer::new();
    match (wanted.format, Printer::sink()) {
        (Format::Table, Sink::Terminal) => {
            redraw(api, wanted, Breadth::Table, &mut out, ticks).await
        }
        (Format::Wide, Sink::Terminal) => redraw(api, wanted, Breadth::Wide, &mut out, ticks).await,
        (Format::Table, Sink::Pipe) => {
            append_rows(api, wanted, Breadth::Table, &mut out, ticks).await
        }
        (Format::Wide, Sink::Pipe) => {
            append_rows(api, wanted, Breadth::Wide, &mut out, ticks).await
        }
        (Format::Json | Format::Yaml | Format::Name, _) => {
            append_items(api, wanted, &mut out, ticks).await
        }
    }
}

async fn redraw(
    api: &Api,
    wanted: &Wanted,
    breadth: Breadth,
    out: &mut Printer,
    mut ticks: Interval,
) -> Result<Exit, Failure> {
    let mut table = None;
    let mut height = 0;
    loop {
        ticks.tick().await;
        let problem = match wanted.fetch(api).await {
            Ok(answer) => {
                table = Some(wanted.table(api, wanted.items(&answer), breadth)?);
                None
            }
            Err(failure) if failure.exit == Exit::Unreachable && table.is_some() => Some(failure),
            Err(failure) => return Err(failure),
        };
        let Some(table) = &table else { continue };
        let mut screen = table.to_string();
        if let Some(problem) = problem {
            screen.push_str(&problem.to_string());
        }
        let screen = clip(&screen);
        // Up to where the last drawing began, clear, and cut long lines instead of wrapping them.
        if height > 0 {
            out.control(&format!("\x1b[{height}A"))?;
        }
        out.control("\r\x1b[J\x1b[?7l")?;
        out.text(&screen)?;
        out.control("\x1b[?7h")?;
        height = screen.lines().count();
    }
}

/// What fits the terminal: what has scrolled away cannot be redrawn.
fn clip(screen: &str) -> String {
    let rows = tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    let lines = screen.lines().count();
    if rows < 3 || lines < rows {
        return screen.to_owned();
    }
    let shown = rows - 2;
    let mut clipped: String = screen.split_inclusive('\n').take(shown).collect();
    clipped.push_str(&format!("… {} more\n", lines - shown));
    clipped
}

async fn append_rows(
    api: &Api,
    wanted: &Wanted,
    breadth: Breadth,
    out: &mut Printer,
    mut ticks: Interval,
) -> Result<Exit, Failure> {
    let mut layout = Layout::default();
    let mut headed = false;
    let mut seen: HashSet<Vec<String>> = HashSet::new();
    loop {
        ticks.tick().await;
        Printer::check_reader()?;
        let answer = wanted.fetch(api).await?;
        let table = wanted.table(api, wanted.items(&answer), breadth)?;
        layout.widen(&table);
        if !headed {
            out.line(&layout.header(&table))?;
            headed = true;
        }
        let mut now = HashSet::new();
        for row in &table.rows {
            let news = table.news(row);
            if !seen.contains(&news) {
                out.line(&layout.row(&table, row))?;
            }
            now.insert(news);
        }
        seen = now;
    }
}

async fn append_items(
    api: &Api,
    wanted: &Wanted,
    out: &mut Printer,
    mut ticks: Interval,
) -> Result<Exit, Failure> {
    let mut seen: HashMap<String, Value> = HashMap::new();
    loop {
        ticks.tick().await;
        Printer::check_reader()?;
        let answer = wanted.fetch(api).await?;
        let mut now = HashMap::new();
        for item in wanted.items(&answer) {
            let name = wanted.name(&item);
            let before = seen.get(&name);
            match wanted.format {
                Format::Name if before.is_some() => {}
                Format::Name => out.line(&name)?,
                _ if before == Some(&item) => {}
                Format::Yaml => {
                    out.line(&"---")?;
                    out.yaml(&item)?;
                }
                Format::Json | Format::Table | Format::Wide => out.json_line(&item)?,
            }
            now.insert(name, item);
        }
        seen = now;
    }
}
