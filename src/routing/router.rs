//! From a request to the rule that answers it.
//!
//! Two hash look-ups for the common case, whatever the number of routes: the host finds a table,
//! the path finds the few matches that could fit, best first. Hosts are tried from the most
//! specific to the least (exact, then wildcards from the longest, then any); inside a host exact
//! paths come before regexes before prefixes from the longest, and `precedence` orders the rest.

use std::collections::HashMap;
use std::fmt;

use http::{HeaderMap, Method};
use regex::Regex;

use super::host::{HostPattern, RequestHost};
use super::path::{PathMatch, Scratch, normalise};
use super::precedence::Precedence;
use super::predicate::Conditions;

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

/// One match of one rule, filed under its host and path.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) rank: Precedence,
    pub(super) conditions: Conditions,
    pub(super) rule: usize,
    pub(super) position: usize,
    prefix_length: usize,
}

#[derive(Debug)]
struct RegexEntry {
    regex: Regex,
    entry: Entry,
}

/// All matches of one host pattern.
#[derive(Debug, Default)]
struct HostTable {
    exact: HashMap<Box<str>, Vec<Entry>>,
    regex: Vec<RegexEntry>,
    /// By prefix without trailing slash, the root apart: it is what most tables have only.
    prefix: HashMap<Box<str>, Vec<Entry>>,
    root: Vec<Entry>,
    /// Most segments any prefix has, so that a long path is not tried in full length.
    prefix_segments_max: usize,
}

/// The compiled routing table. Immutable.
#[derive(Debug, Default)]
pub(crate) struct Router {
    exact: HashMap<Box<str>, HostTable>,
    below: HashMap<Box<str>, HostTable>,
    any: HostTable,
}

impl Router {
    /// Files the matches of all rules. `rules` come in config order, each with the hosts of its
    /// route (none: any host) and its matches (none: everything).
    pub(crate) fn new<'a>(
        rules: impl IntoIterator<Item = (&'a [HostPattern], &'a [Match])>,
    ) -> Self {
        let mut router = Self::default();
        let everything = [Match {
            path: PathMatch::any(),
            conditions: Conditions::default(),
        }];
        for (rule, (hosts, matches)) in rules.into_iter().enumerate() {
            let hosts = if hosts.is_empty() {
                &[HostPattern::Any]
            } else {
                hosts
            };
            let matches = if matches.is_empty() {
                &everything
            } else {
                matches
            };
            for host in hosts {
                let table = router.table(host);
                for (position, one) in matches.iter().enumerate() {
                    table.file(rule, position, one);
                }
            }
        }
        let tables = router.exact.values_mut().chain(router.below.values_mut());
        tables.chain([&mut router.any]).for_each(HostTable::sort);
        router
    }

    fn table(&mut self, host: &HostPattern) -> &mut HostTable {
        match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Below(name) => self.below.entry(name.clone()).or_default(),
        }
    }

    /// The best match for a request, or none. `scratch` is touched only by paths that are not in
    /// their normal form.
    pub(crate) fn find(&self, request: View<'_>, scratch: &mut Scratch) -> Option<Found> {
        let path = normalise(request.path, scratch);
        let fits = |entry: &Entry| {
            entry
                .conditions
                .hold(request.method, request.headers, request.query)
        };
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.find(path, fits);
        }
        let host = RequestHost::of(request.authority);
        self.tables(host.as_str())
            .find_map(|table| table.find(path, fits))
    }

    /// Every entry that host and path allow, best first: what `find` would try in turn.
    pub(super) fn candidates<'a>(&'a self, authority: &str, path: &str) -> Vec<&'a Entry> {
        let mut scratch = Scratch::default();
        let path = normalise(path, &mut scratch);
        let host = RequestHost::of(authority);
        self.tables(host.as_str())
            .flat_map(|table| table.candidates(path))
            .collect()
    }

    /// The tables a host may use, most specific first.
    fn tables<'a, 'h>(
        &'a self,
        host: &'h str,
    ) -> impl Iterator<Item = &'a HostTable> + use<'a, 'h> {
        let exact = self.exact.get(host);
        let mut rest = if self.below.is_empty() { "" } else { host };
        let below = std::iter::from_fn(move || {
            while let Some((_, parent)) = rest.split_once('.') {
                rest = parent;
                if let Some(table) = self.below.get(parent) {
                    return Some(table);
                }
            }
            None
        });
        exact.into_iter().chain(below).chain([&self.any])
    }
}

impl HostTable {
    fn file(&mut self, rule: usize, position: usize, one: &Match) {
        let mut entry = Entry {
            rank: Precedence::of(&one.path, &one.conditions, rule, position),
            conditions: one.conditions.clone(),
            rule,
            position,
            prefix_length: 0,
        };
        match &one.path {
            PathMatch::Exact(path) => self.exact.entry(path.clone()).or_default().push(entry),
            PathMatch::Regex(regex) => self.regex.push(RegexEntry {
                regex: regex.clone(),
                entry,
            }),
            PathMatch::Prefix(prefix) if prefix.is_empty() => self.root.push(entry),
            PathMatch::Prefix(prefix) => {
                entry.prefix_length = prefix.len();
                let segments = prefix.bytes().filter(|&b| b == b'/').count();
                self.prefix_segments_max = self.prefix_segments_max.max(segments);
                self.prefix.entry(prefix.clone()).or_default().push(entry);
            }
        }
    }

    fn sort(&mut self) {
        let lists = self.exact.values_mut().chain(self.prefix.values_mut());
        for list in lists.chain([&mut self.root]) {
            list.sort_by_key(|entry| entry.rank);
        }
        self.regex.sort_by_key(|regex| regex.entry.rank);
    }

    fn find(&self, path: &str, fits: impl Fn(&Entry) -> bool) -> Option<Found> {
        // The same order as `candidates`, unrolled: the first list decides nearly always.
        let found = |entry: &Entry| Found {
            rule: entry.rule,
            prefix_length: entry.prefix_length,
        };
        let pick = |list: &[Entry]| list.iter().find(|entry| fits(entry)).map(found);
        if let Some(hit) = self.exact.get(path).and_then(|list| pick(list)) {
            return Some(hit);
        }
        let regexes = self.regex.iter().filter(|one| one.regex.is_match(path));
        if let Some(hit) = regexes.map(|one| &one.entry).find(|entry| fits(entry)) {
            return Some(found(hit));
        }
        self.prefixes(path)
            .find_map(|list| pick(list))
            .or_else(|| pick(&self.root))
    }

    fn candidates<'a>(&'a self, path: &str) -> Vec<&'a Entry> {
        let exact = self.exact.get(path).into_iter().flatten();
        let regex = self
            .regex
            .iter()
            .filter(|one| one.regex.is_match(path))
            .map(|one| &one.entry);
        let prefix = self.prefixes(path).flatten();
        exact.chain(regex).chain(prefix).chain(&self.root).collect()
    }

    /// The lists of all prefixes of `path`, longest first, the root left out.
    fn prefixes<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a Vec<Entry>> {
        let mut rest = self.cut(path);
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let hit = self.prefix.get(rest);
                rest = rest
                    .rfind('/')
                    .and_then(|slash| rest.get(..slash))
                    .unwrap_or("");
                if hit.is_some() {
                    return hit;
                }
            }
            None
        })
    }

    /// `path` without the segments that no prefix is long enough to have.
    fn cut<'a>(&self, path: &'a str) -> &'a str {
        if self.prefix_segments_max == 0 {
            return "";
        }
        let end = path
            .match_indices('/')
            .nth(self.prefix_segments_max)
            .map(|(at, _)| at);
        path.get(..end.unwrap_or(path.len())).unwrap_or(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a [&'a str], &'a [&'a str]);

    /// Rules as (hosts, paths); a path is `=/exact`, `~regex` or `/prefix`.
    fn router(rules: &[Case<'_>]) -> Router {
        let rules: Vec<(Vec<HostPattern>, Vec<Match>)> = rules
            .iter()
            .map(|(hosts, paths)| {
                let hosts = hosts
                    .iter()
                    .map(|h| HostPattern::parse(h).expect("host"))
                    .collect();
                let path = |text: &str| match text.split_at(1) {
                    ("=", rest) => PathMatch::exact(rest),
                    ("~", rest) => PathMatch::regex(rest),
                    _ => PathMatch::prefix(text),
                };
                let one = |text: &&str| Match {
                    path: path(text).expect("path"),
                    conditions: Conditions::default(),
                };
                (hosts, paths.iter().map(one).collect())
            })
            .collect();
        Router::new(rules.iter().map(|(hosts, matches)| (&**hosts, &**matches)))
    }

    fn find(router: &Router, authority: &str, path: &str) -> Option<usize> {
        let headers = HeaderMap::new();
        let view = View {
            method: &Method::GET,
            authority,
            path,
            query: None,
            headers: &headers,
        };
        router
            .find(view, &mut Scratch::default())
            .map(|found| found.rule)
    }

    #[test]
    fn the_most_specific_host_wins_and_falls_through() {
        let router = router(&[
            (&[], &["/"]),
            (&["*.example.com"], &["/"]),
            (&["*.eu.example.com"], &["/"]),
            (&["shop.eu.example.com"], &["/cart"]),
        ]);
        for (host, path, rule) in [
            ("shop.eu.example.com", "/cart/1", 3),
            ("shop.eu.example.com", "/other", 2),
            ("SHOP.eu.example.com:8080", "/cart", 3),
            ("a.b.eu.example.com", "/", 2),
            ("a.example.com", "/", 1),
            ("eu.example.com", "/", 1),
            ("example.com", "/", 0),
            ("", "/", 0),
        ] {
            assert_eq!(find(&router, host, path), Some(rule), "{host}{path}");
        }
    }

    #[test]
    fn exact_beats_regex_beats_the_longest_prefix() {
        let router = router(&[
            (&[], &["/"]),
            (&[], &["/a"]),
            (&[], &["/a/b"]),
            (&[], &["~/a/b/[cd]"]),
            (&[], &["=/a/b/c"]),
        ]);
        for (path, rule) in [
            ("/a/b/c", 4),
            ("/a/b/d", 3),
            ("/a/b/e", 2),
            ("/a/b/c/d/e/f", 2),
            ("/a/x", 1),
            ("/ab", 0),
            ("/a//b/./c", 4),
            ("/x/../a/b", 2),
        ] {
            assert_eq!(find(&router, "any", path), Some(rule), "{path}");
        }
    }

    #[test]
    fn nothing_matches_where_nothing_is_meant() {
        let router = router(&[(&["example.com"], &["/a"])]);
        assert_eq!(find(&router, "example.com", "/b"), None);
        assert_eq!(find(&router, "example.org", "/a"), None);
        assert_eq!(find(&Router::default(), "example.org", "/a"), None);
    }

    #[test]
    fn find_and_candidates_agree() {
        let router = router(&[
            (&["*.a.b"], &["/", "/x/y"]),
            (&[], &["~/x/.*", "=/x/y"]),
            (&["c.a.b"], &["/x"]),
        ]);
        for host in ["c.a.b", "d.a.b", "a.b", ""] {
            for path in ["/", "/x", "/x/y", "/x/y/z", "/other"] {
                let first = router
                    .candidates(host, path)
                    .first()
                    .map(|entry| entry.rule);
                assert_eq!(find(&router, host, path), first, "{host}{path}");
            }
        }
    }
}
