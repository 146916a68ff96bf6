//! Tables and requests for the benches: generated, so that any size can be asked for, and the same
//! in every run, so that runs can be compared.

#![allow(
    dead_code,
    reason = "every bench compiles its own copy and uses a part"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a bench that panics has said what is wrong"
)]

use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue};
use pointsman::testing::bench::{Config, Routes};

/// Requests in a sequence: more than a branch predictor learns by heart, and enough for nearly
/// every host of the largest table to come up.
pub(crate) const REQUESTS: usize = 1 << 15;
/// Parts of a sequence that are timed one by one.
pub(crate) const SLICES: usize = 16;

/// Numbers without order (splitmix64): the benches need no statistics from them, only no pattern.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        let wide = u128::from(self.next()) * below as u128;
        usize::try_from(wide >> 64).expect("below a usize")
    }
}

/// The shape of a table of `n` routes, and of the requests for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Each route has a host of its own and takes every path.
    Hosts,
    /// As `Hosts`, below a wildcard.
    Wildcards,
    /// As `Hosts`, with a rule for a header before the rule for everyone; half of the requests
    /// have the header.
    Headers,
    /// As `Hosts`, with a rule for `/api` before the rule for everything.
    Prefixes,
    /// All routes have the same host; each has a prefix of its own.
    Paths,
}

impl Shape {
    pub(crate) const ALL: [Self; 5] = [
        Self::Hosts,
        Self::Wildcards,
        Self::Headers,
        Self::Prefixes,
        Self::Paths,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Wildcards => "wildcard hosts",
            Self::Headers => "header rules",
            Self::Prefixes => "/api and rest",
            Self::Paths => "paths of one host",
        }
    }

    fn route(self, at: usize, out: &mut String) {
        const SPLIT: &str = "split: [{backend: v1, weight: 90}, {backend: v2, weight: 10}]";
        let host = match self {
            Self::Paths => "shop.example.com".to_owned(),
            Self::Wildcards => format!("'*.{}'", host(at)),
            Self::Hosts | Self::Headers | Self::Prefixes => host(at),
        };
        let _infallible = write!(
            out,
            "  - name: route-{at}\n    hosts: [{host}]\n    rules:\n"
        );
        let special = match self {
            Self::Hosts | Self::Wildcards => None,
            Self::Headers => Some("headers: [{name: x-canary, exact: always}]".to_owned()),
            Self::Prefixes => Some("path: {prefix: /api}".to_owned()),
            Self::Paths => Some(format!("path: {{prefix: /section-{at}}}")),
        };
        if let Some(special) = special {
            let _infallible = write!(
                out,
                "      - name: special\n        matches: [{{{special}}}]\n        {SPLIT}\n"
            );
        }
        if self != Self::Paths {
            let _infallible = write!(out, "      - name: everyone\n        {SPLIT}\n");
        }
    }
}

/// Hosts as a platform makes them: of various lengths, alike at both ends.
fn host(at: usize) -> String {
    const TEAMS: [&str; 4] = ["shop", "payments", "search-index", "ml"];
    let team = TEAMS[at % TEAMS.len()];
    format!("service-{at}.{team}.example.com")
}

/// A config of `n` routes.
pub(crate) fn yaml(shape: Shape, n: usize) -> String {
    let mut out = String::from(
        "apiVersion: pointsman.dev/v1\n\
         listeners: [{name: web, address: '127.0.0.1:8080'}]\n\
         backends:\n  - {name: v1, endpoints: ['127.0.0.1:9898']}\n  \
         - {name: v2, endpoints: ['127.0.0.1:9899']}\nroutes:\n",
    );
    (0..n).for_each(|at| shape.route(at, &mut out));
    out
}

pub(crate) fn config(shape: Shape, n: usize) -> Config {
    Config::parse(&yaml(shape, n)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A sequence of requests, all routes equally likely. The texts lie one behind the other, in the
/// order of use: reading them costs the same at every size of the table.
pub(crate) struct Requests {
    text: String,
    parts: Vec<Part>,
    /// Of requests for which the path decides nothing.
    path: &'static str,
    plain: HeaderMap,
    canary: HeaderMap,
}

struct Part {
    start: u32,
    host: u8,
    path: u8,
    canary: bool,
}

impl Requests {
    pub(crate) fn new(shape: Shape, n: usize) -> Self {
        let mut random = Random(n as u64);
        let mut text = String::new();
        let mut parts = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let at = random.below(n);
            let half = random.below(2) == 0;
            let host = match shape {
                Shape::Paths => "shop.example.com".to_owned(),
                Shape::Wildcards => format!("app.{}", host(at)),
                Shape::Hosts | Shape::Headers | Shape::Prefixes => host(at),
            };
            let path = match shape {
                Shape::Paths => format!("/section-{at}/items/17"),
                Shape::Prefixes if half => "/api/v1/items/17".to_owned(),
                _ => String::new(),
            };
            parts.push(Part {
                start: u32::try_from(text.len()).expect("a short text"),
                host: u8::try_from(host.len()).expect("a short host"),
                path: u8::try_from(path.len()).expect("a short path"),
                canary: shape == Shape::Headers && half,
            });
            text.push_str(&host);
            text.push_str(&path);
        }
        let plain = headers(&["accept", "user-agent", "x-request-id"]);
        let canary = headers(&["accept", "user-agent", "x-canary"]);
        Self {
            text,
            parts,
            path: "/assets/v1/app.css",
            plain,
            canary,
        }
    }

    /// The sequence, cut into `SLICES`.
    pub(crate) fn slices(&self) -> impl Iterator<Item = Slice<'_>> {
        let parts = self.parts.chunks(REQUESTS / SLICES);
        parts.map(|parts| Slice { all: self, parts })
    }

    pub(crate) fn find_all(&self, routes: &mut Routes) -> usize {
        let all = Slice {
            all: self,
            parts: &self.parts,
        };
        all.find_all(routes)
    }
}

/// Some requests of a sequence.
pub(crate) struct Slice<'a> {
    all: &'a Requests,
    parts: &'a [Part],
}

impl<'a> Slice<'a> {
    /// Authority, path and headers of each request in turn.
    fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str, &'a HeaderMap)> {
        let all = self.all;
        self.parts.iter().map(|part| {
            let (_, rest) = all.text.split_at(part.start as usize);
            let (host, rest) = rest.split_at(part.host.into());
            let path = match part.path {
                0 => all.path,
                length => rest.split_at(length.into()).0,
            };
            let headers = if part.canary { &all.canary } else { &all.plain };
            (host, path, headers)
        })
    }

    /// Finds every request once; the sum keeps the compiler from leaving anything out.
    pub(crate) fn find_all(&self, routes: &mut Routes) -> usize {
        self.iter()
            .map(|(host, path, headers)| routes.find(host, path, headers).expect("a route"))
            .fold(0, usize::wrapping_add)
    }
}

fn headers(names: &[&'static str]) -> HeaderMap {
    let value = HeaderValue::from_static("always");
    let names = names.iter().map(|name| HeaderName::from_static(name));
    names.map(|name| (name, value.clone())).collect()
}
