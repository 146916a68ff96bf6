//! A lexer just good enough: it tells code from comments and strings, and code from tests.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Code,
    Comment,
    Text,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A byte beyond the end is a zero, so that looking ahead needs no special case.
pub(crate) fn at(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index).copied().unwrap_or(0)
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Says of every byte whether it is code, comment or the inside of a string or character.
pub(crate) fn classify(bytes: &[u8]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Code; bytes.len()];
    let mut mark = |from: usize, to: usize, kind: Kind| {
        kinds
            .iter_mut()
            .take(to)
            .skip(from)
            .for_each(|slot| *slot = kind);
    };
    let mut i = 0;
    while i < bytes.len() {
        let after_word = i > 0 && is_word(at(bytes, i - 1));
        let end = match (at(bytes, i), at(bytes, i + 1)) {
            (b'/', b'/') => {
                let end = (i..bytes.len())
                    .find(|&j| at(bytes, j) == b'\n')
                    .unwrap_or(bytes.len());
                mark(i, end, Kind::Comment);
                end
            }
            (b'/', b'*') => {
                let end = block_comment_end(bytes, i);
                mark(i, end, Kind::Comment);
                end
            }
            (b'r', b'"' | b'#') if !after_word || matches!(at(bytes, i - 1), b'b' | b'c') => {
                match raw_string(bytes, i) {
                    Some((from, to, end)) => {
                        mark(from, to, Kind::Text);
                        end
                    }
                    None => i + 1,
                }
            }
            (b'"', _) => {
                let end = quoted_end(bytes, i + 1, b'"');
                mark(i + 1, end, Kind::Text);
                end + 1
            }
            (b'\'', next) => match character_end(bytes, i, next) {
                Some(end) => {
                    mark(i + 1, end, Kind::Text);
                    end + 1
                }
                None => i + 1,
            },
            _ => i + 1,
        };
        i = end;
    }
    kinds
}

pub(crate) fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut i) = (0_usize, start);
    while i < bytes.len() {
        match (at(bytes, i), at(bytes, i + 1)) {
            (b'/', b'*') => (depth, i) = (depth + 1, i + 2),
            (b'*', b'/') => (depth, i) = (depth.saturating_sub(1), i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

/// Inside from, inside to, and behind the end of `r#"…"#`; `None` for a raw identifier.
pub(crate) fn raw_string(bytes: &[u8], start: usize) -> Option<(usize, usize, usize)> {
    let hashes = (start + 1..).take_while(|&j| at(bytes, j) == b'#').count();
    let from = start + 1 + hashes + 1;
    if at(bytes, from - 1) != b'"' {
        return None;
    }
    let closes =
        |j: usize| at(bytes, j) == b'"' && (1..=hashes).all(|offset| at(bytes, j + offset) == b'#');
    let to = (from..bytes.len())
        .find(|&j| closes(j))
        .unwrap_or(bytes.len());
    Some((from, to, to + 1 + hashes))
}

pub(crate) fn quoted_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut i = start;
    while i < bytes.len() && at(bytes, i) != quote {
        i += if at(bytes, i) == b'\\' { 2 } else { 1 };
    }
    i.min(bytes.len())
}

/// The closing quote of a character literal; `None` for a lifetime.
pub(crate) fn character_end(bytes: &[u8], start: usize, next: u8) -> Option<usize> {
    if next == b'\\' {
        return Some(quoted_end(bytes, start + 1, b'\''));
    }
    // One character of one to four bytes, then the quote; a lifetime has no quote there.
    let width = match next {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    };
    (at(bytes, start + 1 + width) == b'\'').then_some(start + 1 + width)
}

/// Words, `::` and single signs of the code, with their lines; comments and strings are gone.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let bytes = source.as_bytes();
    let kinds = classify(bytes);
    let (mut found, mut line, mut i) = (Vec::new(), 1, 0);
    while i < bytes.len() {
        let byte = at(bytes, i);
        if byte == b'\n' {
            line += 1;
        }
        let code = kinds.get(i) == Some(&Kind::Code);
        let width = if !code || byte.is_ascii_whitespace() {
            0
        } else if is_word(byte) {
            (i..).take_while(|&j| is_word(at(bytes, j))).count()
        } else if byte == b':' && at(bytes, i + 1) == b':' {
            2
        } else {
            1
        };
        if width > 0 {
            let text = bytes
                .iter()
                .skip(i)
                .take(width)
                .copied()
                .collect::<Vec<u8>>();
            found.push(Token {
                text: String::from_utf8_lossy(&text).into_owned(),
                line,
            });
        }
        i += width.max(1);
    }
    found
}

/// String contents with their lines.
pub(crate) fn strings(source: &str) -> Vec<Token> {
    let kinds = classify(source.as_bytes());
    let mut found: Vec<Token> = Vec::new();
    let (mut line, mut inside) = (1, false);
    for (byte, kind) in source.bytes().zip(kinds) {
        if kind == Kind::Text {
            if !inside {
                found.push(Token {
                    text: String::new(),
                    line,
                });
            }
            if let Some(last) = found.last_mut() {
                last.text.push(char::from(byte));
            }
        }
        inside = kind == Kind::Text;
        line += usize::from(byte == b'\n');
    }
    found
}

pub(crate) fn text(tokens: &[Token], index: usize) -> &str {
    tokens.get(index).map_or("", |token| token.text.as_str())
}

/// The index behind the bracket that closes the one at `open`.
pub(crate) fn behind_bracket(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for i in open..tokens.len() {
        match text(tokens, i) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// The index behind the item that starts at `start`: its `;`, or the block that is its body.
pub(crate) fn behind_item(tokens: &[Token], start: usize) -> usize {
    let mut i = start;
    while i < tokens.len() {
        match text(tokens, i) {
            ";" => return i + 1,
            "{" => return behind_bracket(tokens, i),
            "(" | "[" => i = behind_bracket(tokens, i),
            _ => i += 1,
        }
    }
    tokens.len()
}

/// The tokens without the items under `#[cfg(test)]`, and the names of the test modules that live
/// in files of their own.
pub(crate) fn split_off_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut test_files, mut i) = (Vec::new(), Vec::new(), 0);
    while i < tokens.len() {
        let attribute = text(tokens, i) == "#" && text(tokens, i + 1) == "[";
        let behind = if attribute {
            behind_bracket(tokens, i + 1)
        } else {
            i + 1
        };
        let inside = tokens.get(i..behind).unwrap_or_default();
        let is = |word: &str| inside.iter().any(|token| token.text == word);
        if attribute && is("cfg") && is("test") && !is("not") && !is("feature") {
            let mut item = behind;
            while text(tokens, item) == "#" {
                item = behind_bracket(tokens, item + 1);
            }
            let end = behind_item(tokens, item);
            if let Some(body) = tokens.get(item..end)
                && let Some(word) = body.iter().position(|token| token.text == "mod")
                && text(body, word + 2) == ";"
            {
                test_files.push(text(body, word + 1).to_owned());
            }
            i = end;
        } else {
            kept.extend(inside.iter().cloned());
            i = behind;
        }
    }
    (kept, test_files)
}
