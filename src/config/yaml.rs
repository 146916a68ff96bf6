//! YAML text to [`Document`], or the first thing that keeps it from being one.
//!
//! The parser's own messages are put into the words of a config author, with the nearest known
//! word where one was mistyped.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location, Options};

use super::names::nearest;
use super::problem::Report;
use super::schema::Document;

/// Most nodes (scalars, lists, maps) of a file: more than 100,000 routes.
const NODES_MAX: usize = 10_000_000;

/// The document, unless something in its form is wrong; that is in the report then.
pub(super) fn read(text: &str, report: &mut Report) -> Option<Document> {
    let blank = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#') || line == "---"
    };
    if text.lines().all(blank) {
        report
            .error("empty", Location::UNKNOWN, "there is nothing in this file")
            .hint("start from config/minimal.yaml");
        return None;
    }
    match parse::<Document>(text) {
        Ok(document) => Some(document),
        Err(error) => {
            explain(&error, text, report);
            None
        }
    }
}

/// What was written, as JSON. `Null` stands for a text that does not parse.
pub(super) fn to_json(text: &str) -> serde_json::Value {
    parse(text).unwrap_or_default()
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_saphyr::from_str_with_options(text, options())
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: NODES_MAX,
            max_events: 3 * NODES_MAX,
            max_documents: 2,
        },
        // YAML 1.2: `off` is a word, not a truth value.
        strict_booleans: true,
        with_snippet: false,
        emit_comments: false,
    }
}

fn explain(error: &Error, text: &str, report: &mut Report) {
    let place = error.location().unwrap_or(Location::UNKNOWN);
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let message = format!("`{field}` is not a field here");
            let hint = did_you_mean(field, expected);
            report.error("unknown-field", place, message).hint(hint);
        }
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            let message = format!("`{variant}` is not one of the choices here");
            let hint = did_you_mean(variant, expected);
            report.error("unknown-choice", place, message).hint(hint);
        }
        Error::SerdeMissingField { field, .. } => {
            let message = format!("the field `{field}` is missing");
            report.error("missing-field", place, message).hint(format!(
                "add `{field}:` to the entry that begins or ends here"
            ));
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("this key");
            let message = format!("`{key}` is written twice in the same map");
            report
                .error("duplicate-key", place, message)
                .hint("keep one of the two");
        }
        Error::MultipleDocuments { .. } => {
            report
                .error(
                    "several-documents",
                    place,
                    "a config file holds one document",
                )
                .hint("remove everything from the second `---` on");
        }
        other => explain_rest(other, place, text, report),
    }
}

fn explain_rest(error: &Error, place: Location, text: &str, report: &mut Report) {
    let line = usize::try_from(place.line()).unwrap_or(0);
    let tab = |number: usize| {
        let line = number.checked_sub(1).and_then(|at| text.lines().nth(at));
        line.is_some_and(|line| {
            let indent = line.len() - line.trim_start().len();
            line.get(..indent)
                .is_some_and(|indent| indent.contains('\t'))
        })
    };
    let message = plain(error);
    if tab(line) || tab(line + 1) {
        report
            .error("tab", place, "a tab is used for indentation")
            .hint("YAML is indented with spaces");
        return;
    }
    match error {
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        }
        | Error::SerdeInvalidValue {
            unexpected,
            expected,
            ..
        } => {
            let message = format!("expected {expected}, found {unexpected}");
            report.error("wrong-type", place, message);
        }
        Error::Unexpected { expected, .. } => {
            report.error("wrong-type", place, format!("expected {expected} here"));
        }
        _ => {
            report.error("syntax", place, message);
        }
    }
}

/// The parser's sentence without its position, which is shown anyway.
fn plain(error: &Error) -> String {
    let text = error.without_snippet().to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text.get(..end).unwrap_or(&text).trim().to_owned()
}

fn did_you_mean(word: &str, expected: &[&str]) -> String {
    match nearest(word, expected.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let list: Vec<String> = expected.iter().map(|one| format!("`{one}`")).collect();
            format!("possible here: {}", list.join(", "))
        }
    }
}
