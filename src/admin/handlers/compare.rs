//! Two versions side by side.

use axum::Json;
use axum::extract::State;

use super::routes::unknown_route;
use crate::admin::context::Context;
use crate::admin::params::{Params, bad};
use crate::admin::problem::{Answer, Failure};
use crate::admin::{show, view};
use crate::metrics::Window;
use crate::model::{BackendName, Weight};
use crate::routing::Rule;

#[utoipa::path(
    get, path = "/api/v1/compare", tag = "compare", operation_id = "compare",
    summary = "What two backends of one split measured",
    params(
        ("route" = String, Query),
        ("rule" = Option<String>, Query, description = "May be left out when one rule splits"),
        ("a" = Option<String>, Query, description = "A backend; the first of the split if not said"),
        ("b" = Option<String>, Query, description = "A backend; the second if not said"),
        ("window" = Option<String>, Query, description = "1m or 5m; 1m if not said"),
    ),
    responses(
        (status = 200, body = view::Comparison),
        (status = 400, body = view::Problem, content_type = "application/problem+json"),
        (status = 404, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn compare(
    State(context): State<Context>,
    params: Params,
) -> Answer<Json<view::Comparison>> {
    let params = params.known(&["route", "rule", "a", "b", "window"])?;
    let route = params
        .one("route")?
        .ok_or_else(|| bad("say which route: ?route=NAME"))?;
    let (window, name) = match params.one("window")? {
        None | Some("1m") => (Window::OneMinute, "1m"),
        Some("5m") => (Window::FiveMinutes, "5m"),
        Some(_) => return Err(bad("window is 1m or 5m")),
    };
    let desired = context.store.desired();
    let rules: Vec<&Rule> = desired
        .rules()
        .map(|(rule, _)| &**rule)
        .filter(|rule| rule.id.route.as_str() == route)
        .collect();
    if rules.is_empty() {
        return Err(unknown_route(route));
    }
    let rule = choose(&rules, params.one("rule")?)?;
    let side = |given: Option<&str>, place: usize| {
        let (backend, weight) = side_of(rule, given, place)?;
        let seen = context.metrics.observe(&rule.id, backend, window);
        Ok::<_, Failure>(view::ComparisonSide {
            backend: backend.to_string(),
            weight: weight.get(),
            observation: show::observation(&seen),
        })
    };
    Ok(Json(view::Comparison {
        route: route.to_owned(),
        rule: rule.id.rule.to_string(),
        window: name.to_owned(),
        a: side(params.one("a")?, 0)?,
        b: side(params.one("b")?, 1)?,
    }))
}

fn choose<'a>(rules: &[&'a Rule], named: Option<&str>) -> Answer<&'a Rule> {
    if let Some(named) = named {
        let rule = rules.iter().find(|rule| rule.id.rule.as_str() == named);
        return rule.copied().ok_or_else(|| {
            Failure::not_found("unknown-rule", format!("the route has no rule {named:?}"))
        });
    }
    let mut splitting = rules.iter().filter(|rule| rule.split.entries().len() > 1);
    match (splitting.next(), splitting.next()) {
        (Some(rule), None) => Ok(rule),
        (Some(_), Some(_)) => Err(bad(
            "several rules of this route split: say which, ?rule=NAME",
        )),
        (None, _) => Err(bad("no rule of this route has two backends to compare")),
    }
}

fn side_of<'a>(
    rule: &'a Rule,
    named: Option<&str>,
    place: usize,
) -> Answer<(&'a BackendName, Weight)> {
    let mut entries = rule.split.entries().iter();
    let entry = match named {
        Some(named) => entries.find(|(choice, _)| choice.backend.as_str() == named),
        None => entries.nth(place),
    };
    entry
        .map(|(choice, weight)| (&choice.backend, *weight))
        .ok_or_else(|| {
            let missing =
                named.map_or_else(|| "second backend".to_owned(), |n| format!("backend {n:?}"));
            Failure::not_found(
                "unknown-backend",
                format!("the split of {} has no {missing}", rule.id),
            )
        })
}
