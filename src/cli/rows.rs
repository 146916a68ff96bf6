//! What the API says, as rows of tables.

use jiff::Timestamp;

use super::table::{Column, Row, Table, Tone};
use super::units::{NONE, UNKNOWN, age, latency, rate, share, success, until, word, words};
use crate::admin::view;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breadth {
    Table,
    Wide,
}

/// One row a backend of each split.
pub(super) fn routes(routes: &[view::Route], breadth: Breadth, now: Timestamp) -> Table {
    let mut columns = vec![
        Column::left("ROUTE").folded(),
        Column::left("RULE").folded(),
        Column::left("HOSTS").folded(),
        Column::left("BACKEND"),
        Column::right("WEIGHT"),
        Column::right("DESIRED"),
        Column::right("OBSERVED"),
        Column::right("SUCCESS"),
        Column::right("RPS"),
        Column::right("P50"),
        Column::right("P99"),
        Column::left("OVERRIDE").folded(),
        Column::right("AGE").folded().ageing(),
    ];
    if breadth == Breadth::Wide {
        columns.extend([
            Column::right("EXPIRES").folded().ageing(),
            Column::right("BASE"),
            Column::right("SAMPLES"),
            Column::right("P90"),
            Column::right("REVISION").folded(),
            Column::left("REASON").folded(),
            Column::left("MATCHES").folded(),
        ]);
    }
    let rules = routes
        .iter()
        .flat_map(|route| route.rules.iter().map(move |rule| (route, rule)));
    let rows = rules.flat_map(|(route, rule)| rule_rows(route, rule, breadth, now));
    Table {
        rows: rows.collect(),
        columns,
    }
}

fn rule_rows(route: &view::Route, rule: &view::Rule, breadth: Breadth, now: Timestamp) -> Vec<Row> {
    let over = rule.split.over.as_ref();
    let hosts = match route.hosts.as_slice() {
        [] => "*".to_owned(),
        hosts => hosts.join(","),
    };
    let row = |numbers: [String; 8], more: [String; 3]| {
        let mut cells = vec![route.name.clone(), rule.name.clone(), hosts.clone()];
        cells.extend(numbers);
        cells.push(word(over.map(|over| over.actor.as_str())));
        cells.push(over.map_or_else(|| NONE.to_owned(), |over| age(&over.since, now)));
        if breadth == Breadth::Wide {
            let expires = over.and_then(|over| over.expires_at.as_deref());
            cells.push(expires.map_or_else(|| NONE.to_owned(), |then| until(then, now)));
            cells.extend(more);
            cells.push(rule.split.revision.to_string());
            cells.push(word(over.and_then(|over| over.reason.as_deref())));
            cells.push(match rule.matches.as_slice() {
                [] => "everything".to_owned(),
                matches => matches.join(" or "),
            });
        }
        Row::new(cells)
    };
    if let Some(redirect) = &rule.redirect {
        let numbers = std::array::from_fn(|at| match at {
            0 => format!("redirect {redirect}"),
            _ => UNKNOWN.to_owned(),
        });
        return vec![row(numbers, std::array::from_fn(|_| UNKNOWN.to_owned()))];
    }
    let entries = rule.split.entries.iter();
    entries
        .map(|entry| row(numbers(entry), more(entry)))
        .collect()
}

fn numbers(entry: &view::SplitEntry) -> [String; 8] {
    let minute = &entry.last1m;
    [
        entry.backend.clone(),
        entry.weight.to_string(),
        share(Some(entry.desired)),
        share(entry.observed),
        success(minute.success_ratio),
        rate(minute.rate),
        latency(minute.p50),
        latency(minute.p99),
    ]
}

fn more(entry: &view::SplitEntry) -> [String; 3] {
    [
        entry.base_weight.to_string(),
        entry.last1m.samples.to_string(),
        latency(entry.last1m.p90),
    ]
}

/// One row a backend.
pub(super) fn backends(backends: &[view::Backend], breadth: Breadth) -> Table {
    let mut columns = vec![
        Column::left("BACKEND"),
        Column::left("STATE"),
        Column::left("PROTOCOL"),
        Column::right("ENDPOINTS"),
        Column::right("IN-FLIGHT"),
        Column::right("CONNECTIONS"),
        Column::left("USED-BY"),
    ];
    if breadth == Breadth::Wide {
        columns.extend([Column::left("ADDRESSES"), Column::left("PROBLEM")]);
    }
    let row = |backend: &view::Backend| {
        let ready = backend.endpoints.iter().filter(|one| one.state == "ready");
        let uses = backend.used_by.iter();
        let used_by: Vec<String> = uses
            .map(|one| format!("{}/{}={}", one.route, one.rule, one.weight))
            .collect();
        let mut cells = vec![
            backend.name.clone(),
            backend.state.clone(),
            backend.protocol.clone(),
            format!("{}/{}", ready.count(), backend.endpoints.len()),
            backend.in_flight.to_string(),
            backend.connections.to_string(),
            words(&used_by),
        ];
        if breadth == Breadth::Wide {
            let endpoints = backend.endpoints.iter();
            let addresses: Vec<String> = endpoints.map(|one| one.address.clone()).collect();
            cells.extend([words(&addresses), word(backend.problem.as_deref())]);
        }
        Row::new(cells).tone(match backend.state.as_str() {
            "ready" => Tone::Plain,
            _ => Tone::Bad,
        })
    };
    Table {
        rows: backends.iter().map(row).collect(),
        columns,
    }
}

/// One row an event, the newest last.
pub(super) fn events(events: &[view::Event], breadth: Breadth, now: Timestamp) -> Table {
    let mut columns = vec![
        Column::right("ID"),
        Column::right("AGE").ageing(),
        Column::left("KIND"),
        Column::left("WHERE"),
        Column::left("ACTOR"),
        Column::left("MESSAGE"),
    ];
    if breadth == Breadth::Wide {
        columns.extend([
            Column::left("REASON"),
            Column::right("REVISION"),
            Column::left("TIME"),
        ]);
    }
    let row = |event: &view::Event| {
        let place = match (&event.route, &event.rule) {
            (Some(route), Some(rule)) => format!("{route}/{rule}"),
            (Some(route), None) => route.clone(),
            (None, _) => NONE.to_owned(),
        };
        let mut cells = vec![
            event.id.to_string(),
            age(&event.time, now),
            event.kind.clone(),
            place,
            event.actor.clone(),
            event.message.clone(),
        ];
        if breadth == Breadth::Wide {
            cells.extend([
                word(event.reason.as_deref()),
                event.revision.to_string(),
                event.time.clone(),
            ]);
        }
        Row::new(cells).tone(match event.kind.as_str() {
            "ConfigRefused" => Tone::Bad,
            "OverrideParked" => Tone::Worry,
            _ => Tone::Plain,
        })
    };
    Table {
        rows: events.iter().map(row).collect(),
        columns,
    }
}
