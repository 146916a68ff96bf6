//! `weight set` and `weight reset`: moving the points by hand.
//!
//! Every change is based on the split as it was read a moment before (`If-Match`), so that the
//! table "before → after" is true and two people never overwrite each other unseen. Without a
//! revision of the user's own, a change that came in between is read and tried on again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::Method;
use serde_json::Value;

use super::api::{Api, Kind, Place, Terms, closest, printable};
use super::args::{Change, Format, Weight as Command, WeightReset, WeightSet};
use super::exit::{Exit, Failure};
use super::output::{Printer, say};
use super::table::{Column, Row, Table};
use super::units::share;
use crate::admin::view;
use crate::model::{BackendName, RouteName, RuleName, Weight};

/// How often a change is tried on that others keep overtaking.
const ATTEMPTS_MAX: usize = 3;

/// `ROUTE` or `ROUTE/RULE`.
#[derive(Clone, Debug)]
pub(super) struct Target {
    route: RouteName,
    rule: Option<RuleName>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (route, rule) = match text.split_once('/') {
            Some((route, rule)) => (route, Some(rule)),
            None => (text, None),
        };
        let route = RouteName::parse(route).map_err(|error| format!("route: {error}"))?;
        let rule = rule.map(RuleName::parse).transpose();
        let rule = rule.map_err(|error| format!("rule: {error}"))?;
        Ok(Self { route, rule })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.route)?;
        match &self.rule {
            Some(rule) => write!(f, "/{rule}"),
            None => Ok(()),
        }
    }
}

/// `BACKEND=N`.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    backend: BackendName,
    weight: Weight,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((backend, weight)) = text.split_once('=') else {
            return Err("write it as BACKEND=N, such as canary=5".to_owned());
        };
        let backend = BackendName::parse(backend).map_err(|error| format!("backend: {error}"))?;
        if weight.ends_with('%') {
            return Err("a weight is a share, not a percentage: leave out the `%`".to_owned());
        }
        let whole = weight.parse().ok().and_then(|n| Weight::new(n).ok());
        let weight = whole.ok_or_else(|| {
            let max = Weight::MAX;
            format!("a weight is a whole number from 0 to {max}, not {weight:?}")
        })?;
        Ok(Self { backend, weight })
    }
}

/// What is to become of a split.
#[derive(Debug)]
enum Wish {
    Set(view::SplitChange),
    Reset { reason: Option<String> },
}

pub(super) async fn weight(api: &Api, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Set(set) => {
            let wish = Wish::Set(wanted(&set)?);
            apply(api, &set.target, &set.change, &wish).await
        }
        Command::Reset(WeightReset {
            target,
            reason,
            change,
        }) => apply(api, &target, &change, &Wish::Reset { reason }).await,
    }
}

fn wanted(set: &WeightSet) -> Result<view::SplitChange, Failure> {
    let mut weights = BTreeMap::new();
    for Assignment { backend, weight } in &set.weights {
        let number = weight.get().into();
        if weights.insert(backend.to_string(), number).is_some() {
            return Err(Failure::usage(format!("{backend} is given two weights")));
        }
    }
    Ok(view::SplitChange {
        weights,
        reason: set.reason.clone(),
        expires_in: set.expires_in.clone(),
    })
}

/// Makes the change and shows it.
async fn apply(api: &Api, target: &Target, change: &Change, wish: &Wish) -> Result<Exit, Failure> {
    let mut attempts = 1;
    loop {
        let Some(route) = api.find(Kind::Routes, target.route.as_str()).await? else {
            return gone(api, target, change, wish).await;
        };
        let route: view::Route = api.shape(route)?;
        let rule = match rule_of(&route, target) {
            Ok(rule) => rule,
            Err(Missing::Rule(failure)) => {
                let parked = gone(api, target, change, wish).await;
                return parked.map_err(|_| failure);
            }
            Err(Missing::Choice(failure)) => return Err(failure),
        };
        let place = Place {
            route: &route.name,
            rule: &rule.name,
        };
        let terms = Terms {
            dry_run: change.dry_run,
            if_match: Some(change.if_match.unwrap_or(rule.split.revision)),
        };
        let answer = match wish {
            Wish::Set(wanted) => {
                let method = method(wanted, &rule.split);
                api.set_split(place, terms, method, wanted).await
            }
            Wish::Reset { reason } => api.reset_split(place, terms, reason.as_deref()).await,
        };
        match answer {
            Ok(answer) => return show(api, place, &rule.split, answer, change),
            Err(failure)
                if failure.exit == Exit::Conflict
                    && change.if_match.is_none()
                    && attempts < ATTEMPTS_MAX =>
            {
                attempts += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// What can be done about a rule that does not run: drop the override that waits for it.
async fn gone(api: &Api, target: &Target, change: &Change, wish: &Wish) -> Result<Exit, Failure> {
    let unknown = api.unknown(Kind::Routes, target.route.as_str());
    let (Some(rule), Wish::Reset { reason }) = (&target.rule, wish) else {
        return Err(unknown.await);
    };
    let place = Place {
        route: target.route.as_str(),
        rule: rule.as_str(),
    };
    let terms = Terms {
        dry_run: change.dry_run,
        if_match: change.if_match,
    };
    if api
        .reset_split(place, terms, reason.as_deref())
        .await
        .is_err()
    {
        return Err(unknown.await);
    }
    let would = if change.dry_run { "would be" } else { "was" };
    say(&format_args!(
        "{target}: the parked override {would} dropped"
    ));
    Ok(Exit::Ok)
}

/// `PUT` names every backend of the split; anything else, a wrong name included, is a `PATCH`.
fn method(wanted: &view::SplitChange, split: &view::Split) -> Method {
    let named = wanted.weights.keys();
    if named.eq(split.weights.keys()) {
        Method::PUT
    } else {
        Method::PATCH
    }
}

/// Why no rule could be found.
enum Missing {
    /// The named one does not run.
    Rule(Failure),
    /// None was named, and there is not exactly one.
    Choice(Failure),
}

/// The rule that is meant: the named one, or the only one with a split.
fn rule_of<'a>(route: &'a view::Route, target: &Target) -> Result<&'a view::Rule, Missing> {
    if let Some(name) = &target.rule {
        let found = route.rules.iter().find(|rule| rule.name == name.as_str());
        return found.ok_or_else(|| Missing::Rule(unknown_rule(route, name.as_str())));
    }
    let splitting: Vec<&view::Rule> = splitting(route).collect();
    match splitting.as_slice() {
        [only] => Ok(only),
        [] => Err(Missing::Choice(Failure::new(format!(
            "no rule of route {} has a split",
            route.name
        )))),
        several => {
            let failure = Failure::usage(format!(
                "route {} has {} rules with a split: say which one",
                route.name,
                several.len()
            ));
            Err(Missing::Choice(
                several.iter().fold(failure, |failure, rule| {
                    failure.note(format!("{}/{}", route.name, rule.name))
                }),
            ))
        }
    }
}

fn splitting(route: &view::Route) -> impl Iterator<Item = &view::Rule> {
    route.rules.iter().filter(|rule| rule.redirect.is_none())
}

fn unknown_rule(route: &view::Route, name: &str) -> Failure {
    let names: Vec<&str> = splitting(route).map(|rule| rule.name.as_str()).collect();
    let failure = Failure::new(format!("route {} has no rule {name}", route.name))
        .note(format!("its rules: {}", names.join(", ")));
    match closest(name, &names) {
        Some(near) => failure.hint(format!("did you mean {}/{near}?", route.name)),
        None => failure,
    }
}

fn show(
    api: &Api,
    place: Place<'_>,
    before: &view::Split,
    answer: Value,
    change: &Change,
) -> Result<Exit, Failure> {
    let mut out = Printer::new();
    let name = format!("{}/{}", place.route, place.rule);
    let warnings = answer.get("warnings").and_then(Value::as_array);
    for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
        say(&format_args!("warning: {}", printable(warning)));
    }
    match change.output.format {
        Format::Json => out.json(&answer)?,
        Format::Yaml => out.yaml(&answer)?,
        Format::Name => out.line(&name)?,
        Format::Table | Format::Wide => {
            let after: view::Split = api.shape(answer)?;
            if change.dry_run {
                say(&format_args!("{name}: dry run, nothing was changed"));
            } else {
                let (old, new) = (before.revision, after.revision);
                say(&format_args!("{name}: revision {old} → {new}"));
            }
            out.text(&comparison(before, &after))?;
        }
    }
    Ok(Exit::Ok)
}

fn comparison(before: &view::Split, after: &view::Split) -> Table {
    let arrow = |old: String, new: String| match old == new {
        true => new,
        false => format!("{old} → {new}"),
    };
    let row = |new: &view::SplitEntry| {
        let old = before.entries.iter().find(|old| old.backend == new.backend);
        let old = old.unwrap_or(new);
        Row::new([
            new.backend.clone(),
            arrow(old.weight.to_string(), new.weight.to_string()),
            arrow(share(Some(old.desired)), share(Some(new.desired))),
        ])
    };
    Table {
        columns: vec![
            Column::left("BACKEND"),
            Column::right("WEIGHT"),
            Column::right("SHARE"),
        ],
        rows: after.entries.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_whole_numbers() {
        for good in ["canary=0", "canary=1000000", "v6.1.8=5"] {
            assert!(good.parse::<Assignment>().is_ok(), "{good}");
        }
        for bad in [
            "canary",
            "canary=",
            "canary=-1",
            "canary=0.5",
            "canary=5%",
            "canary=1000001",
            "Canary=1",
            "=1",
        ] {
            assert!(bad.parse::<Assignment>().is_err(), "{bad}");
        }
    }
}
