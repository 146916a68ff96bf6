//! Who wins when several matches fit: the Gateway API's order as a struct.
//!
//! The field order *is* the specification's list (`HTTPRouteRule.matches`), and deriving `Ord` does
//! the work: smaller comes first. Host specificity stands above it and is decided by the router's
//! tables. Each match is ranked by itself, not the rule it belongs to. Cookie conditions, which the
//! Gateway API does not have, count as header conditions; a regex, which it leaves open, stands
//! between exact paths and prefixes, longer expressions first.

use std::cmp::Reverse;

use super::path::PathMatch;
use super::predicate::Conditions;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Exact,
    Regex(Reverse<usize>),
    Prefix(Reverse<usize>),
}

/// Rank of one match among all matches of a host; smaller wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    path: PathRank,
    /// `false` sorts first, so: "has no method condition".
    any_method: bool,
    headers: Reverse<usize>,
    queries: Reverse<usize>,
    /// Position of the rule in the config, which stands for the age of its route.
    rule: usize,
    /// Position of the match in its rule.
    position: usize,
}

impl Precedence {
    pub(super) fn of(
        path: &PathMatch,
        conditions: &Conditions,
        rule: usize,
        position: usize,
    ) -> Self {
        Self {
            path: match path {
                PathMatch::Exact(_) => PathRank::Exact,
                PathMatch::Regex(regex) => PathRank::Regex(Reverse(regex.as_str().len())),
                PathMatch::Prefix(prefix) => PathRank::Prefix(Reverse(prefix.len())),
            },
            any_method: conditions.method.is_none(),
            headers: Reverse(conditions.headers.len() + conditions.cookies.len()),
            queries: Reverse(conditions.queries.len()),
            rule,
            position,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::header::HOST;

    use super::*;
    use crate::routing::predicate::{Condition, TextMatch};

    fn conditions(method: bool, headers: usize, queries: usize) -> Conditions {
        let any = || TextMatch::Present;
        Conditions {
            method: method.then_some(Method::GET),
            headers: vec![
                Condition {
                    name: HOST,
                    value: any()
                };
                headers
            ],
            queries: vec![
                Condition {
                    name: "q".into(),
                    value: any()
                };
                queries
            ],
            cookies: Vec::new(),
        }
    }

    #[test]
    fn the_order_is_the_specifications() {
        let exact = || PathMatch::exact("/a").expect("valid");
        let regex = || PathMatch::regex("/a.*").expect("valid");
        let prefix = |p: &str| PathMatch::prefix(p).expect("valid");
        let rank =
            |p: PathMatch, c: Conditions, rule, position| Precedence::of(&p, &c, rule, position);
        let order = [
            rank(exact(), conditions(false, 0, 0), 9, 9),
            rank(regex(), conditions(false, 0, 0), 9, 9),
            rank(prefix("/a/b"), conditions(false, 0, 0), 9, 9),
            rank(prefix("/a"), conditions(true, 0, 0), 9, 9),
            rank(prefix("/a"), conditions(false, 2, 0), 9, 9),
            rank(prefix("/a"), conditions(false, 1, 2), 9, 9),
            rank(prefix("/a"), conditions(false, 1, 1), 9, 9),
            rank(prefix("/a"), conditions(false, 1, 0), 1, 9),
            rank(prefix("/a"), conditions(false, 1, 0), 2, 1),
            rank(prefix("/a"), conditions(false, 1, 0), 2, 2),
        ];
        assert!(order.is_sorted(), "{order:#?}");
    }
}
