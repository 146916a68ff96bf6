//! `explain`: why a request would go where it goes.
//!
//! With `-c` a file answers, without anything running; else the running Pointsman does. Both say
//! it in the same shape, and the same lines are printed.

use std::path::Path;

use http::Method;

use super::api::Api;
use super::args::{Explain, Format};
use super::exit::{Exit, Failure};
use super::output::Printer;
use super::table::{Column, Row, Table, Tone};
use super::units::{share, word};
use super::validate;
use crate::admin::explain::{Question, explain as follow};
use crate::admin::view;

/// A question as it was typed, and as it was understood.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    headers: Vec<String>,
    question: Question,
    format: Format,
}

impl Asked {
    /// # Errors
    /// When it cannot be part of a request.
    pub(super) fn new(explain: Explain) -> Result<Self, Failure> {
        let Explain {
            method,
            mut headers,
            cookie,
            url,
            output,
            ..
        } = explain;
        headers.extend(cookie.iter().map(|cookie| format!("Cookie: {cookie}")));
        let lines = headers.iter().map(String::as_str);
        let question = Question::parse(&url, method.clone(), lines)
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self {
            method,
            headers,
            question,
            format: output.format,
        })
    }
}

/// Asks a config file.
pub(super) fn of_file(asked: &Asked, config: &Path) -> Result<Exit, Failure> {
    let base = validate::load(config)?;
    let blueprint = base.blueprint(&Default::default());
    let answer = follow(
        &blueprint.router,
        &blueprint.rules,
        &blueprint.backends,
        &asked.question,
    );
    show(asked, &answer)
}

/// Asks what runs.
pub(super) async fn of_running(asked: &Asked, api: &Api) -> Result<Exit, Failure> {
    let answer = api
        .explain(&asked.question.url(), &asked.method, &asked.headers)
        .await?;
    show(asked, &api.shape(answer)?)
}

fn show(asked: &Asked, answer: &view::Explanation) -> Result<Exit, Failure> {
    let mut out = Printer::new();
    let value = || serde_json::to_value(answer).expect("plain data always serialises");
    match asked.format {
        Format::Json => out.json(&value())?,
        Format::Yaml => out.yaml(&value())?,
        Format::Name => out.line(&place(answer))?,
        Format::Table | Format::Wide => {
            out.line(&asked.question)?;
            if !answer.considered.is_empty() {
                out.text(&format_args!("\n{}", considered(answer)))?;
            }
            out.line(&format_args!("\n{}", outcome(answer)))?;
            if !answer.shares.is_empty() {
                out.text(&format_args!("\n{}", shares(answer)))?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn place(answer: &view::Explanation) -> String {
    match (&answer.route, &answer.rule) {
        (Some(route), Some(rule)) => format!("{route}/{rule}"),
        _ => word(None),
    }
}

fn considered(answer: &view::Explanation) -> Table {
    let row = |one: &view::ExplainedMatch| {
        let tone = match one.verdict.as_str() {
            "answers" => Tone::Good,
            _ => Tone::Quiet,
        };
        Row::new([
            one.verdict.clone(),
            one.route.clone(),
            one.rule.clone(),
            one.one.clone(),
            word(one.broken.as_deref()),
        ])
        .tone(tone)
    };
    Table {
        columns: vec![
            Column::left("VERDICT"),
            Column::left("ROUTE"),
            Column::left("RULE"),
            Column::left("MATCH"),
            Column::left("BROKEN"),
        ],
        rows: answer.considered.iter().map(row).collect(),
    }
}

fn outcome(answer: &view::Explanation) -> String {
    let place = place(answer);
    match answer.outcome.as_str() {
        "404" if answer.considered.is_empty() => {
            "answered 404: no route has this host and path".to_owned()
        }
        "404" => "answered 404: host and path fit, but no match holds".to_owned(),
        "redirect" => match &answer.redirect {
            Some(to) => format!("{place} redirects to {to}"),
            None => format!("{place} redirects, but not to a valid address"),
        },
        "closed" => format!("answered 503 by {place}: every weight is 0"),
        _ => format!("split by {place}"),
    }
}

fn shares(answer: &view::Explanation) -> Table {
    let row = |one: &view::ExplainedShare| {
        let tone = match one.problem {
            Some(_) => Tone::Bad,
            None => Tone::Plain,
        };
        Row::new([
            one.backend.clone(),
            share(Some(one.share)),
            word(one.problem.as_deref()),
        ])
        .tone(tone)
    };
    Table {
        columns: vec![
            Column::left("BACKEND"),
            Column::right("SHARE"),
            Column::left("PROBLEM"),
        ],
        rows: answer.shares.iter().map(row).collect(),
    }
}
