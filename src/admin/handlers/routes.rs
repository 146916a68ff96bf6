//! What runs: routes, their rules, their splits.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;

use super::tag::tagged;
use crate::admin::context::Context;
use crate::admin::params::Params;
use crate::admin::problem::{Answer, Failure};
use crate::admin::{show, view};

#[utoipa::path(
    get, path = "/api/v1/routes", tag = "routes", operation_id = "listRoutes",
    summary = "What runs: every route with its rules and splits",
    responses(
        (status = 200, body = view::Page<view::Route>, headers(("etag" = String))),
        (status = 304, description = "If-None-Match holds the current revision"),
    )
)]
pub(crate) async fn list(
    State(context): State<Context>,
    params: Params,
    headers: HeaderMap,
) -> Answer<Response> {
    params.known(&[])?;
    let desired = context.store.desired();
    let revision = desired.revision.get();
    let page = view::Page {
        revision,
        items: show::routes(&context, &desired, None),
        parked: show::parked(&desired),
    };
    Ok(tagged(&headers, revision, Json(page)))
}

#[utoipa::path(
    get, path = "/api/v1/routes/{route}", tag = "routes", operation_id = "getRoute",
    summary = "One route with its rules and splits",
    params(("route" = String, Path)),
    responses(
        (status = 200, body = view::Route, headers(("etag" = String))),
        (status = 304, description = "If-None-Match holds the current revision"),
        (status = 404, body = view::Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(context): State<Context>,
    Path(name): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Answer<Response> {
    params.known(&[])?;
    let desired = context.store.desired();
    let route = show::routes(&context, &desired, Some(&name)).pop();
    let route = route.ok_or_else(|| unknown_route(&name))?;
    Ok(tagged(&headers, desired.revision.get(), Json(route)))
}

pub(super) fn unknown_route(name: &str) -> Failure {
    let detail = format!("there is no route {name:?}; GET /api/v1/routes lists them");
    Failure::not_found("unknown-route", detail)
}
