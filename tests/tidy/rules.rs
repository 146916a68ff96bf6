//! The rules: floors, invariants of absence, words, documents, dependencies. Each returns what it
//! found as `file:line: what is wrong`, so that one run of the test names everything at once.

use std::collections::BTreeSet;
use std::path::Path;

use crate::lex::{Token, at, is_word, strings, tokens};
use crate::tree::{
    Source, files_below, read, reexports, references, resolve, root, shown, starts_with,
};
use crate::{ANYTHING, EMPTY_NAMES, FLOORS, LEAVES, PURE, SERDE};

/// What the findings look like: `src/proxy/forward.rs:12: says what is wrong`.
pub(crate) type Problems = Vec<String>;

pub(crate) fn row_of(
    module: &[String],
) -> Option<&'static (&'static str, &'static [&'static str])> {
    FLOORS
        .iter()
        .filter(|(name, _)| starts_with(module, name))
        .max_by_key(|(name, _)| name.len())
}

pub(crate) fn may_import(row: &(&str, &[&str]), target: &[String]) -> bool {
    let leaf = ["drain", "ready", "telemetry"]
        .iter()
        .any(|name| starts_with(target, name));
    starts_with(target, row.0)
        || row.1.iter().any(|&allowed| {
            allowed == ANYTHING || (allowed == LEAVES && leaf) || starts_with(target, allowed)
        })
}

pub(crate) fn check_floors(sources: &[Source]) -> Problems {
    let reexports = reexports(sources);
    let mut problems = Problems::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        let Some(row) = row_of(&source.module) else {
            problems.push(source.problem(1, "this module has no row in the table of floors"));
            continue;
        };
        for reference in references(&source.tokens, &source.module) {
            let shown = reference.path.join("::");
            let target = resolve(&reference.path, &reexports);
            if may_import(row, &target) || may_import(row, &reference.path) {
                continue;
            }
            let what = format!(
                "`{}` may not import `{shown}`; it may import: {:?}",
                row.0, row.1
            );
            problems.push(source.problem(reference.line, &what));
        }
    }
    problems
}

/// Positions at which the words and signs of `pattern` (separated by blanks) stand in a row.
pub(crate) fn lines_with(tokens: &[Token], pattern: &str) -> Vec<usize> {
    let wanted: Vec<&str> = pattern.split_whitespace().collect();
    tokens
        .windows(wanted.len())
        .filter(|window| {
            window
                .iter()
                .zip(&wanted)
                .all(|(token, word)| token.text == *word)
        })
        .filter_map(|window| window.first().map(|token| token.line))
        .collect()
}

/// A ban: what must not be said, where it may be said after all, and why not.
pub(crate) struct Ban {
    pub(crate) patterns: &'static [&'static str],
    /// Empty: everywhere. Else only in these.
    pub(crate) only_in: &'static [&'static str],
    pub(crate) except_in: &'static [&'static str],
    pub(crate) why: &'static str,
}

pub(crate) const BANS: &[Ban] = &[
    Ban {
        patterns: &[
            "async",
            "await",
            "tokio",
            "now (",
            "elapsed (",
            "rand",
            "getrandom",
            "SystemTime",
        ],
        only_in: PURE,
        except_in: &[],
        why: "time, dice and runtimes do not belong into a pure core: make them arguments",
    },
    Ban {
        patterns: &["Serialize", "Deserialize"],
        only_in: &[],
        except_in: SERDE,
        why: "serde may be derived only where bytes meet the outside",
    },
    Ban {
        patterns: &[". publish (", "Publisher :: publish"],
        only_in: &[],
        except_in: &["store::apply", "snapshot", "testing"],
        why: "only store::apply may publish a Snapshot",
    },
    Ban {
        patterns: &[
            "config ::",
            "store ::",
            "admin ::",
            "rollout ::",
            "kubernetes ::",
        ],
        only_in: &["proxy"],
        except_in: &[],
        why: "the data path has never heard of the control plane",
    },
    Ban {
        patterns: &[
            "StatusCode :: BAD_REQUEST",
            "StatusCode :: NOT_FOUND",
            "StatusCode :: METHOD_NOT_ALLOWED",
            "StatusCode :: REQUEST_TIMEOUT",
            "StatusCode :: PAYLOAD_TOO_LARGE",
            "StatusCode :: URI_TOO_LONG",
            "StatusCode :: EXPECTATION_FAILED",
            "StatusCode :: TOO_MANY_REQUESTS",
            "StatusCode :: REQUEST_HEADER_FIELDS_TOO_LARGE",
            "StatusCode :: INTERNAL_SERVER_ERROR",
            "StatusCode :: NOT_IMPLEMENTED",
            "StatusCode :: BAD_GATEWAY",
            "StatusCode :: SERVICE_UNAVAILABLE",
            "StatusCode :: GATEWAY_TIMEOUT",
        ],
        only_in: &["proxy"],
        except_in: &["proxy::error"],
        why: "only proxy::error builds error responses",
    },
    Ban {
        patterns: &[". unwrap ( )"],
        only_in: &[],
        except_in: &[],
        why: "no unwrap: say why it cannot fail with expect, or return the error",
    },
    Ban {
        patterns: &["unbounded_channel", "mpsc :: unbounded", "UnboundedSender"],
        only_in: &[],
        except_in: &[],
        why: "put a limit on everything",
    },
    Ban {
        patterns: &["thread :: sleep"],
        only_in: &[],
        except_in: &[],
        why: "a sleep blocks a worker and everything it serves",
    },
    Ban {
        patterns: &["todo !", "unimplemented !", "dbg !"],
        only_in: &[],
        except_in: &[],
        why: "unfinished code does not land",
    },
];

pub(crate) fn check_bans(sources: &[Source]) -> Problems {
    let mut problems = Problems::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        for ban in BANS {
            let concerned = ban.only_in.is_empty() || source.within(ban.only_in);
            if !concerned || source.within(ban.except_in) {
                continue;
            }
            for pattern in ban.patterns {
                for line in lines_with(&source.tokens, pattern) {
                    let what = format!("`{}`: {}", pattern.replace(' ', ""), ban.why);
                    problems.push(source.problem(line, &what));
                }
            }
        }
    }
    problems
}

/// Lines that belong to test code, so that strings there may spell what they like.
pub(crate) fn test_lines(source: &Source) -> BTreeSet<usize> {
    let kept: BTreeSet<usize> = source.tokens.iter().map(|token| token.line).collect();
    let all: BTreeSet<usize> = tokens(&source.raw).iter().map(|token| token.line).collect();
    all.difference(&kept).copied().collect()
}

pub(crate) fn check_metric_names(sources: &[Source]) -> Problems {
    let mut problems = Problems::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        if source.within(&["metrics::names", "testing"]) {
            continue;
        }
        let exempt = test_lines(source);
        for string in strings(&source.raw) {
            if string.text.contains("pointsman_") && !exempt.contains(&string.line) {
                let what = format!("{:?}: only metrics::names spells metric names", string.text);
                problems.push(source.problem(string.line, &what));
            }
        }
    }
    problems
}

pub(crate) fn check_words(source: &Source) -> Problems {
    let mut problems = Problems::new();
    if !source.raw.starts_with("//!") {
        problems.push(source.problem(1, "a file opens with its story: `//!` on the first line"));
    }
    if let Some(name) = source
        .module
        .iter()
        .find(|name| EMPTY_NAMES.contains(&name.as_str()))
    {
        let what = format!("`{name}` names nothing: modules are nouns of the domain");
        problems.push(source.problem(1, &what));
    }
    problems.extend(unowned_todos(&source.file, &source.raw));
    problems
}

pub(crate) fn unowned_todos(file: &str, raw: &str) -> Problems {
    // In two halves, or this file would find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let unowned = |line: &str| {
        words.iter().any(|word| {
            line.match_indices(word).any(|(i, _)| {
                let before = line
                    .as_bytes()
                    .get(i.wrapping_sub(1))
                    .copied()
                    .unwrap_or(b' ');
                let after = at(line.as_bytes(), i + word.len());
                !is_word(before) && !is_word(after) && after != b'('
            })
        })
    };
    raw.lines()
        .enumerate()
        .filter(|(_, line)| unowned(line))
        .map(|(i, _)| format!("{file}:{}: a TO-DO needs an owner: `(name)`", i + 1))
        .collect()
}

pub(crate) fn documents() -> Vec<(String, String)> {
    let mut paths = files_below(&root().join("docs"), "md");
    paths.extend(files_below(&root().join("benches"), "md"));
    let top = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ];
    paths.extend(top.iter().map(|name| root().join(name)));
    paths.retain(|path| !path.components().any(|part| part.as_os_str() == "out"));
    paths.iter().map(|path| (shown(path), read(path))).collect()
}

/// Relative links that lead nowhere.
pub(crate) fn dead_links(file: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Problems {
    let folder = Path::new(file).parent().unwrap_or_else(|| Path::new(""));
    let mut problems = Problems::new();
    for (number, line) in text.lines().enumerate() {
        for (start, _) in line.match_indices("](") {
            let rest = line.get(start + 2..).unwrap_or_default();
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            let foreign =
                target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !foreign && !exists(&folder.join(target)) {
                problems.push(format!("{file}:{}: dead link {target}", number + 1));
            }
        }
    }
    problems
}

/// Shipped configs nobody mentions, or that do not name their schema for the editor.
pub(crate) fn orphan_configs(
    names: &[(String, String)],
    documents: &[(String, String)],
) -> Problems {
    let mut problems = Problems::new();
    for (name, content) in names {
        let mention = format!("config/{name}");
        if !documents.iter().any(|(_, text)| text.contains(&mention)) {
            problems.push(format!("{mention}:1: no document mentions this file"));
        }
        let schema = "# yaml-language-server: $schema=./schema.json";
        if name.ends_with(".yaml") && !content.lines().take(3).any(|line| line == schema) {
            problems.push(format!("{mention}:1: the head must say `{schema}`"));
        }
    }
    problems
}

/// Metrics the code exports and the guide does not list, and the other way round.
pub(crate) fn check_metric_table(names: &Source, guide: &str) -> Problems {
    let exempt = test_lines(names);
    let exported: BTreeSet<String> = strings(&names.raw)
        .into_iter()
        .filter(|string| string.text.starts_with("pointsman_") && !exempt.contains(&string.line))
        .map(|string| string.text)
        .collect();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    let listed: BTreeSet<String> = guide
        .lines()
        .filter_map(row)
        .filter(|name| name.starts_with("pointsman_"))
        .collect();
    let missing = exported
        .difference(&listed)
        .map(|name| format!("{name} is not in the guide"));
    let stale = listed
        .difference(&exported)
        .map(|name| format!("{name} is not exported"));
    missing
        .chain(stale)
        .map(|what| format!("docs/guide/metrics.md:1: {what}"))
        .collect()
}

/// Crates we decided against, and crates that come from somewhere else than crates.io.
pub(crate) fn check_lock(lock: &str) -> Problems {
    let banned = [
        "serde_yaml",
        "serde_yml",
        "rustls-pemfile",
        "openssl",
        "openssl-sys",
        "native-tls",
    ];
    let mut problems = Problems::new();
    for (number, line) in lock.lines().enumerate() {
        let value = |key: &str| {
            line.strip_prefix(key)
                .and_then(|rest| rest.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        if let Some(name) = value("name").filter(|name| banned.contains(name)) {
            problems.push(format!(
                "Cargo.lock:{}: {name} is banned, see deny.toml",
                number + 1
            ));
        }
        let home = "registry+https://github.com/rust-lang/crates.io-index";
        if let Some(source) = value("source").filter(|source| *source != home) {
            problems.push(format!(
                "Cargo.lock:{}: foreign source {source}",
                number + 1
            ));
        }
    }
    problems
}
