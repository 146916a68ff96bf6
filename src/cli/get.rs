//! `get routes|backends|events`: what runs, once.

use jiff::Timestamp;
use serde_json::Value;

use super::api::{Api, Kind, printable};
use super::args::{Format, Get, Look};
use super::exit::{Exit, Failure};
use super::output::{Printer, say};
use super::rows::{self, Breadth};
use super::table::Table;
use super::watch;
use crate::admin::view;

/// What is to be shown.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    pub(super) name: Option<String>,
    pub(super) format: Format,
}

impl Wanted {
    fn new(get: Get) -> (Self, bool) {
        let (kind, look) = match get {
            Get::Routes(look) => (Kind::Routes, look),
            Get::Backends(look) => (Kind::Backends, look),
            Get::Events(look) => (Kind::Events, look),
        };
        let Look {
            name,
            output,
            watch,
        } = look;
        let wanted = Self {
            kind,
            name,
            format: output.format,
        };
        (wanted, watch)
    }

    /// Asks for it.
    pub(super) async fn fetch(&self, api: &Api) -> Result<Value, Failure> {
        match (self.kind, &self.name) {
            (Kind::Routes | Kind::Backends, Some(name)) => api.one(self.kind, name).await,
            (Kind::Events, Some(route)) => {
                let mut page = api.many_events().await?;
                if let Some(Value::Array(events)) = page.get_mut("items") {
                    events
                        .retain(|event| event.get("route").and_then(Value::as_str) == Some(route));
                }
                Ok(page)
            }
            (_, None) => api.list(self.kind).await,
        }
    }

    /// The single things in an answer, in the order they are shown.
    pub(super) fn items(&self, answer: &Value) -> Vec<Value> {
        let mut items = match answer.get("items") {
            Some(Value::Array(items)) => items.clone(),
            _ => vec![answer.clone()],
        };
        if self.kind == Kind::Events {
            items.sort_by_key(id);
        }
        items
    }

    pub(super) fn table(
        &self,
        api: &Api,
        items: Vec<Value>,
        breadth: Breadth,
    ) -> Result<Table, Failure> {
        let items = Value::Array(items);
        let now = Timestamp::now();
        Ok(match self.kind {
            Kind::Routes => rows::routes(&api.shape::<Vec<_>>(items)?, breadth, now),
            Kind::Backends => rows::backends(&api.shape::<Vec<_>>(items)?, breadth),
            Kind::Events => rows::events(&api.shape::<Vec<_>>(items)?, breadth, now),
        })
    }

    /// What names an item: `route/podinfo`, `event/7`.
    pub(super) fn name(&self, item: &Value) -> String {
        let name = match self.kind {
            Kind::Routes | Kind::Backends => item.get("name").and_then(Value::as_str),
            Kind::Events => None,
        };
        match name {
            Some(name) => format!("{}/{name}", self.kind.singular()),
            None => format!("{}/{}", self.kind.singular(), id(item)),
        }
    }
}

fn id(event: &Value) -> u64 {
    event.get("id").and_then(Value::as_u64).unwrap_or_default()
}

pub(super) async fn get(api: &Api, get: Get) -> Result<Exit, Failure> {
    let (wanted, keep_showing) = Wanted::new(get);
    if keep_showing {
        return watch::watch(api, &wanted).await;
    }
    let answer = wanted.fetch(api).await?;
    let mut out = Printer::new();
    match wanted.format {
        Format::Json => out.json(&answer)?,
        Format::Yaml => out.yaml(&answer)?,
        Format::Name => {
            for item in wanted.items(&answer) {
                out.line(&wanted.name(&item))?;
            }
        }
        Format::Table => show(&mut out, api, &wanted, &answer, Breadth::Table)?,
        Format::Wide => show(&mut out, api, &wanted, &answer, Breadth::Wide)?,
    }
    Ok(Exit::Ok)
}

fn show(
    out: &mut Printer,
    api: &Api,
    wanted: &Wanted,
    answer: &Value,
    breadth: Breadth,
) -> Result<(), Failure> {
    let table = wanted.table(api, wanted.items(answer), breadth)?;
    out.text(&table)?;
    if let Some(parked) = answer.get("parked") {
        for one in api.shape::<Vec<view::ParkedOverride>>(parked.clone())? {
            say(&parked_words(&one));
        }
    }
    Ok(())
}

/// What was set by hand and does not apply must not go unseen beside what does.
fn parked_words(parked: &view::ParkedOverride) -> String {
    let view::ParkedOverride { route, rule, over } = parked;
    let weights: Vec<String> = over
        .weights
        .iter()
        .map(|(backend, weight)| format!("{backend}={weight}"))
        .collect();
    format!(
        "parked: {route}/{rule} {}: the config lacks what these live weights name; \
         `pointsman weight reset {route}/{rule}` drops them",
        printable(&weights.join(" "))
    )
}
