//! Why a request would go where it would go.

use axum::Json;
use axum::extract::State;
use http::Method;

use crate::admin::context::Context;
use crate::admin::explain::{Question, explain as follow};
use crate::admin::params::{Params, bad};
use crate::admin::problem::Answer;
use crate::admin::view;

/// Headers of one question.
const HEADERS_MAX: usize = 100;

#[utoipa::path(
    get, path = "/api/v1/explain", tag = "explain", operation_id = "explain",
    summary = "Which rule would answer a request, and why",
    params(
        ("url" = String, Query, description = "http://host/path?query, host/path or /path"),
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
    let method = params.one("method")?.unwrap_or("GET");
    let method: Method = method
        .parse()
        .map_err(|_| bad("method is no HTTP method"))?;
    if params.all("header").nth(HEADERS_MAX).is_some() {
        return Err(bad(&format!(
            "a question has at most {HEADERS_MAX} headers"
        )));
    }
    let question = Question::parse(url, method, params.all("header"));
    let question = question.map_err(|why| bad(&why.to_string()))?;
    let desired = context.store.desired();
    let world = desired.blueprint();
    Ok(Json(follow(
        &world.router,
        &world.rules,
        &world.backends,
        &question,
    )))
}
