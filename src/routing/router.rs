//! From a request to the rule that answers it.
//!
//! Two hash look-ups for the common case, whatever the number of routes: the host finds a table,
//! the path finds the few matches that could fit, best first. Hosts are tried from the most
//! specific to the least (exact, then wildcards from the longest, then any); inside a host exact
//! paths come before regexes before prefixes from the longest, and `precedence` orders the rest.
//!
//! Among many routes the cost is cache misses, so what is looked at first is small and lies
//! together ([`Texts`]), and a host whose one rule takes everything has no table at all.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method};
use regex::Regex;

use super::host::{HostPattern, request_host};
use super::path::{PathMatch, Scratch, normal_form, normalise};
use super::precedence::Precedence;
use super::predicate::{Broken, Conditions};
use super::texts::Texts;

/// One way into a rule: conditions that are all met.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) path: PathMatch,
    pub(crate) conditions: Conditions,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.path, self.conditions)
    }
}

/// What the router looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) method: &'a Method,
    /// `Host` header or `:authority`, with or without port; empty when there is none.
    pub(crate) authority: &'a str,
    /// As it came; normalised here.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> View<'a> {
    /// The path as it is matched; written to `scratch` where it differs from what came.
    pub(crate) fn normal_path(&self, scratch: &'a mut Scratch) -> &'a str {
        normalise(self.path, scratch)
    }
}

/// The rule that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Index of the rule, in the order the rules were given to [`Router::new`].
    pub(crate) rule: usize,
    /// How many bytes of the normalised path the matching prefix took; 0 for exact and regex.
    pub(crate) prefix_length: usize,
}

/// One match of one rule, filed under its host and path. Small, because many lie in the cache.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) rule: u32,
    pub(super) position: u32,
    prefix_length: u32,
    /// `None`: there are no conditions. Shared by all matches that ask for the same, which in a
    /// large table are most: `x-canary: always` on a thousand hosts stays in the cache.
    conditions: Option<Arc<Conditions>>,
}

#[derive(Debug)]
struct RegexEntry {
    regex: Regex,
    entry: Entry,
}

/// What a host pattern leads to.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Its only match takes everything.
    Rule(u32),
    /// Index of its table.
    Table(u32),
}

/// All matches of one host pattern, each list in the order of precedence.
#[derive(Debug, Default)]
struct HostTable {
    /// What is found by its text; most tables have only the root.
    paths: Option<Box<Paths>>,
    regex: Vec<RegexEntry>,
    root: Vec<Entry>,
}

#[derive(Debug)]
struct Paths {
    exact: Texts<Vec<Entry>>,
    /// Without trailing slash.
    prefix: Texts<Vec<Entry>>,
}

/// The compiled routing table. Immutable.
#[derive(Debug)]
pub(crate) struct Router {
    exact: Texts<Target>,
    below: Texts<Target>,
    any: HostTable,
    tables: Vec<HostTable>,
}

impl Default for Router {
    /// Finds nothing.
    fn default() -> Self {
        Self::new([])
    }
}

/// Conditions seen so far, by what they say.
#[derive(Default)]
struct Shared(HashMap<String, Arc<Conditions>>);

impl Shared {
    fn of(&mut self, conditions: &Conditions) -> Option<Arc<Conditions>> {
        if conditions.is_empty() {
            return None;
        }
        // The debug form says everything and quotes every text, so equal forms mean the same.
        let same = self.0.entry(format!("{conditions:?}"));
        Some(Arc::clone(
            same.or_insert_with(|| Arc::new(conditions.clone())),
        ))
    }
}

/// A match on its way into a table.
#[derive(Clone)]
struct Draft<'a> {
    rank: Precedence,
    path: &'a PathMatch,
    entry: Entry,
}

impl Router {
    /// Files the matches of all rules. `rules` come in config order, each with the hosts of its
    /// route (none: any host) and its matches (none: everything).
    pub(crate) fn new<'a>(
        rules: impl IntoIterator<Item = (&'a [HostPattern], &'a [Match])>,
    ) -> Self {
        let everything = [Match {
            path: PathMatch::any(),
            conditions: Conditions::default(),
        }];
        let mut drafts: HashMap<&HostPattern, Vec<Draft<'_>>> = HashMap::new();
        let mut shared = Shared::default();
        for (rule, (hosts, matches)) in rules.into_iter().enumerate() {
            let hosts = match hosts {
                [] => &[HostPattern::Any],
                hosts => hosts,
            };
            let matches = match matches {
                [] => &everything,
                matches => matches,
            };
            for (one, position) in matches.iter().zip(0..) {
                let draft = Draft::of(one, rule, position, &mut shared);
                for host in hosts {
                    drafts.entry(host).or_default().push(draft.clone());
                }
            }
        }
        Self::file(drafts)
    }

    fn file(drafts: HashMap<&HostPattern, Vec<Draft<'_>>>) -> Self {
        let (mut exact, mut below) = (Vec::new(), Vec::new());
        let (mut any, mut tables) = (HostTable::default(), Vec::new());
        let mut target = |drafts: Vec<Draft<'_>>| match &*drafts {
            [one] if one.takes_everything() => Target::Rule(one.entry.rule),
            _ => {
                tables.push(HostTable::new(drafts));
                Target::Table(narrow(tables.len() - 1))
            }
        };
        for (host, drafts) in drafts {
            match host {
                HostPattern::Any => any = HostTable::new(drafts),
                HostPattern::Exact(name) => exact.push((&**name, target(drafts))),
                HostPattern::Below(name) => below.push((&**name, target(drafts))),
            }
        }
        Self {
            exact: Texts::new(exact.into_iter()),
            below: Texts::new(below.into_iter()),
            any,
            tables,
        }
    }

    /// The best match for a request, or none. `scratch` is touched only by hosts and paths that are
    /// not in their normal form.
    pub(crate) fn find(&self, request: View<'_>, scratch: &mut Scratch) -> Option<Found> {
        let Scratch { host, path } = scratch;
        let path = LazyCell::new(|| normal_form(request.path, path));
        let in_targets = if self.exact.is_empty() && self.below.is_empty() {
            None
        } else {
            self.targets(request_host(request.authority, host))
                .find_map(|target| match target {
                    Target::Rule(rule) => Some(Found {
                        rule: rule as usize,
                        prefix_length: 0,
                    }),
                    Target::Table(at) => self.table(at)?.find(&path, request),
                })
        };
        in_targets.or_else(|| self.any.find(&path, request))
    }

    /// Every entry that host and path allow, best first: what `find` would try in turn.
    pub(super) fn candidates(&self, authority: &str, path: &str) -> Vec<Entry> {
        let mut scratch = Scratch::default();
        let path = normal_form(path, &mut scratch.path);
        let mut found = Vec::new();
        for target in self.targets(request_host(authority, &mut scratch.host)) {
            match target {
                Target::Rule(rule) => found.push(Entry::everything(rule)),
                Target::Table(at) => {
                    found.extend(self.table(at).into_iter().flat_map(|t| t.candidates(path)));
                }
            }
        }
        found.extend(self.any.candidates(path));
        found
    }

    /// What a host may use, most specific first, without what serves any host.
    fn targets(&self, host: &str) -> impl Iterator<Item = Target> {
        let exact = self.exact.get(host);
        let mut rest = if self.below.is_empty() { "" } else { host };
        let below = std::iter::from_fn(move || {
            while let Some((_, parent)) = rest.split_once('.') {
                rest = parent;
                if let Some(target) = self.below.get(parent) {
                    return Some(target);
                }
            }
            None
        });
        exact.into_iter().chain(below).copied()
    }

    fn table(&self, at: u32) -> Option<&HostTable> {
        self.tables.get(at as usize)
    }
}

impl<'a> Draft<'a> {
    fn of(one: &'a Match, rule: usize, position: u32, shared: &mut Shared) -> Self {
        let conditions = &one.conditions;
        let prefix_length = match &one.path {
            PathMatch::Prefix(prefix) => prefix.len(),
            PathMatch::Exact(_) | PathMatch::Regex(_) => 0,
        };
        Self {
            rank: Precedence::of(&one.path, conditions, rule, position as usize),
            path: &one.path,
            entry: Entry {
                rule: narrow(rule),
                position,
                prefix_length: narrow(prefix_length),
                conditions: shared.of(conditions),
            },
        }
    }

    fn takes_everything(&self) -> bool {
        let root = matches!(self.path, PathMatch::Prefix(prefix) if prefix.is_empty());
        root && self.entry.conditions.is_none()
    }
}

/// Counts of rules, matches and bytes, which a config cannot have four billion of.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).expect("a config is far below 4 GiB")
}

impl Entry {
    fn everything(rule: u32) -> Self {
        Self {
            rule,
            position: 0,
            prefix_length: 0,
            conditions: None,
        }
    }

    /// The first condition that does not hold.
    pub(super) fn first_broken(&self, request: View<'_>) -> Option<Broken<'_>> {
        self.conditions
            .as_ref()?
            .first_broken(request.method, request.headers, request.query)
    }

    fn fits(&self, request: View<'_>) -> bool {
        self.first_broken(request).is_none()
    }

    fn found(&self) -> Found {
        Found {
            rule: self.rule as usize,
            prefix_length: self.prefix_length as usize,
        }
    }
}

fn first_fit(list: &[Entry], request: View<'_>) -> Option<Found> {
    let fit = list.iter().find(|entry| entry.fits(request));
    fit.map(Entry::found)
}

impl HostTable {
    fn new(mut drafts: Vec<Draft<'_>>) -> Self {
        drafts.sort_by_key(|draft| draft.rank);
        let mut table = Self::default();
        let (mut exact, mut prefix) = (HashMap::new(), HashMap::new());
        for Draft { path, entry, .. } in drafts {
            let list: &mut Vec<Entry> = match path {
                PathMatch::Exact(path) => exact.entry(&**path).or_default(),
                PathMatch::Prefix(path) if path.is_empty() => &mut table.root,
                PathMatch::Prefix(path) => prefix.entry(&**path).or_default(),
                PathMatch::Regex(regex) => {
                    let regex = regex.clone();
                    table.regex.push(RegexEntry { regex, entry });
                    continue;
                }
            };
            list.push(entry);
        }
        table.paths = (!exact.is_empty() || !prefix.is_empty()).then(|| {
            Box::new(Paths {
                exact: Texts::new(exact.into_iter()),
                prefix: Texts::new(prefix.into_iter()),
            })
        });
        table
    }

    /// The same order as `candidates`, unrolled: the first list decides nearly always.
    fn find(&self, path: &str, request: View<'_>) -> Option<Found> {
        let paths = self.paths.as_deref();
        let exact = paths.and_then(|paths| paths.exact.get(path));
        exact
            .and_then(|list| first_fit(list, request))
            .or_else(|| {
                let mut regexes = self.regexes(path);
                regexes.find(|entry| entry.fits(request)).map(Entry::found)
            })
            .or_else(|| {
                paths?
                    .prefixes(path)
                    .find_map(|list| first_fit(list, request))
            })
            .or_else(|| first_fit(&self.root, request))
    }

    fn candidates(&self, path: &str) -> impl Iterator<Item = Entry> {
        let paths = self.paths.iter();
        let exact = paths
            .clone()
            .filter_map(|paths| paths.exact.get(path))
            .flatten();
        let prefix = paths.flat_map(|paths| paths.prefixes(path)).flatten();
        let listed = exact
            .chain(self.regexes(path))
            .chain(prefix)
            .chain(&self.root);
        listed.cloned()
    }

    fn regexes(&self, path: &str) -> impl Iterator<Item = &Entry> {
        let fitting = self.regex.iter().filter(|one| one.regex.is_match(path));
        fitting.map(|one| &one.entry)
    }
}

impl Paths {
    /// The lists of all prefixes of `path`, longest first, the root left out.
    fn prefixes(&self, path: &str) -> impl Iterator<Item = &Vec<Entry>> {
        let mut rest = cut(path, self.prefix.longest());
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let hit = self.prefix.get(rest);
                rest = cut(rest, rest.len() - 1);
                if hit.is_some() {
                    return hit;
                }
            }
            None
        })
    }
}

/// `path` itself if it has at most `length_max` bytes, else its longest part in front of a slash
/// that has.
fn cut(path: &str, length_max: usize) -> &str {
    if path.len() <= length_max {
        return path;
    }
    let head = path.as_bytes().get(..=length_max).unwrap_or_default();
    let slash = head.iter().rposition(|&byte| byte == b'/');
    slash.and_then(|slash| path.get(..slash)).unwrap_or("")
}
