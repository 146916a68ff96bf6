//! The matches of one host, filed so that few are tried.
//!
//! Exact paths and prefixes are found by their text, whatever their number; regexes are tried one
//! by one. Each list is in the order of precedence, and the lists are too: exact paths, regexes,
//! prefixes from the longest, the root.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use super::path::PathMatch;
use super::predicate::{Broken, Conditions};
use super::router::{Draft, Found, View};
use super::texts::Texts;

/// One match of one rule, filed under its host and path. Small, because many lie in the cache.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) rule: u32,
    pub(super) position: u32,
    pub(super) prefix_length: u32,
    /// `None`: there are no conditions. Shared by all matches that ask for the same, which in a
    /// large table are most: `x-canary: always` on a thousand hosts stays in the cache.
    pub(super) conditions: Option<Arc<Conditions>>,
}

#[derive(Debug)]
struct RegexEntry {
    regex: Regex,
    entry: Entry,
}

/// All matches of one host pattern, each list in the order of precedence.
#[derive(Debug, Default)]
pub(super) struct HostTable {
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

impl Entry {
    pub(super) fn everything(rule: u32) -> Self {
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

    pub(super) fn fits(&self, request: View<'_>) -> bool {
        self.first_broken(request).is_none()
    }

    pub(super) fn found(&self) -> Found {
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
    /// `drafts` are in the order of precedence.
    pub(super) fn new(drafts: &[Draft<'_>]) -> Self {
        let mut table = Self::default();
        let (mut exact, mut prefix) = (HashMap::new(), HashMap::new());
        for Draft { path, entry, .. } in drafts.iter().cloned() {
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
    pub(super) fn find(&self, path: &str, request: View<'_>) -> Option<Found> {
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

    pub(super) fn candidates(&self, path: &str) -> impl Iterator<Item = Entry> {
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
