//! The router: stories, and the proof that its tables find what the specification's order says.
//!
//! The reference knows no table: it sorts every pair of host and match by the specification's list
//! and takes the first that fits.

use std::cmp::Reverse;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

use super::explain::Verdict;
use super::host::HostPattern;
use super::path::{PathMatch, Scratch, normalise};
use super::precedence::Precedence;
use super::predicate::{Condition, Conditions, TextMatch};
use super::router::{Match, Router, View};

/// Each rule: its hosts and its matches.
type Rules = Vec<(Vec<HostPattern>, Vec<Match>)>;

type Case<'a> = (&'a [&'a str], &'a [&'a str]);

/// Rules as (hosts, paths); a path is `=/exact`, `~regex` or `/prefix`.
fn router(rules: &[Case<'_>]) -> Router {
    let rules: Rules = rules
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
                .map(|entry| entry.rule as usize);
            assert_eq!(find(&router, host, path), first, "{host}{path}");
        }
    }
}

/// What the specification says, pair by pair.
fn reference(rules: &Rules, request: View<'_>) -> Option<usize> {
    let any = [HostPattern::Any];
    let host = request.authority.split(':').next().unwrap_or("");
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    let mut scratch = Scratch::default();
    let path = normalise(request.path, &mut scratch);
    let mut fitting = Vec::new();
    for (rule, (hosts, matches)) in rules.iter().enumerate() {
        let hosts = if hosts.is_empty() { &any[..] } else { hosts };
        for pattern in hosts {
            let (fits, rank) = match pattern {
                HostPattern::Exact(name) => (host == **name, (0, Reverse(0))),
                HostPattern::Below(name) => (
                    host.ends_with(&format!(".{name}")),
                    (1, Reverse(name.len())),
                ),
                HostPattern::Any => (true, (2, Reverse(0))),
            };
            let held = matches.iter().enumerate().filter(|(_, one)| {
                let conditions = &one.conditions;
                fits && one.path.matches(path)
                    && conditions.hold(request.method, request.headers, request.query)
            });
            fitting.extend(held.map(|(position, one)| {
                let order = Precedence::of(&one.path, &one.conditions, rule, position);
                ((rank, order), rule)
            }));
        }
    }
    fitting.into_iter().min().map(|(_, rule)| rule)
}

/// Few words, so that rules and requests meet often.
const HOSTS: &[&str] = &["b", "a.b", "c.a.b", "*.b", "*.a.b", "*.c.a.b", "*"];
const PATHS: &[&str] = &["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/a/b/c/d"];

fn a_host() -> impl Strategy<Value = HostPattern> {
    proptest::sample::select(HOSTS).prop_map(|text| HostPattern::parse(text).expect("host"))
}

fn a_path() -> impl Strategy<Value = PathMatch> {
    (0..4, proptest::sample::select(PATHS)).prop_map(|(kind, text)| match kind {
        0 => PathMatch::exact(text).expect("path"),
        1 => PathMatch::regex(&format!("{text}.*")).expect("regex"),
        _ => PathMatch::prefix(text).expect("path"),
    })
}

fn some_conditions() -> impl Strategy<Value = Conditions> {
    let header = |name: &'static str, exact: bool| Condition {
        name: HeaderName::from_static(name),
        value: if exact {
            TextMatch::Exact("1".into())
        } else {
            TextMatch::Present
        },
    };
    let headers = proptest::collection::vec(
        (proptest::sample::select(&["x", "y"][..]), any::<bool>()),
        0..3,
    );
    let parts = (
        proptest::option::weighted(0.2, Just(Method::POST)),
        headers,
        any::<bool>(),
    );
    let some = parts.prop_map(move |(method, headers, query)| Conditions {
        method,
        headers: headers
            .into_iter()
            .map(|(name, exact)| header(name, exact))
            .collect(),
        queries: Vec::from_iter(query.then(|| Condition {
            name: "q".into(),
            value: TextMatch::Present,
        })),
        cookies: Vec::new(),
    });
    prop_oneof![Just(Conditions::default()), some]
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let one =
        (a_path(), some_conditions()).prop_map(|(path, conditions)| Match { path, conditions });
    let rule = (
        proptest::collection::hash_set(a_host(), 0..3),
        proptest::collection::vec(one, 1..4),
    );
    let rule = rule.prop_map(|(hosts, matches)| (Vec::from_iter(hosts), matches));
    proptest::collection::vec(rule, 0..24)
}

proptest! {
    #[test]
    fn the_tables_find_what_the_specification_says(
        rules in some_rules(),
        host in r"(d\.)?([cC]\.)?(a\.)?b\.?(:80)?|",
        path in "(/|//|/\\./)(a|a/b|a/b/c|a/b/c/d/e|ab|a/%62)?/?|\\*",
        post: bool,
        x in proptest::option::of(0..2),
        query in proptest::option::of("[qr]=1"),
    ) {
        let router = Router::new(rules.iter().map(|(hosts, matches)| (&**hosts, &**matches)));
        let x = x.map(|x| (HeaderName::from_static("x"), HeaderValue::from(x)));
        let headers = HeaderMap::from_iter(x);
        let view = View {
            method: if post { &Method::POST } else { &Method::GET },
            authority: &host,
            path: &path,
            query: query.as_deref(),
            headers: &headers,
        };
        let found = router.find(view, &mut Scratch::default());
        prop_assert_eq!(found.map(|found| found.rule), reference(&rules, view));
        let explained = router.explain(view);
        let answers = explained.iter().find(|one| one.verdict == Verdict::Answers);
        prop_assert_eq!(answers.map(|one| one.rule), found.map(|found| found.rule));
    }
}
