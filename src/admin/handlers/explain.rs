//! Why a request would go where it would go.

use axum::Json;
use axum::extract::State;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::admin::context::Context;
use crate::admin::params::{Params, bad};
use crate::admin::problem::Answer;
use crate::admin::view;
use crate::routing::{Considered, Origin, Rule, Scratch, Verdict, View};
use crate::snapshot::Blueprint;
use crate::upstream::Target;

/// Headers of one question.
const HEADERS_MAX: usize = 100;

#[utoipa::path(
    get, path = "/api/v1/explain", tag = "explain", operation_id = "explain",
    summary = "Which rule would answer a request, and why",
    params(
        ("url" = String, Query, description = "http://host/path?query, or /path for any host"),
        ("method" = Option<String>, Query, description = "GET if not said"),
        ("header" = Option<Vec<String>>, Query, description = "name: value, once for each"),
    ),
    responses(
        (status = 200, body = view::Explanation),
        (status = 400, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn explain(
    State(context): State<Context>,
    params: Params,
) -> Answer<Json<view::Explanation>> {
    let params = params.known(&["url", "method", "header"])?;
    let url = params
        .one("url")?
        .ok_or_else(|| bad("say which request: ?url=http://host/path"))?;
    let url: Uri = url
        .parse()
        .map_err(|why| bad(&format!("url is no URL: {why}")))?;
    let method = params.one("method")?.unwrap_or("GET");
    let method: Method = method
        .parse()
        .map_err(|_| bad("method is no HTTP method"))?;
    let headers = headers(&params)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let request = View {
        method: &method,
        authority: url
            .authority()
            .map_or_else(|| host.unwrap_or(""), |host| host.as_str()),
        path: url.path(),
        query: url.query(),
        headers: &headers,
    };
    let desired = context.store.desired();
    Ok(Json(told(
        desired.blueprint(),
        request,
        url.scheme_str().unwrap_or("http"),
    )))
}

fn headers(params: &Params) -> Answer<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in params.all("header").take(HEADERS_MAX) {
        let wrong = || bad(&format!("header is written name: value, not {line:?}"));
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = name.trim().parse::<HeaderName>().map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn told(blueprint: &Blueprint, request: View<'_>, scheme: &str) -> view::Explanation {
    let considered = blueprint.router.explain(request);
    let considered = considered
        .iter()
        .filter_map(|one| tell(blueprint, one))
        .collect();
    let found = blueprint.router.find(request, &mut Scratch::default());
    let answering = found.and_then(|found| Some((blueprint.rules.get(found.rule)?, found)));
    let Some((rule, found)) = answering else {
        return view::Explanation {
            considered,
            outcome: "404".to_owned(),
            route: None,
            rule: None,
            redirect: None,
            shares: Vec::new(),
        };
    };
    let origin = Origin {
        scheme,
        authority: request.authority,
        port: port(request.authority, scheme),
        path: request.path,
        prefix_length: found.prefix_length,
        query: request.query,
    };
    let redirect = rule.filters.redirect.as_ref().map(|redirect| {
        let location = redirect.location(origin);
        let location = location
            .as_ref()
            .and_then(|location| location.to_str().ok());
        location.unwrap_or("a location that is no URL").to_owned()
    });
    let outcome = match (&redirect, rule.split.total()) {
        (Some(_), _) => "redirect",
        (None, 0) => "closed",
        (None, _) => "split",
    };
    let shares = if redirect.is_some() {
        Vec::new()
    } else {
        shares(blueprint, rule)
    };
    view::Explanation {
        considered,
        outcome: outcome.to_owned(),
        route: Some(rule.id.route.to_string()),
        rule: Some(rule.id.rule.to_string()),
        redirect,
        shares,
    }
}

fn tell(blueprint: &Blueprint, one: &Considered) -> Option<view::ExplainedMatch> {
    let rule = blueprint.rules.get(one.rule)?;
    let words = rule
        .matches
        .get(one.position)
        .map_or("everything", String::as_str);
    let (verdict, broken) = match &one.verdict {
        Verdict::Answers => ("answers", None),
        Verdict::Outranked => ("outranked", None),
        Verdict::Broken(condition) => ("broken", Some(condition.clone())),
    };
    Some(view::ExplainedMatch {
        route: rule.id.route.to_string(),
        rule: rule.id.rule.to_string(),
        one: words.to_owned(),
        verdict: verdict.to_owned(),
        broken,
    })
}

fn shares(blueprint: &Blueprint, rule: &Rule) -> Vec<view::ExplainedShare> {
    let share = |(choice, weight): &(crate::routing::Choice, crate::model::Weight)| {
        let problem = match blueprint
            .backends
            .get(&choice.backend)
            .map(|backend| &backend.target)
        {
            Some(Target::Endpoints(endpoints)) if endpoints.is_empty() => {
                Some("503: the backend has no endpoints".to_owned())
            }
            Some(Target::Endpoints(_)) => None,
            Some(Target::Invalid(why)) => Some(format!("500: {why}")),
            None => Some("500: there is no such backend".to_owned()),
        };
        view::ExplainedShare {
            backend: choice.backend.to_string(),
            share: rule.split.share(*weight),
            problem,
        }
    };
    rule.split.entries().iter().map(share).collect()
}

fn port(authority: &str, scheme: &str) -> u16 {
    let named = authority
        .parse::<http::uri::Authority>()
        .ok()
        .and_then(|one| one.port_u16());
    named.unwrap_or(if scheme == "https" { 443 } else { 80 })
}
