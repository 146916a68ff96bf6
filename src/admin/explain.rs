//! Why a request goes where it goes, in the shape of the API.
//!
//! One answer for two askers: the API about what runs, and the CLI about a file that does not.
//! The way is the one of a request (router, then split), told instead of taken; no dice roll.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::view::{ExplainedMatch, ExplainedShare, Explanation};
use crate::model::BackendName;
use crate::routing::{
    Considered, OnUnavailable, Origin, Redirect, Router, Rule, Scratch, Verdict, View, normalise,
};
use crate::upstream::{Backend, Target};

/// A request that is only asked about.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    method: Method,
    /// `http` or `https`.
    scheme: String,
    /// `Host` header or the URL's; empty when there is neither.
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

/// Why a question makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuestionError {
    Url(String),
    Scheme(String),
    Header(String),
}

impl fmt::Display for QuestionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                f,
                "{url:?} is no URL: write http://HOST/PATH, HOST/PATH or /PATH"
            ),
            Self::Scheme(scheme) => {
                write!(f, "{scheme:?} is neither http nor https")
            }
            Self::Header(line) => {
                write!(f, "{line:?} is no header: write `Name: value`")
            }
        }
    }
}

impl std::error::Error for QuestionError {}

impl Question {
    /// Reads `http://HOST/PATH?QUERY`, `HOST/PATH` or `/PATH`, and headers as `Name: value`. A
    /// `Host` header wins over the host of the URL, as on the wire.
    ///
    /// # Errors
    /// Names the first part that cannot be part of a request.
    pub(crate) fn parse<'a>(
        url: &str,
        method: Method,
        headers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, QuestionError> {
        let full = match url.starts_with('/') || url.contains("://") {
            true => url.to_owned(),
            false => format!("http://{url}"),
        };
        let bad = || QuestionError::Url(url.to_owned());
        let uri: Uri = full.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().unwrap_or("http").to_owned();
        if scheme != "http" && scheme != "https" {
            return Err(QuestionError::Scheme(scheme));
        }
        let headers = headers
            .into_iter()
            .map(|line| header(line).ok_or_else(|| QuestionError::Header(line.to_owned())))
            .collect::<Result<HeaderMap, _>>()?;
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
        Ok(Self {
            method,
            scheme,
            authority: authority.unwrap_or_default().to_owned(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers,
        })
    }

    /// The URL as it was understood, `Host` header included.
    pub(crate) fn url(&self) -> String {
        let mut url = String::new();
        if !self.authority.is_empty() {
            url = format!("{}://{}", self.scheme, self.authority);
        }
        url.push_str(&self.path);
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query);
        }
        url
    }

    fn view(&self) -> View<'_> {
        View {
            method: &self.method,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }

    /// Port that the client would have connected to.
    fn port(&self) -> u16 {
        let authority = self.authority.parse::<http::uri::Authority>().ok();
        let implied = if self.scheme == "https" { 443 } else { 80 };
        authority.and_then(|a| a.port_u16()).unwrap_or(implied)
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url())
    }
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((
        name.trim().parse().ok()?,
        HeaderValue::try_from(value.trim()).ok()?,
    ))
}

/// Follows `question` through the tables that a snapshot or a blueprint holds.
pub(crate) fn explain(
    router: &Router,
    rules: &[Arc<Rule>],
    backends: &HashMap<BackendName, Arc<Backend>>,
    question: &Question,
) -> Explanation {
    let considered = router.explain(question.view());
    let mut explanation = Explanation {
        outcome: "404".to_owned(),
        route: None,
        rule: None,
        redirect: None,
        shares: Vec::new(),
        considered: considered
            .iter()
            .filter_map(|one| told(one, rules.get(one.rule)?))
            .collect(),
    };
    let answers = considered
        .iter()
        .find(|one| one.verdict == Verdict::Answers)
        .and_then(|one| rules.get(one.rule));
    let Some(rule) = answers else {
        return explanation;
    };
    explanation.route = Some(rule.id.route.to_string());
    explanation.rule = Some(rule.id.rule.to_string());
    if let Some(redirect) = &rule.filters.redirect {
        explanation.outcome = "redirect".to_owned();
        explanation.redirect = location(router, redirect, question);
        return explanation;
    }
    let closed = rule.split.total() == 0;
    explanation.outcome = if closed { "closed" } else { "split" }.to_owned();
    explanation.shares = shares(rule, backends);
    explanation
}

fn told(one: &Considered, rule: &Arc<Rule>) -> Option<ExplainedMatch> {
    let (verdict, broken) = match &one.verdict {
        Verdict::Answers => ("answers", None),
        Verdict::Outranked => ("outranked", None),
        Verdict::Broken(condition) => ("broken", Some(condition.clone())),
    };
    let words = rule.matches.get(one.position);
    Some(ExplainedMatch {
        route: rule.id.route.to_string(),
        rule: rule.id.rule.to_string(),
        one: words.map_or_else(|| "everything".to_owned(), Clone::clone),
        verdict: verdict.to_owned(),
        broken,
    })
}

fn location(router: &Router, redirect: &Redirect, question: &Question) -> Option<String> {
    let found = router.find(question.view(), &mut Scratch::default())?;
    let mut scratch = Scratch::default();
    let origin = Origin {
        scheme: &question.scheme,
        authority: &question.authority,
        port: question.port(),
        path: normalise(&question.path, &mut scratch),
        prefix_length: found.prefix_length,
        query: question.query.as_deref(),
    };
    let location = redirect.location(origin)?;
    Some(location.to_str().ok()?.to_owned())
}

/// What each entry of the split gets, and what stands in its way.
fn shares(rule: &Rule, backends: &HashMap<BackendName, Arc<Backend>>) -> Vec<ExplainedShare> {
    let entries = rule.split.entries();
    let problems: Vec<Option<String>> = entries
        .iter()
        .map(|(choice, _)| problem(backends.get(&choice.backend)))
        .collect();
    let open: u64 = entries
        .iter()
        .zip(&problems)
        .filter(|(_, problem)| problem.is_none())
        .map(|((_, weight), _)| u64::from(weight.get()))
        .sum();
    // The others take the share of what cannot answer, where the rule says so and they can.
    let moves = rule.on_unavailable == OnUnavailable::Redistribute && open > 0;
    entries
        .iter()
        .zip(problems)
        .map(|((choice, weight), problem)| {
            let share = match (&problem, moves) {
                (_, false) => rule.split.share(*weight),
                (Some(_), true) => 0.0,
                (None, true) => f64::from(weight.get()) / open as f64,
            };
            ExplainedShare {
                backend: choice.backend.to_string(),
                share,
                problem,
            }
        })
        .collect()
}

fn problem(backend: Option<&Arc<Backend>>) -> Option<String> {
    match backend.map(|backend| &backend.target) {
        None => Some("500: there is no such backend".to_owned()),
        Some(Target::Invalid(why)) => Some(format!("500: {why}")),
        Some(Target::Endpoints(endpoints)) if endpoints.is_empty() => {
            Some("503: the backend has no endpoints".to_owned())
        }
        Some(Target::Endpoints(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RouteName, RuleId, RuleName, Split, Weight};
    use crate::routing::{Choice, Filters, HeaderEdits, Timeouts};
    use crate::upstream::{Balance, Protocol};
    use std::time::Duration;

    fn ask(url: &str, headers: &[&str]) -> Result<String, QuestionError> {
        let question = Question::parse(url, Method::GET, headers.iter().copied())?;
        Ok(question.to_string())
    }

    #[test]
    fn questions_are_read_as_people_write_them() {
        for (url, headers, read) in [
            ("http://a.b/c?d=e#f", &[][..], "GET http://a.b/c?d=e"),
            ("a.b:8080", &[], "GET http://a.b:8080/"),
            ("/c", &[], "GET /c"),
            ("/c", &["Host: a.b"], "GET http://a.b/c"),
            ("https://x/c", &["host:a.b"], "GET https://a.b/c"),
        ] {
            assert_eq!(ask(url, headers).as_deref(), Ok(read), "{url}");
        }
        assert!(matches!(ask("a b", &[]), Err(QuestionError::Url(_))));
        assert!(matches!(ask("ftp://a", &[]), Err(QuestionError::Scheme(_))));
        for bad in ["no colon", ": no name", "a b: c", "a: \u{7f}"] {
            let asked = ask("/", &[bad]);
            assert!(matches!(asked, Err(QuestionError::Header(_))), "{bad}");
        }
    }

    fn backend(name: &str, target: Target) -> (BackendName, Arc<Backend>) {
        let name = BackendName::parse(name).expect("a name");
        let backend = Backend {
            name: name.clone(),
            target,
            protocol: Protocol::Http1,
            balance: Balance::RoundRobin,
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            idle_max: 1,
        };
        (name, Arc::new(backend))
    }

    fn rule(on_unavailable: OnUnavailable) -> Rule {
        let entry = |(name, weight)| {
            let choice = Choice {
                backend: BackendName::parse(name).expect("a name"),
                request: HeaderEdits::default(),
                response: HeaderEdits::default(),
            };
            (choice, Weight::new(weight).expect("in range"))
        };
        Rule {
            id: RuleId {
                route: RouteName::parse("route").expect("a name"),
                rule: RuleName::parse("rule").expect("a name"),
            },
            hosts: Arc::new([]),
            matches: Vec::new(),
            filters: Filters::default(),
            split: Split::new([("a", 60), ("b", 20), ("empty", 15), ("odd", 5)].map(entry)),
            on_unavailable,
            timeouts: Timeouts { request: None },
        }
    }

    #[test]
    fn who_cannot_answer_keeps_its_share_or_gives_it_away() {
        let there = || Target::Endpoints(["127.0.0.1:1".parse().expect("an address")].into());
        let backends = HashMap::from([
            backend("a", there()),
            backend("b", there()),
            backend("empty", Target::Endpoints([].into())),
            backend("odd", Target::Invalid("no such service".into())),
        ]);
        let told = |on_unavailable| {
            let shares = shares(&rule(on_unavailable), &backends);
            let problems: Vec<_> = shares.iter().map(|one| one.problem.clone()).collect();
            assert_eq!(problems[..2], [None, None]);
            assert_eq!(
                problems[2].as_deref(),
                Some("503: the backend has no endpoints")
            );
            assert_eq!(problems[3].as_deref(), Some("500: no such service"));
            shares.iter().map(|one| one.share).collect::<Vec<_>>()
        };
        assert_eq!(told(OnUnavailable::Fail), [0.6, 0.2, 0.15, 0.05]);
        assert_eq!(told(OnUnavailable::Redistribute), [0.75, 0.25, 0.0, 0.0]);
        let nobody = shares(&rule(OnUnavailable::Redistribute), &HashMap::new());
        assert!((nobody[0].share - 0.6).abs() < f64::EPSILON, "{nobody:?}");
    }
}
