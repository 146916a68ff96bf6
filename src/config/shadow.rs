//! Shadowed matches: those that an earlier one always wins against.
//!
//! A match that can never answer is a mistake that no test of the other rules would show. Between
//! two matches of the same host, path, method and names of conditions only the order decides
//! (Gateway API), so the later one is dead when every value it takes is taken by the earlier one:
//! when they are equal, or when the earlier one asks for a header to be present and the later one
//! for a certain value of it.

use std::collections::HashMap;

use super::problem::Report;
use super::routes::Compiled;
use crate::routing::{Condition, Conditions, HostPattern, Match, PathMatch, TextMatch};

/// Earlier matches that are wider than one value, compared with each later one of the same shape;
/// more of them are not compared, so that a file of thousands is still judged in linear time.
const WIDE_MAX: usize = 32;

/// Everything but values: where it differs, no match shadows the other.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Shape<'a> {
    host: &'a HostPattern,
    path: (u8, &'a str),
    method: Option<&'a str>,
    /// Kind and name, sorted.
    names: Vec<(u8, &'a str)>,
}

/// Where a match stands.
#[derive(Clone, Copy)]
struct Stand<'a> {
    rule: usize,
    position: usize,
    one: Option<&'a Match>,
}

#[derive(Default)]
struct Bucket<'a> {
    /// By the values of all conditions.
    equal: HashMap<Vec<(u8, &'a str)>, Stand<'a>>,
    wide: Vec<Stand<'a>>,
}

/// Reports every match that can never answer.
pub(super) fn check(rules: &[Compiled], report: &mut Report) {
    let mut buckets: HashMap<Shape<'_>, Bucket<'_>> = HashMap::new();
    let any = [HostPattern::Any];
    for (at, compiled) in rules.iter().enumerate() {
        let hosts: &[HostPattern] = &compiled.rule.hosts;
        let hosts = if hosts.is_empty() { &any } else { hosts };
        let matches: Vec<Option<&Match>> = if compiled.matches.is_empty() {
            vec![None]
        } else {
            compiled.matches.iter().map(Some).collect()
        };
        for (position, one) in matches.into_iter().enumerate() {
            let stand = Stand {
                rule: at,
                position,
                one,
            };
            for host in hosts {
                let bucket = buckets.entry(shape(host, one)).or_default();
                if let Some(first) = bucket.file(stand) {
                    shadowed(rules, host, first, stand, report);
                    // Once per match: with the same hosts each would say the same.
                    break;
                }
            }
        }
    }
}

impl<'a> Bucket<'a> {
    /// Files a match, unless an earlier one shadows it: that one is returned then.
    fn file(&mut self, stand: Stand<'a>) -> Option<Stand<'a>> {
        let Some(one) = stand.one.map(|one| &one.conditions) else {
            return self.file_values(Vec::new(), stand);
        };
        let values = values(one);
        let covers = |wide: &&Stand<'_>| wide.one.is_some_and(|wide| covers(&wide.conditions, one));
        if let Some(wide) = self.wide.iter().find(covers) {
            return Some(*wide);
        }
        let exact = values.iter().all(|(kind, _)| *kind == EXACT);
        if !exact && self.wide.len() < WIDE_MAX {
            self.wide.push(stand);
        }
        self.file_values(values, stand)
    }

    fn file_values(&mut self, values: Vec<(u8, &'a str)>, stand: Stand<'a>) -> Option<Stand<'a>> {
        let before = self.equal.get(&values).copied();
        if before.is_none() {
            self.equal.insert(values, stand);
        }
        before
    }
}

fn shadowed(
    rules: &[Compiled],
    host: &HostPattern,
    first: Stand<'_>,
    second: Stand<'_>,
    report: &mut Report,
) {
    let (Some(winner), Some(loser)) = (rules.get(first.rule), rules.get(second.rule)) else {
        return;
    };
    let place = |rule: &Compiled, position: usize| {
        rule.places.get(position).or(rule.places.first()).copied()
    };
    let (Some(here), Some(there)) = (place(loser, second.position), place(winner, first.position))
    else {
        return;
    };
    let on_host = match host {
        HostPattern::Any => String::new(),
        HostPattern::Exact(_) | HostPattern::Below(_) => format!(" for the host `{host}`"),
    };
    let message = if first.rule == second.rule {
        format!(
            "this match never counts{on_host}: an earlier one of the same rule takes its requests"
        )
    } else {
        format!(
            "this match never answers{on_host}: the earlier rule `{}` takes its requests",
            winner.rule.id
        )
    };
    report
        .error("shadowed", here, message)
        .hint("remove one of the two, make this one more specific, or put it first")
        .also(there, "wins always");
}

fn shape<'a>(host: &'a HostPattern, one: Option<&'a Match>) -> Shape<'a> {
    let Some(one) = one else {
        return Shape {
            host,
            path: (PREFIX, ""),
            method: None,
            names: Vec::new(),
        };
    };
    let Conditions {
        method,
        headers,
        queries,
        cookies,
    } = &one.conditions;
    let headers = headers.iter().map(|c| (0, c.name.as_str()));
    let queries = queries.iter().map(|c| (1, &*c.name));
    let cookies = cookies.iter().map(|c| (2, &*c.name));
    let mut names: Vec<(u8, &str)> = headers.chain(queries).chain(cookies).collect();
    names.sort_unstable();
    Shape {
        host,
        path: match &one.path {
            PathMatch::Exact(path) => (EXACT, path),
            PathMatch::Prefix(path) => (PREFIX, path),
            PathMatch::Regex(regex) => (REGEX, regex.as_str()),
        },
        method: method.as_ref().map(http::Method::as_str),
        names,
    }
}

const EXACT: u8 = 0;
const PREFIX: u8 = 1;
const REGEX: u8 = 2;
const PRESENT: u8 = 3;

/// The values of all conditions, in the order of their names.
fn values(conditions: &Conditions) -> Vec<(u8, &str)> {
    sorted(conditions)
        .into_iter()
        .map(|(_, _, value)| match value {
            TextMatch::Exact(text) => (EXACT, &**text),
            TextMatch::Prefix(text) => (PREFIX, &**text),
            TextMatch::Regex(regex) => (REGEX, regex.as_str()),
            TextMatch::Present => (PRESENT, ""),
        })
        .collect()
}

fn sorted(conditions: &Conditions) -> Vec<(u8, &str, &TextMatch)> {
    fn parts<'a, N>(
        kind: u8,
        list: &'a [Condition<N>],
        name: impl Fn(&'a N) -> &'a str,
    ) -> impl Iterator<Item = (u8, &'a str, &'a TextMatch)> {
        list.iter().map(move |c| (kind, name(&c.name), &c.value))
    }
    let headers = parts(0, &conditions.headers, |name| name.as_str());
    let queries = parts(1, &conditions.queries, |name| &**name);
    let cookies = parts(2, &conditions.cookies, |name| &**name);
    let mut all: Vec<_> = headers.chain(queries).chain(cookies).collect();
    all.sort_unstable_by_key(|(kind, name, _)| (*kind, *name));
    all
}

/// Whether everything that meets `narrow` meets `wide`; both have the same names.
fn covers(wide: &Conditions, narrow: &Conditions) -> bool {
    let pairs = sorted(wide).into_iter().zip(sorted(narrow));
    pairs
        .into_iter()
        .all(|((_, _, wide), (_, _, narrow))| match (wide, narrow) {
            (TextMatch::Present, _) => true,
            (TextMatch::Exact(a), TextMatch::Exact(b)) => a == b,
            (TextMatch::Prefix(a), TextMatch::Exact(b) | TextMatch::Prefix(b)) => {
                b.starts_with(&**a)
            }
            (TextMatch::Regex(a), TextMatch::Exact(b)) => a.is_match(b),
            (TextMatch::Regex(a), TextMatch::Regex(b)) => a.as_str() == b.as_str(),
            (
                TextMatch::Exact(_) | TextMatch::Prefix(_) | TextMatch::Regex(_),
                TextMatch::Exact(_)
                | TextMatch::Prefix(_)
                | TextMatch::Regex(_)
                | TextMatch::Present,
            ) => false,
        })
}
