//! From a request to the rule that answers it.
//!
//! Two hash look-ups for the common case, whatever the number of routes: the host finds a table,
//! the path finds the few matches that could fit, best first. Hosts are tried from the most
//! specific to the least (exact, then wildcards from the longest, then any); inside a host exact
//! paths come before regexes before prefixes from the longest, and `precedence` orders the rest.
//!
//! Among many routes the cost is cache misses, so what is looked at first is small and lies
//! together ([`Texts`]), a host with few matches has them in a row instead of a table, one whose
//! only rule takes everything has nothing more, and equal paths and conditions are shared.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method};

use super::host::{HostPattern, request_host};
use super::path::{PathMatch, Scratch, normal_form, normalise};
use super::precedence::Precedence;
use super::predicate::Conditions;
use super::table::{Entry, HostTable};
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

/// What a host pattern leads to.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Its only match takes everything.
    Rule(u32),
    /// Its few matches, in the order of precedence: a part of [`Router::few`].
    Few { start: u32, length: u16 },
    /// Index of its table.
    Table(u32),
}

/// Up to so many matches of a host are tried one by one: less work than a look-up by path.
const FEW_MAX: usize = 4;

/// A match that is not filed under its path.
#[derive(Clone, Debug)]
struct Few {
    path: Arc<PathMatch>,
    entry: Entry,
}

/// The compiled routing table. Immutable.
#[derive(Debug)]
pub(crate) struct Router {
    exact: Texts<Target>,
    below: Texts<Target>,
    any: HostTable,
    few: Vec<Few>,
    tables: Vec<HostTable>,
}

impl Default for Router {
    /// Finds nothing.
    fn default() -> Self {
        Self::new([])
    }
}

/// One copy of everything that is equal.
struct Shared<T>(HashMap<String, Arc<T>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone + fmt::Debug> Shared<T> {
    fn of(&mut self, value: &T) -> Arc<T> {
        // The debug form says everything and quotes every text, so equal forms mean the same.
        let same = self.0.entry(format!("{value:?}"));
        Arc::clone(same.or_insert_with(|| Arc::new(value.clone())))
    }
}

/// A match on its way into a table.
#[derive(Clone)]
pub(super) struct Draft<'a> {
    rank: Precedence,
    pub(super) path: &'a PathMatch,
    pub(super) entry: Entry,
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
        let (mut any, mut few, mut tables) = (HostTable::default(), Vec::new(), Vec::new());
        let mut paths = Shared::default();
        let mut target = |drafts: &[Draft<'_>]| match drafts {
            [one] if one.takes_everything() => Target::Rule(one.entry.rule),
            drafts if drafts.len() <= FEW_MAX => {
                let start = narrow(few.len());
                few.extend(drafts.iter().map(|draft| Few {
                    path: paths.of(draft.path),
                    entry: draft.entry.clone(),
                }));
                let length = u16::try_from(drafts.len()).expect("at most FEW_MAX");
                Target::Few { start, length }
            }
            drafts => {
                tables.push(HostTable::new(drafts));
                Target::Table(narrow(tables.len() - 1))
            }
        };
        for (host, mut drafts) in drafts {
            drafts.sort_by_key(|draft| draft.rank);
            match host {
                HostPattern::Any => any = HostTable::new(&drafts),
                HostPattern::Exact(name) => exact.push((&**name, target(&drafts))),
                HostPattern::Below(name) => below.push((&**name, target(&drafts))),
            }
        }
        Self {
            exact: Texts::new(exact.into_iter()),
            below: Texts::new(below.into_iter()),
            any,
            few,
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
                    Target::Few { start, length } => self
                        .few(start, length, &path)
                        .find(|entry| entry.fits(request))
                        .map(Entry::found),
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
                Target::Few { start, length } => {
                    found.extend(self.few(start, length, path).cloned());
                }
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

    /// Those of a host's few matches whose path fits.
    fn few(&self, start: u32, length: u16, path: &str) -> impl Iterator<Item = &Entry> {
        let (start, length) = (start as usize, usize::from(length));
        let few = self.few.get(start..start + length).unwrap_or_default();
        let fitting = few.iter().filter(move |few| few.path.matches(path));
        fitting.map(|few| &few.entry)
    }

    fn table(&self, at: u32) -> Option<&HostTable> {
        self.tables.get(at as usize)
    }
}

impl<'a> Draft<'a> {
    fn of(one: &'a Match, rule: usize, position: u32, shared: &mut Shared<Conditions>) -> Self {
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
                conditions: (!conditions.is_empty()).then(|| shared.of(conditions)),
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
