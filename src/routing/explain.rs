//! Why a request goes where it goes: every match that was considered, and its verdict.
//!
//! The same tables and the same order as the request path, told instead of taken.

use super::router::{Router, View};
use super::table::Entry;

/// What became of one match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first that fits: it answers.
    Answers,
    /// It fits as well, but an earlier one won.
    Outranked,
    /// Host and path fit; this condition does not hold.
    Broken(String),
}

/// One match whose host and path fit the request, in the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Considered {
    /// Index of the rule, as in [`super::Found`].
    pub(crate) rule: usize,
    /// Position of the match in its rule, from 0.
    pub(crate) position: usize,
    pub(crate) verdict: Verdict,
}

impl Router {
    /// Everything that host and path let through, best first. Empty: answered 404.
    pub(crate) fn explain(&self, request: View<'_>) -> Vec<Considered> {
        let mut answered = false;
        let candidates = self.candidates(request.authority, request.path);
        let judge = |entry: &Entry| {
            let verdict = match entry.first_broken(request) {
                Some(broken) => Verdict::Broken(broken.to_string()),
                None if answered => Verdict::Outranked,
                None => {
                    answered = true;
                    Verdict::Answers
                }
            };
            Considered {
                rule: entry.rule as usize,
                position: entry.position as usize,
                verdict,
            }
        };
        candidates.iter().map(judge).collect()
    }
}
