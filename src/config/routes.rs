//! Routes and their rules.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_saphyr::Location;

use super::backends::Backends;
use super::names::{self, Unique};
use super::problem::Report;
use super::schema::{self, At, Number};
use super::units::duration;
use super::{filters, matches};
use crate::model::{BackendName, RouteName, RuleId, RuleName, Split, Weight, WeightError};
use crate::routing::{Choice, Filters, HostPattern, Match, OnUnavailable, Rule, Timeouts};

/// Name of a route's only rule if it has none.
const ONLY_RULE: &str = "default";
/// Above what a page takes that is slow but not broken.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A rule with what the router needs to know of it.
pub(super) struct Compiled {
    pub(super) rule: Rule,
    pub(super) matches: Vec<Match>,
    /// Of each match; of the rule itself when there are none.
    pub(super) places: Vec<Location>,
}

pub(super) fn compile(
    written: Option<&At<Vec<At<schema::Route>>>>,
    backends: &mut Backends,
    report: &mut Report,
) -> Vec<Compiled> {
    if written.is_none_or(|routes| routes.is_empty()) {
        let place = written.map_or(Location::UNKNOWN, |routes| routes.place);
        report
            .warning(
                "no-routes",
                place,
                "there are no routes: every request is answered 404",
            )
            .hint("add one under `routes`; config/minimal.yaml has the shortest");
    }
    let mut names = Unique::default();
    let mut rules = Vec::new();
    for route in written.into_iter().flat_map(|routes| &routes.value) {
        names.check("route", &route.name, report);
        route_rules(route, backends, report, &mut rules);
    }
    rules
}

fn route_rules(
    written: &At<schema::Route>,
    backends: &mut Backends,
    report: &mut Report,
    rules: &mut Vec<Compiled>,
) {
    let name = names::read(&written.name, RouteName::parse, report);
    let hosts: Arc<[HostPattern]> = hosts(written.hosts.as_deref(), report).into();
    let list = written.rules.as_deref().unwrap_or_default();
    if list.is_empty() {
        let message = format!("the route `{}` has no rules", written.name.value);
        report
            .error("no-rules", written.name.place, message)
            .hint("add `rules: [{split: [{backend: …}]}]`");
    }
    let mut names = Unique::default();
    for rule in list {
        let rule_name = match &rule.name {
            Some(name) => {
                names.check("rule", name, report);
                names::read(name, RuleName::parse, report)
            }
            None if list.len() == 1 => RuleName::parse(ONLY_RULE).ok(),
            None => {
                report
                    .error("missing-field", rule.place, "this rule has no `name`")
                    .hint("only the single rule of a route may go without");
                None
            }
        };
        let id = name
            .clone()
            .zip(rule_name)
            .map(|(route, rule)| RuleId { route, rule });
        rules.extend(compile_rule(id, rule, &hosts, backends, report));
    }
}

fn hosts(written: Option<&[At<String>]>, report: &mut Report) -> Vec<HostPattern> {
    let mut seen: HashMap<HostPattern, Location> = HashMap::new();
    let mut found = Vec::new();
    for text in written.unwrap_or_default() {
        match HostPattern::parse(text) {
            Ok(host) => {
                if let Some(first) = seen.insert(host.clone(), text.place) {
                    report
                        .error(
                            "duplicate-host",
                            text.place,
                            format!("the host `{host}` is in the list already"),
                        )
                        .hint("keep one of the two")
                        .also(first, "the other one");
                } else {
                    found.push(host);
                }
            }
            Err(why) => {
                let bare = text.rsplit("://").next().unwrap_or(text);
                let bare = bare.split(['/', ':']).next().unwrap_or(bare).to_owned();
                let problem = report.error("bad-host", text.place, why.to_string());
                if HostPattern::parse(&bare).is_ok() {
                    problem.hint(format!("write `{bare}`"));
                }
            }
        }
    }
    found
}

fn compile_rule(
    id: Option<RuleId>,
    written: &At<schema::Rule>,
    hosts: &Arc<[HostPattern]>,
    backends: &mut Backends,
    report: &mut Report,
) -> Option<Compiled> {
    let list = written.matches.as_deref().unwrap_or_default();
    let mut places: Vec<Location> = list.iter().map(|one| one.place).collect();
    if places.is_empty() {
        places.push(written.place);
    }
    let found: Vec<Match> = list
        .iter()
        .filter_map(|one| matches::compile(one, report))
        .collect();
    let filters = filters::compile(written.filters.as_ref(), &found, report);
    let split = rule_split(written, &filters, backends, report);
    let limit = written
        .timeouts
        .as_ref()
        .and_then(|timeouts| timeouts.request.as_ref());
    let limit = duration(limit, REQUEST_TIMEOUT, report);
    if found.len() < list.len() {
        return None;
    }
    Some(Compiled {
        rule: Rule {
            id: id?,
            hosts: Arc::clone(hosts),
            matches: found.iter().map(ToString::to_string).collect(),
            filters,
            split,
            on_unavailable: match written.on_unavailable {
                None | Some(schema::OnUnavailable::Fail) => OnUnavailable::Fail,
                Some(schema::OnUnavailable::Redistribute) => OnUnavailable::Redistribute,
            },
            timeouts: Timeouts {
                request: (!limit.is_zero()).then_some(limit),
            },
        },
        matches: found,
        places,
    })
}

fn rule_split(
    written: &At<schema::Rule>,
    filters: &Filters,
    backends: &mut Backends,
    report: &mut Report,
) -> Split<Choice> {
    let redirect = written
        .filters
        .as_ref()
        .and_then(|filters| filters.redirect.as_ref());
    let list = written.split.as_ref();
    match (list, redirect) {
        (Some(list), Some(redirect)) => {
            report
                .error(
                    "conflict",
                    list.place,
                    "a redirected request goes to no backend, so `split` has no effect",
                )
                .hint("keep one of `split` and `redirect`; both are possible in two rules")
                .also(redirect.place, "the redirect");
        }
        (None, None) => {
            report
                .error(
                    "no-split",
                    written.place,
                    "this rule says nothing about where its requests go",
                )
                .hint("add `split: [{backend: …}]`, or the filter `redirect`");
        }
        (Some(list), None) if list.is_empty() => {
            report
                .error("no-split", list.place, "this split has no backends")
                .hint("add `{backend: …}`; with weight 0 if it shall get nothing for now");
        }
        _ => {}
    }
    debug_assert_eq!(filters.redirect.is_some(), redirect.is_some());
    let mut seen: HashMap<BackendName, Location> = HashMap::new();
    let mut entries = Vec::new();
    let mut judged = true;
    for entry in list.into_iter().flat_map(|list| &list.value) {
        let backend = backends.refer(&entry.backend, report);
        let weight = match &entry.weight {
            Some(weight) => read_weight(weight, report),
            None => Some(Weight::ONE),
        };
        let request = filters::header_edits(entry.request_headers.as_ref(), report);
        let response = filters::header_edits(entry.response_headers.as_ref(), report);
        let (Some(backend), Some(weight)) = (backend, weight) else {
            judged = false;
            continue;
        };
        if let Some(first) = seen.insert(backend.clone(), entry.backend.place) {
            let message = format!("the backend `{backend}` is in this split already");
            report
                .error("duplicate-backend", entry.backend.place, message)
                .hint("keep one entry, with the sum of the weights")
                .also(first, "the other one");
        }
        entries.push((
            Choice {
                backend,
                request,
                response,
            },
            weight,
        ));
    }
    let split = Split::new(entries);
    if let Some(list) = list.filter(|list| judged && !list.is_empty() && split.total() == 0) {
        report
            .warning(
                "closed-split",
                list.place,
                "every weight is 0: requests are answered 503 until one is raised",
            )
            .hint("give one backend a weight above 0");
    }
    split
}

fn read_weight(written: &At<Number>, report: &mut Report) -> Option<Weight> {
    const SHARES: &str = "only the ratio of the weights counts; for half a percent write 5 and 995";
    let mut wrong = |message: String, hint: &str| {
        report
            .error("bad-weight", written.place, message)
            .hint(hint);
        None
    };
    match &written.value {
        Number::Natural(number) => match Weight::new(*number) {
            Ok(weight) => Some(weight),
            Err(why @ WeightError(_)) => wrong(why.to_string(), SHARES),
        },
        Number::Negative(number) => wrong(
            format!("a weight cannot be negative, as {number} is"),
            "0 sends nothing to this backend",
        ),
        Number::Fraction(number) => {
            wrong(format!("a weight is a whole number, not {number}"), SHARES)
        }
        Number::Text(text) if text.ends_with('%') => wrong(
            format!("a weight is a share, not a percentage: `{text}`"),
            "leave out the `%`; only the ratio of the weights counts",
        ),
        Number::Text(text) => wrong(
            format!("a weight is a whole number, not the text `{text}`"),
            "write a number from 0 to 1000000 without quotes",
        ),
    }
}
