//! Sizes and public names: printed for the reader of a review, never a reason to fail.

use crate::lex::{Token, behind_item, is_word, text};
use crate::rules::test_lines;
use crate::tree::{Source, read_tree};

/// Lines up to the first test module.
pub(crate) fn lines_without_tests(source: &Source) -> usize {
    if source.is_test {
        0
    } else {
        source.raw.lines().count() - test_line_span(source)
    }
}

pub(crate) fn test_line_span(source: &Source) -> usize {
    let lines = test_lines(source);
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else {
        return 0;
    };
    // Tests stand at the end; blank and comment lines between them count with them.
    let nothing_behind = source.tokens.last().is_none_or(|token| token.line < *first);
    if nothing_behind {
        last - first + 1
    } else {
        lines.len()
    }
}

/// Name, first line and length of every function that has a body.
pub(crate) fn functions(tokens: &[Token]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        let name = text(tokens, i + 1);
        if text(tokens, i) != "fn" || !name.bytes().all(is_word) {
            continue;
        }
        let end = behind_item(tokens, i);
        let first = tokens.get(i).map_or(0, |token| token.line);
        let last = tokens
            .get(end.saturating_sub(1))
            .map_or(first, |token| token.line);
        found.push((name.to_owned(), first, last - first + 1));
    }
    found
}

pub(crate) fn public_names(source: &Source) -> Vec<String> {
    let nouns = [
        "fn", "struct", "enum", "trait", "mod", "const", "static", "type", "use",
    ];
    let mut found = Vec::new();
    for i in 0..source.tokens.len() {
        if text(&source.tokens, i) != "pub" || text(&source.tokens, i + 1) == "(" {
            continue;
        }
        let word = text(&source.tokens, i + 1);
        let skip = usize::from(matches!(word, "async" | "unsafe"));
        let noun = text(&source.tokens, i + 1 + skip);
        // `pub use` hands on a path; show it whole.
        if noun == "use" {
            let mut leaves = Vec::new();
            read_tree(&source.tokens, i + 2, &[], &mut leaves);
            found.extend(
                leaves
                    .iter()
                    .map(|leaf| format!("use {}", leaf.path.join("::"))),
            );
        } else if nouns.contains(&noun) {
            found.push(format!("{noun} {}", text(&source.tokens, i + 2 + skip)));
        }
    }
    found
}
