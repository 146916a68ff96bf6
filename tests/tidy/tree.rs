//! The source tree as the rules see it: files with their module paths, and the imports in them.
//!
//! `use` trees are unfolded and re-exports are followed, so that `crate::config::Config` counts as
//! the `config::schema::Config` it stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::lex::{Token, is_word, split_off_tests, text, tokens};

pub(crate) struct Source {
    /// As shown to people: `src/proxy/forward.rs`.
    pub(crate) file: String,
    /// `["proxy", "forward"]`; `mod.rs` is its folder.
    pub(crate) module: Vec<String>,
    pub(crate) raw: String,
    /// Code outside tests.
    pub(crate) tokens: Vec<Token>,
    /// The whole file is a test module.
    pub(crate) is_test: bool,
}

impl Source {
    pub(crate) fn new(file: &str, raw: &str) -> Self {
        let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let (tokens, _) = split_off_tests(&tokens(raw));
        let is_test = module
            .last()
            .is_some_and(|last| last == "tests" || last.ends_with("_tests"));
        Self {
            file: file.to_owned(),
            module,
            raw: raw.to_owned(),
            tokens,
            is_test,
        }
    }

    pub(crate) fn within(&self, paths: &[&str]) -> bool {
        paths.iter().any(|path| starts_with(&self.module, path))
    }

    pub(crate) fn problem(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.file)
    }
}

pub(crate) fn starts_with(module: &[String], path: &str) -> bool {
    let mut segments = module.iter();
    path.split("::")
        .all(|wanted| segments.next().is_some_and(|segment| segment == wanted))
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
        .replace('\\', "/")
}

pub(crate) fn sources() -> Vec<Source> {
    let paths = files_below(&root().join("src"), "rs");
    let mut test_modules = BTreeSet::new();
    let mut found = Vec::new();
    for path in &paths {
        let source = Source::new(&shown(path), &read(path));
        for name in split_off_tests(&tokens(&source.raw)).1 {
            let mut module = source.module.clone();
            module.push(name);
            test_modules.insert(module);
        }
        found.push(source);
    }
    for source in &mut found {
        let inside_test = (1..=source.module.len()).any(|n| {
            source
                .module
                .get(..n)
                .is_some_and(|head| test_modules.contains(head))
        });
        source.is_test |= inside_test;
    }
    found
}

/// One path that leaves its module: where it stands and what it names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
}

/// Every `crate::…` and `super::…` path, `use` trees unfolded, as a path from the crate's root.
pub(crate) fn references(tokens: &[Token], module: &[String]) -> Vec<Reference> {
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        if i > 0 && text(tokens, i - 1) == "::" {
            continue;
        }
        if matches!(text(tokens, i), "crate" | "super") && text(tokens, i + 1) == "::" {
            let mut leaves = Vec::new();
            read_tree(tokens, i, &[], &mut leaves);
            found.extend(leaves.into_iter().filter_map(|leaf| absolute(leaf, module)));
        }
    }
    found
}

/// Reads one branch of a `use` tree and returns the index behind it.
pub(crate) fn read_tree(
    tokens: &[Token],
    start: usize,
    prefix: &[String],
    leaves: &mut Vec<Reference>,
) -> usize {
    let line = tokens.get(start).map_or(0, |token| token.line);
    let (mut path, mut i) = (prefix.to_vec(), start);
    loop {
        match text(tokens, i) {
            "{" => {
                i += 1;
                while !matches!(text(tokens, i), "}" | "") {
                    i = read_tree(tokens, i, &path, leaves);
                    i += usize::from(text(tokens, i) == ",");
                }
                return i + 1;
            }
            word if word.bytes().all(is_word) && !word.is_empty() => path.push(word.to_owned()),
            _ => {}
        }
        if text(tokens, i + 1) == "::" && text(tokens, i + 2) != "<" {
            i += 2;
            continue;
        }
        leaves.push(Reference { line, path });
        // Past the last word, and past a renaming.
        i += 1;
        if text(tokens, i) == "as" {
            i += 2;
        }
        // A lone sign must not stop the reader inside braces.
        while !matches!(text(tokens, i), "," | "}" | "") && !prefix.is_empty() {
            i += 1;
        }
        return i;
    }
}

/// Turns `crate::a::b` and `super::b` into the path from the root; `None` when it names nothing.
pub(crate) fn absolute(leaf: Reference, module: &[String]) -> Option<Reference> {
    let mut path = leaf.path.into_iter().peekable();
    let mut base: Vec<String> = Vec::new();
    if path.next_if(|segment| segment == "crate").is_none() {
        base = module.to_vec();
        while path.next_if(|segment| segment == "super").is_some() {
            base.pop();
        }
    }
    base.extend(path.filter(|segment| segment != "self"));
    (!base.is_empty()).then_some(Reference {
        line: leaf.line,
        path: base,
    })
}

/// What a module hands on under its own name: `config::Blueprint` → `snapshot::Blueprint`.
pub(crate) fn reexports(sources: &[Source]) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut found = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        let module = if source.file == "src/lib.rs" {
            &[][..]
        } else {
            source.module.as_slice()
        };
        for i in 0..source.tokens.len() {
            if text(&source.tokens, i) != "use" {
                continue;
            }
            let mut leaves = Vec::new();
            read_tree(&source.tokens, i + 1, &[], &mut leaves);
            for leaf in leaves {
                let Some(name) = leaf.path.last().cloned() else {
                    continue;
                };
                let first = leaf.path.first().map_or("", String::as_str);
                let from_root = matches!(first, "crate" | "super");
                let target = if from_root {
                    let Some(reference) = absolute(leaf, module) else {
                        continue;
                    };
                    reference.path
                } else {
                    module
                        .iter()
                        .cloned()
                        .chain(leaf.path)
                        .filter(|part| part != "self")
                        .collect()
                };
                let mut seen_as = module.to_vec();
                seen_as.push(name);
                if seen_as != target {
                    found.insert(seen_as, target);
                }
            }
        }
    }
    found
}

pub(crate) fn resolve(
    path: &[String],
    reexports: &BTreeMap<Vec<String>, Vec<String>>,
) -> Vec<String> {
    let mut path = path.to_vec();
    // A chain of re-exports is short; the bound keeps a circle from hanging the test.
    for _ in 0..8 {
        let hit = (1..=path.len()).find_map(|n| {
            let head = path.get(..n)?;
            let target = reexports.get(head)?;
            Some(
                target
                    .iter()
                    .chain(path.iter().skip(n))
                    .cloned()
                    .collect::<Vec<_>>(),
            )
        });
        match hit {
            Some(next) if next != path => path = next,
            _ => break,
        }
    }
    path
}
