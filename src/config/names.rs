//! Names and the words nearest to them.

use std::collections::HashMap;

use serde_saphyr::Location;

use super::problem::Report;
use super::schema::At;
use crate::model::{NameError, RouteName};
use crate::routing::{HostError, HostPattern};

/// How alike two words must be (Jaro-Winkler, 1.0 is equal) for one to be taken for the other.
const ALIKE: f64 = 0.8;
/// After this many problems no more words are compared: that is quadratic.
const PROBLEMS_WITH_NEAREST_MAX: usize = 100;

/// The candidate that was probably meant by `word`.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .map(|one| (strsim::jaro_winkler(&lower, &one.to_lowercase()), one))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, one)| one)
}

/// As [`nearest`], as a hint; nothing once there are so many problems that it would take long.
pub(super) fn nearest_hint<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
    report: &Report,
) -> Option<String> {
    if report.len() > PROBLEMS_WITH_NEAREST_MAX {
        return None;
    }
    nearest(word, candidates).map(|near| format!("did you mean `{near}`?"))
}

/// Reads a name, or reports why it is none.
pub(super) fn read<T>(
    name: &At<String>,
    parse: impl FnOnce(&str) -> Result<T, NameError>,
    report: &mut Report,
) -> Option<T> {
    match parse(&name.value) {
        Ok(parsed) => Some(parsed),
        Err(why) => {
            let lower = name.value.to_lowercase().replace(['_', ' ', '/'], "-");
            let trimmed = lower.trim_matches(['-', '.']);
            let hint = match RouteName::parse(trimmed) {
                Ok(name) => format!("for example `{name}`"),
                Err(_) => "for example `podinfo-canary`".to_owned(),
            };
            report
                .error("bad-name", name.place, why.to_string())
                .hint(hint);
            None
        }
    }
}

/// Reports a text that is no host, with the host it may hold.
pub(super) fn bad_host(written: &At<String>, why: &HostError, report: &mut Report) {
    let bare = written.rsplit("://").next().unwrap_or(written);
    let bare = bare.split(['/', ':']).next().unwrap_or(bare);
    let hint = match HostPattern::parse(bare) {
        Ok(host) => format!("write `{host}`"),
        Err(_) => "for example `example.com`".to_owned(),
    };
    report
        .error("bad-host", written.place, why.to_string())
        .hint(hint);
}

/// Remembers names that must be unique, and where each was first given.
#[derive(Default)]
pub(super) struct Unique<'a>(HashMap<&'a str, Location>);

impl<'a> Unique<'a> {
    /// Notes `name`; reports it if it was there before. `what` is a noun: `route`.
    pub(super) fn check(&mut self, what: &str, name: &'a At<String>, report: &mut Report) {
        if let Some(first) = self.0.insert(&name.value, name.place) {
            let message = format!("there are two {what}s named `{}`", name.value);
            report
                .error("duplicate-name", name.place, message)
                .hint(format!("give one {what} another name"))
                .also(first, "the other one");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_far_ones_are_not() {
        let words = || ["weight", "backend", "requestHeaders"].into_iter();
        assert_eq!(nearest("wieght", words()), Some("weight"));
        assert_eq!(nearest("backends", words()), Some("backend"));
        assert_eq!(nearest("requestheaders", words()), Some("requestHeaders"));
        assert_eq!(nearest("mirror", words()), None);
    }
}
